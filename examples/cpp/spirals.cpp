// A two-layer network learns three spirals in the plane, with the generated headers alone:
//
//     g++ -std=c++17 -O3 -Icpp/include -Igenerated/cpp examples/cpp/spirals.cpp -o spirals
//
// `gradwright include-dir` prints the -I folders of an installed package. Faster kernels:
// -march=native -fno-math-errno -fno-trapping-math, and -fopenmp for threads.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "linear.hpp"
#include "relu.hpp"
#include "softmax_cross_entropy_normalised.hpp"

namespace {

using namespace gradwright;
namespace loss = softmax_cross_entropy_normalised;

constexpr Index samples = 300, inputs = 2, hidden = 64, classes = 3;

/// A matrix with memory of its own; kernels see it through a view.
struct Array {
    Index rows, cols;
    std::vector<float> values;

    Array(Index rows, Index cols)
        : rows(rows), cols(cols), values(std::size_t(rows * cols)) {}
    Matrix<float> matrix() { return {values.data(), rows, cols}; }
    Vector<float> vector() { return {values.data(), rows * cols}; }
};

/// A dense layer: its parameters and their gradients.
struct Dense {
    Array W, b, DW, Db;

    Dense(Index from, Index to, std::mt19937& random)
        : W(to, from), b(1, to), DW(to, from), Db(1, to) {
        std::normal_distribution<float> normal(0, std::sqrt(2.0F / float(from)));  // He
        for (float& w : W.values) w = normal(random);
    }

    void descend(float rate) {
        for (std::size_t i = 0; i < W.values.size(); ++i) W.values[i] -= rate * DW.values[i];
        for (std::size_t i = 0; i < b.values.size(); ++i) b.values[i] -= rate * Db.values[i];
    }
};

void make_spirals(Array& X, std::vector<std::int64_t>& labels, std::mt19937& random) {
    std::normal_distribution<float> noise(0, 0.1F);
    for (Index n = 0; n < samples; ++n) {
        labels[std::size_t(n)] = n % classes;
        const float t = float(n / classes) / float(samples / classes);
        const float angle = 4 * t + 2.1F * float(n % classes) + noise(random);
        X.matrix()(n, 0) = t * std::sin(angle);
        X.matrix()(n, 1) = t * std::cos(angle);
    }
}

}  // namespace

int main() {
    std::mt19937 random(1);
    Array X(samples, inputs);
    std::vector<std::int64_t> labels(samples);
    make_spirals(X, labels, random);

    Dense first(inputs, hidden, random), second(hidden, classes, random);
    Array A(samples, hidden), H(samples, hidden), Z(samples, classes);
    Array DZ(samples, classes), DH(samples, hidden), DA(samples, hidden), DX(samples, inputs);
    std::vector<double> log_sum(samples);
    const OneHot<float> T{labels.data(), samples, classes};
    const float scale = 1.0F / samples;

    for (int step = 0; step <= 1000; ++step) {
        float L = 0;
        linear::forward<float>(X.matrix(), first.W.matrix(), first.b.vector(), A.matrix());
        relu::forward<float>(A.matrix(), H.matrix());
        linear::forward<float>(H.matrix(), second.W.matrix(), second.b.vector(), Z.matrix());
        loss::forward<float>(Z.matrix(), T, scale, L, Vector<double>(log_sum.data(), samples));
        if (step % 200 == 0) std::printf("step %4d   loss %.4f\n", step, double(L));

        loss::backward<float>(1, Z.matrix(), T, Vector<double>(log_sum.data(), samples), scale,
                              DZ.matrix());
        linear::backward<float>(DZ.matrix(), H.matrix(), second.W.matrix(), DH.matrix(),
                                second.DW.matrix(), second.Db.vector());
        relu::backward<float>(DH.matrix(), A.matrix(), DA.matrix());
        linear::backward<float>(DA.matrix(), X.matrix(), first.W.matrix(), DX.matrix(),
                                first.DW.matrix(), first.Db.vector());
        first.descend(1.0F);
        second.descend(1.0F);
    }
}
