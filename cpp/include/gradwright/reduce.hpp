// Sums and maxima over a row, in an order that depends on its length only: the same for every
// instruction set, and vector code without -ffast-math.
#pragma once

#include <algorithm>
#include <limits>

#include "gradwright/math.hpp"
#include "gradwright/view.hpp"

namespace gradwright {

namespace detail {

template <Index From, Index To, class T, class Combine>
GRADWRIGHT_INLINE void fold(T* lane, Combine combine) {
    if constexpr (From > To) {
        for (Index i = 0; i < From / 2; ++i) lane[i] = combine(lane[i], lane[i + From / 2]);
        fold<From / 2, To>(lane, combine);
    }
}

// Partial results side by side: `wide` of them hide the latency of an addition, `narrow` fill a vector.
template <class T, class Term, class Combine>
GRADWRIGHT_INLINE T reduce(Index count, T start, Term term, Combine combine) {
    constexpr Index wide = 32, narrow = 8;
    T lane[wide];
    for (Index i = 0; i < narrow; ++i) lane[i] = start;
    Index k = 0;
    if (count >= wide) {
        for (Index i = narrow; i < wide; ++i) lane[i] = start;
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
            [](T a, T b) { return a + b; }));
    }
    return static_cast<T>(total);
}

/// The largest of term(0), ..., term(count - 1), -inf for none; NaN terms are skipped.
template <class T, class Term>
GRADWRIGHT_INLINE T largest(Index count, Term term) {
    return detail::reduce(count, -std::numeric_limits<T>::infinity(), term,
                          [](T a, T b) { return math::larger(a, b); });
}

/// The largest of term(0), ..., term(count - 1), -inf for none; NaN if one of them is NaN.
template <class T, class Term>
GRADWRIGHT_INLINE T maximum(Index count, Term term) {
    return detail::reduce(count, -std::numeric_limits<T>::infinity(), term,
                          [](T a, T b) { return math::maximum(a, b); });
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
