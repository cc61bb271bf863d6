// Between rows of samples, as people keep data, and rows of features, as the engine computes.
#pragma once

#include "gradwright/engine/vector.hpp"

namespace gradwright::engine {

namespace detail {

/// 4 x 4 blocks of 32-bit or 64-bit values in registers.
template <class Real>
struct Four {
    typedef Real Type __attribute__((vector_size(4 * sizeof(Real))));
};

template <class Real>
GRADWRIGHT_INLINE void transpose_four(const Real* const* rows, Real* to, Index stride) {
    using V = typename Four<Real>::Type;
    V r[4];
    for (int i = 0; i < 4; ++i) std::memcpy(&r[i], rows[i], sizeof(V));
    const V a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    const V c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    const V columns[4] = {
        __builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
        __builtin_shufflevector(b, d, 0, 1, 4, 5), __builtin_shufflevector(b, d, 2, 3, 6, 7)};
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * stride, &columns[i], sizeof(V));
}

}  // namespace detail

/// Y(c, r) = row(r)[c] for r < rows and first <= c < last.
template <class Real, class Row>
void transpose(Index rows, Index first, Index last, Row row, Real* Y, Index stride) {
    constexpr Index tile = 64;  // columns, so that the lines written stay in the first cache
    for (Index c0 = first; c0 < last; c0 += tile) {
        const Index c1 = std::min(c0 + tile, last);
        Index r = 0;
        for (; r + 4 <= rows; r += 4) {
            const Real* from[4] = {row(r), row(r + 1), row(r + 2), row(r + 3)};
            Index c = c0;
            for (; c + 4 <= c1; c += 4) {
                const Real* block[4] = {from[0] + c, from[1] + c, from[2] + c, from[3] + c};
                detail::transpose_four(block, Y + c * stride + r, stride);
            }
            for (; c < c1; ++c) {
                for (Index i = 0; i < 4; ++i) Y[c * stride + r + i] = from[i][c];
            }
        }
        for (; r < rows; ++r) {
            const Real* from = row(r);
            for (Index c = c0; c < c1; ++c) Y[c * stride + r] = from[c];
        }
    }
}

/// Y = X transposed.
template <class Real>
void transpose(Matrix<const Real> X, Matrix<Real> Y) {
    transpose<Real>(X.rows, 0, X.cols, [X](Index r) { return X.row(r); }, Y.data, Y.stride);
}

}  // namespace gradwright::engine
