// Training a multilayer perceptron: one parallel region for a batch, or for each of its parts. Memory is asked for when
// the number of samples at hand changes.
//
// Gradients of all layers come first, updates last. So a step whose gradients are not finite is refused
// with nothing changed, and updates need no barriers. The gradient of dense weights is made in blocks, and a block
// is used while it is in a cache; a gradient as large as the weights exists only where it is asked for, clipped, checked
// entry by entry, or summed over parts.
#pragma once

#include "clip_by_global_norm.hpp"
#include "gradwright/engine/rewire.hpp"
#include "gradwright/engine/update.hpp"

namespace gradwright::engine {

enum class Stage { input, linear, output };

template <class Real>
class Network : Updates<Real> {
    using Base = Updates<Real>;
    using Base::for_each_parameter, Base::layers_, Base::loss, Base::options_, Base::pass_backward;
    using Base::pass_forward, Base::rows_, Base::samples_, Base::steps_, Base::surely_finite, Base::team_;
    using Base::to_rows;

public:
    Network(std::vector<Layer<Real>> layers, Options<Real> options, std::int64_t* steps)
        : Base(std::move(layers), options, steps), watches_(layers_.size()) {}

    using Base::inputs, Base::outputs;
    std::vector<Layer<Real>>& layers() { return layers_; }
    const std::vector<Layer<Real>>& layers() const { return layers_; }
    const Options<Real>& options() const { return options_; }
    std::int64_t steps() const { return *steps_; }

    /// The outputs for a batch, (count, outputs). `activate`: after the activation that the loss includes.
    void forward(Rows<Real> X, bool training, bool activate, Matrix<Real> Y) {
        const bool logits = options_.output == nullptr || !activate;
        const Index parts = training ? 1 : this->parts_of(X.count);
        begin(X.count, parts);
        this->keep_linear(training);
        for_each_part(X, parts, [&](const Member& member, Rows<Real> part, bool) {
            pass_forward(member, part, training);
            const auto [first, last] = member.share(part.count, 16);
            if (first == last) return;
            const Matrix<Real> rows(rows_.data() + first * outputs(), last - first, outputs());
            const Matrix<Real> to = Y.slice(this->first_sample_ + first, this->first_sample_ + last);
            to_rows(layers_.back().output(), first, logits ? to : rows);
            if (!logits) options_.output->forward(rows, options_.output_hyperparameter.data(), to);
        });
        if (training) follow_statistics();
        waiting_ = training;
    }

    /// The loss of the batch of the last forward pass in training; gradients are kept.
    double backward(Targets<Real> targets) {
        if (!waiting_) throw std::logic_error("backward needs a forward pass with training=True before it");
        waiting_ = false;
        this->begin_loss(targets);
        team_.run(this->members(samples_), [&](const Member& member) {
            pass_backward(member, targets);
            sample_watched(member);
        });
        this->keep_dense_gradients();
        kept_ = traced_ = true;
        return loss();
    }

    /// One step of the optimizer with the gradients of the last backward pass.
    void update(double learning_rate) {
        if (!kept_) throw std::logic_error("update needs the gradients of a backward pass before it");
        require_finite_gradients();
        const double scale = options_.clip_norm > 0 ? clipping() : 1;
        team_.run(this->members(samples_), [&](const Member& member) {
            follow_watched(member);
            for (Layer<Real>& layer : layers_) {
                for_each_parameter(layer, [&](Parameter<Real>& parameter) {
                    const auto [first, last] = member.share(parameter.size, 16);
                    this->update_from_gradient(member, parameter, first, last, learning_rate, scale);
                });
            }
        });
        ++*steps_;
    }

    /// Forward, backward and update in one: the loss of the batch.
    double step(Rows<Real> X, Targets<Real> targets, double learning_rate) {
        const Index parts = traces_ ? 1 : this->parts_of(X.count);
        begin(X.count, parts);
        if (parts > 1) this->make_room_for_gradients();
        this->knows_dense_gradients_ = parts > 1;
        this->begin_loss(targets);
        const bool clips = options_.clip_norm > 0;
        for_each_part(X, parts, [&](const Member& member, Rows<Real> part, bool last) {
            pass_forward(member, part, true);
            pass_backward(member, targets);
            sample_watched(member);
            if (!last) return;
            member.barrier();
            if (clips || !std::isfinite(loss()) || !surely_finite()) return;
            follow_watched(member);
            for (Layer<Real>& layer : layers_) this->update_layer(member, layer, learning_rate);
        });
        const double value = loss();
        if (!std::isfinite(value)) {  // to_string would tell the sign of NaN
            throw NotFinite(std::isnan(value) ? "the loss is nan" : "the loss is " + std::to_string(value));
        }
        traced_ = parts == 1;
        if (!clips && surely_finite()) {
            ++*steps_;
        } else {
            this->keep_dense_gradients();
            kept_ = true;
            update(learning_rate);
            kept_ = false;
        }
        follow_statistics();
        return value;
    }

    /// Whether to keep what `for_each_weight_gradient` needs of every step, however large its batch.
    void trace(bool on) { traces_ = on; }

    /// Whether the last batch went through `forward` in training.
    bool shows_values() const { return this->keeps_linear_; }

    /// What a layer made of that batch, (count, features): its input, the value of its linear map, or its output.
    std::vector<Real> values(const Layer<Real>& layer, Stage stage) const {
        const bool input = stage == Stage::input;
        const Real* from = input ? this->input_of(layer) : stage == Stage::linear ? layer.kept.data() : layer.output();
        const Index width = input ? layer.inputs : layer.outputs;
        std::vector<Real> found(static_cast<std::size_t>(samples_ * width));
        to_rows(from, 0, Matrix<Real>(found.data(), samples_, width));
        return found;
    }

    /// Call body(row, DW) for rows first, ..., last - 1 of the gradient of a layer's W in the last step, as if all
    /// weights were there: some at a time, of which the first is this row.
    template <class Body>
    void for_each_weight_gradient(Layer<Real>& layer, Index first, Index last, Body&& body) {
        if (!traced_) {
            throw std::logic_error(
                "gradients of absent weights need a step of training before them, and trace() before that");
        }
        constexpr Index values = 1 << 20;  // at a time: few, and threads would wait for each other often
        const Index width = panels_of<Real>(layer.inputs) * panel_width<Real>;
        const Index rows = std::min(std::max(values / std::max<Index>(width, 1), 2 * Base::grain), last - first);
        layer.panels.reserve(width * samples_);
        block_.reserve(rows * width);
        team_.run(this->members(samples_), [&](const Member& member) { this->make_panels(member, layer); });
        for (Index row = first; row < last; row += rows) {
            const Matrix<Real> DW(block_.data(), std::min(rows, last - row), layer.inputs, width);
            team_.run(this->members(samples_), [&](const Member& member) {
                const auto [begin, end] = member.share(DW.rows, Base::grain);
                this->weight_gradient(layer, row + begin, DW.slice(begin, end));
            });
            body(row, DW);
        }
    }

    /// Whether `gradient` of this parameter is that of the last batch.
    bool knows_gradient(const Layer<Real>& layer, const Parameter<Real>& parameter) const {
        return &parameter != &layer.W || layer.sparse || this->knows_dense_gradients_;
    }

    Watch<Real>& watch(const Layer<Real>& layer) { return watches_[static_cast<std::size_t>(layer.number - 1)]; }

    /// Make room for what depends on a layer's support, which has changed; gradients are lost.
    void resized(Layer<Real>& layer) {
        layer.dense = Buffer<Real>();
        if (layer.W.gradient.size() > 2 * layer.W.size) layer.W.gradient = Buffer<Real>();
        waiting_ = kept_ = false;
        if (this->room_for_ == 0) return;
        layer.reserve(this->stride_, this->room_for_);
    }

private:
    /// Call body(member, rows, whether they are the last) for the parts of a batch, by the team.
    template <class Body>
    void for_each_part(Rows<Real> X, Index parts, Body&& body) {
        for (Index part = 0; part < parts; ++part) {
            const Index first = X.count * part / parts, last = X.count * (part + 1) / parts;
            this->take(first, last);
            team_.run(this->members(this->room_for_), [&](const Member& member) {
                body(member, X.slice(first, last), part + 1 == parts);
            });
        }
    }

    /// Call body(layer, watched, first row, last row) for this member's rows of the watched places of every layer.
    template <class Body>
    void for_each_watched(const Member& member, Body&& body) {
        for (const Layer<Real>& layer : layers_) {
            Watch<Real>& watched = watch(layer);
            if (watched.momentum == nullptr) continue;
            const auto [first, last] = this->own_lines(member, watched.support.row_start(), layer.outputs);
            body(layer, watched, first, last);
        }
    }

    /// The gradients of the watched places.
    void sample_watched(const Member& member) {
        for_each_watched(member, [&](const Layer<Real>& layer, Watch<Real>& watched, Index first, Index last) {
            watched.support.sampled(this->input_of(layer), layer.gradient.data(), watched.gradient.data(),
                                    this->adds(), this->window(), first, last);
        });
    }

    void follow_watched(const Member& member) {
        for_each_watched(member, [](const Layer<Real>&, Watch<Real>& watched, Index first, Index last) {
            const std::int32_t* start = watched.support.row_start();
            const Real beta = Real(watched.beta);
            for (Index k = start[first]; k < start[last]; ++k) {
                watched.momentum[k] = beta * watched.momentum[k] + (1 - beta) * watched.gradient[k];
            }
        });
    }

    void begin(Index count, Index parts) {
        this->prepare((count + parts - 1) / parts);
        this->batch_ = count;
        this->keeps_linear_ = false;
        std::fill(this->bounds_.begin(), this->bounds_.end(), 0);
        waiting_ = kept_ = traced_ = this->knows_dense_gradients_ = false;
    }

    void follow_statistics() {
        for (Layer<Real>& layer : layers_) {
            if (layer.batchnorm) this->follow(layer);
        }
    }

    /// NotFinite names a gradient that is infinite or NaN.
    void require_finite_gradients() {
        for (Layer<Real>& layer : layers_) {
            for_each_parameter(layer, [&](Parameter<Real>& p) {
                const Index bad = first_not_finite(Vector<const Real>(p.gradient.data(), p.size));
                if (bad < p.size) {
                    throw NotFinite("the gradient of " + p.name + " is not finite at entry " + std::to_string(bad));
                }
            });
        }
    }

    /// What all gradients are multiplied by to clip them: the gradient 1, clipped by the norm of them all.
    double clipping() {
        double square_norm = 0;
        for (Layer<Real>& layer : layers_) {
            for_each_parameter(layer, [&](Parameter<Real>& p) { square_norm += square_norm_of(p); });
        }
        const double one = 1;
        double clipped = 1;
        clip_by_global_norm::backward<double>(1, Matrix<const double>(&one, 1, 1), square_norm, options_.clip_norm,
                                              Matrix<double>(&clipped, 1, 1));
        return clipped;
    }

    static double square_norm_of(const Parameter<Real>& p) {
        Real value, square;
        const Matrix<const Real> g(p.gradient.data(), 1, p.size);
        clip_by_global_norm::forward<Real>(g, Real(0), Real(1), value, square);
        if (std::isfinite(square)) return double(square);
        const std::vector<double> wide(g.data, g.data + p.size);
        double wide_value, wide_square;
        const Matrix<const double> all(wide.data(), 1, p.size);
        clip_by_global_norm::forward<double>(all, 0, 1, wide_value, wide_square);
        return wide_square;
    }

    std::vector<Watch<Real>> watches_;
    Buffer<Real> block_;  // of the gradient of all weights
    bool waiting_ = false, kept_ = false;
    bool traces_ = false, traced_ = false;  // traced: what the layers hold is that of a whole step
};

}  // namespace gradwright::engine
