// Finding infinite and NaN entries by their bits, so that no compiler flag can assume there are none.
#pragma once

#include <cstdint>
#include <cstring>

#include "gradwright/parallel.hpp"
#include "gradwright/view.hpp"

namespace gradwright {

namespace detail {

template <class T>
struct Exponent;  // all ones in infinities and NaN only

template <>
struct Exponent<float> {
    using Bits = std::uint32_t;
    static constexpr Bits mask = 0x7f800000U;
};

template <>
struct Exponent<double> {
    using Bits = std::uint64_t;
    static constexpr Bits mask = 0x7ff0000000000000U;
};

template <class T>
bool is_finite(const T& x) {
    typename Exponent<T>::Bits bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return (bits & Exponent<T>::mask) != Exponent<T>::mask;
}

template <class T>
bool all_finite(const T* x, Index count) {
    typename Exponent<T>::Bits found = 0;
    for (Index i = 0; i < count; ++i) found |= static_cast<typename Exponent<T>::Bits>(!is_finite(x[i]));
    return found == 0;
}

}  // namespace detail

/// Whether no entry is infinite or NaN.
template <class T>
bool all_finite(Vector<const T> x) {
    return parallel_sum(x.size, 1, [=](Index first, Index last) {
        return detail::all_finite(x.data + first, last - first) ? 0 : 1;
    }) == 0;
}

/// The place of the first entry that is infinite or NaN, x.size if there is none.
template <class T>
Index first_not_finite(Vector<const T> x) {
    Index i = 0;
    while (i < x.size && detail::is_finite(x[i])) ++i;
    return i;
}

}  // namespace gradwright
