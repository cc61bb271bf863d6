// Elementary functions for kernels, overloaded for float and double.
//
// float: branch-free code that compilers turn into vector instructions inside a loop; largest errors,
// over every float, are printed by accuracy/accuracy.cpp.  Nothing relies on -ffast-math; the
// coefficients come from fit_coefficients.py.
// double: the C library, or compositions of it; sigmoid has an exponential of its own, with more digits.
//
// The exact limits hold: exp(-inf) = 0, tanh(+-inf) = +-1, log(0) = -inf ...; NaN gives NaN.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#define GRADWRIGHT_INLINE [[gnu::always_inline]] inline

namespace gradwright::math {

namespace detail {

inline constexpr float infinity = std::numeric_limits<float>::infinity();

GRADWRIGHT_INLINE std::uint32_t bits(float x) {
    std::uint32_t b;
    std::memcpy(&b, &x, sizeof b);
    return b;
}

GRADWRIGHT_INLINE float from_bits(std::uint32_t b) {
    float x;
    std::memcpy(&x, &b, sizeof x);
    return x;
}

/// A constant that compilers do not recognise as one: of an argument limited to a known constant they
/// would evaluate both cases and blend after every operation.
inline std::uint32_t no_bits = 0;  // never written
GRADWRIGHT_INLINE float unfolded(float constant) { return from_bits(bits(constant) | no_bits); }

/// c[0] + c[1] x + c[2] x^2 + ... by Horner's rule.
template <class T, int count>
GRADWRIGHT_INLINE T polynomial(T x, const T (&c)[count]) {
    T value = c[count - 1];
    for (int i = count - 2; i >= 0; --i) value = c[i] + x * value;
    return value;
}

// log 2 = upper + lower; the upper part times a small integer is exact.
inline constexpr float log2_upper = 0.693359375F, log2_lower = -2.12194440e-4F;

/// The integer n nearest to x / log 2, and scale = 2^(n + shift), for |x| < 2^21.
struct Split {
    float n, scale;
};

template <int shift>
GRADWRIGHT_INLINE Split nearest_power(float x) {
    // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits; the rest becomes the exponent.
    constexpr float round = 12582912.0F + 127 + shift;
    const float sum = x * 1.44269504F + round;
    return {sum - round, from_bits(bits(sum) << 23U)};
}

/// x = n log 2 + r with |r| <= log(2) / 2, and scale = 2^(n + shift), for |x| < 2^21.
struct Reduced {
    float r, scale;
};

template <int shift = 0>
GRADWRIGHT_INLINE Reduced reduce(float x) {
    const Split split = nearest_power<shift>(x);
    return {(x - split.n * log2_upper) - split.n * log2_lower, split.scale};
}

/// exp(r) - 1 for |r| <= log(2) / 2
GRADWRIGHT_INLINE float expm1_reduced(float r) {
    const float p = polynomial(r, {0.5F, 0.166665211F, 0.0416663885F, 0.00836868025F, 0.00139418687F});
    return r + r * r * p;
}

// Results that may be subnormal are computed 2^64 times too large and scaled down by `unit` at the end.
inline constexpr int margin = 64;
inline constexpr float unit = 5.42101086e-20F;  // 2^-64

/// exp(x) for -104 <= x <= 0; anything below
GRADWRIGHT_INLINE float exp_in_range(float x) {
    const Reduced reduced = reduce<margin>(x);
    return (unit + unit * expm1_reduced(reduced.r)) * reduced.scale;
}

/// log(1 + f) + e log 2 for 1 + f in [sqrt(1/2), sqrt(2)]
GRADWRIGHT_INLINE float log_reduced(float f, float e) {
    const float p = polynomial(f, {0.333333105F, -0.249999866F, 0.20002225F, -0.16669251F, 0.142186746F,
                               -0.123843417F, 0.118729092F, -0.117898889F, 0.0691556782F});
    const float square = f * f;
    return (((square * f * p + e * log2_lower) - 0.5F * square) + f) + e * log2_upper;
}

/// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for normal x > 0
struct Normalised {
    std::int32_t e;
    float f;
};

GRADWRIGHT_INLINE Normalised normalise(float x) {
    constexpr std::uint32_t sqrt_half = 0x3f3504f3U;
    const std::uint32_t offset = bits(x) - sqrt_half;
    return {static_cast<std::int32_t>(offset) >> 23, from_bits((offset & 0x7fffffU) + sqrt_half) - 1.0F};
}

/// log(1 + x) for 0 <= x <= 1
GRADWRIGHT_INLINE float log1p_of_fraction(float x) {
    const bool upper = x > 0.41421356F;
    return log_reduced(upper ? 0.5F * x - 0.5F : x, upper ? 1.0F : 0.0F);
}

/// The value of log(x), or what it is where x is infinite, NaN, 0 or negative.
GRADWRIGHT_INLINE float with_limits_of_log(float value, float x) {
    const float beyond = x - std::numeric_limits<float>::max();  // at most 0 for finite x
    value = value > beyond ? value : beyond;
    const auto sign = static_cast<std::int32_t>(bits(x + 0.0F)) >> 31;  // all ones for x < 0
    const float below = from_bits(bits(-infinity) | static_cast<std::uint32_t>(sign));
    return x <= 0.0F ? below : value;
}

/// log(1 + x) for finite x > -1, given u = 1 + x rounded and what rounding lost, (1 + x) - u
GRADWRIGHT_INLINE float log1p_compensated(float u, float lost) {
    const Normalised normal = normalise(u);
    const std::int32_t e = normal.e < 126 ? normal.e : 126;
    const float f = normal.f + lost * from_bits(static_cast<std::uint32_t>(127 - e) << 23U);
    return log_reduced(f, static_cast<float>(normal.e));
}

/// exp(-scale x^2) = (1 + t) unit 2^n for |x| < 15, where power = 2^n
struct Gaussian {
    float t, power;
};

GRADWRIGHT_INLINE Gaussian gaussian(float x, float scale) {
    // x^2 needs more digits than one float holds.
#if defined(__FMA__)
    const float scaled = -scale * x;
    const Split split = nearest_power<margin>(scaled * x);
    const float upper = std::fma(scaled, x, -(split.n * log2_upper));
    return {expm1_reduced(upper - split.n * log2_lower), split.scale};
#else
    const float upper = from_bits(bits(x) & 0xfffff000U);  // squares exactly
    const float square = upper * upper, lost = (x - upper) * (x + upper);
    const Reduced reduced = reduce<margin>(-scale * square);
    return {expm1_reduced(reduced.r - scale * lost), reduced.scale};
#endif
}

/// factor exp(-scale x^2) normal_cdf(-y) exp(y^2 / 2) for y >= 0
GRADWRIGHT_INLINE float gaussian_tail(Gaussian gaussian, float y, float factor) {
    const float above = polynomial(y, {factor * 0.503875017F, factor * 0.441493452F, factor * 0.184508428F,
                                       factor * 0.0408986807F, factor * 0.00414087903F});
    const float below = polynomial(y, {1.00775003F, 1.68705547F, 1.21121264F, 0.472721547F, 0.102524355F,
                                       0.0103795221F});
    return (above + above * gaussian.t) / below * gaussian.power;
}

}  // namespace detail

// ---- float ---------------------------------------------------------------------------------------

GRADWRIGHT_INLINE float abs(float x) { return std::fabs(x); }
GRADWRIGHT_INLINE float sqrt(float x) { return std::sqrt(x); }

/// x, and `low` where x is less; NaN for NaN.  `low` is a constant.
GRADWRIGHT_INLINE float at_least(float x, float low) {
    low = detail::unfolded(low);
    return low > x ? low : x;
}

/// x, and `high` where x is greater; NaN for NaN.  `high` is a constant.
GRADWRIGHT_INLINE float at_most(float x, float high) {
    high = detail::unfolded(high);
    return high < x ? high : x;
}

/// exp(x) for x <= 0, cheaper than exp
GRADWRIGHT_INLINE float exp_nonpositive(float x) { return detail::exp_in_range(at_least(x, -104.0F)); }

GRADWRIGHT_INLINE float exp(float x) {
    const detail::Reduced reduced = detail::reduce(at_most(at_least(x, -104.0F), 89.0F));
    // 2^n itself may be out of range where the result is not: scale twice.
    const std::uint32_t exponent = detail::bits(reduced.scale) - 0x3f800000U;
    const std::uint32_t half =
        static_cast<std::uint32_t>(static_cast<std::int32_t>(exponent) >> 1) & 0xff800000U;
    const float first = detail::from_bits(half + 0x3f800000U);
    const float second = detail::from_bits(exponent - half + 0x3f800000U);
    return (1.0F + detail::expm1_reduced(reduced.r)) * first * second;
}

/// exp(x) - 1
GRADWRIGHT_INLINE float expm1(float x) {
    // (2^n - 1) + 2^n tail, all halved: 2^n may be infinite where the result is not.
    const float limited = at_most(at_least(x, -18.0F), 89.0F);
    const detail::Reduced reduced = detail::reduce<-1>(limited);
    const float tail = detail::expm1_reduced(reduced.r);
    float value = (reduced.scale * tail + (reduced.scale - 0.5F)) * 2.0F;
    value = limited == reduced.r ? tail : value;  // n = 0: nothing may be lost to halving
    return x == 0.0F ? x : value;                 // keeps the sign of zero
}

GRADWRIGHT_INLINE float log(float x) {
    const bool subnormal = x < std::numeric_limits<float>::min();
    const detail::Normalised normal = detail::normalise(subnormal ? x * 8388608.0F : x);
    const float e = static_cast<float>(normal.e) - (subnormal ? 23.0F : 0.0F);
    return detail::with_limits_of_log(detail::log_reduced(normal.f, e), x);
}

/// log(1 + x)
GRADWRIGHT_INLINE float log1p(float x) {
    const float u = 1.0F + x;
    float value = detail::log1p_compensated(u, x > 1.0F ? 1.0F - (u - x) : x - (u - 1.0F));
    value = x == 0.0F ? x : value;  // keeps the sign of zero
    return detail::with_limits_of_log(value, u);
}

GRADWRIGHT_INLINE float tanh(float x) {
    const float positive = abs(x), square = x * x;
    const float p = detail::polynomial(square, {-0.333333194F, 0.133326367F, -0.0538568497F, 0.0210883114F,
                                       -0.00629566517F});
    const detail::Reduced reduced = detail::reduce(2.0F * at_most(positive, 9.5F));
    const float e = reduced.scale * (1.0F + detail::expm1_reduced(reduced.r));
    float value = 1.0F - 2.0F / (e + 1.0F);
    value = positive < 0.55F ? positive + positive * square * p : value;
    return std::copysign(value, x);
}

/// 1 / (1 + exp(-x))
GRADWRIGHT_INLINE float sigmoid(float x) {
    const float e = exp_nonpositive(-abs(x));
    const float sum = 1.0F + e;
    const float lost = e - (sum - 1.0F);  // (1 + e) - sum, exactly
    const float value = (x < 0.0F ? e : 1.0F) / sum;
    return value - value * lost * (1.0F - 0.5F * e);
}

/// log(1 + exp(x))
GRADWRIGHT_INLINE float softplus(float x) {
    return at_least(x, 0.0F) + detail::log1p_of_fraction(exp_nonpositive(-abs(x)));
}

GRADWRIGHT_INLINE float erf(float x) {
    const float positive = abs(x), square = x * x;
    const float near = detail::polynomial(square, {0.128379166F, -0.376126289F, 0.112836242F, -0.0268555861F,
                                          0.00519193616F, -0.000804361072F, 7.96824024e-05F});
    const float limited = at_most(positive, 4.0F);
    const float logarithm = detail::polynomial(limited, {-0.00012606931F, -1.12796664F, -0.636686862F,
                                               -0.104370691F, 0.0224405024F, -0.00309724244F, 0.00020148691F});
    const detail::Reduced reduced = detail::reduce(logarithm);
    float value = 1.0F - reduced.scale * (1.0F + detail::expm1_reduced(reduced.r));
    value = positive < 0.86F ? positive + positive * near : value;
    return std::copysign(value, x);
}

/// 1 - erf(x)
GRADWRIGHT_INLINE float erfc(float x) {
    const float positive = at_most(abs(x), 10.1F);  // beyond, it is less than any float
    const detail::Gaussian gaussian = detail::gaussian(positive, 1.0F);
    const float value = detail::gaussian_tail(gaussian, 1.41421356F * positive, 2.0F * detail::unit);
    return x < 0.0F ? 2.0F - value : value;
}

namespace detail {

/// x, limited to where the density of a standard normal variable is more than half the least float.
GRADWRIGHT_INLINE float within_normal(float x) { return at_most(at_least(x, -14.4F), 14.4F); }

/// The distribution function at -y, for 0 <= y < 15.
GRADWRIGHT_INLINE float normal_tail(float y) { return gaussian_tail(gaussian(y, 0.5F), y, unit); }

/// The density at y, for |y| < 15.
GRADWRIGHT_INLINE float normal_density(float y) {
    constexpr float peak = unit * 0.398942280F;
    const Gaussian exponential = gaussian(y, 0.5F);
    return (peak + peak * exponential.t) * exponential.power;
}

}  // namespace detail

/// The distribution function of a standard normal variable, erfc(-x / sqrt(2)) / 2.
GRADWRIGHT_INLINE float normal_cdf(float x) {
    const float tail = detail::normal_tail(abs(detail::within_normal(x)));
    return x > 0.0F ? 1.0F - tail : tail;
}

/// The density of a standard normal variable, exp(-x^2 / 2) / sqrt(2 pi).
GRADWRIGHT_INLINE float normal_pdf(float x) {
    return detail::normal_density(abs(detail::within_normal(x)));
}

/// x normal_cdf(x), and its limits 0 and infinity far out
GRADWRIGHT_INLINE float times_normal_cdf(float x) {
    const float y = abs(detail::within_normal(x));
    return at_least(x, -0.0F) - y * detail::normal_tail(y);
}

/// x normal_pdf(x), and its limit 0 far out
GRADWRIGHT_INLINE float times_normal_pdf(float x) {
    const float y = detail::within_normal(x);
    return y * detail::normal_density(abs(y));
}

// ---- double --------------------------------------------------------------------------------------

GRADWRIGHT_INLINE double abs(double x) { return std::fabs(x); }
GRADWRIGHT_INLINE double sqrt(double x) { return std::sqrt(x); }
GRADWRIGHT_INLINE double at_least(double x, double low) { return low > x ? low : x; }
GRADWRIGHT_INLINE double at_most(double x, double high) { return high < x ? high : x; }
inline double exp(double x) { return std::exp(x); }
inline double exp_nonpositive(double x) { return std::exp(x); }
inline double expm1(double x) { return std::expm1(x); }
inline double log(double x) { return std::log(x); }
inline double log1p(double x) { return std::log1p(x); }
inline double tanh(double x) { return std::tanh(x); }
inline double erf(double x) { return std::erf(x); }
inline double erfc(double x) { return std::erfc(x); }

namespace detail {

/// A number as its nearest double and what is missing.
struct Double {
    double value, rest;
};

/// 2^n for -1022 <= n <= 1023
GRADWRIGHT_INLINE double power_of_two(std::uint64_t n) {
    const std::uint64_t exponent = (n + 1023U) << 52U;
    double power;
    std::memcpy(&power, &exponent, sizeof power);
    return power;
}

/// exp(x) for -746 <= x <= 0
GRADWRIGHT_INLINE Double precise_exp(double x) {
    constexpr double round = 6755399441055744.0;  // 1.5 * 2^52: the nearest integer is in the lowest bits
    constexpr double upper = 6.93147180369123816490e-01, lower = 1.90821492927058770002e-10;  // log 2
    const double sum = x * 1.4426950408889634 + round, n = sum - round;
    const double reduced = x - n * upper, r = reduced - n * lower, lost = (reduced - r) - n * lower;
    const double p = polynomial(r, {1 / 2.0, 1 / 6.0, 1 / 24.0, 1 / 120.0, 1 / 720.0, 1 / 5040.0, 1 / 40320.0,
                                    1 / 362880.0, 1 / 3628800.0, 1 / 39916800.0, 1 / 479001600.0, 1 / 6227020800.0});
    const double one = 1.0 + r, tail = (r - (one - 1.0)) + (lost + r * r * p), value = one + tail;
    std::uint64_t exponent, zero;
    std::memcpy(&exponent, &sum, sizeof exponent);
    std::memcpy(&zero, &round, sizeof zero);
    // 2^n itself may be subnormal: scale twice.
    const std::uint64_t raised = exponent - zero + 2048U, half = raised >> 1U;
    const double first = power_of_two(half - 1024U), second = power_of_two(raised - half - 1024U);
    return {value * first * second, (tail - (value - one)) * first * second};
}

}  // namespace detail

GRADWRIGHT_INLINE double sigmoid(double x) {
    const detail::Double e = detail::precise_exp(at_least(-std::fabs(x), -746.0));
    const double sum = 1.0 + e.value, lost = (e.value - (sum - 1.0)) + e.rest;
    const double above = x < 0.0 ? e.value : 1.0, missing = x < 0.0 ? e.rest : 0.0;
    const double value = above / sum;
    return value + ((std::fma(-value, sum, above) + missing) - value * lost) / sum;
}

inline double softplus(double x) {
    const double value = std::log1p(std::exp(-std::fabs(x)));
    return x > 0.0 ? x + value : value;
}

inline double normal_cdf(double x) {
    constexpr double upper = 0.70710678118654757, lower = -4.8336466567264567e-17;  // sqrt(1/2)
    const double y = -x * upper;
    if (!(std::fabs(y) < 40.0)) return x < 0.0 ? 0.0 : (x > 0.0 ? 1.0 : x);
    // erfc is steep where it is small: correct for the rounding of its argument.
    const double lost = std::fma(-x, upper, -y) - x * lower;
    return 0.5 * (std::erfc(y) - 1.1283791670955126 * std::exp(-y * y) * lost);
}

inline double normal_pdf(double x) {
    const double square = x * x;
    const double lost = square < 1e4 ? std::fma(x, x, -square) : 0.0;
    return 0.3989422804014327 * (std::exp(-0.5 * square) * (1.0 - 0.5 * lost));
}

inline double times_normal_cdf(double x) { return at_least(x, -40.0) * normal_cdf(x); }
inline double times_normal_pdf(double x) { return at_most(at_least(x, -40.0), 40.0) * normal_pdf(x); }

// ---- both ----------------------------------------------------------------------------------------

template <class T>
GRADWRIGHT_INLINE T inv_sqrt(T x) {
    return T(1) / sqrt(x);
}

template <class T>
GRADWRIGHT_INLINE T reciprocal(T x) {
    return T(1) / x;
}

template <class T>
GRADWRIGHT_INLINE T square(T x) {
    return x * x;
}

/// 1 / x, and 0 for x = 0: the weight of a row whose entries are all 0.
template <class T>
GRADWRIGHT_INLINE T reciprocal_or_zero(T x) {
    return x == T(0) ? T(0) : T(1) / x;
}

/// x, and 0 for x = -inf: what to subtract from a row before its exponentials are taken, given its maximum.
template <class T>
GRADWRIGHT_INLINE T finite_or_zero(T x) {
    return x == -std::numeric_limits<T>::infinity() ? T(0) : x;
}

/// x, and 0 where x is infinite or NaN: what terms are taken relative to while they are summed.
template <class T>
GRADWRIGHT_INLINE T finite_anchor(T x) {
    return x - x == T(0) ? x : T(0);
}

/// The larger of two values; NaN if either is NaN.
template <class T>
GRADWRIGHT_INLINE T maximum(T a, T b) {
    return a > b || a != a ? a : b;
}

/// The smaller of two values; NaN if either is NaN.
template <class T>
GRADWRIGHT_INLINE T minimum(T a, T b) {
    return a < b || a != a ? a : b;
}

/// 1, 0 or -1; NaN for NaN.
template <class T>
GRADWRIGHT_INLINE T sign(T x) {
    return x > T(0) ? T(1) : (x < T(0) ? T(-1) : x);
}

/// The larger of two values; `a` if `b` is NaN.
template <class T>
GRADWRIGHT_INLINE T larger(T a, T b) {
    return b > a ? b : a;
}

/// x^exponent
template <int exponent, class T>
GRADWRIGHT_INLINE T power(T x) {
    if constexpr (exponent == 0) {
        return T(1);
    } else if constexpr (exponent % 2 == 1) {
        return x * power<exponent - 1>(x);
    } else {
        return square(power<exponent / 2>(x));
    }
}

/// t x, and 0 where t = 0 even if x is infinite or NaN: entries without a target do not count.
template <class T>
GRADWRIGHT_INLINE T target_product(T t, T x) {
    return t == T(0) ? T(0) : t * x;
}

/// x - y for y with more digits than T holds: nothing is lost where both are large and close.
GRADWRIGHT_INLINE float difference(float x, double y) {
    const float head = static_cast<float>(y);
    return (x - head) - static_cast<float>(y - static_cast<double>(head));
}
GRADWRIGHT_INLINE double difference(double x, double y) { return x - y; }

/// 1 for x > 0, 0 for x <= 0, NaN for NaN.
template <class T>
GRADWRIGHT_INLINE T step(T x) {
    return x > T(0) ? T(1) : (x <= T(0) ? T(0) : x);
}

}  // namespace gradwright::math
