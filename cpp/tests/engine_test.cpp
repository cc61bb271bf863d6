// Claims about the training engine of cpp/include/gradwright/engine; exits with 1 if one fails.
//
//     g++ -std=c++17 -O1 -g -fsanitize=thread -pthread -Icpp/include -Igenerated/cpp
//         cpp/tests/engine_test.cpp -o engine_test && ./engine_test [STEPS]
//
// Compiled without OpenMP, all threads are the engine's own, which a thread sanitizer understands.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__unix__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "catalogue.hpp"
#include "gradwright/engine/network.hpp"

namespace {

using namespace gradwright;
using namespace gradwright::engine;
using Real = float;

int failures = 0;

void claim(bool holds, const std::string& what) {
    if (holds) return;
    std::printf("FAILED: %s\n", what.c_str());
    ++failures;
}

/// The same numbers on every machine.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}

    std::uint32_t bits() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<std::uint32_t>(state_ >> 33);
    }

    /// Uniform in [-1, 1).
    Real number() { return static_cast<Real>(bits()) / static_cast<Real>(1U << 30) - 1; }

private:
    std::uint64_t state_;
};

template <class Table>
const auto* named(const Table& table, const char* name) {
    for (const auto& entry : table) {
        if (std::strcmp(entry.name, name) == 0) return &entry;
    }
    std::printf("FAILED: the catalogue has no %s\n", name);
    std::exit(1);
}

/// How a layer of a tested network looks.
struct Shape {
    Index outputs;
    double density = 1;
    const char* activation = "relu";
    bool batchnorm = false;
    double dropout = 0;
};

struct Plan {
    const char* what;
    Index inputs;
    std::vector<Shape> layers;
    const char* optimizer = "adam";
    double clip_norm = 0;
};

/// The arrays that a network works on belong to somebody else: here.
class Trained {
public:
    Trained(const Plan& plan, int threads) : outputs_(plan.layers.back().outputs) {
        arrays_.reserve(100);  // they must not move
        supports_.reserve(100);
        Random random(1);
        const auto* rule = named(optimizers<Real>, plan.optimizer);
        std::vector<Layer<Real>> layers(plan.layers.size());
        Index inputs = plan.inputs;
        for (std::size_t l = 0; l < layers.size(); ++l) {
            const Shape& shape = plan.layers[l];
            Layer<Real>& layer = layers[l];
            layer.number = l + 1;
            layer.inputs = inputs;
            layer.outputs = shape.outputs;
            layer.batchnorm = shape.batchnorm;
            layer.dropout = shape.dropout;
            if (l + 1 < layers.size()) layer.activation = named(activations<Real>, shape.activation);
            Index count = inputs * shape.outputs;
            if (shape.density < 1) {
                count = support(layer, shape.density, random);
            }
            const Real scale = std::sqrt(Real(3) / (static_cast<Real>(inputs) * Real(shape.density)));
            parameter(layer.W, "W", count, rule->state_count());
            for (Index i = 0; i < count; ++i) layer.W.value[i] = scale * random.number();
            parameter(layer.b, "b", shape.outputs, rule->state_count());
            if (shape.batchnorm) {
                parameter(layer.gamma, "gamma", shape.outputs, rule->state_count());
                parameter(layer.beta, "beta", shape.outputs, rule->state_count());
                std::fill_n(layer.gamma.value, shape.outputs, Real(1));
                layer.mean = array(shape.outputs);
                layer.variance = array(shape.outputs);
            }
            inputs = shape.outputs;
        }
        Options<Real> options;
        options.loss = named(losses<Real>, "softmax_cross_entropy");
        options.optimizer = rule;
        if (std::strcmp(plan.optimizer, "adam") == 0) options.optimizer_hyperparameter = {0.9, 0.999, 1e-8};
        options.output = named(activations<Real>, "softmax");
        options.clip_norm = plan.clip_norm;
        options.seed = 7;
        options.threads = threads;
        network_ = std::make_unique<Network<Real>>(std::move(layers), options, &steps_);
    }

    /// Steps with batches of changing sizes; the losses.
    std::vector<double> train(int steps) {
        static constexpr Index sizes[] = {64, 100, 7, 390, 200, 1, 64};
        const Index inputs = network_->inputs();
        Random random(2);
        std::vector<Real> X(static_cast<std::size_t>(200 * inputs));
        for (Real& x : X) x = random.number();
        std::vector<std::int64_t> labels(390), order(390);
        std::vector<Real> weights(390);
        std::vector<double> found;
        for (int step = 0; step < steps; ++step) {
            const Index size = sizes[static_cast<std::size_t>(step) % std::size(sizes)];
            for (Index n = 0; n < size; ++n) {
                const auto at = static_cast<std::size_t>(n);
                order[at] = static_cast<std::int64_t>(random.bits() % 200);
                labels[at] = static_cast<std::int64_t>(order[at] % outputs_);
                weights[at] = static_cast<Real>(n % 3);
            }
            Targets<Real> targets;
            targets.labels = labels.data();
            if (step % 2 == 0) targets.weight = weights.data();
            found.push_back(network_->step({X.data(), inputs, size, order.data()}, targets, 0.01));
        }
        std::vector<Real> Y(static_cast<std::size_t>(200 * outputs_));
        network_->forward({X.data(), inputs, 200, nullptr}, false, true, Matrix<Real>(Y.data(), 200, outputs_));
        found.insert(found.end(), Y.begin(), Y.end());
        return found;
    }

    /// The loss of a step with so many samples, the first number of sample `bad` not being one; NaN if it is refused.
    double step(Index size, Index bad = -1) {
        Random random(4);
        std::vector<Real> X(static_cast<std::size_t>(size * network_->inputs()));
        for (Real& x : X) x = random.number();
        if (bad >= 0) X[static_cast<std::size_t>(bad * network_->inputs())] = Real(NAN);
        std::vector<std::int64_t> labels(static_cast<std::size_t>(size));
        for (std::int64_t& label : labels) label = static_cast<std::int64_t>(random.bits()) % outputs_;
        Targets<Real> targets;
        targets.labels = labels.data();
        try {
            return network_->step({X.data(), network_->inputs(), size, nullptr}, targets, 0.01);
        } catch (const NotFinite&) {
            return NAN;
        }
    }

    /// Let whole batches go through the network at once.
    void trace(bool on) { network_->trace(on); }

    /// Move the weights of a sparse layer to other places.
    void rewire(std::size_t number) {
        Random random(3);
        Layer<Real>& layer = network_->layers().at(number);
        support(layer, layer.support.density(), random);
    }

    std::vector<std::vector<Real>> arrays() const { return arrays_; }

private:
    Real* array(Index size) {
        arrays_.emplace_back(static_cast<std::size_t>(size));
        return arrays_.back().data();
    }

    void parameter(Parameter<Real>& parameter, const char* name, Index size, Index states) {
        parameter.name = name;
        parameter.value = array(size);
        parameter.size = size;
        for (Index s = 0; s < states; ++s) parameter.states[static_cast<std::size_t>(s)] = array(size);
    }

    /// As many weights in every row, at places that change from row to row; one row has none.
    Index support(Layer<Real>& layer, double density, Random& random) {
        auto& [start, columns] = supports_.emplace_back();
        const auto each = static_cast<Index>(density * static_cast<double>(layer.inputs) + 0.5);
        start.push_back(0);
        for (Index row = 0; row < layer.outputs; ++row) {
            const auto first = static_cast<Index>(random.bits() % static_cast<std::uint32_t>(layer.inputs / each));
            for (Index k = 0; k < each && row != 1; ++k) {
                columns.push_back(static_cast<std::int32_t>((first + k * (layer.inputs / each)) % layer.inputs));
            }
            start.push_back(static_cast<std::int32_t>(columns.size()));
        }
        layer.sparse = true;
        layer.support = Support(layer.outputs, layer.inputs, start.data(), columns.data(), layer.number > 1);
        return static_cast<Index>(columns.size());
    }

    Index outputs_;
    std::int64_t steps_ = 0;
    std::vector<std::vector<Real>> arrays_;
    std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>> supports_;
    std::unique_ptr<Network<Real>> network_;
};

const Plan plans[] = {
    {"dense", 96, {{128}, {64}, {10}}},
    {"dense, gradient descent", 96, {{128}, {64}, {10}}, "gradient_descent"},
    {"dense with all stages", 96, {{128, 1, "gelu", true, 0.2}, {64, 1, "softmax", false, 0.5}, {10}}, "momentum"},
    {"dense, clipped", 96, {{128}, {64}, {10}}, "adam", 0.1},
    {"sparse", 512, {{512, 0.25 / 4}, {256, 0.125}, {10, 0.25}}},
    {"very sparse", 2048, {{2048, 0.004}, {1024, 0.002}, {10, 0.1}}},
    {"mostly sparse", 512, {{512, 0.05, "softmax", false, 0.2}, {128, 0.1, "gelu"}, {64, 0.6}, {10}}, "adam", 0.5},
    {"sparse and dense", 256, {{256, 0.1, "relu", true, 0.1}, {256}, {128, 0.5}, {10}}, "gradient_descent"},
};

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0 : INFINITY;
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
        const double off = std::abs(a[i] - b[i]) / (1 + std::abs(a[i]));
        if (!(off <= most)) most = off;
    }
    return most;
}

int steps = 9;  // as many as there are sizes of batches, and two more

void results_of_threads_agree(const Plan& plan) {
    const std::vector<double> alone = Trained(plan, 1).train(steps);
    claim(alone.front() > 1 && std::isfinite(alone.back()), std::string(plan.what) + ": a loss is a loss");
    for (int threads = 1; threads <= 4; ++threads) {
        const std::string what = std::string(plan.what) + ", " + std::to_string(threads) + " threads";
        Trained first(plan, threads), second(plan, threads);
        const std::vector<double> once = first.train(steps), again = second.train(steps);
        claim(same_bits(once, again), what + ": a run repeats bit by bit");
        claim(first.arrays() == second.arrays(), what + ": so do all weights and states");
        claim(distance(once, alone) < 2e-3, what + ": as one thread, to rounding");
    }
}

void batches_in_parts_are_batches() {
    for (const Plan* plan : {&plans[4], &plans[6]}) {
        for (int threads : {1, 2}) {
            Trained parts(*plan, threads), whole(*plan, threads);
            whole.trace(true);
            claim(distance(parts.train(steps), whole.train(steps)) < 1e-4,
                  std::string(plan->what) + ": a batch in parts trains as one at once, to rounding");
        }
    }
}

void a_refused_step_leaves_nothing_behind() {
    constexpr Index size = 390;  // parts of 97, 98, 97 and 98 samples
    for (const Plan* plan : {&plans[0], &plans[4], &plans[6]}) {
        for (Index bad : {97 + 97, 389}) {
            Trained net(*plan, 2), other(*plan, 2);
            const std::string what = std::string(plan->what) + ", sample " + std::to_string(bad);
            claim(std::isnan(net.step(size, bad)), what + ": a step with NaN is refused");
            claim(net.arrays() == other.arrays(), what + ": it changes no weight and no state");
            claim(net.step(size) == other.step(size), what + ": the next step is as if it had not been");
            claim(net.arrays() == other.arrays(), what + ": and its weights are, too");
        }
    }
}

void moved_weights_train() {
    for (int threads : {1, 3}) {
        Trained net(plans[4], threads), other(plans[4], threads);
        for (Trained* own : {&net, &other}) {
            own->train(3);
            own->rewire(1);
        }
        claim(same_bits(net.train(3), other.train(3)), "after moving weights a run repeats bit by bit");
    }
}

void networks_in_threads_do_not_meet() {
    std::vector<double> expected[2], found[2];
    for (int i : {0, 1}) expected[i] = Trained(plans[i == 0 ? 0 : 4], 2).train(steps);
    std::vector<std::thread> threads;
    for (int i : {0, 1}) threads.emplace_back([&, i] { found[i] = Trained(plans[i == 0 ? 0 : 4], 2).train(steps); });
    for (std::thread& thread : threads) thread.join();
    for (int i : {0, 1}) claim(same_bits(found[i], expected[i]), "two networks at once are as one after the other");
}

void a_forked_child_trains() {
#if defined(__unix__)
    for (const Plan* plan : {&plans[0], &plans[4]}) {
        const std::vector<double> expected = Trained(*plan, 1).train(steps);
        Trained inherited(*plan, 3);
        inherited.train(2);
        std::fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            inherited.train(2);
            const bool right = same_bits(Trained(*plan, 3).train(steps), expected);
            _exit(right ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        claim(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child trains, on one thread");
        inherited.train(2);
    }
#endif
}

}  // namespace

int main(int count, char** given) {
    if (count > 1) steps = std::atoi(given[1]);
    for (const Plan& plan : plans) results_of_threads_agree(plan);
    batches_in_parts_are_batches();
    a_refused_step_leaves_nothing_behind();
    moved_weights_train();
    networks_in_threads_do_not_meet();
    a_forked_child_trains();
    if (failures == 0) std::printf("all claims about the engine hold\n");
    return failures == 0 ? 0 : 1;
}
