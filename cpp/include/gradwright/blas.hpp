// Dense products through a replaceable BLAS, or through own loops where there is none.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "gradwright/parallel.hpp"
#include "gradwright/view.hpp"

namespace gradwright {

/// The Fortran signature of sgemm_ and dgemm_ with 32-bit integers (column-major matrices).
template <class T>
using Gemm = void (*)(const char* transa, const char* transb, const int* m, const int* n,
                      const int* k, const T* alpha, const T* a, const int* lda, const T* b,
                      const int* ldb, const T* beta, T* c, const int* ldc);

namespace detail {

struct Blas {
    Gemm<float> sgemm = nullptr;
    Gemm<double> dgemm = nullptr;
    const char* name = "own loops";
};
inline Blas blas;

template <class T>
Gemm<T> blas_gemm() {
    if constexpr (std::is_same_v<T, float>) {
        return blas.sgemm;
    } else {
        return blas.dgemm;
    }
}

// The own loops: both operands are packed block by block on the stack, so that the innermost loops
// run over adjacent values whatever the transposition.  Panels of A hold `tile_rows` rows side by side,
// panels of B `tile_cols` columns; one pair of panels updates one tile of C held in registers.
template <class T>
struct Blocking {
    static constexpr Index tile_rows = 4;
    static constexpr Index tile_cols = 64 / sizeof(T);
    static constexpr Index rows = 48;
    static constexpr Index cols = 1024 / sizeof(T);
    static constexpr Index depth = 128;
};

template <class T>
inline void multiply_panels(Index depth, const T* a, const T* b, T alpha, Matrix<T> C) {
    constexpr Index R = Blocking<T>::tile_rows, S = Blocking<T>::tile_cols;
    T tile[R][S] = {};
    for (Index d = 0; d < depth; ++d, a += R, b += S) {
        for (Index i = 0; i < R; ++i) {
            for (Index j = 0; j < S; ++j) tile[i][j] += a[i] * b[j];
        }
    }
    for (Index i = 0; i < C.rows; ++i) {
        for (Index j = 0; j < C.cols; ++j) C(i, j) += alpha * tile[i][j];
    }
}

/// C += alpha op(A) op(B), where entry(i, d) and entry(d, j) read the operands.
template <class T, class EntryA, class EntryB>
void multiply(T alpha, Index depth, EntryA entry_a, EntryB entry_b, Matrix<T> C) {
    using Block = Blocking<T>;
    constexpr Index R = Block::tile_rows, S = Block::tile_cols;
    alignas(64) T packed_a[Block::rows * Block::depth];
    alignas(64) T packed_b[Block::depth * Block::cols];
    for (Index d0 = 0; d0 < depth; d0 += Block::depth) {
        const Index ds = std::min(Block::depth, depth - d0);
        for (Index j0 = 0; j0 < C.cols; j0 += Block::cols) {
            const Index js = std::min(Block::cols, C.cols - j0);
            for (Index j = 0; j < js; j += S) {
                for (Index d = 0; d < ds; ++d) {
                    for (Index s = 0; s < S; ++s) {
                        packed_b[j * ds + d * S + s] = j + s < js ? entry_b(d0 + d, j0 + j + s) : T(0);
                    }
                }
            }
            for (Index i0 = 0; i0 < C.rows; i0 += Block::rows) {
                const Index is = std::min(Block::rows, C.rows - i0);
                for (Index i = 0; i < is; i += R) {
                    for (Index d = 0; d < ds; ++d) {
                        for (Index r = 0; r < R; ++r) {
                            packed_a[i * ds + d * R + r] = i + r < is ? entry_a(i0 + i + r, d0 + d) : T(0);
                        }
                    }
                }
                for (Index j = 0; j < js; j += S) {
                    for (Index i = 0; i < is; i += R) {
                        const Matrix<T> tile(&C(i0 + i, j0 + j), std::min(R, is - i),
                                             std::min(S, js - j), C.stride);
                        multiply_panels<T>(ds, packed_a + i * ds, packed_b + j * ds, alpha, tile);
                    }
                }
            }
        }
    }
}

template <class T>
void scale(T beta, Matrix<T> C) {
    for (Index n = 0; n < C.rows; ++n) {
        T* c = C.row(n);
        if (beta == T(0)) {  // C may hold anything, NaN included
            std::fill(c, c + C.cols, T(0));
        } else if (beta != T(1)) {
            for (Index k = 0; k < C.cols; ++k) c[k] *= beta;
        }
    }
}

template <class T>
void own_gemm(bool transA, bool transB, T alpha, Matrix<const T> A, Matrix<const T> B, T beta,
              Matrix<T> C) {
    const Index depth = transA ? A.rows : A.cols;
    scale(beta, C);
    const auto a = [A](Index i, Index d) { return A(i, d); };
    const auto at = [A](Index i, Index d) { return A(d, i); };
    const auto b = [B](Index d, Index j) { return B(d, j); };
    const auto bt = [B](Index d, Index j) { return B(j, d); };
    if (transA && transB) {
        multiply(alpha, depth, at, bt, C);
    } else if (transA) {
        multiply(alpha, depth, at, b, C);
    } else if (transB) {
        multiply(alpha, depth, a, bt, C);
    } else {
        multiply(alpha, depth, a, b, C);
    }
}

template <class T>
bool fits_int(const Matrix<T>& M) {
    constexpr Index largest = std::numeric_limits<int>::max();
    return M.rows <= largest && M.cols <= largest && M.stride <= largest;
}

template <class T>
void serial_gemm(bool transA, bool transB, T alpha, Matrix<const T> A, Matrix<const T> B, T beta,
                 Matrix<T> C) {
    const Index depth = transA ? A.rows : A.cols;
    if (C.rows == 0 || C.cols == 0) return;
    if (depth == 0) {
        scale(beta, C);
        return;
    }
    const Gemm<T> gemm = blas_gemm<T>();
    if (gemm == nullptr || !fits_int(A) || !fits_int(B) || !fits_int(C)) {
        own_gemm(transA, transB, alpha, A, B, beta, C);
        return;
    }
    // A row-major matrix is the transpose of a column-major one: ask for C' = op(B)' op(A)'.
    // A matrix of one row may carry any stride, but BLAS insists on stride >= columns.
    const char opA = transA ? 'T' : 'N', opB = transB ? 'T' : 'N';
    const int m = static_cast<int>(C.cols), n = static_cast<int>(C.rows);
    const int k = static_cast<int>(depth);
    const int lda = static_cast<int>(std::max({A.stride, A.cols, Index(1)}));
    const int ldb = static_cast<int>(std::max({B.stride, B.cols, Index(1)}));
    const int ldc = static_cast<int>(std::max({C.stride, C.cols, Index(1)}));
    gemm(&opB, &opA, &m, &n, &k, &alpha, B.data, &ldb, A.data, &lda, &beta, C.data, &ldc);
}

}  // namespace detail

/// Use these products (sequential, or set to one thread) from now on; null pointers: own loops.
/// `name` must outlive its use.  Not while a product is running.
inline void set_blas(Gemm<float> sgemm, Gemm<double> dgemm, const char* name = "user's BLAS") {
    const bool given = sgemm != nullptr && dgemm != nullptr;
    detail::blas = given ? detail::Blas{sgemm, dgemm, name} : detail::Blas{};
}

/// What multiplies matrices at the moment.
inline const char* blas_name() { return detail::blas.name; }

/// C = alpha op(A) op(B) + beta C, row-major; op(M) is M or, where its flag is set, M transposed.
/// With beta = 0 the old contents of C are not read.  C must not overlap A or B.
template <class T>
void gemm(bool transA, bool transB, T alpha, Matrix<const T> A, Matrix<const T> B, T beta,
          Matrix<T> C) {
    constexpr Index operations_per_element = 8;  // multiply-adds done while one element streams by
    const Index depth = transA ? A.rows : A.cols;
    if (C.rows >= C.cols) {
        const Index work = std::max<Index>(C.cols * depth / operations_per_element, 1);
        parallel_for(C.rows, work, [&](Index first, Index last) {
            const Index count = last - first;
            const Matrix<const T> part = transA
                ? Matrix<const T>(A.data + first, A.rows, count, A.stride)
                : Matrix<const T>(A.data + first * A.stride, count, A.cols, A.stride);
            const Matrix<T> target(C.data + first * C.stride, count, C.cols, C.stride);
            detail::serial_gemm<T>(transA, transB, alpha, part, B, beta, target);
        });
    } else {
        const Index work = std::max<Index>(C.rows * depth / operations_per_element, 1);
        parallel_for(C.cols, work, [&](Index first, Index last) {
            const Index count = last - first;
            const Matrix<const T> part = transB
                ? Matrix<const T>(B.data + first * B.stride, count, B.cols, B.stride)
                : Matrix<const T>(B.data + first, B.rows, count, B.stride);
            const Matrix<T> target(C.data + first, C.rows, count, C.stride);
            detail::serial_gemm<T>(transA, transB, alpha, A, part, beta, target);
        });
    }
}

}  // namespace gradwright
