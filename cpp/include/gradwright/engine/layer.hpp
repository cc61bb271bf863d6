// One layer of a network, feature-major: a matrix of activations holds a feature a row, a sample a column.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "batchnorm.hpp"
#include "batchnorm_inference.hpp"
#include "dropout.hpp"
#include "gradwright/engine/dense.hpp"
#include "gradwright/engine/kernels.hpp"
#include "gradwright/engine/philox.hpp"
#include "gradwright/engine/support.hpp"
#include "gradwright/engine/team.hpp"
#include "gradwright/engine/transpose.hpp"

namespace gradwright::engine {

/// A trained array, which somebody else owns, and the gradient of the last backward pass.
template <class Real>
struct Parameter {
    std::string name;
    Real* value = nullptr;
    std::array<Real*, max_states> states{};
    Index size = 0;
    bool decays = false;
    Buffer<Real> gradient;  // reserved when it is first needed
};

/// Rows and columns of an activation matrix.
struct Region {
    Index first_row, last_row, first_col, last_col, stride;

    template <class T>
    Matrix<T> of(T* data) const {
        return {data + first_row * stride + first_col, last_row - first_row, last_col - first_col, stride};
    }

    template <class Real>
    void clear(const Buffer<Real>& memory) const {
        for (Index row = first_row; row < last_row; ++row) {
            std::fill_n(memory.data() + row * stride + first_col, last_col - first_col, Real(0));
        }
    }

    /// Whole rows with the gap behind them, so that together they are one array, for kernels that take every entry on
    /// its own. Nobody reads what they write there.
    Region without_gaps(Index width) const {
        Region region = *this;
        if (first_col == 0 && last_col == width) region.last_col = stride;
        return region;
    }

    /// Call body(region) for groups of rows that fit the first cache.
    template <class Real, class Body>
    void for_each_group(Body&& body) const {
        const Index group = rows_in_cache<Real>(last_col - first_col);
        for (Index row = first_row; row < last_row; row += group) {
            body(Region{row, std::min(row + group, last_row), first_col, last_col, stride});
        }
    }
};

template <class Real>
struct Layer {
    Index inputs = 0, outputs = 0;
    const Activation<Real>* activation = nullptr;  // none: the identity
    std::array<double, max_hyperparameters> hyperparameter{};
    bool batchnorm = false;
    double dropout = 0;
    std::uint64_t number = 1;  // 1, 2, ... from the input
    Real *mean = nullptr, *variance = nullptr;  // running statistics
    Parameter<Real> W, b, gamma, beta;
    Support support;  // of a sparse layer
    bool sparse = false;

    // Of the samples at hand, (outputs, samples): linear map, normalised, activated, dropped out; the mask; the
    // gradient of the linear map. Stages that work in place share their memory.
    Buffer<Real> linear_memory, normalised_memory, activated_memory, dropped_memory, mask, gradient;
    Buffer<Real> kept;  // of the linear map, for who looks at it
    Buffer<double> mu;
    Buffer<Real> inv_std;

    Buffer<Real> dense;                 // weights, where dense products are faster than sparse ones
    Buffer<Real> panels;                // the input, for the gradient of dense weights

    /// Whether the weights that are missing are multiplied too, as zeros. Measured: dense products do more than twice
    /// as many operations a second.
    bool as_dense() const { return sparse && support.density() >= 0.55; }
    bool truly_sparse() const { return sparse && !as_dense(); }

    Real* linear() const { return linear_memory.data(); }
    Real* normalised() const { return batchnorm ? normalised_memory.data() : linear(); }
    Real* activated() const { return own_output() ? activated_memory.data() : normalised(); }
    Real* output() const { return own_dropped() ? dropped_memory.data() : activated(); }

    bool by_rows() const { return activation != nullptr && activation->by_rows; }

    /// Whether the activation may not overwrite its input. relu'(relu(x)) is relu'(x) for every x.
    bool own_output() const {
        return activation != nullptr && activation->uses_input && std::strcmp(activation->name, "relu") != 0;
    }

    bool own_dropped() const { return dropout > 0 && activation != nullptr && activation->uses_output; }

    /// Make room for `samples` samples, in rows that are `stride` values apart.
    void reserve(Index stride, Index samples) {
        const Index size = outputs * stride;
        linear_memory.reserve(size);
        if (batchnorm) normalised_memory.reserve(size);
        if (own_output()) activated_memory.reserve(size);
        if (own_dropped()) dropped_memory.reserve(size);
        if (dropout > 0) mask.reserve(size);
        gradient.reserve(size);
        if (batchnorm) {
            mu.reserve(outputs);
            inv_std.reserve(outputs);
            gamma.gradient.reserve(outputs);
            beta.gradient.reserve(outputs);
        }
        if (sparse) W.gradient.reserve(std::max<Index>(support.count, 1));
        if (as_dense()) dense.reserve(outputs * inputs);
        if (!truly_sparse()) panels.reserve(panels_of<Real>(inputs) * panel_width<Real> * samples);
        b.gradient.reserve(outputs);
    }

    /// Zero a part of everything that depends on the batch, so that padding holds finite values.
    void clear(Region region) {
        for (Buffer<Real>* memory :
             {&linear_memory, &normalised_memory, &activated_memory, &dropped_memory, &mask, &gradient}) {
            if (memory->size() > 0) region.clear(*memory);
        }
    }
};

template <class Real>
void copy(Matrix<const Real> from, Matrix<Real> to) {
    for (Index i = 0; i < to.rows; ++i) std::copy_n(from.row(i), to.cols, to.row(i));
}

/// Dropout, which lets everything through outside of training.
template <class Real>
void drop(const Layer<Real>& layer, Region region, bool training) {
    if (layer.dropout == 0) return;
    const Matrix<const Real> from = region.of<const Real>(layer.activated());
    const Matrix<Real> to = region.of(layer.output());
    if (training) {
        dropout::forward<Real>(from, region.of<const Real>(layer.mask.data()), to);
    } else if (layer.output() != layer.activated()) {
        copy<Real>(from, to);
    }
}

/// The elementwise stages after the linear map: activation and dropout.
template <class Real>
void activate(const Layer<Real>& layer, Region region, bool training) {
    if (layer.activation != nullptr) {
        layer.activation->forward(region.of<const Real>(layer.normalised()), layer.hyperparameter.data(),
                                  region.of(layer.activated()));
    }
    drop(layer, region, training);
}

/// The gradient of the stages before the elementwise ones, in place.
template <class Real>
void activate_backward(const Layer<Real>& layer, Region region) {
    const Matrix<Real> D = region.of(layer.gradient.data());
    if (layer.dropout > 0) dropout::backward<Real>(D, region.of<const Real>(layer.mask.data()), D);
    if (layer.activation != nullptr) {
        const Real* input = layer.own_output() ? layer.normalised() : layer.activated();
        layer.activation->backward(D, region.of<const Real>(input), region.of<const Real>(layer.activated()),
                                   layer.hyperparameter.data(), D);
    }
}

/// Draw the mask of dropout for samples first, ..., last - 1 of those at hand, of which the first is number `begin`
/// of the batch: entry e of the batch, counted by samples, is kept where bits e of Philox4x64-10, key (seed, layer),
/// counter (e / 8 + 1, step, 0, 0), are at least rate 2^32.
template <class Real>
void draw_mask(const Layer<Real>& layer, std::uint64_t seed, std::uint64_t step, Index begin, Index first, Index last,
               Index stride) {
    const auto threshold = static_cast<std::uint32_t>(layer.dropout * 4294967296.0);
    const Real kept = Real(1 / (1 - layer.dropout));
    const Index K = layer.outputs;
    std::uint64_t drawn = ~std::uint64_t(0);
    std::array<std::uint64_t, 4> words{};
    for (Index n = first; n < last; ++n) {
        for (Index k = 0; k < K; ++k) {
            const auto e = static_cast<std::uint64_t>((begin + n) * K + k);
            if (e / 8 != drawn) {
                drawn = e / 8;
                words = philox({seed, layer.number}, {drawn + 1, step, 0, 0});
            }
            const std::uint64_t word = words[e % 8 / 2];
            const auto bits = static_cast<std::uint32_t>(e % 2 == 0 ? word : word >> 32);
            layer.mask[k * stride + n] = bits >= threshold ? kept : Real(0);
        }
    }
}

}  // namespace gradwright::engine
