// The updates of a network's parameters.
#pragma once

#include "gradwright/engine/backward.hpp"

namespace gradwright::engine {

template <class Real>
class Updates : protected BackwardPass<Real> {
protected:
    using Base = BackwardPass<Real>;
    using Base::batch_, Base::for_each_gradient_block, Base::options_, Base::samples_, Base::scratch_, Base::steps_;

    Updates(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : Base(std::move(layers), options, steps),
          decay_place_(place_of(options.optimizer->hyperparameters, "weight_decay")) {}

    /// One step of the optimizer for this member's share of a layer, straight from the backward pass.
    void update_layer(const Member& member, Layer<Real>& layer, double learning_rate) {
        if (layer.sparse || batch_ > samples_) {
            const auto [first, last] = member.share(layer.W.size, 16);
            apply(layer.W, first, last - first, layer.W.gradient.data() + first, learning_rate);
        } else {
            update_dense(member, layer, learning_rate);
        }
        for (Parameter<Real>* p : {&layer.b, &layer.gamma, &layer.beta}) {
            if (p->value == nullptr) continue;
            const auto [first, last] = member.share(p->size, Base::grain);
            apply(*p, first, last - first, p->gradient.data() + first, learning_rate);
        }
    }

    /// One step for entries first, ..., last - 1 from the kept gradient times `scale`; the gradient stays.
    void update_from_gradient(const Member& member, Parameter<Real>& parameter, Index first, Index last,
                              double learning_rate, double scale) {
        Real* copy = scratch_[static_cast<std::size_t>(member.index)].data();
        for (; first < last; first += Base::block_values) {
            const Index count = std::min(last - first, Base::block_values);
            const Real* g = parameter.gradient.data() + first;
            for (Index i = 0; i < count; ++i) copy[i] = scale == 1 ? g[i] : g[i] * Real(scale);
            apply(parameter, first, count, copy, learning_rate);
        }
    }

    template <class Body>
    static void for_each_parameter(Layer<Real>& layer, Body&& body) {
        for (Parameter<Real>* p : {&layer.W, &layer.b, &layer.gamma, &layer.beta}) {
            if (p->value != nullptr) body(*p);
        }
    }

private:
    void update_dense(const Member& member, Layer<Real>& layer, double learning_rate) {
        Wanted<Real> wanted{{layer.W.value}, layer.inputs};
        for (std::size_t i = 0; i < max_states; ++i) wanted.array[i + 1] = layer.W.states[i];
        for_each_gradient_block(member, layer, wanted, [&](Index row, Index rows, Index col, Matrix<Real> G) {
            for (Index i = 0; i < rows; ++i) {
                apply(layer.W, (row + i) * layer.inputs + col, G.cols, G.row(i), learning_rate);
            }
        });
    }

    /// One step of the optimizer for `count` entries from `first` on; their gradient g may be changed.
    void apply(Parameter<Real>& parameter, Index first, Index count, Real* g, double learning_rate) {
        if (count <= 0) return;
        Real* theta = parameter.value + first;
        auto hyperparameter = options_.optimizer_hyperparameter;
        if (!parameter.decays && decay_place_ >= 0) hyperparameter[static_cast<std::size_t>(decay_place_)] = 0;
        if (parameter.decays && options_.weight_decay != 0) {
            const Real decay = Real(options_.weight_decay);
            GRADWRIGHT_VECTORIZE
            for (Index i = 0; i < count; ++i) g[i] += decay * theta[i];
        }
        std::array<Real*, max_states> states{};
        for (std::size_t i = 0; i < max_states && parameter.states[i] != nullptr; ++i) {
            states[i] = parameter.states[i] + first;
        }
        options_.optimizer->step(count, theta, g, states.data(), *steps_ + 1, learning_rate, hyperparameter.data());
    }

    Index decay_place_;
};

}  // namespace gradwright::engine
