// What a network in training holds, and how the members of a team share it.
#pragma once

#include <limits>
#include <stdexcept>
#include <vector>

#include "gradwright/engine/layer.hpp"

namespace gradwright::engine {

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

/// Layers, options, memory for a batch, and bounds of what gradients are made of.
template <class Real>
class State {
protected:
    State(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : layers_(std::move(layers)), options_(options), steps_(steps), team_(options.threads) {
        const auto count = static_cast<std::size_t>(team_.size());
        bounds_.resize(count * bound_row());
        scratch_.resize(count);
    }

    Index inputs() const { return layers_.front().inputs; }
    Index outputs() const { return layers_.back().outputs; }

    static constexpr Index grain = 8;                  // features: what a product works on at once
    static constexpr Index features_tile = 16;         // that batch normalisation turns to rows of samples at once
    static constexpr Index samples_tile = 64;          // that an activation of whole samples gets at once
    static constexpr Index block_values = 192 * 1024;  // of a gradient at a time

    /// So many parts of a batch go through the network one after the other: sparse weights win nothing by many
    /// samples at a time, whose activations do not stay in the caches.
    Index parts_of(Index samples) const {
        constexpr Index most = 512 / sizeof(Real);
        Index sparse_weights = 0;
        for (const Layer<Real>& layer : layers_) {
            if (layer.batchnorm) return 1;
            sparse_weights += layer.truly_sparse() ? layer.W.size : -layer.W.size;
        }
        return sparse_weights <= 0 ? 1 : std::max<Index>((samples + most - 1) / most, 1);
    }

    /// Turn to samples first, ..., last - 1 of the batch. What other samples left where padding is now becomes 0.
    void take(Index first, Index last) {
        first_sample_ = first;
        samples_ = last - first;
        width_ = padded(samples_);
        if (samples_ == room_for_) return;
        const Region padding{0, inputs(), samples_, std::min(width_, room_for_), stride_};
        padding.clear(input_);
        for (Layer<Real>& layer : layers_) {
            layer.clear({0, layer.outputs, padding.first_col, padding.last_col, stride_});
        }
    }

    /// Whether the gradients of other parts of the batch are there already.
    bool adds() const { return first_sample_ > 0; }

    static Index padded(Index samples) {
        return (samples + sample_grain<Real> - 1) / sample_grain<Real> * sample_grain<Real>;
    }

    /// Memory for so many samples at a time. Rows of many samples are an odd number of cache lines apart, so that they
    /// spread.
    void prepare(Index samples) {
        if (samples == room_for_) return;
        room_for_ = 0;  // until there is room
        constexpr Index line = static_cast<Index>(line_bytes / sizeof(Real));
        const Index width = padded(samples), lines = (width + line - 1) / line;
        stride_ = (width <= 2 * max_vectors * lanes<Real> ? lines : lines | 1) * line;
        input_.reserve(inputs() * stride_);
        Region{0, inputs(), 0, stride_, stride_}.clear(input_);
        Index widest = 0;
        for (Layer<Real>& layer : layers_) {
            layer.reserve(stride_, samples);
            layer.clear({0, layer.outputs, 0, stride_, stride_});
            if (layer.by_rows()) widest = std::max(widest, layer.outputs);
        }
        const Index size = samples * outputs();
        rows_.reserve(size);
        row_gradient_.reserve(size);
        room_.reserve(std::max(options_.loss->room(samples, outputs()),
                               samples * options_.loss->room(1, outputs())) + 1);
        const Index turned = std::max(4 * samples * features_tile, 3 * std::min(samples, samples_tile) * widest);
        for (auto& scratch : scratch_) scratch.reserve(std::max({turned, block_values, multiply_columns_room}));
        room_for_ = samples;
    }

    /// Whether to keep values of linear maps, which later stages may overwrite, to be looked at.
    void keep_linear(bool keep) {
        keeps_linear_ = false;  // until there is room
        if (!keep) return;
        for (Layer<Real>& layer : layers_) layer.kept.reserve(layer.outputs * stride_);
        keeps_linear_ = true;
    }

    /// Threads that a step of so many samples is worth: one below some 40 microseconds.
    int members(Index samples) const {
        constexpr double entry = 15;  // operations of a product that take as long as what else is done with an activation
        double work = entry * double(inputs());
        for (const Layer<Real>& layer : layers_) {
            const Index weights = layer.sparse ? layer.support.count : layer.inputs * layer.outputs;
            work += 6.0 * double(weights) + entry * double(layer.outputs);
        }
        return work * double(samples) < 2.5e6 ? 1 : team_.size();
    }

    // ---- Shares ----------------------------------------------------------------------------------------------

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
    Region own_rows(const Member& member, Index rows) const {
        const auto [first, last] = member.share(rows, grain);
        return {first, last, 0, width_, stride_};
    }

    static Region region_of(Index first, Index last, Window block) {
        return {first, last, block.offset, block.offset + block.width, block.stride};
    }

    /// Samples first, first + 1, ... of a feature-major matrix as rows.
    void to_rows(const Real* data, Index first, Matrix<Real> rows) const {
        transpose<Real>(rows.cols, 0, rows.rows, [=](Index k) { return data + k * stride_ + first; }, rows.data,
                        rows.stride, rows.rows);
    }

    // ---- Bounds of what the gradients are made of -------------------------------------------------------------

    using Bits = std::make_signed_t<typename gradwright::detail::Exponent<Real>::Bits>;

    std::size_t bound_row() const { return (2 * layers_.size() + 2 + 15) / 16 * 16; }

    /// Remember the largest magnitude seen by this member since `begin`: of the input at 0, the output of layer l at
    /// 2 l, the gradient of its linear map at 2 l - 1. Bit patterns of magnitudes are in order, NaN above all.
    void bound(const Member& member, std::uint64_t place, Matrix<const Real> region) {
        constexpr Bits magnitude = std::numeric_limits<Bits>::max();
        typedef Bits Pack __attribute__((vector_size(half_bytes)));
        Pack largest{};
        for (Index i = 0; i < region.rows; ++i) {
#pragma GCC unroll 4
            for (Index n = 0; n < region.cols; n += sample_grain<Real>) {  // a part is whole half vectors wide
                Pack bits;
                std::memcpy(&bits, region.row(i) + n, sizeof bits);
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
    Index batch_ = 0, first_sample_ = 0;  // samples of the batch, and which of them is the first of those at hand
    Index samples_ = 0, width_ = 0;       // at hand: without padding, with it
    Index room_for_ = 0, stride_ = 0;     // samples there is memory for; values from one row to the next
    Buffer<Real> input_;                  // feature-major
    Buffer<Real> rows_, row_gradient_;    // outputs and their gradient, sample by sample
    Buffer<double> room_;
    std::vector<Buffer<Real>> scratch_;  // one a member
    std::vector<Bits> bounds_;
    bool keeps_linear_ = false;
};

}  // namespace gradwright::engine
