// The backward pass of a network and the updates of its parameters.
#pragma once

#include "gradwright/engine/forward.hpp"

namespace gradwright::engine {

template <class Real>
class BackwardPass : protected ForwardPass<Real> {
protected:
    using Base = ForwardPass<Real>;
    using Base::bound, Base::input_of, Base::largest, Base::layers_, Base::options_, Base::outputs;
    using Base::own_lines, Base::own_rows, Base::room_, Base::row_gradient_, Base::rows_, Base::samples;
    using Base::samples_, Base::scratch_, Base::steps_, Base::stride_, Base::team_, Base::width_, Base::window;

    BackwardPass(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : Base(std::move(layers), options, steps), losses_(static_cast<std::size_t>(team_.size())) {
        decay_place_ = place_of(options.optimizer->hyperparameters, "weight_decay");
    }

    /// The gradients of the linear maps of all layers, of sparse weights and of normalisation.
    void pass_backward(const Member& member, Targets<Real> targets) {
        for (Layer<Real>& layer : layers_) {
            if (!layer.truly_sparse() && layer.number > 1) this->make_panels(member, layer);
        }
        loss_with_gradient(member, targets);
        for (std::size_t l = layers_.size(); l-- > 0;) {
            Layer<Real>& layer = layers_[l];
            if (l + 1 == layers_.size()) {
                through_stages(member, layer, own_rows(member, layer.outputs), true);
            }
            if (l == 0) {
                if (layer.truly_sparse()) sampled(member, layer);
                break;
            }
            const Part part = layer.truly_sparse() ? sparse_input_gradient(member, layer, layers_[l - 1])
                                                   : input_gradient(member, layer, layers_[l - 1]);
            through_stages(member, layers_[l - 1], part, !layer.truly_sparse());
        }
        member.barrier();
        for (Layer<Real>& layer : layers_) finish_gradients(member, layer);
    }

    /// The loss of the last backward pass.
    double loss() const {
        double total = 0;
        for (double part : losses_) total += part;
        return total;
    }

    /// Whether no gradient can be infinite or NaN, by the largest values that are multiplied.
    bool surely_finite() const {
        constexpr double limit = double(std::numeric_limits<Real>::max()) / 16;
        for (const Layer<Real>& layer : layers_) {
            const double DZ = largest(2 * layer.number - 1), X = largest(2 * layer.number - 2);
            if (!(DZ * double(samples_) < limit && X < limit && DZ * X * double(samples_) < limit)) return false;
            if (!layer.batchnorm) continue;
            for (const Parameter<Real>* p : {&layer.gamma, &layer.beta}) {
                if (!gradwright::detail::all_finite(p->gradient.data(), p->size)) return false;
            }
        }
        return true;
    }

    // ---- Updates ---------------------------------------------------------------------------------------------

    /// One step of the optimizer for this member's share of a layer, straight from the backward pass.
    void update_layer(const Member& member, Layer<Real>& layer, double learning_rate) {
        if (layer.sparse) {
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

    /// The gradients of the dense weights, which training makes only in passing.
    void gradients() {
        for (Layer<Real>& layer : layers_) {
            if (!layer.sparse) layer.W.gradient.reserve(std::max<Index>(layer.W.size, 1));
        }
        team_.run(Base::members(samples_), [&](const Member& member) {
            for (Layer<Real>& layer : layers_) {
                if (layer.sparse) continue;
                for_each_gradient_block(member, layer, {}, [&](Index row, Index rows, Index col, Matrix<Real> G) {
                    Real* DW = layer.W.gradient.data() + row * layer.inputs + col;
                    for (Index i = 0; i < rows; ++i) std::copy_n(G.row(i), G.cols, DW + i * layer.inputs);
                });
            }
        });
    }

    template <class Body>
    static void for_each_parameter(Layer<Real>& layer, Body&& body) {
        for (Parameter<Real>* p : {&layer.W, &layer.b, &layer.gamma, &layer.beta}) {
            if (p->value != nullptr) body(*p);
        }
    }

    /// DW = DY^T X for the rows of DW, of which the first is row `first` of W; they have room for whole panels.
    void weight_gradient(const Layer<Real>& layer, Index first, Matrix<Real> DW) const {
        const Index columns = gradient_columns(layer.inputs);
        for (Index f = 0; f < layer.inputs; f += columns) {
            multiply_panels<Real>(DW.rows, samples_, layer.gradient.data() + first * stride_, stride_,
                                  layer.panels.data() + f * samples_, std::min(columns, layer.inputs - f), DW.data + f,
                                  DW.stride, {}, 0);
        }
    }

private:
    // ---- Loss ------------------------------------------------------------------------------------------------

    void loss_with_gradient(const Member& member, Targets<Real> targets) {
        const Index K = outputs();
        const bool alone = samples_ * K < 8192;
        const Index grain = alone ? samples_ : 16;
        const auto [first, last] = member.share(samples_, std::max<Index>(grain, 1));
        losses_[static_cast<std::size_t>(member.index)] = 0;
        if (first < last) {
            const Matrix<Real> Y(rows_.data() + first * K, last - first, K);
            const Matrix<Real> DY(row_gradient_.data() + first * K, last - first, K);
            samples(layers_.back().output(), first, Y);
            losses_[static_cast<std::size_t>(member.index)] =
                targets.weight != nullptr ? weighted_loss(Y, targets, first, DY) : plain_loss(Y, targets, first, DY);
            transpose<Real>(Matrix<const Real>(DY),
                            Matrix<Real>(layers_.back().gradient.data() + first, K, DY.rows, stride_));
        }
        if (member.index == 0) {
            for (int i = member.count; i < team_.size(); ++i) losses_[static_cast<std::size_t>(i)] = 0;
        }
        member.barrier();
    }

    double plain_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Matrix<Real> DY) {
        const double scale = options_.loss->scale == nullptr ? 1 : options_.loss->scale(samples_, Y.cols);
        return one_loss(Y, targets, first, Real(scale), Real(1), DY);
    }

    /// sum(w_i l_i) / sum(w), and without the division for losses that are sums.
    double weighted_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Matrix<Real> DY) {
        const bool mean = options_.loss->scale != nullptr;
        const double scale = mean ? options_.loss->scale(1, Y.cols) : 1;
        double weights = 0, value = 0;
        for (Index n = 0; n < samples_; ++n) weights += double(targets.weight[n]);
        for (Index n = 0; n < Y.rows; ++n) {
            const double weight = double(targets.weight[first + n]);
            const Matrix<Real> D = DY.slice(n, n + 1);
            if (weight == 0) {
                std::fill_n(D.data, D.cols, Real(0));
                continue;
            }
            const double share = mean ? weight / weights : weight;
            value += share * one_loss(Y.slice(n, n + 1), targets, first + n, Real(scale), Real(share), D);
        }
        return value;
    }

    double one_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Real scale, Real DL, Matrix<Real> DY) {
        const Loss<Real>& loss = *options_.loss;
        const Room room(room_.data() + first * loss.room(1, Y.cols));
        const double* hyperparameter = options_.loss_hyperparameter.data();
        if (targets.labels != nullptr) {
            const OneHot<Real> T{targets.labels + first, Y.rows, Y.cols};
            return double(loss.with_labels(Y, T, scale, DL, hyperparameter, room, DY));
        }
        return double(loss.with_matrix(Y, targets.values.slice(first, first + Y.rows), scale, DL, hyperparameter, room,
                                       DY));
    }

    // ---- From the output of a layer to its linear map --------------------------------------------------------

    /// Dropout, activation and normalisation, backward. `rows`: whether the part is this member's own rows.
    void through_stages(const Member& member, Layer<Real>& layer, Part part, bool rows) {
        if (layer.by_rows()) {
            member.barrier();
            if (layer.dropout > 0) {
                const Part own = own_rows(member, layer.outputs);
                const Matrix<Real> D = own.of(layer.gradient.data());
                dropout::backward<Real>(D, own.template of<const Real>(layer.mask.data()), D);
                member.barrier();
            }
            map_samples_backward(member, layer);
            rows = false;
        } else {
            part.for_each_group(3 * sizeof(Real), [&](Part group) {
                activate_backward(layer, group);
                if (layer.batchnorm) return;
                bound(member, 2 * layer.number - 1, group.template of<const Real>(layer.gradient.data()));
            });
        }
        if (layer.batchnorm || layer.by_rows()) {
            if (!rows) member.barrier();
            part = own_rows(member, layer.outputs);
            if (layer.batchnorm) normalise_backward(member, layer, part);
            bound(member, 2 * layer.number - 1, part.template of<const Real>(layer.gradient.data()));
        }
        member.barrier();
    }

    void map_samples_backward(const Member& member, const Layer<Real>& layer) {
        const auto [first, last] = member.share(samples_, 16);
        if (first == last) return;
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        const Matrix<Real> DY(scratch, last - first, layer.outputs), Y(DY.row(DY.rows), DY.rows, DY.cols);
        const Matrix<Real> DX(Y.row(Y.rows), DY.rows, DY.cols);
        samples(layer.gradient.data(), first, DY);
        const Real* kept = layer.activation->uses_input ? layer.normalised() : layer.activated();
        samples(kept, first, Y);
        layer.activation->backward(DY, Y, Y, layer.hyperparameter.data(), DX);
        transpose<Real>(Matrix<const Real>(DX), Matrix<Real>(layer.gradient.data() + first, DX.cols, DX.rows, stride_));
    }

    void normalise_backward(const Member& member, Layer<Real>& layer, Part part) {
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index k = part.first_row; k < part.last_row; k += Base::features_tile) {
            const Index count = std::min(Base::features_tile, part.last_row - k);
            const Matrix<Real> X(scratch, samples_, count), DY(X.row(samples_), samples_, count);
            const Matrix<Real> DX(DY.row(samples_), samples_, count);
            const Matrix<Real> D(layer.gradient.data() + k * stride_, count, samples_, stride_);
            transpose<Real>(Matrix<const Real>(layer.linear() + k * stride_, count, samples_, stride_), X);
            transpose<Real>(Matrix<const Real>(D), DY);
            batchnorm::backward<Real>(
                DY, X, Vector<const Real>(layer.gamma.value + k, count),
                Vector<const Real>(layer.inv_std.data() + k, count), Vector<const double>(layer.mu.data() + k, count), DX,
                Vector<Real>(layer.gamma.gradient.data() + k, count), Vector<Real>(layer.beta.gradient.data() + k, count));
            transpose<Real>(Matrix<const Real>(DX), D);
        }
    }

    // ---- Products --------------------------------------------------------------------------------------------

    /// DX = DY W for this member's features of X.
    Part input_gradient(const Member& member, const Layer<Real>& layer, Layer<Real>& before) {
        const Part part = own_rows(member, layer.inputs);
        if (part.first_row < part.last_row) {
            multiply_columns<Real>(Base::weights(layer), layer.outputs, layer.inputs, layer.gradient.data(),
                                   before.gradient.data(), stride_, width_, part.first_row, part.last_row,
                                   scratch_[static_cast<std::size_t>(member.index)].data());
        }
        return part;
    }

    Part sparse_input_gradient(const Member& member, Layer<Real>& layer, Layer<Real>& before) {
        const auto [first, last] = own_lines(member, layer.support.col_start(), layer.inputs);
        layer.support.backward(layer.W.value, input_of(layer), layer.gradient.data(), before.gradient.data(),
                               layer.W.gradient.data(), window(), first, last);
        return {first, last, 0, width_, stride_};
    }

    void sampled(const Member& member, Layer<Real>& layer) {
        const auto [first, last] = own_lines(member, layer.support.row_start(), layer.outputs);
        layer.support.sampled(input_of(layer), layer.gradient.data(), layer.W.gradient.data(), window(), first, last);
    }

    /// What is left when all products are made: biases, sums over threads, running statistics.
    void finish_gradients(const Member& member, Layer<Real>& layer) {
        const Part part = own_rows(member, layer.outputs);
        for (Index k = part.first_row; k < part.last_row; ++k) {
            const Real* d = layer.gradient.data() + k * stride_;
            layer.b.gradient[k] = sum<Real>(samples_, [=](Index n) { return d[n]; });
        }
        if (layer.as_dense()) sampled_from_dense(member, layer);
    }

    /// The sampled product by a dense one, a block at a time.
    void sampled_from_dense(const Member& member, Layer<Real>& layer) {
        const std::int32_t* start = layer.support.row_start();
        for_each_gradient_block(member, layer, {}, [&](Index row, Index rows, Index col, Matrix<Real> G) {
            for (Index i = 0; i < rows; ++i) {
                std::int32_t k = layer.support.first_from(row + i, col);
                for (; k < start[row + i + 1] && layer.support.col(k) < col + G.cols; ++k) {
                    layer.W.gradient[k] = G(i, layer.support.col(k) - col);
                }
            }
        });
    }

    /// Columns of the gradient of W that are made at a time: their panels stay in the second cache.
    Index gradient_columns(Index inputs) const {
        constexpr Index width = panel_width<Real>, cache = 384 * 1024 / sizeof(Real);
        const Index panels = panels_of<Real>(inputs);
        const Index most = std::clamp<Index>(cache / std::max<Index>(samples_ * width, 1), 2, 16);
        const Index groups = std::max<Index>((panels + most - 1) / most, 1);
        return (panels + groups - 1) / groups * width;
    }

    /// Call body(first row, rows, first column, gradient) for this member's blocks of the gradient of W, each made
    /// while what is `wanted` for it is on its way.
    template <class Body>
    void for_each_gradient_block(const Member& member, const Layer<Real>& layer, const Wanted<Real>& wanted,
                                 Body&& body) {
        constexpr Index rows = detail::rows_of_tile(detail::tile_vectors);
        const Part part = own_rows(member, layer.outputs);
        const Index D = layer.inputs, columns = gradient_columns(D);
        Real* block = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index f = 0; f < D; f += columns) {
            const Matrix<Real> G(block, rows, std::min(columns, D - f), columns);
            for (Index k = part.first_row; k < part.last_row; k += rows) {
                const Index count = std::min(rows, part.last_row - k);
                multiply_panels<Real>(count, samples_, layer.gradient.data() + k * stride_, stride_,
                                      layer.panels.data() + f * samples_, G.cols, G.data, G.stride, wanted, k * D + f);
                body(k, count, f, G);
            }
        }
    }

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

    std::vector<double> losses_;
    Index decay_place_ = -1;
};

}  // namespace gradwright::engine
