// Views: pointers with sizes.  They own nothing and are passed by value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace gradwright {

using Index = std::ptrdiff_t;

/// A row-major rows x cols matrix; neighbours in a row are adjacent, rows are `stride` elements apart.
template <class T>
struct Matrix {
    T* data = nullptr;
    Index rows = 0;
    Index cols = 0;
    Index stride = 0;

    constexpr Matrix() = default;
    constexpr Matrix(T* data, Index rows, Index cols) : Matrix(data, rows, cols, cols) {}
    constexpr Matrix(T* data, Index rows, Index cols, Index stride)
        : data(data), rows(rows), cols(cols), stride(stride) {}

    /// A matrix of values reads as a matrix of constants.
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
    constexpr Matrix(const Matrix<U>& other)
        : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}

    constexpr T* row(Index n) const { return data + n * stride; }
    constexpr T& operator()(Index n, Index k) const { return data[n * stride + k]; }

    /// Rows first, ..., last - 1 of this matrix.
    constexpr Matrix slice(Index first, Index last) const {
        return {row(first), last - first, cols, stride};
    }
};

/// `size` adjacent values: a 1 x K row or an N x 1 column.
template <class T>
struct Vector {
    T* data = nullptr;
    Index size = 0;

    constexpr Vector() = default;
    constexpr Vector(T* data, Index size) : data(data), size(size) {}

    template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
    constexpr Vector(const Vector<U>& other) : data(other.data), size(other.size) {}

    constexpr T& operator[](Index k) const { return data[k]; }
};

/// The rows x cols matrix whose row n is 1 in column labels[n] and 0 elsewhere; never formed.
/// cols < 2^31: narrow comparisons make for wide vectors.
template <class T>
struct OneHot {
    struct Row {
        std::int32_t label;
        constexpr T operator[](Index k) const { return static_cast<std::int32_t>(k) == label ? T(1) : T(0); }
    };

    const std::int64_t* labels = nullptr;
    Index rows = 0;
    Index cols = 0;

    constexpr Row row(Index n) const { return {static_cast<std::int32_t>(labels[n])}; }
    constexpr T operator()(Index n, Index k) const { return row(n)[k]; }
};

}  // namespace gradwright
