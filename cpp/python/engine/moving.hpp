// The weights of sparse layers move: what Python calls.
#pragma once

#include <pybind11/numpy.h>

#include <string>
#include <type_traits>
#include <vector>

#include "gradwright/engine/network.hpp"
#include "gradwright/engine/rewire.hpp"

namespace gradwright::engine::python {

namespace py = pybind11;

/// The data of a C-contiguous array of exactly this type, which has to stay where it is.
template <class T>
T* data_of(const py::handle& object, const char* what) {
    if (!py::isinstance<py::array_t<std::remove_const_t<T>, py::array::c_style>>(object)) {
        throw py::type_error(std::string(what) + ": expected a C-contiguous array of the network's type");
    }
    const auto array = py::reinterpret_borrow<py::array>(object);
    if constexpr (std::is_const_v<T>) {
        return static_cast<T*>(array.data());
    } else {
        return static_cast<T*>(py::array(array).mutable_data());
    }
}

/// Changes of layers, from the first weight that ends to the arrays without it.
template <class Real>
class Moving {
public:
    explicit Moving(Network<Real>& network) : network_(network), changes_(network.layers().size()) {}

    /// Give up weights of some layers together; how many of each.
    std::vector<Index> prune(const std::vector<Index>& numbers, Index count, const std::string& rule, double threshold) {
        std::vector<Weights<Real>> weights;
        for (const Index number : numbers) {
            const Layer<Real>& layer = sparse(number);
            Change& change = change_of(number);
            change.lost.assign(static_cast<std::size_t>(layer.W.size), 0);
            change.losing = 0;
            change.places.clear();
            weights.push_back({layer.W.value, layer.W.size, &change});
        }
        if (rule == "threshold") {
            lose_below(weights, threshold);
        } else {
            lose(weights, count, rule == "set");
        }
        std::vector<Index> lost;
        for (const Index number : numbers) lost.push_back(change_of(number).losing);
        return lost;
    }

    void grow_at_random(Index number, Index count, std::uint64_t seed, std::uint64_t step) {
        change_of(number).places = absent_at_random(sparse(number).support, count, key(seed, number), step, 1);
    }

    /// Begin weights where the gradient of the last step is largest, in some layers together; how many in each.
    std::vector<Index> grow_by_gradient(const std::vector<Index>& numbers, Index count) {
        Largest<Real> best(count);
        std::int64_t before = 0;  // places of the layers before
        for (const Index number : numbers) {
            Layer<Real>& layer = sparse(number);
            network_.for_each_weight_gradient(layer, 0, layer.outputs, [&](Index row, Matrix<Real> DW) {
                look_at_absent<Real>(layer.support, row, DW, before, best);
            });
            before += layer.outputs * layer.inputs;
        }
        return grown(best, numbers);
    }

    /// The same where the momentum of the watched places is largest.
    std::vector<Index> grow_by_momentum(const std::vector<Index>& numbers, Index count) {
        Largest<Real> best(count);
        std::int64_t before = 0;
        for (const Index number : numbers) {
            const Layer<Real>& layer = sparse(number);
            const Watch<Real>& watched = network_.watch(layer);
            if (watched.momentum == nullptr) throw std::logic_error("growth by momentum needs watched places");
            look_at_watched(layer.support, watched, before, best);
            before += layer.outputs * layer.inputs;
        }
        return grown(best, numbers);
    }

    /// Carry out the change of a layer into arrays for the new number of weights, which may be the old arrays.
    void move(Index number, py::array& indptr, py::array& values, const py::list& states) {
        Layer<Real>& layer = sparse(number);
        moved_.make(layer.support, change_of(number));
        if (values.size() != moved_.count) throw py::value_error("expected arrays of the new number of weights");
        moved_.carry(layer.W.value, data_of<Real>(values, "values"), scratch_);
        for (std::size_t s = 0; s < states.size(); ++s) {
            moved_.carry(layer.W.states.at(s), data_of<Real>(states[s], "state"), scratch_);
        }
        std::copy_n(moved_.indptr.data(), layer.outputs + 1, data_of<std::int32_t>(indptr, "indptr"));
        take(layer, moved_.indptr.data(), moved_.indices.data(), values, states);
        if (moved_.count <= most_kept) return;
        moved_ = Moved();
        scratch_ = Buffer<Real>();
        change_of(number) = Change();
    }

    /// Another support, with values and states that have to stay where they are.
    void replace(Index number, const py::array& indptr, const py::array& indices, py::array& values,
                 const py::list& states) {
        take(sparse(number), data_of<const std::int32_t>(indptr, "indptr"),
             data_of<const std::int32_t>(indices, "indices"), values, states);
    }

    /// The column of every weight, row by row.
    py::array indices(Index number) {
        const Support& support = sparse(number).support;
        py::array_t<std::int32_t> found(support.count);
        std::int32_t* column = found.mutable_data();
        for (Index k = 0; k < support.count; ++k) column[k] = support.col(k);
        return found;
    }

    /// Average the gradients of places without a weight from now on; no momentum: of none.
    void watch(Index number, const py::array& indptr, const py::array& indices, const py::object& momentum, double beta) {
        const Layer<Real>& layer = sparse(number);
        Watch<Real>& watched = network_.watch(layer);
        watched = Watch<Real>();
        if (momentum.is_none()) return;
        watched.support = Support(layer.outputs, layer.inputs, data_of<const std::int32_t>(indptr, "indptr"),
                                  data_of<const std::int32_t>(indices, "indices"), false);
        watched.momentum = data_of<Real>(momentum, "momentum");
        watched.beta = beta;
        watched.gradient.reserve(std::max<Index>(watched.support.count, 1));
    }

    /// The same for places drawn at random, as many as the momentum has entries; the places as CSR.
    py::tuple watch_absent(Index number, std::uint64_t seed, std::uint64_t step, const py::array& momentum, double beta) {
        const Layer<Real>& layer = sparse(number);
        py::array_t<std::int32_t> indptr(layer.outputs + 1), indices(momentum.size());
        std::int32_t *starts = indptr.mutable_data(), *columns = indices.mutable_data();
        std::fill_n(starts, layer.outputs + 1, 0);
        for_each_spread(layer.support, momentum.size(), key(seed, number), step, 2, [=](Index n, Index row, Index column) {
            columns[n] = static_cast<std::int32_t>(column);
            starts[row + 1] = static_cast<std::int32_t>(n + 1);
        });
        for (Index i = 0; i < layer.outputs; ++i) starts[i + 1] = std::max(starts[i], starts[i + 1]);
        watch(number, indptr, indices, momentum, beta);
        network_.watch(layer).moved = false;
        return py::make_tuple(indptr, indices);
    }

private:
    static constexpr Index most_kept = 1 << 20;  // weights: memory for a move of so many is kept for the next

    static std::array<std::uint64_t, 2> key(std::uint64_t seed, Index number) {
        return {seed, static_cast<std::uint64_t>(number)};
    }

    /// Every place to the change of its layer; how many in each.
    std::vector<Index> grown(Largest<Real>& best, const std::vector<Index>& numbers) {
        std::vector<Index> counts;
        const auto [from, to] = best.places();
        std::int64_t before = 0;
        for (const Index number : numbers) {
            const Layer<Real>& layer = sparse(number);
            const std::int64_t behind = before + layer.outputs * layer.inputs;
            std::vector<std::int64_t>& own = change_of(number).places;
            own.assign(std::lower_bound(from, to, before), std::lower_bound(from, to, behind));
            for (std::int64_t& place : own) place -= before;
            counts.push_back(static_cast<Index>(own.size()));
            before = behind;
        }
        return counts;
    }

    void take(Layer<Real>& layer, const std::int32_t* indptr, const std::int32_t* indices, py::array& values,
              const py::list& states) {
        layer.W.value = data_of<Real>(values, "values");
        layer.W.size = values.size();
        for (std::size_t s = 0; s < states.size(); ++s) layer.W.states.at(s) = data_of<Real>(states[s], "state");
        layer.support = Support();  // its memory first: two supports would be the peak
        layer.support = Support(layer.outputs, layer.inputs, indptr, indices, layer.number > 1);
        network_.watch(layer).moved = true;
        network_.resized(layer);
    }

    Layer<Real>& sparse(Index number) {
        Layer<Real>& layer = network_.layers().at(static_cast<std::size_t>(number - 1));
        if (!layer.sparse) throw py::value_error("layer " + std::to_string(number) + " is not sparse");
        return layer;
    }

    Change& change_of(Index number) { return changes_[static_cast<std::size_t>(number - 1)]; }

    Network<Real>& network_;
    std::vector<Change> changes_;
    Moved moved_;
    Buffer<Real> scratch_;
};

}  // namespace gradwright::engine::python
