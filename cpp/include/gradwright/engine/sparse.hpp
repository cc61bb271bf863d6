// Products with a sparse matrix of weights, feature-major: every weight is one axpy over the batch.
//
//     forward    Y = X (M (.) W)^T             rows of W over rows of X
//     backward   DX = DY (M (.) W)             columns of W over rows of DY,
//                DW = M (.) (DY^T X)           and the sampled product on the way: DY is read once
//     sampled    DW alone                      where no DX is wanted
//
// These are the equations of the derived layer masked_linear, with X and Y transposed. A matrix of
// activations holds a feature a row; a block is `vectors` registers of samples of every row, and a
// kernel is compiled for each number of them, so that sums stay in registers. What is read at random,
// rows of X or of DY, is cut into tiles that stay in a cache while all lines pass over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gradwright/engine/vector.hpp"

namespace gradwright::engine {

/// Samples `offset`, ..., offset + width - 1 of rows that are `stride` apart.
struct Window {
    Index offset, width, stride;
};

/// The weights line by line: the rows of a matrix, or its columns. Weights of line i that read tile t are
/// start[t * count + i], ..., start[(t + 1) * count + i] - 1; weight k reads line other[k] of the other kind.
template <class Id>
struct Lines {
    Index count, tiles;
    const std::int32_t* start;
    const Id* other;
};

inline constexpr Index max_vectors = 8;

namespace detail {

template <Index vectors, class Real>
GRADWRIGHT_INLINE void load_row(const Real* from, Vec<Real>* row) {
    for (Index z = 0; z < vectors; ++z) row[z] = load(from + z * lanes<Real>);
}

template <Index vectors, class Real>
GRADWRIGHT_INLINE void store_row(const Vec<Real>* row, Real* to) {
    for (Index z = 0; z < vectors; ++z) store(row[z], to + z * lanes<Real>);
}

template <class Real, Index vectors, class Id>
void sparse_forward(Lines<Id> rows, const Real* value, const Real* bias, const Real* X, Real* Y, Window block,
                    Index first, Index last) {
    X += block.offset;
    Y += block.offset;
    for (Index t = 0; t < rows.tiles; ++t) {
        const std::int32_t *start = rows.start + t * rows.count, *end = start + rows.count;
        for (Index i = first; i < last; ++i) {
            if (t > 0 && start[i] == end[i]) continue;
            Real* y = Y + i * block.stride;
            Vec<Real> sum[vectors];
            if (t == 0) {
                for (Index z = 0; z < vectors; ++z) sum[z] = broadcast(bias[i]);
            } else {
                load_row<vectors>(y, sum);
            }
            for (std::int32_t k = start[i]; k < end[i]; ++k) {
                const Real* x = X + static_cast<Index>(rows.other[k]) * block.stride;
                const Vec<Real> w = broadcast(value[k]);
                for (Index z = 0; z < vectors; ++z) sum[z] += w * load(x + z * lanes<Real>);
            }
            store_row<vectors>(sum, y);
        }
    }
}

/// Scalar products, of which as many as a vector has lanes are summed at once and written where they belong.
template <class Real, bool add>
class Products {
public:
    explicit Products(Real* out) : out_(out) {}

    GRADWRIGHT_INLINE void push(Vec<Real> product, std::int32_t place) {
        products_[count_] = product;
        places_[count_] = place;
        if (++count_ == lanes<Real>) flush(lanes<Real>);
    }

    void finish() {
        for (Index i = count_; i < lanes<Real>; ++i) products_[i] = Vec<Real>{};
        flush(count_);
    }

private:
    GRADWRIGHT_INLINE void flush(Index count) {
        const Vec<Real> sum = sums<Real>(products_);
        for (Index i = 0; i < count; ++i) {
            Real& entry = out_[places_[i]];
            entry = add ? entry + sum[i] : sum[i];
        }
        count_ = 0;
    }

    Vec<Real> products_[lanes<Real>];
    std::int32_t places_[lanes<Real>];
    Index count_ = 0;
    Real* out_;
};

template <class Real, Index vectors, bool add, class Id>
void sparse_backward(Lines<Id> columns, const std::int32_t* place, const Real* value, const Real* X, const Real* DY,
                     Real* DX, Real* DW, Window block, Index first, Index last) {
    X += block.offset;
    DY += block.offset;
    DX += block.offset;
    Products<Real, add> products(DW);
    for (Index t = 0; t < columns.tiles; ++t) {
        const std::int32_t *start = columns.start + t * columns.count, *end = start + columns.count;
        for (Index j = first; j < last; ++j) {
            if (t > 0 && start[j] == end[j]) continue;
            const Real* x = X + j * block.stride;
            Real* dx = DX + j * block.stride;
            Vec<Real> sum[vectors] = {};
            if (t > 0) load_row<vectors>(dx, sum);
            for (std::int32_t k = start[j]; k < end[j]; ++k) {
                const Real* dy = DY + static_cast<Index>(columns.other[k]) * block.stride;
                const Vec<Real> w = broadcast(value[place[k]]);
                Vec<Real> even{}, odd{};
                for (Index z = 0; z < vectors; ++z) {
                    const Vec<Real> d = load(dy + z * lanes<Real>);
                    sum[z] += w * d;
                    (z % 2 == 0 ? even : odd) += d * load(x + z * lanes<Real>);
                }
                products.push(even + odd, place[k]);
            }
            store_row<vectors>(sum, dx);
        }
    }
    products.finish();
}

template <class Real, Index vectors, bool add, class Id>
void sparse_sampled(Lines<Id> rows, const Real* X, const Real* DY, Real* DW, Window block, Index first, Index last) {
    X += block.offset;
    DY += block.offset;
    Products<Real, add> products(DW);
    for (Index t = 0; t < rows.tiles; ++t) {
        const std::int32_t *start = rows.start + t * rows.count, *end = start + rows.count;
        for (Index i = first; i < last; ++i) {
            if (start[i] == end[i]) continue;
            Vec<Real> d[vectors];
            load_row<vectors>(DY + i * block.stride, d);
            for (std::int32_t k = start[i]; k < end[i]; ++k) {
                const Real* x = X + static_cast<Index>(rows.other[k]) * block.stride;
                Vec<Real> even{}, odd{};
                for (Index z = 0; z < vectors; ++z) (z % 2 == 0 ? even : odd) += d[z] * load(x + z * lanes<Real>);
                products.push(even + odd, k);
            }
        }
    }
    products.finish();
}

template <class Real, class Body, Index... counts>
void for_each_block(Window window, Body&& body, std::integer_sequence<Index, counts...>) {
    const Index vectors = window.width / lanes<Real>;  // windows are whole vectors
    const Index blocks = (vectors + max_vectors - 1) / max_vectors;
    for (Index b = 0; b < blocks; ++b) {
        const Index first = vectors * b / blocks, last = vectors * (b + 1) / blocks;
        const Window block{window.offset + first * lanes<Real>, (last - first) * lanes<Real>, window.stride};
        const bool done[] = {
            (last - first == counts + 1 && (body(block, b > 0, std::integral_constant<Index, counts + 1>()), true))...};
        static_cast<void>(done);
    }
}

/// Call body(block, not the first, vectors) for blocks of the window; `vectors` is a compile-time constant.
template <class Real, class Body>
void for_each_block(Window window, Body&& body) {
    for_each_block<Real>(window, body, std::make_integer_sequence<Index, max_vectors>());
}

}  // namespace detail

}  // namespace gradwright::engine
