// How far the elementary functions of gradwright/math.hpp are from the truth, in units in the last place.
//
// float: every one of the 2^32 arguments, against the C library's double functions.  double: some hundred
// thousand arguments, against its long double functions.  Exits with 1 if an error is larger than promised.
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

#include "gradwright/math.hpp"
#include "gradwright/parallel.hpp"
#include "gradwright/reduce.hpp"

namespace {

using gradwright::Index;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double tiny = 0x1p-12;  // below, a short Taylor series is exact enough as a reference
constexpr double root_half = 0.70710678118654752, two_over_root_pi = 1.1283791670955126;

// Each function: ours, the truth in a wider type, and the truth for |x| < tiny.

struct Exp {
    template <class T> static T ours(T x) { return gradwright::math::exp(x); }
    template <class T> static T truth(T x) { return std::exp(x); }
    static double series(double x) { return 1 + x * (1 + x / 2 * (1 + x / 3)); }
};
struct Log {
    template <class T> static T ours(T x) { return gradwright::math::log(x); }
    template <class T> static T truth(T x) { return std::log(x); }
    static double series(double x) { return std::log(x); }
};
struct Tanh {
    template <class T> static T ours(T x) { return gradwright::math::tanh(x); }
    template <class T> static T truth(T x) { return std::tanh(x); }
    static double series(double x) { return x - x * x * x / 3; }
};
struct Erf {
    template <class T> static T ours(T x) { return gradwright::math::erf(x); }
    template <class T> static T truth(T x) { return std::erf(x); }
    static double series(double x) { return two_over_root_pi * (x - x * x * x / 3); }
};
struct Sigmoid {
    template <class T> static T ours(T x) { return gradwright::math::sigmoid(x); }
    template <class T> static T truth(T x) {
        const T e = std::exp(-std::abs(x));
        return (x < 0 ? e : T(1)) / (T(1) + e);
    }
    static double series(double x) { return 0.5 + x / 4 - x * x * x / 48; }
};
struct Expm1 {
    template <class T> static T ours(T x) { return gradwright::math::expm1(x); }
    template <class T> static T truth(T x) { return std::expm1(x); }
    static double series(double x) { return x * (1 + x / 2 * (1 + x / 3)); }
};
struct Log1p {
    template <class T> static T ours(T x) { return gradwright::math::log1p(x); }
    template <class T> static T truth(T x) { return std::log1p(x); }
    static double series(double x) { return x * (1 - x * (0.5 - x * (1.0 / 3 - x / 4))); }
};
struct Softplus {
    template <class T> static T ours(T x) { return gradwright::math::softplus(x); }
    template <class T> static T truth(T x) {
        if (x > 100) return x;
        const T rest = std::log1p(std::exp(-std::abs(x)));
        return x > 0 ? x + rest : rest;
    }
    static double series(double x) { return 0.69314718055994531 + x * (0.5 + x / 8); }
};
struct Erfc {
    template <class T> static T ours(T x) { return gradwright::math::erfc(x); }
    template <class T> static T truth(T x) { return std::erfc(x); }
    static double series(double x) { return 1 - Erf::series(x); }
};
struct NormalCdf {
    template <class T> static T ours(T x) { return gradwright::math::normal_cdf(x); }
    template <class T> static T truth(T x) { return std::erfc(-x * T(0.707106781186547524400844362104849039L)) / 2; }
    static double series(double x) { return 0.5 + Erf::series(root_half * x) / 2; }
};
struct NormalPdf {
    template <class T> static T ours(T x) { return gradwright::math::normal_pdf(x); }
    template <class T> static T truth(T x) {
        return T(0.398942280401432677939946059934381868L) * std::exp(-x * x / 2);
    }
    static double series(double x) { return 0.3989422804014327 * (1 - x * x / 2); }
};

struct Worst {
    double error = 0;  // units in the last place
    double argument = 0;
};

/// The distance of value from truth in units in the last place of the truth; infinite if only one is NaN.
template <class Value, class Truth>
double error_in_ulp(Value value, Truth truth) {
    using Limits = std::numeric_limits<Value>;
    if (std::isnan(truth) || std::isnan(value)) return std::isnan(truth) && std::isnan(value) ? 0.0 : infinity;
    const Truth overflow = std::ldexp(Truth(1), Limits::max_exponent);  // what infinity stands for
    const Truth clamped = std::clamp(truth, -overflow, overflow);
    const Truth given = std::clamp(Truth(value), -overflow, overflow);
    if (given == clamped) return 0.0;
    const int exponent = clamped == 0 ? Limits::min_exponent : std::ilogb(clamped) + 1;
    const int last = std::clamp(exponent, Limits::min_exponent, Limits::max_exponent) - Limits::digits;
    return static_cast<double>(std::ldexp(std::abs(given - clamped), -last));
}

/// Float units in the last place of a normal x: 2^(23 - exponent)
double units(double x) {
    std::uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits = (std::uint64_t(2 * 1023 + 23) << 52U) - (bits & 0x7ff0000000000000U);
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// A block is a run of consecutive bit patterns: one sign, one exponent, so that the truth is monotone in it.
constexpr Index block_size = 1 << 12;
constexpr Index blocks = (Index(1) << 32) / block_size;

struct Block {
    float x[block_size], y[block_size];
    double truth[block_size];
};

template <class Function>
void fill(Block& block, Index number) {
    float* x = block.x;
    float* y = block.y;
    double* truth = block.truth;
    const auto start = static_cast<std::uint32_t>(number * block_size);
    GRADWRIGHT_VECTORIZE
    for (Index i = 0; i < block_size; ++i) x[i] = gradwright::math::detail::from_bits(start + static_cast<std::uint32_t>(i));
    GRADWRIGHT_VECTORIZE
    for (Index i = 0; i < block_size; ++i) y[i] = Function::ours(x[i]);
    const double first = Function::truth(double(x[0])), last = Function::truth(double(x[block_size - 1]));
    if (std::abs(x[block_size - 1]) < tiny) {
        GRADWRIGHT_VECTORIZE
        for (Index i = 0; i < block_size; ++i) truth[i] = Function::series(x[i]);
    } else if ((first == last && std::isfinite(x[block_size - 1])) || (std::isnan(first) && std::isnan(last))) {
        std::fill_n(truth, block_size, first);
    } else {
        for (Index i = 0; i < block_size; ++i) truth[i] = Function::truth(double(x[i]));
    }
}

void compare(const Block& block, Worst& worst) {
    const float* y = block.y;
    const double* truth = block.truth;
    const double first = std::abs(truth[0]), last = std::abs(truth[block_size - 1]);
    if (std::min(first, last) >= 0x1p-126 && std::max(first, last) < 0x1p127) {
        const double error = gradwright::largest<double>(block_size, [=](Index i) {
            const double distance = std::abs(y[i] - truth[i]);
            return distance <= 0x1p200 ? distance * units(truth[i]) : infinity;  // a NaN must not go unseen
        });
        if (error <= worst.error) return;
    } else if (first == last || (std::isnan(first) && std::isnan(last))) {
        const double right = gradwright::sum<double>(block_size, [=](Index i) {
            return y[i] == truth[i] || (y[i] != y[i] && truth[i] != truth[i]) ? 1.0 : 0.0;
        });
        if (right == block_size) return;
    }
    for (Index i = 0; i < block_size; ++i) {
        const double error = error_in_ulp(y[i], truth[i]);
        if (error > worst.error) worst = {error, block.x[i]};
    }
}

template <class Function>
Worst worst_float() {
    Worst worst[gradwright::max_chunks];
    gradwright::parallel_chunks(blocks, block_size, [&](Index chunk, Index first, Index last) {
        static thread_local Block block;
        for (Index turn = first; turn < last; ++turn) {
            fill<Function>(block, turn * 648391 % blocks);  // every thread gets easy and hard ones
            compare(block, worst[chunk]);
        }
    });
    return *std::max_element(std::begin(worst), std::end(worst), [](Worst a, Worst b) { return a.error < b.error; });
}

template <class Function>
Worst worst_double(double low, double high) {
    constexpr int samples = 300'000;
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> uniform(low, high), exponent(-1000.0, 10.0);
    Worst worst;
    const auto try_argument = [&](double x) {
        const double error = error_in_ulp(Function::ours(x), Function::truth(static_cast<long double>(x)));
        if (error > worst.error) worst = {error, x};
    };
    for (int i = 0; i < samples; ++i) {
        try_argument(uniform(random));
        const double magnitude = std::exp2(exponent(random) * (i % 2 == 0 ? 1.0 : 0.01));
        try_argument(std::clamp(i % 3 == 0 ? -magnitude : magnitude, low, high));
    }
    for (double x : {0.0, -0.0, low, high}) try_argument(x);
    return worst;
}

/// One line of the table.  `low` and `high` bound the arguments for double.
template <class Function>
bool report(const char* name, double promised, double promised_double, double low, double high) {
    const Worst single = worst_float<Function>(), twice = worst_double<Function>(low, high);
    const bool kept = single.error <= promised && twice.error <= promised_double;
    std::printf("%-12s %10.3f %5.1f %17.9g %12.3f %5.1f %24.17g  %s\n", name, single.error, promised, single.argument,
                twice.error, promised_double, twice.argument, kept ? "" : "larger than promised");
    std::fflush(stdout);
    return kept;
}

}  // namespace

int main() {
    std::printf("%-12s %34s %43s\n", "", "float32, every argument", "float64, sampled");
    std::printf("%-12s %10s %5s %17s %12s %5s %24s\n", "function", "error, ULP", "limit", "at", "error, ULP", "limit", "at");
    bool kept = true;
    kept &= report<Exp>("exp", 2, 1, -745, 709);
    kept &= report<Log>("log", 2, 1, 1e-300, 1e6);
    kept &= report<Tanh>("tanh", 2, 3, -20, 20);
    kept &= report<Erf>("erf", 2, 2, -6, 6);
    kept &= report<Sigmoid>("sigmoid", 2, 1, -740, 40);
    kept &= report<Expm1>("expm1", 2, 2, -40, 709);
    kept &= report<Log1p>("log1p", 2, 2, -0.999999, 1e6);
    kept &= report<Softplus>("softplus", 2, 2, -740, 40);
    kept &= report<Erfc>("erfc", 7, 6, -6, 26);
    kept &= report<NormalCdf>("normal_cdf", 6, 6, -37, 9);
    kept &= report<NormalPdf>("normal_pdf", 2, 4, -37, 37);
    return kept ? 0 : 1;
}
