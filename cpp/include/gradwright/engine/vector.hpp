// Vectors of the widest register, by the compiler's vector extensions: one source for all machines.
#pragma once

#include <cstring>

#include "gradwright/reduce.hpp"

namespace gradwright::engine {

inline constexpr Index vector_bytes = gradwright::detail::vector_bytes;

template <class Real>
inline constexpr Index lanes = vector_bytes / static_cast<Index>(sizeof(Real));

template <class Real>
struct VectorType;
template <>
struct VectorType<float> {
    typedef float Type __attribute__((vector_size(vector_bytes)));
};
template <>
struct VectorType<double> {
    typedef double Type __attribute__((vector_size(vector_bytes)));
};
template <class Real>
using Vec = typename VectorType<Real>::Type;

/// Half a vector where half of one is itself a register worth having, else a whole one.
inline constexpr Index half_bytes = vector_bytes == 64 ? 32 : vector_bytes;
template <class Real>
struct HalfVectorType;
template <>
struct HalfVectorType<float> {
    typedef float Type __attribute__((vector_size(half_bytes)));
};
template <>
struct HalfVectorType<double> {
    typedef double Type __attribute__((vector_size(half_bytes)));
};
template <class Real>
using HalfVec = typename HalfVectorType<Real>::Type;

/// Samples are padded to a multiple of this.
template <class Real>
inline constexpr Index sample_grain = half_bytes / static_cast<Index>(sizeof(Real));

template <class Real>
GRADWRIGHT_INLINE Vec<Real> load(const Real* from) {
    Vec<Real> vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class V, class Real>
GRADWRIGHT_INLINE void load(const Real* from, V& vector) {
    std::memcpy(&vector, from, sizeof vector);
}

template <class V, class Real>
GRADWRIGHT_INLINE void store(V vector, Real* to) {
    std::memcpy(to, &vector, sizeof vector);
}

template <class Real>
GRADWRIGHT_INLINE Vec<Real> broadcast(Real value) {
    return value - Vec<Real>{};
}

/// Half a vector and zeros behind it.
template <class Real>
GRADWRIGHT_INLINE Vec<Real> widened(HalfVec<Real> half) {
    if constexpr (half_bytes == vector_bytes) {
        return half;
    } else if constexpr (lanes<Real> == 8) {
        return __builtin_shufflevector(half, HalfVec<Real>{}, 0, 1, 2, 3, 4, 5, 6, 7);
    } else {
        return __builtin_shufflevector(half, HalfVec<Real>{}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
}

/// The even and the odd entries of a and b in a row, added: sums of neighbours.
template <class V>
GRADWRIGHT_INLINE V add_neighbours(V a, V b) {
    constexpr int n = sizeof(V) / sizeof(a[0]);
    if constexpr (n == 2) {
        return __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
    } else if constexpr (n == 4) {
        return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
    } else if constexpr (n == 8) {
        return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
               __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    } else {
        static_assert(n == 16);
        return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
               __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    }
}

/// The halves of a, added, and those of b behind them.
template <class V>
GRADWRIGHT_INLINE V add_halves(V a, V b) {
    if constexpr (sizeof(V) / sizeof(a[0]) == 4) {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
    } else {
        return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
               __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/// Entry i of the result is the sum of the i-th of as many vectors as one has lanes.
template <class Real, Index count = lanes<Real>>
GRADWRIGHT_INLINE Vec<Real> sums(const Vec<Real>* v) {
    if constexpr (count == 1) {
        return v[0];
    } else if constexpr (vector_bytes == 32 && lanes<Real> == 4) {  // few steps cross the halves of a register
        const Vec<Real> a = add_halves(v[0], v[2]), b = add_halves(v[1], v[3]);
        return __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    } else if constexpr (vector_bytes == 32 && lanes<Real> == 8) {
        const auto quarters = [](Vec<Real> a, Vec<Real> b) {
            return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
                   __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
        };
        const Vec<Real> a = quarters(add_halves(v[0], v[4]), add_halves(v[1], v[5]));
        const Vec<Real> b = quarters(add_halves(v[2], v[6]), add_halves(v[3], v[7]));
        return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
               __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
    } else {
        Vec<Real> half[count / 2];
        for (Index i = 0; i < count / 2; ++i) half[i] = add_neighbours(v[2 * i], v[2 * i + 1]);
        return sums<Real, count / 2>(half);
    }
}

}  // namespace gradwright::engine
