// Dense products, feature-major: a tile of the result stays in registers while vectors of one operand and single
// values of the other stream past.
//
//     multiply_rows      Y = W X + b
//     multiply_columns   DX = W^T DY
//     multiply_panels    DW = DY X^T, of a few rows at a time
//
// The last needs the samples of X one after the other: panels of X hold a few features of every sample.
#pragma once

#include <algorithm>
#include <array>

#include "gradwright/engine/vector.hpp"

namespace gradwright::engine {

namespace detail {

#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr Index registers = 32;
#else
inline constexpr Index registers = 16;
#endif

inline constexpr Index tile_vectors = registers == 32 ? 3 : 2;
inline constexpr bool halves = half_bytes != vector_bytes;

/// Rows of a tile so many vectors wide, and half a vector more: registers are left for a row of B and a value of A.
constexpr Index rows_of_tile(Index vectors, bool half = false) {
    const Index width = vectors + half;
    if (registers == 16) return width == 1 ? 12 : 6;
    return width == 1 ? 16 : width == 2 ? 12 : width == 3 ? 8 : 6;
}

inline constexpr Index row_group = 48;  // a multiple of the rows of every tile

}  // namespace detail

/// Features that a panel holds.
template <class Real>
inline constexpr Index panel_width = detail::tile_vectors * lanes<Real>;

template <class Real>
constexpr Index panels_of(Index features) {
    return (features + panel_width<Real> - 1) / panel_width<Real>;
}

namespace detail {

template <class Real, Index rows, Index vectors, bool half, bool packed>
void multiply_tile(const Real* A, Index A_stride, const Real* B, Real* C, Index stride, const Real* start, bool first,
                   Index depth) {
    constexpr Index ahead = 16;
    const Index row_step = packed ? 1 : A_stride, depth_step = packed ? row_group : 1;
    Vec<Real> sum[rows][vectors > 0 ? vectors : 1];
    HalfVec<Real> tail[rows];
    for (Index i = 0; i < rows; ++i) {
        const Real value = start == nullptr ? Real(0) : start[i];
        for (Index j = 0; j < vectors; ++j) {
            sum[i][j] = first ? broadcast(value) : load(C + i * stride + j * lanes<Real>);
        }
        tail[i] = value - HalfVec<Real>{};
        if (half && !first) load(C + i * stride + vectors * lanes<Real>, tail[i]);
    }
    for (Index d = 0; d < depth; ++d, A += depth_step, B += stride) {
        if (!packed) __builtin_prefetch(A + ahead);
        Vec<Real> x[vectors > 0 ? vectors : 1];
        HalfVec<Real> y{};
        for (Index j = 0; j < vectors; ++j) x[j] = load(B + j * lanes<Real>);
        if (half) load(B + vectors * lanes<Real>, y);
        for (Index i = 0; i < rows; ++i) {
            const Real a = A[i * row_step];
            for (Index j = 0; j < vectors; ++j) sum[i][j] += a * x[j];
            if (half) tail[i] += a * y;
        }
    }
    for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < vectors; ++j) store(sum[i][j], C + i * stride + j * lanes<Real>);
        if (half) store(tail[i], C + i * stride + vectors * lanes<Real>);
    }
}

/// A part of a product: `rows` rows and `depth` terms; `first` if C does not yet hold a sum of others.
template <class Real, bool packed>
struct Group {
    const Real* A;
    Index A_stride;
    const Real* B;
    Real* C;
    Index stride;
    const Real* start;  // of every row; null: 0
    bool first;
    Index depth;

    /// Tiles of `rows` rows, then of half as many, and so on down to one.
    template <Index rows, Index vectors, bool half>
    void tiles(Index row, Index count, Index col) const {
        for (; row + rows <= count; row += rows) {
            multiply_tile<Real, rows, vectors, half, packed>(A + row * (packed ? 1 : A_stride), A_stride, B + col,
                                                             C + row * stride + col, stride,
                                                             start == nullptr ? nullptr : start + row, first, depth);
        }
        if constexpr (rows > 1) {
            if (row < count) tiles<rows / 2, vectors, half>(row, count, col);
        }
    }

    /// `width` columns, in blocks of nearly one size.
    void multiply(Index count, Index width) const {
        const Index whole = width / lanes<Real>, blocks = std::max<Index>((whole + tile_vectors - 1) / tile_vectors, 1);
        const bool half = width % lanes<Real> != 0;
        for (Index b = 0; b < blocks; ++b) {
            const Index from = whole * b / blocks, vectors = whole * (b + 1) / blocks - from;
            if (halves && half && b + 1 == blocks) {
                block<halves>(vectors, count, from * lanes<Real>);
            } else {
                block<false>(vectors, count, from * lanes<Real>);
            }
        }
    }

    template <bool half>
    void block(Index vectors, Index count, Index col) const {
        if (half && vectors == 0) {
            tiles<rows_of_tile(0, half), 0, half>(0, count, col);
        } else if (vectors == 1) {
            tiles<rows_of_tile(1, half), 1, half>(0, count, col);
        } else if (vectors == 2) {
            tiles<rows_of_tile(2, half), 2, half>(0, count, col);
        } else {
            tiles<rows_of_tile(tile_vectors, half), tile_vectors, half>(0, count, col);
        }
    }
};

/// Call body(first column, columns, first term, terms) for parts of B that stay in the second cache.
template <class Real, class Body>
void for_each_part(Index width, Index depth, Body&& body) {
    constexpr Index chunk = 4 * tile_vectors * lanes<Real>, values = 192 * 1024 / sizeof(Real), most = 512;
    const Index chunks = std::max<Index>((width + chunk - 1) / chunk, 1), grains = width / sample_grain<Real>;
    for (Index c = 0; c < chunks; ++c) {
        const Index col = grains * c / chunks * sample_grain<Real>;
        const Index count = grains * (c + 1) / chunks * sample_grain<Real> - col;
        if (count == 0) continue;
        const Index limit = std::min(values / count, most), parts = std::max<Index>((depth + limit - 1) / limit, 1);
        for (Index part = 0; part < parts; ++part) {
            const Index first = depth * part / parts;
            body(col, count, first, depth * (part + 1) / parts - first);
        }
    }
}

}  // namespace detail

/// Y = W X + b for rows first, ..., last - 1 of W (rows, depth), and `width` columns, a multiple of `sample_grain`.
template <class Real>
void multiply_rows(const Real* W, Index depth, const Real* b, const Real* X, Real* Y, Index stride, Index width,
                   Index first, Index last) {
    detail::for_each_part<Real>(width, depth, [&](Index col, Index count, Index d, Index terms) {
        for (Index row = first; row < last; row += detail::row_group) {
            const detail::Group<Real, false> group{W + row * depth + d, depth, X + d * stride + col,
                                                   Y + row * stride + col, stride, b + row, d == 0, terms};
            group.multiply(std::min(detail::row_group, last - row), count);
        }
    });
}

/// Values that multiply_columns needs room for.
inline constexpr Index multiply_columns_room = detail::row_group * 512;

/// DX = W^T DY for columns first, ..., last - 1 of W (depth, columns), which are copied to `room` a few at a time.
template <class Real>
void multiply_columns(const Real* W, Index depth, Index columns, const Real* DY, Real* DX, Index stride, Index width,
                      Index first, Index last, Real* room) {
    detail::for_each_part<Real>(width, depth, [&](Index col, Index count, Index k, Index terms) {
        for (Index row = first; row < last; row += detail::row_group) {
            const Index rows = std::min(detail::row_group, last - row);
            const Real* from = W + k * columns + row;
            for (Index d = 0; d < terms; ++d) {
                const Real* line = from + d * columns;
                std::copy_n(line, rows, room + d * detail::row_group);
                for (Index i = 0; i < detail::row_group; i += 64 / Index(sizeof(Real))) {
                    __builtin_prefetch(line + detail::row_group + i, 0, 2);
                }
            }
            const detail::Group<Real, true> group{
                room, 0, DY + k * stride + col, DX + row * stride + col, stride, nullptr, k == 0, terms};
            group.multiply(rows, count);
        }
    });
}

/// What is changed together with the gradient that is made: rows of these arrays, `stride` values apart, are asked for
/// while the product is under way.
template <class Real>
struct Wanted {
    static constexpr std::size_t most = 5;
    std::array<const Real*, most> array{};
    Index stride = 0;
};

namespace detail {

template <class Real, Index rows, Index vectors>
void multiply_panel_tile(Index samples, const Real* A, Index stride, const Real* panel, Real* C, Index C_stride,
                         const Wanted<Real>& wanted, Index at) {
    constexpr Index width = panel_width<Real>;
    Vec<Real> sum[rows][vectors];
    for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < vectors; ++j) sum[i][j] = Vec<Real>{};
    }
    Index n = 0;
    const auto add_sample = [&] {
        Vec<Real> x[vectors];
        for (Index j = 0; j < vectors; ++j) x[j] = load(panel + n * width + j * lanes<Real>);
        for (Index i = 0; i < rows; ++i) {
            const Vec<Real> a = broadcast(A[i * stride + n]);
            for (Index j = 0; j < vectors; ++j) sum[i][j] += a * x[j];
        }
        ++n;
    };
    for (const Real* array : wanted.array) {
        if (array == nullptr) break;
        for (Index i = 0; i < rows && n + vectors <= samples; ++i) {
            const Real* line = array + at + i * wanted.stride;
            for (Index j = 0; j < vectors; ++j) {
                __builtin_prefetch(line + j * lanes<Real>, 1);
                add_sample();
            }
        }
    }
    while (n < samples) add_sample();
    for (Index i = 0; i < rows; ++i) {
        for (Index j = 0; j < vectors; ++j) store(sum[i][j], C + i * C_stride + j * lanes<Real>);
    }
}

template <class Real, Index rows>
void multiply_panel_rows(Index count, Index samples, const Real* A, Index stride, const Real* panels, Index features,
                         Real* C, Index C_stride, const Wanted<Real>& wanted, Index at) {
    constexpr Index width = panel_width<Real>;
    for (; count >= rows; count -= rows, A += rows * stride, C += rows * C_stride, at += rows * wanted.stride) {
        for (Index f = 0; f < features; f += width) {
            const auto tile = features - f <= lanes<Real> ? multiply_panel_tile<Real, rows, 1>
                                                          : multiply_panel_tile<Real, rows, tile_vectors>;
            tile(samples, A, stride, panels + f * samples, C + f, C_stride, wanted, at + f);
        }
    }
    if constexpr (rows > 1) {
        if (count == 0) return;
        multiply_panel_rows<Real, rows / 2>(count, samples, A, stride, panels, features, C, C_stride, wanted, at);
    }
}

}  // namespace detail

/// C(i, f) = sum over samples n of A(i, n) X(n, f) for a few rows. Rows of A are `stride` apart; those of C have room
/// for whole panels. What is wanted for C(0, 0) is at place `at`.
template <class Real>
void multiply_panels(Index rows, Index samples, const Real* A, Index stride, const Real* panels, Index features,
                     Real* C, Index C_stride, const Wanted<Real>& wanted, Index at) {
    detail::multiply_panel_rows<Real, detail::rows_of_tile(detail::tile_vectors)>(
        rows, samples, A, stride, panels, features, C, C_stride, wanted, at);
}

}  // namespace gradwright::engine
