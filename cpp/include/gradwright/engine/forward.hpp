// The state of a network in training and its forward pass.
#pragma once

#include <limits>
#include <stdexcept>
#include <vector>

#include "gradwright/engine/layer.hpp"

namespace gradwright::engine {


inline constexpr double batchnorm_epsilon = 1e-5, batchnorm_momentum = 0.9;

/// A step is refused: a gradient or the loss is infinite or NaN. Nothing has changed.
struct NotFinite : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <class Real>
struct Options {
    const Loss<Real>* loss = nullptr;
    std::array<double, max_hyperparameters> loss_hyperparameter{};
    const Optimizer<Real>* optimizer = nullptr;
    std::array<double, max_hyperparameters> optimizer_hyperparameter{};
    const Activation<Real>* output = nullptr;  // what the loss includes, for use only
    std::array<double, max_hyperparameters> output_hyperparameter{};
    double weight_decay = 0, clip_norm = 0;  // 0: none
    std::uint64_t seed = 0;
    int threads = 1;
};

/// The targets of a batch: labels, or else rows of values; and the weight of every sample, or null.
template <class Real>
struct Targets {
    const std::int64_t* labels = nullptr;
    Matrix<const Real> values;
    const Real* weight = nullptr;
};

/// The samples of a batch, wherever they are: row n begins at data + place[n] * stride, or at n * stride.
template <class Real>
struct Rows {
    const Real* data;
    Index stride, count;
    const std::int64_t* place;

    const Real* operator()(Index n) const { return data + (place == nullptr ? n : place[n]) * stride; }

    Rows slice(Index first, Index last) const {
        if (place == nullptr) return {data + first * stride, stride, last - first, nullptr};
        return {data, stride, last - first, place + first};
    }
};

/// What a network holds, and the forward pass. Every member of a team calls the passes; what they share is
/// separated by barriers.
template <class Real>
class ForwardPass {
protected:
    ForwardPass(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : layers_(std::move(layers)), options_(options), steps_(steps), team_(options.threads) {
        const auto count = static_cast<std::size_t>(team_.size());
        bounds_.resize(count * bound_row());
        scratch_.resize(count);
    }

    Index inputs() const { return layers_.front().inputs; }
    Index outputs() const { return layers_.back().outputs; }

    static constexpr Index grain = 8;                  // features: what a product works on at once
    static constexpr Index block_values = 192 * 1024;  // of a gradient at a time

    // ---- Memory ----------------------------------------------------------------------------------------------

    /// So many parts of a batch go through the network one after the other: sparse weights win nothing by many samples at
    /// a time, whose activations do not stay in the caches.
    Index parts_of(Index samples) const {
        constexpr Index most = 512 / sizeof(Real);
        Index sparse_weights = 0;
        for (const Layer<Real>& layer : layers_) {
            if (layer.batchnorm) return 1;
            sparse_weights += layer.truly_sparse() ? layer.W.size : -layer.W.size;
        }
        return sparse_weights <= 0 ? 1 : std::max<Index>((samples + most - 1) / most, 1);
    }

    /// Turn to samples first, ..., last - 1 of the batch.
    void take(Index first, Index last) {
        first_ = first;
        samples_ = last - first;
        width_ = padded(samples_);
    }

    static Index padded(Index samples) { return (samples + sample_grain<Real> - 1) / sample_grain<Real> * sample_grain<Real>; }

    /// Memory for so many samples at a time. Rows of many samples are an odd number of cache lines apart, so that they
    /// spread.
    void prepare(Index samples) {
        if (samples == room_for_) return;
        room_for_ = samples;
        constexpr Index line = static_cast<Index>(line_bytes / sizeof(Real));
        const Index width = padded(samples), lines = (width + line - 1) / line;
        stride_ = (width <= 2 * max_vectors * lanes<Real> ? lines : lines | 1) * line;
        input_.reserve(inputs() * stride_);
        std::fill_n(input_.data(), input_.size(), Real(0));
        Index widest = 0, widest_input = 0;
        for (Layer<Real>& layer : layers_) {
            layer.reserve(stride_, samples);
            layer.clear();
            widest_input = std::max(widest_input, layer.inputs);
            if (layer.by_rows()) widest = std::max(widest, layer.outputs);
        }
        const Index size = samples * outputs();
        rows_.reserve(size);
        row_gradient_.reserve(size);
        room_.reserve(std::max(options_.loss->room(samples, outputs()),
                               samples * options_.loss->room(1, outputs())) + 1);
        for (auto& scratch : scratch_) {
            scratch.reserve(std::max({4 * samples * features_tile, 3 * samples * widest, widest_input, block_values,
                                      multiply_columns_room}));
        }
    }

    /// Whether to keep values of linear maps, which later stages may overwrite, to be looked at.
    void keep_linear(bool keep) {
        keeps_linear_ = keep;
        if (!keep) return;
        for (Layer<Real>& layer : layers_) layer.kept.reserve(layer.outputs * stride_);
    }

    /// Threads that a step of so many samples is worth.
    int members(Index samples) const {
        double work = 0;
        for (const Layer<Real>& layer : layers_) {
            work += 6.0 * double(samples) * double(layer.sparse ? layer.support.count : layer.inputs * layer.outputs);
        }
        return work < 2.5e6 ? 1 : team_.size();
    }

    // ---- Forward ---------------------------------------------------------------------------------------------

    const Real* input_of(const Layer<Real>& layer) const {
        return layer.number == 1 ? input_.data() : layers_[static_cast<std::size_t>(layer.number - 2)].output();
    }

    Window window() const { return {0, width_, stride_}; }

    /// The rows or columns of sparse weights that belong to this member: as many weights as any other's.
    static Member::Share own_lines(const Member& member, const std::int32_t* start, Index lines) {
        return {Support::cut(start, lines, member.index, member.count),
                Support::cut(start, lines, member.index + 1, member.count)};
    }

    /// The rows of a matrix with `rows` of them that belong to this member.
    Part own_rows(const Member& member, Index rows) const {
        const auto [first, last] = member.share(rows, grain);
        return {first, last, 0, width_, stride_};
    }

    void pass_forward(const Member& member, Rows<Real> X, bool training) {
        const auto [first, last] = member.share(inputs(), 16);
        constexpr Index gathered = 64;  // features at a time, so that they are still in a cache when they are looked at
        for (Index f = first; f < last; f += gathered) {
            const Part group{f, std::min(f + gathered, last), 0, width_, stride_};
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
                draw_mask(layer, options_.seed, static_cast<std::uint64_t>(*steps_), first_, mine.first, mine.last,
                          stride_);
            }
        }
        member.barrier();
        for (Layer<Real>& layer : layers_) {
            linear(member, layer, [&](Part part) {
                if (keeps_linear_) copy(part.of<const Real>(layer.linear()), part.of(layer.kept.data()));
                if (!layer.by_rows() && !layer.batchnorm) finish_forward(member, layer, part, training);
            });
            if (layer.batchnorm) {
                if (layer.truly_sparse()) member.barrier();  // others took other rows
                const Part own = own_rows(member, layer.outputs);
                normalise(member, layer, own, training);
                if (!layer.by_rows()) {
                    own.for_each_group<Real>([&](Part group) { finish_forward(member, layer, group, training); });
                }
            }
            if (layer.by_rows()) {
                member.barrier();
                map_samples(member, layer);
                member.barrier();
                const Part own = own_rows(member, layer.outputs);
                if (layer.dropout > 0 && training) {
                    dropout::forward<Real>(own.template of<const Real>(layer.activated()),
                                           own.template of<const Real>(layer.mask.data()), own.of(layer.output()));
                } else if (layer.dropout > 0 && layer.output() != layer.activated()) {
                    copy(own.template of<const Real>(layer.activated()), own.of(layer.output()));
                }
                if (training) bound(member, 2 * layer.number, own.template of<const Real>(layer.output()));
            }
            member.barrier();
        }
    }

    /// The stages after the linear map that take every entry on its own.
    void finish_forward(const Member& member, const Layer<Real>& layer, Part part, bool training) {
        activate(layer, part.without_gaps(width_), training);
        if (training) bound(member, 2 * layer.number, part.template of<const Real>(layer.output()));
    }

    /// This member's rows of the linear map; done(part) when a few of them are there.
    template <class Done>
    void linear(const Member& member, Layer<Real>& layer, Done&& done) {
        const Real* X = input_of(layer);
        const Index K = layer.outputs, D = layer.inputs;
        if (layer.truly_sparse()) {
            const auto [first, last] = own_lines(member, layer.support.row_start(), K);
            layer.support.forward(layer.W.value, layer.b.value, X, layer.linear(), window(), first, last,
                                  [&](Index row, Index end, Window block) { done(part_of(row, end, block)); });
            return;
        }
        const Part part = own_rows(member, K);
        if (part.first_row == part.last_row) return;
        if (layer.sparse) {
            for_each_weight(layer, part.first_row, part.last_row,
                            [&](Index k, Index at) { layer.dense[at] = layer.W.value[k]; });
        }
        multiply_rows<Real>(weights(layer), D, layer.b.value, X, layer.linear(), stride_, width_, part.first_row,
                            part.last_row);
        part.for_each_group<Real>(done);
    }

    static Part part_of(Index first, Index last, Window block) {
        return {first, last, block.offset, block.offset + block.width, block.stride};
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

    static void copy(Matrix<const Real> from, Matrix<Real> to) {
        for (Index i = 0; i < to.rows; ++i) std::copy_n(from.row(i), to.cols, to.row(i));
    }

    static constexpr Index features_tile = 16;

    /// Batch normalisation of some features: the generated kernel wants a row for every sample.
    void normalise(const Member& member, Layer<Real>& layer, Part part, bool training) {
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        for (Index k = part.first_row; k < part.last_row; k += features_tile) {
            const Index count = std::min(features_tile, part.last_row - k);
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

    /// Samples first, first + 1, ... of a feature-major matrix as rows.
    void samples(const Real* data, Index first, Matrix<Real> rows) const {
        transpose<Real>(rows.cols, 0, rows.rows, [=](Index k) { return data + k * stride_ + first; }, rows.data,
                        rows.stride, rows.rows);
    }

    /// The activation of a layer that maps samples as a whole.
    void map_samples(const Member& member, const Layer<Real>& layer) {
        const auto [first, last] = member.share(samples_, 16);
        if (first == last) return;
        Real* scratch = scratch_[static_cast<std::size_t>(member.index)].data();
        const Matrix<Real> X(scratch, last - first, layer.outputs), Y(X.row(X.rows), X.rows, X.cols);
        samples(layer.normalised(), first, X);
        layer.activation->forward(X, layer.hyperparameter.data(), Y);
        transpose<Real>(Matrix<const Real>(Y), Matrix<Real>(layer.activated() + first, X.cols, X.rows, stride_));
    }

    // ---- Bounds of what the gradients are made of -------------------------------------------------------------

    using Bits = std::make_signed_t<typename gradwright::detail::Exponent<Real>::Bits>;

    std::size_t bound_row() const { return (2 * layers_.size() + 2 + 15) / 16 * 16; }

    /// Remember the largest magnitude seen by this member since `begin`: of the input at 0, the output of layer l at 2 l, the
    /// gradient of its linear map at 2 l - 1. Bit patterns of magnitudes are in order, NaN above all.
    void bound(const Member& member, std::uint64_t place, Matrix<const Real> part) {
        constexpr Bits magnitude = std::numeric_limits<Bits>::max();
        typedef Bits Pack __attribute__((vector_size(half_bytes)));
        Pack largest{};
        for (Index i = 0; i < part.rows; ++i) {
#pragma GCC unroll 4
            for (Index n = 0; n < part.cols; n += sample_grain<Real>) {  // a part is whole half vectors wide
                Pack bits;
                std::memcpy(&bits, part.row(i) + n, sizeof bits);
                bits &= magnitude;
                largest = bits > largest ? bits : largest;
            }
        }
        Bits& known = bounds_[static_cast<std::size_t>(member.index) * bound_row() + place];
        for (Index n = 0; n < sample_grain<Real>; ++n) known = std::max(known, Bits(largest[n]));
    }

    double largest(std::uint64_t place) const {
        Bits found = 0;
        for (std::size_t i = place; i < bounds_.size(); i += bound_row()) found = std::max(found, bounds_[i]);
        Real value;
        std::memcpy(&value, &found, sizeof value);
        return double(value);
    }

    std::vector<Layer<Real>> layers_;
    Options<Real> options_;
    std::int64_t* steps_;
    Team team_;
    Index batch_ = 0, first_ = 0;    // samples of the batch, and which of them is the first of those at hand
    Index samples_ = 0, width_ = 0;  // at hand: without padding, with it
    Index room_for_ = 0, stride_ = 0;  // samples there is memory for; values from one row to the next
    Buffer<Real> input_;                          // feature-major
    Buffer<Real> rows_, row_gradient_;            // outputs and their gradient, sample by sample
    Buffer<double> room_;
    std::vector<Buffer<Real>> scratch_;  // one a member
    std::vector<Bits> bounds_;
    bool keeps_linear_ = false;
};

}  // namespace gradwright::engine
