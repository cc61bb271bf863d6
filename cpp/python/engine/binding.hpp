// gradwright.engine::Network as a Python class, for one type of numbers.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "catalogue.hpp"
#include "gradwright/engine/network.hpp"
#include "moving.hpp"

namespace gradwright::engine::python {

namespace py = pybind11;

/// The entry of a table with this name; std::invalid_argument if there is none.
template <class Table>
const auto* find(const Table& table, const std::string& name) {
    for (const auto& entry : table) {
        if (name == entry.name) return &entry;
    }
    throw std::invalid_argument("the engine has no " + name);
}

/// Given values by the places of their names.
template <class Entry>
std::array<double, max_hyperparameters> hyperparameters(const Entry& entry, const py::dict& given) {
    std::array<double, max_hyperparameters> values{};
    for (std::size_t i = 0; i < max_hyperparameters && entry.hyperparameters[i] != nullptr; ++i) {
        values[i] = given[entry.hyperparameters[i]].template cast<double>();
    }
    return values;
}

template <class Real>
class PyNetwork {
public:
    PyNetwork(const py::list& layers, const py::dict& options, py::array steps)
        : kept_(py::make_tuple(layers, steps)), network_(read_layers(layers), read_options(options),
                                                         data_of<std::int64_t>(steps, "steps")) {}

    void forward(const py::array& X, py::array& Y, bool training, bool activate) {
        const Rows<Real> rows{data_of<const Real>(X, "X"), X.shape(1), X.shape(0), nullptr};
        const Matrix<Real> out(data_of<Real>(Y, "Y"), Y.shape(0), Y.shape(1));
        const py::gil_scoped_release release;
        network_.forward(rows, training, activate, out);
    }

    double backward(const py::array& targets, const py::object& weight) {
        const Targets<Real> batch = read_targets(targets, weight);
        const py::gil_scoped_release release;
        return network_.backward(batch);
    }

    void update(double learning_rate) {
        translated([&] {
            const py::gil_scoped_release release;
            network_.update(learning_rate);
        });
    }

    /// Every batch of the order; Python may interrupt between two of them.
    void epoch(const py::array& X, const py::array& targets, const py::array& order, Index batch_size,
               const py::array& learning_rates, const py::object& weight, py::array& losses, bool interruptible) {
        const Rows<Real> data{data_of<const Real>(X, "X"), X.shape(1), X.shape(0), nullptr};
        const Targets<Real> all = read_targets(targets, weight);
        const auto* place = data_of<const std::int64_t>(order, "order");
        const auto* rates = data_of<const double>(learning_rates, "learning_rates");
        auto* loss = data_of<double>(losses, "losses");
        const Index count = order.size(), batches = learning_rates.size(), width = all.values.cols;
        std::vector<std::int64_t> labels(static_cast<std::size_t>(batch_size));
        std::vector<Real> values(static_cast<std::size_t>(batch_size * width));
        std::vector<Real> weights(static_cast<std::size_t>(batch_size));
        translated([&] {
            const py::gil_scoped_release release;
            auto checked = std::chrono::steady_clock::now();
            for (Index i = 0; i < batches; ++i) {
                const Index first = i * batch_size, size = std::min(batch_size, count - first);
                const std::int64_t* places = place + first;
                Targets<Real> batch;
                for (Index n = 0; n < size; ++n) {
                    const auto at = static_cast<std::size_t>(n);
                    if (all.labels != nullptr) labels[at] = all.labels[places[n]];
                    if (all.weight != nullptr) weights[at] = all.weight[places[n]];
                    if (all.labels == nullptr) std::copy_n(all.values.row(places[n]), width, &values[at * std::size_t(width)]);
                }
                if (all.labels != nullptr) batch.labels = labels.data();
                if (all.labels == nullptr) batch.values = Matrix<const Real>(values.data(), size, width);
                if (all.weight != nullptr) batch.weight = weights.data();
                loss[i] = network_.step({data.data, data.stride, size, places}, batch, rates[i]);
                const auto now = std::chrono::steady_clock::now();
                if (!interruptible || now - checked < std::chrono::milliseconds(20)) continue;
                checked = now;
                const py::gil_scoped_acquire acquire;
                if (PyErr_CheckSignals() != 0) throw py::error_already_set();
            }
        });
    }

    /// The gradient of a parameter, "W", of layer 1, 2, ..., for the last batch; a copy, empty if it is not known.
    py::array gradient(Index number, const std::string& name) {
        Layer<Real>& layer = network_.layers().at(static_cast<std::size_t>(number - 1));
        const Parameter<Real>& p = name == "W" ? layer.W : name == "b" ? layer.b : name == "gamma" ? layer.gamma : layer.beta;
        const bool known = network_.knows_gradient(layer, p) && p.gradient.size() >= p.size;
        return py::array_t<Real>(known ? p.size : 0, p.gradient.data());
    }

    /// What layer 1, 2, ... made of the last batch: its input, "a_prev", its linear map, "z", or its output, "a". A copy,
    /// (samples, features), or None after anything but a forward pass in training.
    py::object value(Index number, const std::string& name) const {
        const Layer<Real>& layer = network_.layers().at(static_cast<std::size_t>(number - 1));
        const Stage stage = name == "a_prev" ? Stage::input : name == "z" ? Stage::linear : Stage::output;
        if (!network_.shows_values()) return py::none();
        const std::vector<Real> found = network_.values(layer, stage);
        const Index width = stage == Stage::input ? layer.inputs : layer.outputs;
        py::array_t<Real> result({static_cast<Index>(found.size()) / width, width});
        std::copy(found.begin(), found.end(), result.mutable_data());
        return std::move(result);
    }

    void trace(bool on) { network_.trace(on); }

    /// The arrays of a sparse layer's weights and states are others now; those before them may go.
    void keep(Index number, const py::array& values, const py::list& states) {
        const auto layer = kept_[0].cast<py::list>()[static_cast<std::size_t>(number - 1)].cast<py::dict>();
        layer["arrays"].cast<py::dict>()["W"] = values;
        layer["states"].cast<py::dict>()["W"] = states;
    }

    /// Rows of the dense gradient of W from row `first` on.
    void weight_gradient(Index number, Index first, py::array& rows) {
        const Matrix<Real> DW(data_of<Real>(rows, "rows"), rows.shape(0), rows.shape(1));
        network_.for_each_weight_gradient(network_.layers().at(static_cast<std::size_t>(number - 1)), first,
                                          first + DW.rows, [&](Index row, Matrix<Real> part) {
                                              for (Index i = 0; i < part.rows; ++i) {
                                                  std::copy_n(part.row(i), part.cols, DW.row(row - first + i));
                                              }
                                          });
    }

private:
    static std::vector<Layer<Real>> read_layers(const py::list& layers) {
        std::vector<Layer<Real>> found(layers.size());
        for (std::size_t i = 0; i < layers.size(); ++i) read_layer(layers[i].cast<py::dict>(), i + 1, found[i]);
        return found;
    }

    static void read_layer(const py::dict& given, std::size_t number, Layer<Real>& layer) {
        layer.number = number;
        layer.inputs = given["inputs"].cast<Index>();
        layer.outputs = given["outputs"].cast<Index>();
        layer.dropout = given["dropout"].cast<double>();
        layer.batchnorm = given["batchnorm"].cast<bool>();
        if (!given["activation"].is_none()) {
            layer.activation = find(activations<Real>, given["activation"].cast<std::string>());
            layer.hyperparameter = hyperparameters(*layer.activation, given["hyperparameters"]);
        }
        const auto arrays = given["arrays"].cast<py::dict>();
        const auto states = given["states"].cast<py::dict>();
        const std::string prefix = "layer" + std::to_string(number) + ".";
        for (auto [name, parameter] : {std::pair("W", &layer.W), std::pair("b", &layer.b),
                                       std::pair("gamma", &layer.gamma), std::pair("beta", &layer.beta)}) {
            if (!arrays.contains(name)) continue;
            parameter->name = prefix + name;
            parameter->value = data_of<Real>(arrays[name], name);
            parameter->size = arrays[name].template cast<py::array>().size();
            parameter->decays = name == std::string("W");
            std::size_t at = 0;
            for (const py::handle state : states[name].template cast<py::list>()) {
                parameter->states.at(at++) = data_of<Real>(state, name);
            }
        }
        if (layer.batchnorm) {
            layer.mean = data_of<Real>(arrays["mean"], "mean");
            layer.variance = data_of<Real>(arrays["variance"], "variance");
        }
        if (given.contains("indptr")) {
            layer.sparse = true;
            layer.support = Support(layer.outputs, layer.inputs, data_of<const std::int32_t>(given["indptr"], "indptr"),
                                    data_of<const std::int32_t>(given["indices"], "indices"), number > 1);
        }
    }

    static Options<Real> read_options(const py::dict& given) {
        Options<Real> found;
        found.loss = find(losses<Real>, given["loss"].cast<std::string>());
        found.loss_hyperparameter = hyperparameters(*found.loss, given["loss_hyperparameters"]);
        found.optimizer = find(optimizers<Real>, given["optimizer"].cast<std::string>());
        found.optimizer_hyperparameter = hyperparameters(*found.optimizer, given["optimizer_hyperparameters"]);
        if (!given["output"].is_none()) {
            found.output = find(activations<Real>, given["output"].cast<std::string>());
            found.output_hyperparameter = hyperparameters(*found.output, given["output_hyperparameters"]);
        }
        found.weight_decay = given["weight_decay"].cast<double>();
        found.clip_norm = given["clip_norm"].cast<double>();
        found.seed = given["seed"].cast<std::uint64_t>();
        found.threads = given["threads"].cast<int>();
        return found;
    }

    Targets<Real> read_targets(const py::array& targets, const py::object& weight) const {
        Targets<Real> found;
        if (targets.ndim() == 1) {
            found.labels = data_of<const std::int64_t>(targets, "labels");
            if (network_.options().loss->with_labels == nullptr) throw py::type_error("this loss takes no labels");
            for (Index n = 0; n < targets.size(); ++n) {
                if (found.labels[n] >= 0 && found.labels[n] < network_.outputs()) continue;
                throw py::index_error("label " + std::to_string(found.labels[n]) + " is not in 0, ..., " +
                                      std::to_string(network_.outputs() - 1));
            }
        } else {
            found.values = Matrix<const Real>(data_of<const Real>(targets, "targets"), targets.shape(0), targets.shape(1));
        }
        if (!weight.is_none()) found.weight = data_of<const Real>(weight, "sample_weight");
        return found;
    }

    template <class Body>
    static void translated(Body&& body) {
        try {
            body();
        } catch (const NotFinite& error) {
            PyErr_SetString(PyExc_FloatingPointError, error.what());
            throw py::error_already_set();
        }
    }

    py::tuple kept_;  // the arrays the network works on
    Network<Real> network_;

public:
    Moving<Real> moving{network_};
};

/// The names of all kernels the engine can use.
inline std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& entry : activations<float>) found.emplace_back(entry.name);
    for (const auto& entry : losses<float>) found.emplace_back(entry.name);
    for (const auto& entry : optimizers<float>) found.emplace_back(entry.name);
    return found;
}

template <class Real>
void bind(py::module_& module, const char* name) {
    using Class = PyNetwork<Real>;
    py::class_<Class>(module, name)
        .def(py::init<const py::list&, const py::dict&, py::array>())
        .def("forward", &Class::forward)
        .def("backward", &Class::backward)
        .def("update", &Class::update)
        .def("value", &Class::value)
        .def("prune", [](Class& self, const std::vector<Index>& numbers, Index count, const std::string& rule,
                         double threshold) { return self.moving.prune(numbers, count, rule, threshold); })
        .def("grow_at_random", [](Class& self, Index number, Index count, std::uint64_t seed, std::uint64_t step) {
            self.moving.grow_at_random(number, count, seed, step);
        })
        .def("grow_by_gradient", [](Class& self, const std::vector<Index>& numbers, Index count) {
            return self.moving.grow_by_gradient(numbers, count);
        })
        .def("grow_by_momentum", [](Class& self, const std::vector<Index>& numbers, Index count) {
            return self.moving.grow_by_momentum(numbers, count);
        })
        .def("move", [](Class& self, Index number, py::array& indptr, py::array& values,
                        const py::list& states) {
            self.moving.move(number, indptr, values, states);
            self.keep(number, values, states);
        })
        .def("indices", [](Class& self, Index number) { return self.moving.indices(number); })
        .def("replace", [](Class& self, Index number, const py::array& indptr, const py::array& indices, py::array& values,
                           const py::list& states) {
            self.moving.replace(number, indptr, indices, values, states);
            self.keep(number, values, states);
        })
        .def("watch", [](Class& self, Index number, const py::array& indptr, const py::array& indices,
                         const py::object& momentum, double beta) {
            self.moving.watch(number, indptr, indices, momentum, beta);
        })
        .def("trace", &Class::trace)
        .def("watch_absent", [](Class& self, Index number, std::uint64_t seed, std::uint64_t step, const py::array& momentum,
                                double beta) { return self.moving.watch_absent(number, seed, step, momentum, beta); })
        .def("weight_gradient", &Class::weight_gradient)
        .def("epoch", &Class::epoch)
        .def("gradient", &Class::gradient);
}

}  // namespace gradwright::engine::python
