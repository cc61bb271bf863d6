// The forward pass of a network.
#pragma once

#include "gradwright/engine/state.hpp"

namespace gradwright::engine {

inline constexpr double batchnorm_epsilon = 1e-5, batchnorm_momentum = 0.9;

/// Every member of a team calls the passes; what they share is separated by barriers.
template <class Real>
class ForwardPass : protected State<Real> {
protected:
    using Base = State<Real>;
    using Base::Base;
    using Base::bound, Base::features_tile, Base::first_sample_, Base::input_, Base::input_of, Base::inputs;
    using Base::keeps_linear_, Base::samples_tile;
    using Base::layers_, Base::options_, Base::own_lines, Base::own_rows, Base::samples_, Base::scratch_;
    using Base::steps_, Base::stride_, Base::to_rows, Base::width_, Base::window;

    void pass_forward(const Member& member, Rows<Real> X, bool training) {
        const auto [first, last] = member.share(inputs(), 16);
        constexpr Index gathered = 64;  // features at a time, so that they are still in a cache when they are looked at
        for (Index f = first; f < last; f += gathered) {
            const Region group{f, std::min(f + gathered, last), 0, width_, stride_};
            transpose<Real>(X.count, group.first_row, group.last_row, X, input_.data(), stride_, last);
            if (!training) continue;
            bound(member, 0, group.template of<const Real>(input_.data()));
            const Layer<Real>& layer = layers_.front();
            if (!layer.truly_sparse()) panels_of_rows(X, group.first_row, group.last_row, layer.panels.data());
        }
        if (training) {
            const auto mine = member.share(samples_, 16);
            for (const Layer<Real>& layer : layers_) {
                if (layer.dropout == 0) continue;
                draw_mask(layer, options_.seed, static_cast<std::uint64_t>(*steps_), first_sample_, mine.first,
                          mine.last, stride_);
            }
        }
        member.barrier();
        for (Layer<Real>& layer : layers_) {
            linear(member, layer, [&](Region region) {
                if (keeps_linear_) copy<Real>(region.of<const Real>(layer.linear()), region.of(layer.kept.data()));
                if (!layer.by_rows() && !layer.batchnorm) finish_forward(member, layer, region, training);
            });
            if (layer.batchnorm) {
                if (layer.truly_sparse()) member.barrier();  // others took other rows
                const Region own = own_rows(member, layer.outputs);
                normalise(member, layer, own, training);
                if (!layer.by_rows()) {
                    own.for_each_group<Real>([&](Region group) { finish_forward(member, layer, group, training); });
                }
            }
            if (layer.by_rows()) {
                member.barrier();
                map_samples(member, layer);
                member.barrier();
                const Region own = own_rows(member, layer.outputs);
                drop(layer, own, training);
                if (training) bound(member, 2 * layer.number, own.template of<const Real>(layer.output()));
            }
            member.barrier();
        }
    }

    /// The stages after the linear map that take every entry on its own.
    void finish_forward(const Member& member, const Layer<Real>& layer, Region region, bool training) {
        activate(layer, region.without_gaps(width_), training);
        if (training) bound(member, 2 * layer.number, region.template of<const Real>(layer.output()));
    }

    /// This member's rows of the linear map; done(region) when a few of them are there.
    template <class Done>
    void linear(const Member& member, Layer<Real>& layer, Done&& done) {
        const Real* X = input_of(layer);
        const Index K = layer.outputs, D = layer.inputs;
        if (layer.truly_sparse()) {
            const auto [first, last] = own_lines(member, layer.support.row_start(), K);
            layer.support.forward(layer.W.value, layer.b.value, X, layer.linear(), window(), first, last,
                                  [&](Index row, Index end, Window block) { done(Base::region_of(row, end, block)); });
            return;
        }
        const Region region = own_rows(member, K);
        if (region.first_row == region.last_row) return;
        if (layer.sparse) {
            for_each_place(layer.support, region.first_row, region.last_row,
                           [&](Index k, Index at) { layer.dense[at] = layer.W.value[k]; });
        }
        multiply_rows<Real>(weights(layer), D, layer.b.value, X, layer.linear(), stride_, width_, region.first_row,
                            region.last_row);
        region.for_each_group<Real>(done);
    }

    static const Real* weights(const Layer<Real>& layer) { return layer.sparse ? layer.dense.data() : layer.W.value; }

    /// Features first, ..., last - 1 of rows of samples, as panels.
    static void panels_of_rows(Rows<Real> X, Index first, Index last, Real* panels) {
        constexpr Index width = panel_width<Real>;
        for (Index f = first; f < last;) {
            const Index in = f % width, count = std::min(width - in, last - f);
            Real* panel = panels + (f - in) * X.count + in;
            for (Index n = 0; n < X.count; ++n) std::copy_n(X(n) + f, count, panel + n * width);
            f += count;
        }
    }

    /// This member's share of the panels of a layer's input.
    void make_panels(const Member& member, Layer<Real>& layer) const {
        constexpr Index width = panel_width<Real>;
        const auto [first, last] = member.share(layer.inputs, width);
        const Real* X = input_of(layer);
        for (Index f = first; f < last; f += width) {
            transpose<Real>(Matrix<const Real>(X + f * stride_, std::min(width, last - f), samples_, stride_),
                            Matrix<Real>(layer.panels.data() + f * samples_, samples_, width));
        }
    }

    /// Batch normalisation of some features: the generated kernel wants a row for every sample.
    void normalise(const Member& member, Layer<Real>& layer, Region region, bool training) {
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index k = region.first_row; k < region.last_row; k += features_tile) {
            const Index count = std::min(features_tile, region.last_row - k);
            const Matrix<Real> X(scratch, samples_, count), Y(scratch + samples_ * count, samples_, count);
            const Vector<const Real> gamma(layer.gamma.value + k, count), beta(layer.beta.value + k, count);
            transpose<Real>(Matrix<const Real>(layer.linear() + k * stride_, count, samples_, stride_), X);
            if (training) {
                const Vector<double> mu(layer.mu.data() + k, count);
                const Vector<Real> inv_std(layer.inv_std.data() + k, count);
                batchnorm::forward<Real>(X, gamma, beta, Real(batchnorm_epsilon), Y, mu, inv_std);
            } else {
                batchnorm_inference::forward<Real>(
                    X, Vector<const Real>(layer.mean + k, count), Vector<const Real>(layer.variance + k, count), gamma,
                    beta, Real(batchnorm_epsilon), Y, Vector<Real>(layer.inv_std.data() + k, count));
            }
            transpose<Real>(Matrix<const Real>(Y), Matrix<Real>(layer.normalised() + k * stride_, count, samples_,
                                                                stride_));
        }
    }

    /// The running statistics follow those of the batch.
    void follow(Layer<Real>& layer) {
        for (Index k = 0; k < layer.outputs; ++k) {
            const double std = double(layer.inv_std[k]);
            const double variance = std::max(1 / (std * std) - batchnorm_epsilon, 0.0);
            const auto mix = [](Real& running, double value) {
                running = running * Real(batchnorm_momentum) + Real((1 - batchnorm_momentum) * value);
            };
            mix(layer.mean[k], layer.mu[k]);
            mix(layer.variance[k], variance);
        }
    }

    /// The activation of a layer that maps samples as a whole.
    void map_samples(const Member& member, const Layer<Real>& layer) {
        const auto [first, last] = member.share(samples_, 16);
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index n = first; n < last; n += samples_tile) {
            const Matrix<Real> X(scratch, std::min(samples_tile, last - n), layer.outputs);
            const Matrix<Real> Y(X.row(X.rows), X.rows, X.cols);
            to_rows(layer.normalised(), n, X);
            layer.activation->forward(X, layer.hyperparameter.data(), Y);
            transpose<Real>(Matrix<const Real>(Y), Matrix<Real>(layer.activated() + n, X.cols, X.rows, stride_));
        }
    }
};

}  // namespace gradwright::engine
