// Products with a sparse matrix of weights, feature-major: every weight is one axpy over the batch.
//
//     forward    Y = X (M (.) W)^T             rows of W over rows of X
//     backward   DX = DY (M (.) W)             columns of W over rows of DY,
//                DW = M (.) (DY^T X)           and the sampled product on the way: DY is read once
//     sampled    DW alone                      where no DX is wanted
//
// These are the equations of the derived layer masked_linear, with X, Y transposed. A matrix of
// activations holds a feature a row; a block is `vectors` registers of samples of every row, and a
// kernel is compiled for each number of them, so that sums stay in registers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gradwright/engine/memory.hpp"
#include "gradwright/engine/vector.hpp"

namespace gradwright::engine {

/// Samples `offset`, ..., offset + width - 1 of rows that are `stride` apart.
struct Window {
    Index offset, width, stride;
};

/// Where the weights are: by rows and by columns. Column and row numbers take 16 bits where they fit.
template <class Id>
struct Pattern {
    Index rows, cols;
    const std::int32_t* row_start;  // rows + 1
    const Id* col;
    const std::int32_t* col_start;  // cols + 1
    const Id* row;
    const std::int32_t* place;  // of the entries by columns among those by rows
};

inline constexpr Index max_vectors = 8;

namespace detail {

template <class Real, Index vectors, class Id>
void sparse_forward(const Pattern<Id>& M, const Real* value, const Real* bias, const Real* X, Real* Y, Window block,
                    Index first, Index last) {
    for (Index i = first; i < last; ++i) {
        Vec<Real> sum[vectors];
        for (Index z = 0; z < vectors; ++z) sum[z] = broadcast(bias[i]);
        const std::int32_t end = M.row_start[i + 1];
        for (std::int32_t k = M.row_start[i]; k < end; ++k) {
            const Real* x = X + static_cast<Index>(M.col[k]) * block.stride + block.offset;
            const Vec<Real> w = broadcast(value[k]);
            for (Index z = 0; z < vectors; ++z) sum[z] += w * load(x + z * lanes<Real>);
        }
        Real* y = Y + i * block.stride + block.offset;
        for (Index z = 0; z < vectors; ++z) store(sum[z], y + z * lanes<Real>);
    }
}

/// Collects products until they fill a vector of sums, and hands those on.
template <class Real, class Emit>
class Sums {
public:
    Sums(std::int32_t first, Emit emit) : base_(first), emit_(emit) {}

    GRADWRIGHT_INLINE void push(Vec<Real> product) {
        products_[count_] = product;
        if (++count_ == lanes<Real>) flush();
    }

    GRADWRIGHT_INLINE void finish() {
        if (count_ == 0) return;
        const Index left = count_;
        for (Index i = left; i < lanes<Real>; ++i) products_[i] = Vec<Real>{};
        const Vec<Real> sum = sums<Real>(products_);
        emit_(base_, sum, left);
    }

private:
    GRADWRIGHT_INLINE void flush() {
        emit_(base_, sums<Real>(products_), lanes<Real>);
        base_ += static_cast<std::int32_t>(lanes<Real>);
        count_ = 0;
    }

    Vec<Real> products_[lanes<Real>];
    Index count_ = 0;
    std::int32_t base_;
    Emit emit_;
};

template <class Real, Index vectors, bool add, class Id>
void sparse_backward(const Pattern<Id>& M, const Real* value, const Real* X, const Real* DY, Real* DX, Real* DW,
                     Window block, Index first, Index last) {
    const auto emit = [&](std::int32_t base, Vec<Real> sum, Index count) {
        for (Index i = 0; i < count; ++i) {
            Real& entry = DW[M.place[base + i]];
            entry = add ? entry + sum[i] : sum[i];
        }
    };
    Sums<Real, decltype(emit)> sums(M.col_start[first], emit);
    for (Index j = first; j < last; ++j) {
        const Real* x = X + j * block.stride + block.offset;
        Vec<Real> sum[vectors] = {};
        const std::int32_t end = M.col_start[j + 1];
        for (std::int32_t k = M.col_start[j]; k < end; ++k) {
            const Real* dy = DY + static_cast<Index>(M.row[k]) * block.stride + block.offset;
            const Vec<Real> w = broadcast(value[M.place[k]]);
            Vec<Real> even{}, odd{};
            for (Index z = 0; z < vectors; ++z) {
                const Vec<Real> d = load(dy + z * lanes<Real>);
                sum[z] += w * d;
                (z % 2 == 0 ? even : odd) += d * load(x + z * lanes<Real>);
            }
            sums.push(even + odd);
        }
        Real* dx = DX + j * block.stride + block.offset;
        for (Index z = 0; z < vectors; ++z) store(sum[z], dx + z * lanes<Real>);
    }
    sums.finish();
}

template <class Real, Index vectors, bool add, class Id>
void sparse_sampled(const Pattern<Id>& M, const Real* X, const Real* DY, Real* DW, Window block, Index first,
                    Index last) {
    const auto emit = [&](std::int32_t base, Vec<Real> sum, Index count) {
        Real* entry = DW + base;
        if (count == lanes<Real>) {
            store(add ? load(entry) + sum : sum, entry);
        } else {
            for (Index i = 0; i < count; ++i) entry[i] = add ? entry[i] + sum[i] : sum[i];
        }
    };
    Sums<Real, decltype(emit)> sums(M.row_start[first], emit);
    for (Index i = first; i < last; ++i) {
        Vec<Real> d[vectors];
        for (Index z = 0; z < vectors; ++z) d[z] = load(DY + i * block.stride + block.offset + z * lanes<Real>);
        const std::int32_t end = M.row_start[i + 1];
        for (std::int32_t k = M.row_start[i]; k < end; ++k) {
            const Real* x = X + static_cast<Index>(M.col[k]) * block.stride + block.offset;
            Vec<Real> even{}, odd{};
            for (Index z = 0; z < vectors; ++z) (z % 2 == 0 ? even : odd) += d[z] * load(x + z * lanes<Real>);
            sums.push(even + odd);
        }
    }
    sums.finish();
}

/// Call body(block, vectors) for blocks of the window; `vectors` is a compile-time constant.
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

template <class Real, class Body>
void for_each_block(Window window, Body&& body) {
    for_each_block<Real>(window, body, std::make_integer_sequence<Index, max_vectors>());
}

}  // namespace detail

/// A pattern that owns its arrays.
class Support {
public:
    Support() = default;

    /// From CSR: `row_start` rises from 0 to the number of weights, columns rise within a row.
    Support(Index rows, Index cols, const std::int32_t* row_start, const std::int32_t* col, bool by_columns)
        : rows(rows), cols(cols), count(row_start[rows]), narrow_(std::max(rows, cols) <= 65536) {
        row_start_.reserve(rows + 1);
        std::copy(row_start, row_start + rows + 1, row_start_.data());
        col_.reserve(bytes(count));
        for (Index k = 0; k < count; ++k) set(col_, k, col[k]);
        if (!by_columns) return;
        col_start_.reserve(cols + 1);
        row_.reserve(bytes(count));
        place_.reserve(std::max<Index>(count, 1));
        for (Index k = 0; k < count; ++k) ++col_start_[col[k] + 1];
        for (Index j = 0; j < cols; ++j) col_start_[j + 1] += col_start_[j];
        Buffer<std::int32_t> next;
        next.reserve(cols + 1);
        std::copy(col_start_.data(), col_start_.data() + cols, next.data());
        for (Index i = 0; i < rows; ++i) {
            for (std::int32_t k = row_start[i]; k < row_start[i + 1]; ++k) {
                const std::int32_t at = next[col[k]]++;
                set(row_, at, static_cast<std::int32_t>(i));
                place_[at] = k;
            }
        }
    }

    Index rows = 0, cols = 0, count = 0;

    double density() const { return count == 0 ? 0 : double(count) / (double(rows) * double(cols)); }

    const std::int32_t* row_start() const { return row_start_.data(); }
    const std::int32_t* col_start() const { return col_start_.data(); }
    std::int32_t col(Index k) const { return narrow_ ? as<std::uint16_t>(col_)[k] : as<std::int32_t>(col_)[k]; }

    /// Y = W X + bias for rows first, ..., last - 1 of W.
    template <class Real>
    void forward(const Real* value, const Real* bias, const Real* X, Real* Y, Window window, Index first,
                 Index last) const {
        with_pattern([&](const auto& M) {
            detail::for_each_block<Real>(window, [&](Window block, bool, auto vectors) {
                detail::sparse_forward<Real, vectors()>(M, value, bias, X, Y, block, first, last);
            });
        });
    }

    /// DX = W^T DY and DW for columns first, ..., last - 1 of W.
    template <class Real>
    void backward(const Real* value, const Real* X, const Real* DY, Real* DX, Real* DW, Window window, Index first,
                  Index last) const {
        with_pattern([&](const auto& M) {
            detail::for_each_block<Real>(window, [&](Window block, bool add, auto vectors) {
                const auto run = add ? detail::sparse_backward<Real, vectors(), true, Id<decltype(M)>>
                                     : detail::sparse_backward<Real, vectors(), false, Id<decltype(M)>>;
                run(M, value, X, DY, DX, DW, block, first, last);
            });
        });
    }

    /// DW for rows first, ..., last - 1 of W.
    template <class Real>
    void sampled(const Real* X, const Real* DY, Real* DW, Window window, Index first, Index last) const {
        with_pattern([&](const auto& M) {
            detail::for_each_block<Real>(window, [&](Window block, bool add, auto vectors) {
                const auto run = add ? detail::sparse_sampled<Real, vectors(), true, Id<decltype(M)>>
                                     : detail::sparse_sampled<Real, vectors(), false, Id<decltype(M)>>;
                run(M, X, DY, DW, block, first, last);
            });
        });
    }

    /// The first of the rows (or columns) that begin at `part` of `parts` of the weights.
    static Index cut(const std::int32_t* start, Index lines, Index part, Index parts) {
        if (part == parts) return lines;
        const auto wanted = static_cast<std::int32_t>(Index(start[lines]) * part / parts);
        return part == 0 ? 0 : std::lower_bound(start, start + lines, wanted) - start;
    }

private:
    template <class PatternReference>
    using Id = std::remove_const_t<std::remove_pointer_t<decltype(std::declval<PatternReference>().col)>>;

    template <class T>
    static const T* as(const Buffer<unsigned char>& memory) {
        return reinterpret_cast<const T*>(memory.data());
    }

    Index bytes(Index entries) const { return std::max<Index>(entries, 1) * (narrow_ ? 2 : 4); }

    void set(Buffer<unsigned char>& memory, Index k, std::int32_t value) const {
        if (narrow_) {
            reinterpret_cast<std::uint16_t*>(memory.data())[k] = static_cast<std::uint16_t>(value);
        } else {
            reinterpret_cast<std::int32_t*>(memory.data())[k] = value;
        }
    }

    template <class Body>
    void with_pattern(Body&& body) const {
        if (narrow_) {
            body(pattern<std::uint16_t>());
        } else {
            body(pattern<std::int32_t>());
        }
    }

    template <class Number>
    Pattern<Number> pattern() const {
        return {rows, cols, row_start_.data(), as<Number>(col_), col_start_.data(), as<Number>(row_), place_.data()};
    }

    Buffer<std::int32_t> row_start_, col_start_, place_;
    Buffer<unsigned char> col_, row_;
    bool narrow_ = true;
};

}  // namespace gradwright::engine
