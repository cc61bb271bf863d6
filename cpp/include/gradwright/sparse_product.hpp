// Products of rows of samples with a matrix that is stored by its entries (CSR).
//
// Every entry is read once for a block of samples; nothing as large as the dense matrix is touched.
#pragma once

#include "gradwright/parallel.hpp"

namespace gradwright {

/// Where the entries of a rows x cols matrix are: those of row k have the columns indices[indptr[k]], ...,
/// indices[indptr[k + 1] - 1].
struct Pattern {
    const std::int32_t* indices = nullptr;
    const std::int32_t* indptr = nullptr;
    Index rows = 0;
    Index cols = 0;

    Index count() const { return rows == 0 ? 0 : indptr[rows]; }
};

namespace detail {

inline constexpr Index sparse_samples = 8;  // entries of W are read once for so many samples

/// Call body(n, block) for blocks of samples, `block` of them from n on.
template <class Body>
void sample_blocks(Index first, Index last, Body&& body) {
    for (Index n = first; n < last; n += sparse_samples) body(n, std::min(sparse_samples, last - n));
}

}  // namespace detail

/// Y = X W^T (transposed) or Y = X W for the matrix W with these values in the pattern.
template <class Real>
void sparse_product(bool transposed, Matrix<const Real> X, Vector<const Real> values, Pattern M, Matrix<Real> Y) {
    parallel_for(X.rows, values.size, [=](Index first, Index last) {
        detail::sample_blocks(first, last, [=](Index n, Index block) {
            if (!transposed) {
                for (Index r = 0; r < block; ++r) std::fill_n(Y.row(n + r), Y.cols, Real(0));
            }
            for (Index k = 0; k < M.rows; ++k) {
                const Index begin = M.indptr[k], end = M.indptr[k + 1];
                if (transposed) {
                    Real sum[detail::sparse_samples] = {};
                    for (Index p = begin; p < end; ++p) {
                        const Real* x = X.row(n) + M.indices[p];
                        for (Index r = 0; r < block; ++r) sum[r] += values[p] * x[r * X.stride];
                    }
                    for (Index r = 0; r < block; ++r) Y(n + r, k) = sum[r];
                } else {
                    for (Index p = begin; p < end; ++p) {
                        Real* y = Y.row(n) + M.indices[p];
                        for (Index r = 0; r < block; ++r) y[r * Y.stride] += X(n + r, k) * values[p];
                    }
                }
            }
        });
    });
}

/// The entries of D^T X in the pattern.
template <class Real>
void sampled_product(Matrix<const Real> D, Matrix<const Real> X, Pattern M, Vector<Real> entries) {
    const Index each = M.count() / std::max<Index>(M.rows, 1) * X.rows;
    parallel_for(M.rows, each, [=](Index first, Index last) {
        std::fill(entries.data + M.indptr[first], entries.data + M.indptr[last], Real(0));
        detail::sample_blocks(0, X.rows, [=](Index n, Index block) {
            for (Index k = first; k < last; ++k) {
                for (Index p = M.indptr[k]; p < M.indptr[k + 1]; ++p) {
                    const Real* x = X.row(n) + M.indices[p];
                    Real sum = 0;
                    for (Index r = 0; r < block; ++r) sum += D(n + r, k) * x[r * X.stride];
                    entries[p] += sum;
                }
            }
        });
    });
}

}  // namespace gradwright
