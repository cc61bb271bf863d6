// Between rows of samples, as people keep data, and rows of features, as the engine computes.
#pragma once

#include "gradwright/engine/vector.hpp"

namespace gradwright::engine {

namespace detail {

/// Square blocks in registers of 32 bytes.
template <class Real>
struct Block {
    static constexpr Index size = 32 / static_cast<Index>(sizeof(Real));
    typedef Real Row __attribute__((vector_size(32)));
};

GRADWRIGHT_INLINE void transpose_block(typename Block<float>::Row (&r)[8]) {
    typename Block<float>::Row a[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; ++j) {
            r[i + 2 * j] = __builtin_shufflevector(a[i + j], a[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * j + 1] = __builtin_shufflevector(a[i + j], a[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int i = 0; i < 4; ++i) {
        a[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        a[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; ++i) r[i] = a[i];
}

GRADWRIGHT_INLINE void transpose_block(typename Block<double>::Row (&r)[4]) {
    typename Block<double>::Row a[4];
    for (int i = 0; i < 4; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 4, 2, 6);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 5, 3, 7);
    }
    for (int i = 0; i < 2; ++i) {
        r[i] = __builtin_shufflevector(a[i], a[i + 2], 0, 1, 4, 5);
        r[i + 2] = __builtin_shufflevector(a[i], a[i + 2], 2, 3, 6, 7);
    }
}

}  // namespace detail

/// Y(c, r) = row(r)[c] for r < rows and first <= c < last. Columns up to `next` follow soon.
template <class Real, class Row>
void transpose(Index rows, Index first, Index last, Row row, Real* Y, Index stride, Index next) {
    using Block = detail::Block<Real>;
    constexpr Index size = Block::size, tile = 64;  // columns, so that the lines written stay in the first cache
    constexpr Index line = 64 / static_cast<Index>(sizeof(Real));
    if (rows < size || last - first < size) {
        for (Index r = 0; r < rows; ++r) {
            const Real* from = row(r);
            for (Index c = first; c < last; ++c) Y[c * stride + r] = from[c];
        }
        return;
    }
    for (Index c0 = first; c0 < last; c0 += tile) {
        const Index c1 = std::min(c0 + tile, last);
        for (Index at = 0; at < rows; at += size) {
            const Index r = std::min(at, rows - size);  // the last blocks overlap others
            const Real* from[size];
            for (Index i = 0; i < size; ++i) {
                from[i] = row(r + i);
                for (Index c = c1; c < std::min(c1 + tile, next); c += line) __builtin_prefetch(from[i] + c);
            }
            for (Index place = c0; place < c1; place += size) {
                const Index c = std::min(place, last - size);
                typename Block::Row block[size];
                for (Index i = 0; i < size; ++i) std::memcpy(&block[i], from[i] + c, sizeof block[i]);
                detail::transpose_block(block);
                for (Index i = 0; i < size; ++i) std::memcpy(Y + (c + i) * stride + r, &block[i], sizeof block[i]);
            }
        }
    }
}

/// Y = X transposed.
template <class Real>
void transpose(Matrix<const Real> X, Matrix<Real> Y) {
    transpose<Real>(X.rows, 0, X.cols, [X](Index r) { return X.row(r); }, Y.data, Y.stride, X.cols);
}

}  // namespace gradwright::engine
