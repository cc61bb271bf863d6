// Sums and maxima over a row, in an order that depends on its length only: the same for every
// instruction set, and vector code without -ffast-math.  (Within a term, a compiler may fuse a product
// and the sum it goes into where the machine can.)
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "gradwright/math.hpp"
#include "gradwright/view.hpp"

namespace gradwright {

namespace detail {

#if defined(__AVX512F__)
inline constexpr Index vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr Index vector_bytes = 32;
#else
inline constexpr Index vector_bytes = 16;
#endif

/// As many of `count` values as fit a vector register and divide `count`, loaded and stored as a whole.
template <class T, Index count>
struct Pack {
    static constexpr Index size = std::min<Index>(count & -count, vector_bytes / sizeof(T));
    using Type [[gnu::vector_size(size * sizeof(T))]] = T;

    GRADWRIGHT_INLINE static Type load(const T* from) {
        Type pack;
        std::memcpy(&pack, from, sizeof pack);
        return pack;
    }
    GRADWRIGHT_INLINE static void store(Type pack, T* to) { std::memcpy(to, &pack, sizeof pack); }
};

template <Index count, class T>
GRADWRIGHT_INLINE void fill(T* lane, T value) {
    using Values = Pack<T, count>;
    for (Index i = 0; i < count; i += Values::size) Values::store(value + typename Values::Type{}, lane + i);
}

/// Combine lane[i] with lane[i + From / 2] for all i < From / 2, and so on until To are left.
template <Index From, Index To, class T, class Combine>
GRADWRIGHT_INLINE void fold(T* lane, Combine combine) {
    constexpr Index half = From / 2;
    if constexpr (half * sizeof(T) >= vector_bytes) {
        using Half = Pack<T, half>;
        for (Index i = 0; i < half; i += Half::size) {
            Half::store(combine(Half::load(lane + i), Half::load(lane + i + half)), lane + i);
        }
    } else {
        for (Index i = 0; i < half; ++i) lane[i] = combine(lane[i], lane[i + half]);
    }
    if constexpr (half > To) fold<half, To>(lane, combine);
}

// Partial results side by side: `wide` of them hide the latency of an addition, `narrow` fill a vector.
template <class T, class Term, class Combine>
GRADWRIGHT_INLINE T reduce(Index count, T start, Term term, Combine combine) {
    constexpr Index wide = 32, narrow = 8;
    alignas(32) T lane[wide];
    fill<narrow>(lane, start);
    Index k = 0;
    if (count >= wide) {
        fill<wide - narrow>(lane + narrow, start);
        for (; k + wide <= count; k += wide) {
            for (Index i = 0; i < wide; ++i) lane[i] = combine(lane[i], term(k + i));
        }
        fold<wide, narrow>(lane, combine);
    }
    for (; k + narrow <= count; k += narrow) {
        for (Index i = 0; i < narrow; ++i) lane[i] = combine(lane[i], term(k + i));
    }
    fold<narrow, 1>(lane, combine);
    T total = lane[0];
    for (; k < count; ++k) total = combine(total, term(k));
    return total;
}

}  // namespace detail

/// term(0) + ... + term(count - 1); each term is evaluated once, blocks of them are added in double.
template <class T, class Term>
GRADWRIGHT_INLINE T sum(Index count, Term term) {
    constexpr Index block = 4096;
    double total = 0;
    for (Index first = 0; first < count; first += block) {
        total += static_cast<double>(detail::reduce(
            std::min(block, count - first), T(0), [=](Index k) { return term(first + k); },
            [](auto a, auto b) { return a + b; }));
    }
    return static_cast<T>(total);
}

/// The sum of a row of targets.
template <class T>
GRADWRIGHT_INLINE T target_sum(Index count, const T* targets) {
    return sum<T>(count, [=](Index k) { return targets[k]; });
}
template <class T>
GRADWRIGHT_INLINE T target_sum(Index, typename OneHot<T>::Row) {
    return T(1);
}

/// The sum of the products of a row of targets and term(0), ..., where a target of 0 does not count.
template <class T, class Term>
GRADWRIGHT_INLINE T target_sum(Index count, const T* targets, Term term) {
    return sum<T>(count, [=](Index k) { return math::target_product(targets[k], term(k)); });
}
template <class T, class Term>
GRADWRIGHT_INLINE T target_sum(Index, typename OneHot<T>::Row target, Term term) {
    return term(target.label);
}

/// The largest of term(0), ..., term(count - 1), -inf for none; NaN terms are skipped.
template <class T, class Term>
GRADWRIGHT_INLINE T largest(Index count, Term term) {
    return detail::reduce(count, -std::numeric_limits<T>::infinity(), term,
                          [](auto a, auto b) { return b > a ? b : a; });
}

/// The largest of term(0), ..., term(count - 1), -inf for none; NaN if one of them is NaN.
template <class T, class Term>
GRADWRIGHT_INLINE T maximum(Index count, Term term) {
    return detail::reduce(count, -std::numeric_limits<T>::infinity(), term,
                          [](auto a, auto b) { return ((a > b) | (a != a)) ? a : b; });
}

/// The mean of term(0), ..., term(count - 1), 0 for none; exact where all are equal.
template <class T, class Term>
GRADWRIGHT_INLINE double mean(Index count, Term term) {
    if (count == 0) return 0.0;
    const T first = math::finite_anchor(term(0));
    const T rest = sum<T>(count, [=](Index k) { return term(k) - first; });
    return double(first) + double(rest) / double(count);
}

/// The smallest k with the largest term(k).
template <class T, class Term>
Index first_largest(Index count, Term term) {
    Index best = 0;
    T value = count > 0 ? term(0) : T(0);
    for (Index k = 1; k < count; ++k) {
        if (term(k) > value) {
            best = k;
            value = term(k);
        }
    }
    return best;
}

}  // namespace gradwright
