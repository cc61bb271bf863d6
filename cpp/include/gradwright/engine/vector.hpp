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

template <class Real>
GRADWRIGHT_INLINE Vec<Real> load(const Real* from) {
    Vec<Real> vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

template <class Real>
GRADWRIGHT_INLINE void store(Vec<Real> vector, Real* to) {
    std::memcpy(to, &vector, sizeof vector);
}

template <class Real>
GRADWRIGHT_INLINE Vec<Real> broadcast(Real value) {
    return value - Vec<Real>{};
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

/// Entry i of the result is the sum of the i-th of as many vectors as one has lanes.
template <class Real, Index count = lanes<Real>>
GRADWRIGHT_INLINE Vec<Real> sums(const Vec<Real>* vectors) {
    if constexpr (count == 1) {
        return vectors[0];
    } else {
        Vec<Real> half[count / 2];
        for (Index i = 0; i < count / 2; ++i) half[i] = add_neighbours(vectors[2 * i], vectors[2 * i + 1]);
        return sums<Real, count / 2>(half);
    }
}

}  // namespace gradwright::engine
