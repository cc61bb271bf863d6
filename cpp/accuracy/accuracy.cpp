// How far the elementary functions of gradwright/math.hpp are from the truth, in units in the last place.
//
// float: every one of the 2^32 arguments, against the C library's double functions.  double: a few million
// arguments, against its long double functions.  Exits with 1 if an error is larger than promised.
//
//     g++ -std=c++17 -O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp -Icpp/include
//         cpp/accuracy/accuracy.cpp -o accuracy && ./accuracy
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "gradwright/math.hpp"
#include "gradwright/parallel.hpp"

namespace {

using gradwright::Index;

constexpr Index block_size = 1 << 16;  // consecutive bit patterns: one sign, one exponent
constexpr Index blocks = Index(1) << 16;
constexpr double tiny = 1.0 / (1 << 12);  // below, a short Taylor series is exact enough as a reference

struct Worst {
    double error = 0;  // units in the last place
    double argument = 0;
};

struct Function {
    const char* name;
    void (*evaluate)(const float* x, float* y);
    double (*evaluate_double)(double x);
    long double (*truth)(long double x);
    double (*reference)(double x);  // the same in double; monotone between powers of two
    double (*series)(double x);     // for |x| < tiny
    double promised;         // float, units in the last place
    double promised_double;  // the same for double
    double low, high;        // where double is sampled
};

/// The distance of value from truth in units in the last place of the truth; infinite if only one is NaN.
template <class Value, class Truth>
double error_in_ulp(Value value, Truth truth) {
    using Limits = std::numeric_limits<Value>;
    if (std::isnan(truth) || std::isnan(value)) {
        return std::isnan(truth) && std::isnan(value) ? 0.0 : std::numeric_limits<double>::infinity();
    }
    const Truth overflow = std::ldexp(Truth(1), Limits::max_exponent);  // what infinity stands for
    const Truth clamped = std::clamp(truth, -overflow, overflow);
    const Truth given = std::isinf(value) ? std::copysign(overflow, Truth(value)) : Truth(value);
    if (given == clamped) return 0.0;
    const int exponent = clamped == 0 ? Limits::min_exponent : std::ilogb(clamped) + 1;
    const int last = std::max(std::min(exponent, Limits::max_exponent), Limits::min_exponent) - Limits::digits;
    return static_cast<double>(std::ldexp(std::abs(given - clamped), -last));
}

void reference_block(const Function& function, const float* x, double* truth) {
    const double first = function.reference(x[0]), last = function.reference(x[block_size - 1]);
    if (std::abs(x[0]) < tiny && std::abs(x[block_size - 1]) < tiny) {
        for (Index i = 0; i < block_size; ++i) truth[i] = function.series(x[i]);
    } else if (first == last && std::abs(x[block_size - 1]) <= std::numeric_limits<float>::max()) {
        std::fill_n(truth, block_size, first);
    } else {
        for (Index i = 0; i < block_size; ++i) truth[i] = function.reference(x[i]);
    }
}

void compare_block(const float* x, const float* y, const double* truth, Worst& worst) {
    // Without branches for the usual block of normal numbers: 2^(23 - exponent of the truth) from its bits.
    double largest = 0, smallest_truth = 1, largest_truth = 1;
    for (Index i = 0; i < block_size; ++i) {
        std::uint64_t bits;
        std::memcpy(&bits, &truth[i], sizeof bits);
        bits = (std::uint64_t(2 * 1023 + 23) << 52U) - (bits & 0x7ff0000000000000U);
        double per_unit;
        std::memcpy(&per_unit, &bits, sizeof per_unit);
        const double error = std::abs(y[i] - truth[i]) * per_unit, size = std::abs(truth[i]);
        largest = error > largest ? error : largest;
        smallest_truth = size < smallest_truth ? size : smallest_truth;
        largest_truth = size < largest_truth ? largest_truth : size;  // also a NaN
    }
    const bool usual = smallest_truth >= 0x1p-126 && largest_truth < 0x1p127;
    if (usual && largest <= worst.error) return;
    for (Index i = 0; i < block_size; ++i) {
        const double error = error_in_ulp(y[i], truth[i]);
        if (error > worst.error) worst = {error, x[i]};
    }
}

Worst worst_float(const Function& function) {
    std::vector<Worst> worst(gradwright::max_chunks);
    gradwright::parallel_chunks(blocks, block_size, [&](Index chunk, Index first, Index last) {
        std::vector<float> x(block_size), y(block_size);
        std::vector<double> truth(block_size);
        for (Index turn = first; turn < last; ++turn) {
            const Index block = turn * 40503 % blocks;  // every thread gets easy and hard ones
            for (Index i = 0; i < block_size; ++i) {
                const auto bits = static_cast<std::uint32_t>(block * block_size + i);
                std::memcpy(&x[static_cast<std::size_t>(i)], &bits, sizeof bits);
            }
            function.evaluate(x.data(), y.data());
            reference_block(function, x.data(), truth.data());
            compare_block(x.data(), y.data(), truth.data(), worst[static_cast<std::size_t>(chunk)]);
        }
    });
    return *std::max_element(worst.begin(), worst.end(), [](Worst a, Worst b) { return a.error < b.error; });
}

Worst worst_double(const Function& function) {
    constexpr int samples = 400'000;
    std::mt19937_64 random(1);
    Worst worst;
    const auto try_argument = [&](double x) {
        const double error = error_in_ulp(function.evaluate_double(x), function.truth(x));
        if (error > worst.error) worst = {error, x};
    };
    std::uniform_real_distribution<double> uniform(function.low, function.high), exponent(-1000.0, 10.0);
    for (int i = 0; i < samples; ++i) {
        try_argument(uniform(random));
        const double magnitude = std::exp2(exponent(random) * (i % 2 == 0 ? 1.0 : 0.01));
        try_argument(std::clamp(i % 3 == 0 ? -magnitude : magnitude, function.low, function.high));
    }
    for (double x : {0.0, -0.0, function.low, function.high}) try_argument(x);
    return worst;
}

template <float (*f)(float)>
void evaluate(const float* x, float* y) {
    GRADWRIGHT_VECTORIZE
    for (Index i = 0; i < block_size; ++i) y[i] = f(x[i]);
}

template <class T>
T sigmoid(T x) {
    const T e = std::exp(-std::abs(x));
    return (x < 0 ? e : T(1)) / (T(1) + e);
}

template <class T>
T softplus(T x) {
    const T rest = std::log1p(std::exp(-std::abs(x)));
    return x > 0 ? x + rest : rest;
}

template <class T>
T normal_cdf(T x) {
    return std::erfc(-x * T(0.707106781186547524400844362104849039L)) / 2;
}

template <class T>
T normal_pdf(T x) {
    return T(0.398942280401432677939946059934381868L) * std::exp(-x * x / 2);
}

template <class T>
constexpr T two_over_root_pi = T(1.12837916709551257389615890312154517L);

// Names of gradwright here, of std in the references; T is double or long double.
#define GRADWRIGHT_FUNCTION(name, reference)                                        \
    #name, evaluate<gradwright::name>, [](double x) { return gradwright::name(x); }, \
        [](long double x) -> long double { return reference(x); }, [](double x) -> double { return reference(x); }

const Function functions[] = {
    {GRADWRIGHT_FUNCTION(exp, std::exp), [](double x) { return 1 + x * (1 + x / 2 * (1 + x / 3)); }, 2, 1, -745, 709},
    {GRADWRIGHT_FUNCTION(log, std::log), [](double x) { return std::log(x); }, 2, 1, 1e-300, 1e6},
    {GRADWRIGHT_FUNCTION(tanh, std::tanh), [](double x) { return x - x * x * x / 3; }, 2, 3, -20, 20},
    {GRADWRIGHT_FUNCTION(erf, std::erf), [](double x) { return two_over_root_pi<double> * (x - x * x * x / 3); }, 2, 2, -6, 6},
    {GRADWRIGHT_FUNCTION(sigmoid, sigmoid), [](double x) { return 0.5 + x / 4 - x * x * x / 48; }, 2, 2, -740, 40},
    {GRADWRIGHT_FUNCTION(expm1, std::expm1), [](double x) { return x * (1 + x / 2 * (1 + x / 3)); }, 2, 2, -40, 709},
    {GRADWRIGHT_FUNCTION(log1p, std::log1p), [](double x) { return x * (1 - x * (0.5 - x * (1.0 / 3 - x / 4))); }, 2, 2, -0.999999, 1e6},
    {GRADWRIGHT_FUNCTION(softplus, softplus), [](double x) { return 0.69314718055994531 + x * (0.5 + x / 8); }, 2, 3, -740, 40},
    {GRADWRIGHT_FUNCTION(erfc, std::erfc), [](double x) { return 1 - two_over_root_pi<double> * (x - x * x * x / 3); }, 6, 6, -6, 26},
    {GRADWRIGHT_FUNCTION(normal_cdf, normal_cdf), [](double x) { return 0.5 + two_over_root_pi<double> / 2.8284271247461903 * (x - x * x * x / 6); }, 6, 6, -37, 9},
    {GRADWRIGHT_FUNCTION(normal_pdf, normal_pdf), [](double x) { return 0.3989422804014327 * (1 - x * x / 2); }, 2, 3, -5, 5},
};

}  // namespace

int main() {
    std::printf("%-12s %32s %36s\n", "", "float32, every argument", "float64, sampled");
    std::printf("%-12s %12s %19s %13s %22s\n", "function", "error, ULP", "at", "error, ULP", "at");
    bool kept = true;
    for (const Function& function : functions) {
        const Worst single = worst_float(function), twice = worst_double(function);
        const bool good = single.error <= function.promised && twice.error <= function.promised_double;
        std::printf("%-12s %12.3f %19.9g %13.3f %22.17g  %s\n", function.name, single.error, single.argument,
                    twice.error, twice.argument, good ? "" : "larger than promised");
        std::fflush(stdout);
        kept = kept && good;
    }
    return kept ? 0 : 1;
}
