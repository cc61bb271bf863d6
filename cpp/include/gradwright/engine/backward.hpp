// The backward pass of a network.
#pragma once

#include "gradwright/engine/forward.hpp"

namespace gradwright::engine {

template <class Real>
class BackwardPass : protected ForwardPass<Real> {
protected:
    using Base = ForwardPass<Real>;
    using Base::adds, Base::batch_, Base::bound, Base::first_sample_, Base::input_of, Base::largest, Base::layers_;
    using Base::options_, Base::outputs, Base::own_lines, Base::own_rows, Base::room_, Base::row_gradient_, Base::rows_, Base::to_rows;
    using Base::samples_, Base::scratch_, Base::steps_, Base::stride_, Base::team_, Base::width_, Base::window;

    BackwardPass(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : Base(std::move(layers), options, steps), losses_(static_cast<std::size_t>(team_.size())) {}

    /// The gradients of the linear maps of all layers, of sparse weights and of normalisation.
    void pass_backward(const Member& member, Targets<Real> targets) {
        for (Layer<Real>& layer : layers_) {
            if (!layer.truly_sparse() && layer.number > 1) this->make_panels(member, layer);
        }
        loss_with_gradient(member, targets);
        const Region outputs = own_rows(member, layers_.back().outputs);
        outputs.for_each_group<Real>([&](Region region) { through_entries(member, layers_.back(), region); });
        finish_gradient(member, layers_.back(), true);
        for (std::size_t l = layers_.size(); --l > 0;) {
            Layer<Real>& before = layers_[l - 1];
            input_gradient(member, layers_[l], before, [&](Region region) { through_entries(member, before, region); });
            finish_gradient(member, before, !layers_[l].truly_sparse());
        }
        if (layers_.front().truly_sparse()) sampled(member, layers_.front());
        for (Layer<Real>& layer : layers_) {
            if (layer.as_dense()) sampled_from_dense(member, layer);
            if (!layer.sparse && batch_ > samples_) keep_gradient(member, layer);
        }
    }

    void begin_loss(Targets<Real> targets) {
        std::fill(losses_.begin(), losses_.end(), 0.0);
        weights_ = 0;
        for (Index n = 0; targets.weight != nullptr && n < batch_; ++n) weights_ += double(targets.weight[n]);
    }

    /// The loss of the backward passes since then.
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
            if (!(DZ * double(batch_) < limit && X < limit && DZ * X * double(batch_) < limit)) return false;
            if (!layer.batchnorm) continue;
            for (const Parameter<Real>* p : {&layer.gamma, &layer.beta}) {
                if (!gradwright::detail::all_finite(p->gradient.data(), p->size)) return false;
            }
        }
        return true;
    }

    /// The gradients of the dense weights, which training makes only in passing.
    void keep_dense_gradients() {
        if (knows_dense_gradients_) return;  // those of several parts have been kept
        knows_dense_gradients_ = true;
        make_room_for_gradients();
        team_.run(Base::members(samples_), [&](const Member& member) {
            for (Layer<Real>& layer : layers_) {
                if (!layer.sparse) keep_gradient(member, layer);
            }
        });
    }

    void make_room_for_gradients() {
        for (Layer<Real>& layer : layers_) layer.W.gradient.reserve(std::max<Index>(layer.W.size, 1));
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
        const Region region = own_rows(member, layer.outputs);
        const Index D = layer.inputs, columns = gradient_columns(D);
        Real* block = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index f = 0; f < D; f += columns) {
            const Matrix<Real> G(block, rows, std::min(columns, D - f), columns);
            for (Index k = region.first_row; k < region.last_row; k += rows) {
                const Index count = std::min(rows, region.last_row - k);
                multiply_panels<Real>(count, samples_, layer.gradient.data() + k * stride_, stride_,
                                      layer.panels.data() + f * samples_, G.cols, G.data, G.stride, wanted, k * D + f);
                body(k, count, f, G);
            }
        }
    }

private:
    // ---- Loss ------------------------------------------------------------------------------------------------

    void loss_with_gradient(const Member& member, Targets<Real> targets) {
        const Index K = outputs();
        const bool alone = samples_ * K < 8192;
        const Index grain = alone ? samples_ : 16;
        const auto [first, last] = member.share(samples_, std::max<Index>(grain, 1));
        if (first < last) {
            const Matrix<Real> Y(rows_.data() + first * K, last - first, K);
            const Matrix<Real> DY(row_gradient_.data() + first * K, last - first, K);
            to_rows(layers_.back().output(), first, Y);
            losses_[static_cast<std::size_t>(member.index)] +=
                targets.weight != nullptr ? weighted_loss(Y, targets, first, DY) : plain_loss(Y, targets, first, DY);
            transpose<Real>(Matrix<const Real>(DY),
                            Matrix<Real>(layers_.back().gradient.data() + first, K, DY.rows, stride_));
        }
        member.barrier();
    }

    double plain_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Matrix<Real> DY) {
        const double scale = options_.loss->scale == nullptr ? 1 : options_.loss->scale(batch_, Y.cols);
        return one_loss(Y, targets, first, Real(scale), Real(1), DY);
    }

    /// sum(w_i l_i) / sum(w), and without the division for losses that are sums.
    double weighted_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Matrix<Real> DY) {
        const bool mean = options_.loss->scale != nullptr;
        const double scale = mean ? options_.loss->scale(1, Y.cols) : 1;
        double value = 0;
        for (Index n = 0; n < Y.rows; ++n) {
            const double weight = double(targets.weight[first_sample_ + first + n]);
            const Matrix<Real> D = DY.slice(n, n + 1);
            if (weight == 0) {
                std::fill_n(D.data, D.cols, Real(0));
                continue;
            }
            const double share = mean ? weight / weights_ : weight;
            value += share * one_loss(Y.slice(n, n + 1), targets, first + n, Real(scale), Real(share), D);
        }
        return value;
    }

    double one_loss(Matrix<const Real> Y, Targets<Real> targets, Index first, Real scale, Real DL, Matrix<Real> DY) {
        const Index from = first_sample_ + first;  // in the batch
        const Loss<Real>& loss = *options_.loss;
        const Room room(room_.data() + first * loss.room(1, Y.cols));
        const double* hyperparameter = options_.loss_hyperparameter.data();
        if (targets.labels != nullptr) {
            const OneHot<Real> T{targets.labels + from, Y.rows, Y.cols};
            return double(loss.with_labels(Y, T, scale, DL, hyperparameter, room, DY));
        }
        const Matrix<const Real> T = targets.values.slice(from, from + Y.rows);
        return double(loss.with_matrix(Y, T, scale, DL, hyperparameter, room, DY));
    }

    // ---- From the output of a layer to its linear map --------------------------------------------------------

    /// The stages that take every entry on its own, backward.
    void through_entries(const Member& member, Layer<Real>& layer, Region region) {
        if (layer.by_rows()) return;
        activate_backward(layer, region.without_gaps(width_));
        if (!layer.batchnorm) linear_gradient_made(member, layer, region);
    }

    /// The stages that need all samples or all features. `own`: whether this member has made the gradients of its own
    /// rows.
    void finish_gradient(const Member& member, Layer<Real>& layer, bool own) {
        const Region region = own_rows(member, layer.outputs);
        if (layer.by_rows()) {
            member.barrier();
            if (layer.dropout > 0) {
                const Matrix<Real> D = region.of(layer.gradient.data());
                dropout::backward<Real>(D, region.of<const Real>(layer.mask.data()), D);
                member.barrier();
            }
            map_samples_backward(member, layer);
            own = false;
        }
        if (layer.batchnorm || layer.by_rows()) {
            if (!own) member.barrier();
            if (layer.batchnorm) normalise_backward(member, layer, region);
            linear_gradient_made(member, layer, region);
        }
        member.barrier();
    }

    /// What is known of the gradient of a linear map while a part of it is in a cache: its bound, the gradient of the
    /// biases.
    void linear_gradient_made(const Member& member, Layer<Real>& layer, Region region) {
        bound(member, 2 * layer.number - 1, region.of<const Real>(layer.gradient.data()));
        const Matrix<const Real> D = region.of<const Real>(layer.gradient.data());
        Real* gradient = layer.b.gradient.data() + region.first_row;
        const bool add = adds() || region.first_col > 0;
        for (Index i = 0; i < D.rows; i += lanes<Real>) {
            const Index rows = std::min(lanes<Real>, D.rows - i);
            Vec<Real> totals[lanes<Real>]{};
            for (Index r = 0; r < rows; ++r) totals[r] = lane_sums(D.row(i + r), D.cols);
            const Vec<Real> total = sums<Real>(totals);
            for (Index r = 0; r < rows; ++r) gradient[i + r] = add ? gradient[i + r] + total[r] : total[r];
        }
    }

    /// All lanes together are the sum of a row, whose padding is 0.
    static Vec<Real> lane_sums(const Real* row, Index width) {
        Vec<Real> even{}, odd{};
        Index n = 0;
        for (; n + 2 * lanes<Real> <= width; n += 2 * lanes<Real>) {
            even += load(row + n);
            odd += load(row + n + lanes<Real>);
        }
        for (; n + lanes<Real> <= width; n += lanes<Real>) even += load(row + n);
        if (n < width) {
            HalfVec<Real> half;
            load(row + n, half);
            odd += widened<Real>(half);
        }
        return even + odd;
    }

    void map_samples_backward(const Member& member, const Layer<Real>& layer) {
        const auto [first, last] = member.share(samples_, 16);
        const Real* kept = layer.activation->uses_input ? layer.normalised() : layer.activated();
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index n = first; n < last; n += Base::samples_tile) {
            const Matrix<Real> DY(scratch, std::min(Base::samples_tile, last - n), layer.outputs);
            const Matrix<Real> Y(DY.row(DY.rows), DY.rows, DY.cols), DX(Y.row(Y.rows), DY.rows, DY.cols);
            to_rows(layer.gradient.data(), n, DY);
            to_rows(kept, n, Y);
            layer.activation->backward(DY, Y, Y, layer.hyperparameter.data(), DX);
            transpose<Real>(Matrix<const Real>(DX), Matrix<Real>(layer.gradient.data() + n, DX.cols, DX.rows, stride_));
        }
    }

    void normalise_backward(const Member& member, Layer<Real>& layer, Region region) {
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index k = region.first_row; k < region.last_row; k += Base::features_tile) {
            const Index count = std::min(Base::features_tile, region.last_row - k);
            const Matrix<Real> X(scratch, samples_, count), DY(X.row(samples_), samples_, count);
            const Matrix<Real> DX(DY.row(samples_), samples_, count);
            const Matrix<Real> D(layer.gradient.data() + k * stride_, count, samples_, stride_);
            transpose<Real>(Matrix<const Real>(layer.linear() + k * stride_, count, samples_, stride_), X);
            transpose<Real>(Matrix<const Real>(D), DY);
            const Vector<const Real> gamma(layer.gamma.value + k, count), inv_std(layer.inv_std.data() + k, count);
            const Vector<const double> mu(layer.mu.data() + k, count);
            const Vector<Real> Dgamma(layer.gamma.gradient.data() + k, count);
            const Vector<Real> Dbeta(layer.beta.gradient.data() + k, count);
            batchnorm::backward<Real>(DY, X, gamma, inv_std, mu, DX, Dgamma, Dbeta);
            transpose<Real>(Matrix<const Real>(DX), D);
        }
    }

    // ---- Products --------------------------------------------------------------------------------------------

    /// DX = DY W, and the gradient of sparse weights with it; done(region) when a few features of DX are there.
    template <class Done>
    void input_gradient(const Member& member, Layer<Real>& layer, Layer<Real>& before, Done&& done) {
        if (layer.truly_sparse()) {
            const auto [first, last] = own_lines(member, layer.support.col_start(), layer.inputs);
            layer.support.backward(layer.W.value, input_of(layer), layer.gradient.data(), before.gradient.data(),
                                   layer.W.gradient.data(), adds(), window(), first, last,
                                   [&](Index row, Index end, Window block) { done(Base::region_of(row, end, block)); });
            return;
        }
        const Region region = own_rows(member, layer.inputs);
        if (region.first_row == region.last_row) return;
        multiply_columns<Real>(Base::weights(layer), layer.outputs, layer.inputs, layer.gradient.data(),
                               before.gradient.data(), stride_, width_, region.first_row, region.last_row,
                               scratch_[static_cast<std::size_t>(member.index)].data());
        region.for_each_group<Real>(done);
    }

    void sampled(const Member& member, Layer<Real>& layer) {
        const auto [first, last] = own_lines(member, layer.support.row_start(), layer.outputs);
        layer.support.sampled(input_of(layer), layer.gradient.data(), layer.W.gradient.data(), adds(),
                              window(), first, last);
    }

    /// The gradient of dense weights as a whole, the sum over the parts of a batch.
    void keep_gradient(const Member& member, Layer<Real>& layer) {
        for_each_gradient_block(member, layer, {}, [&](Index row, Index rows, Index col, Matrix<Real> G) {
            for (Index i = 0; i < rows; ++i) {
                Real* DW = layer.W.gradient.data() + (row + i) * layer.inputs + col;
                for (Index j = 0; j < G.cols; ++j) DW[j] = adds() ? DW[j] + G(i, j) : G(i, j);
            }
        });
    }

    /// The sampled product by a dense one, a block at a time.
    void sampled_from_dense(const Member& member, Layer<Real>& layer) {
        const std::int32_t* start = layer.support.row_start();
        for_each_gradient_block(member, layer, {}, [&](Index row, Index rows, Index col, Matrix<Real> G) {
            for (Index i = 0; i < rows; ++i) {
                std::int32_t k = layer.support.first_from(row + i, col);
                for (; k < start[row + i + 1] && layer.support.col(k) < col + G.cols; ++k) {
                    Real& gradient = layer.W.gradient[k];
                    const Real more = G(i, layer.support.col(k) - col);
                    gradient = adds() ? gradient + more : more;
                }
            }
        });
    }

    std::vector<double> losses_;
    double weights_ = 0;  // of all samples of the batch

protected:
    bool knows_dense_gradients_ = false;
};

}  // namespace gradwright::engine
