// Where the weights of a sparse layer are: shared by weights, gradients and the optimizer's states.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "gradwright/engine/memory.hpp"
#include "gradwright/engine/sparse.hpp"

namespace gradwright::engine {

/// The places of the weights, by rows and, if wanted, by columns; values are kept by rows (CSR), by others.
/// Numbers of rows and columns take 16 bits where they fit. Weights are counted with 31 bits.
class Support {
public:
    Support() = default;

    /// From CSR: `row_start` rises from 0 to the number of weights, columns rise within a row.
    Support(Index rows, Index cols, const std::int32_t* row_start, const std::int32_t* col, bool by_columns)
        : rows(rows), cols(cols), count(row_start[rows]), narrow_(std::max(rows, cols) <= 65536) {
        by_rows_.reserve(*this, rows, cols);
        for (Index i = 0; i <= rows; ++i) by_rows_.begin[i] = row_start[i];
        for (Index k = 0; k < count; ++k) set(by_rows_.other, k, col[k]);
        by_rows_.cut_into_tiles(*this, rows, cols);
        if (!by_columns) return;
        by_columns_.reserve(*this, cols, rows);
        rank_.reserve(std::max<Index>(count, 1) * (narrow_ ? 2 : 4));
        for (Index k = 0; k < count; ++k) ++by_columns_.begin[col[k] + 1];
        for (Index j = 0; j < cols; ++j) by_columns_.begin[j + 1] += by_columns_.begin[j];
        Buffer<std::int32_t> next;
        next.reserve(cols + 1);
        std::copy(by_columns_.begin.data(), by_columns_.begin.data() + cols, next.data());
        for (Index i = 0; i < rows; ++i) {
            for (std::int32_t k = row_start[i]; k < row_start[i + 1]; ++k) {
                const std::int32_t at = next[col[k]]++;
                set(by_columns_.other, at, static_cast<std::int32_t>(i));
                set(rank_, at, k - row_start[i]);
            }
        }
        by_columns_.cut_into_tiles(*this, cols, rows);
    }

    Index rows = 0, cols = 0, count = 0;

    double density() const { return count == 0 ? 0 : double(count) / (double(rows) * double(cols)); }

    const std::int32_t* row_start() const { return by_rows_.begin.data(); }
    const std::int32_t* col_start() const { return by_columns_.begin.data(); }
    std::int32_t col(Index k) const { return get(by_rows_.other, k); }

    /// The first weight of a row that is in column `from` or behind it.
    std::int32_t first_from(Index row, Index from) const {
        std::int32_t first = row_start()[row], last = row_start()[row + 1];
        while (first < last) {
            const std::int32_t middle = first + (last - first) / 2;
            (col(middle) < from ? first : last) = col(middle) < from ? middle + 1 : middle;
        }
        return first;
    }

    /// Y = W X + bias for rows first, ..., last - 1 of W. done(first row, last row, block): these samples of Y are
    /// there.
    template <class Real, class Done>
    void forward(const Real* value, const Real* bias, const Real* X, Real* Y, Window window, Index first, Index last,
                 Done&& done) const {
        with_number([&](auto id) {
            const auto lines = by_rows_.template lines<decltype(id)>(rows);
            detail::for_each_block<Real>(window, false, [&](Window block, auto, auto shape) {
                detail::sparse_forward<Real, shape.vectors, shape.half>(lines, value, bias, X, Y, block, first, last,
                                                                        done);
            });
        });
    }

    /// DX = W^T DY and DW for columns first, ..., last - 1 of W; `add`: DW += ... . done(first column, last column,
    /// block): of DX.
    template <class Real, class Done>
    void backward(const Real* value, const Real* X, const Real* DY, Real* DX, Real* DW, bool add, Window window,
                  Index first, Index last, Done&& done) const {
        with_number([&](auto id) {
            const auto lines = by_columns_.template lines<decltype(id)>(cols);
            detail::for_each_block<Real>(window, add, [&](Window block, auto on_top, auto shape) {
                const auto* rank = reinterpret_cast<const decltype(id)*>(rank_.data());
                detail::sparse_backward<Real, shape.vectors, shape.half, on_top>(lines, row_start(), rank, value, X, DY,
                                                                                 DX, DW, block, first, last, done);
            });
        });
    }

    /// DW for rows first, ..., last - 1 of W; `add`: DW += ... .
    template <class Real>
    void sampled(const Real* X, const Real* DY, Real* DW, bool add, Window window, Index first, Index last) const {
        with_number([&](auto id) {
            const auto lines = by_rows_.template lines<decltype(id)>(rows);
            detail::for_each_block<Real>(window, add, [&](Window block, auto on_top, auto shape) {
                detail::sparse_sampled<Real, shape.vectors, shape.half, on_top>(lines, X, DY, DW, block, first, last);
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
    using Bytes = Buffer<unsigned char>;

    /// One order of the weights.
    struct Order {
        Buffer<std::int32_t> begin;  // of every line
        Buffer<std::int32_t> start;  // of every line in every tile
        Bytes other;
        Index tiles = 1;

        void reserve(const Support& support, Index lines, Index others) {
            begin.reserve(lines + 1);
            other.reserve(std::max<Index>(support.count, 1) * (support.narrow_ ? 2 : 4));
            const Index size = tile(support, others);
            tiles = (others + size - 1) / size;
            start.reserve((tiles + 1) * std::max<Index>(lines, 1));
        }

        /// Lines read at random at a time: few enough for the first cache where that leaves work for every
        /// line, else few enough for the second.
        static Index tile(const Support& support, Index others) {
            constexpr Index least = 6;
            for (const Index size : {first_cache, second_cache}) {
                if (size < others && support.density() * double(size) >= least) return size;
            }
            return std::max<Index>(others, 1);
        }

        void cut_into_tiles(const Support& support, Index lines, Index others) {
            const Index size = tile(support, others);
            tiles_in_second_cache = std::max<Index>(second_cache / size, 1);
            for (Index i = 0; i < lines; ++i) {
                std::int32_t k = begin[i];
                for (Index t = 0; t <= tiles; ++t) {
                    while (t > 0 && k < begin[i + 1] && support.get(other, k) < t * size) ++k;
                    start[t * lines + i] = k;
                }
            }
        }

        template <class Id>
        Lines<Id> lines(Index count) const {
            return {count, tiles, tiles_in_second_cache, start.data(), reinterpret_cast<const Id*>(other.data())};
        }

    private:
        static constexpr Index first_cache = 96, second_cache = 768;
        Index tiles_in_second_cache = 1;
    };

    std::int32_t get(const Bytes& memory, Index k) const {
        return narrow_ ? reinterpret_cast<const std::uint16_t*>(memory.data())[k]
                       : reinterpret_cast<const std::int32_t*>(memory.data())[k];
    }

    void set(const Bytes& memory, Index k, std::int32_t value) const {
        if (narrow_) {
            reinterpret_cast<std::uint16_t*>(memory.data())[k] = static_cast<std::uint16_t>(value);
        } else {
            reinterpret_cast<std::int32_t*>(memory.data())[k] = value;
        }
    }

    template <class Body>
    void with_number(Body&& body) const {
        if (narrow_) {
            body(std::uint16_t());
        } else {
            body(std::int32_t());
        }
    }

    Order by_rows_, by_columns_;
    Bytes rank_;  // of the weights by columns, each among those of its row
    bool narrow_ = true;
};

/// Call body(k, place) for the weights of rows first, ..., last - 1; `place` counts the entries of the dense matrix.
template <class Body>
GRADWRIGHT_INLINE void for_each_place(const Support& support, Index first, Index last, Body&& body) {
    const std::int32_t* start = support.row_start();
    for (Index i = first; i < last; ++i) {
        for (std::int32_t k = start[i], end = start[i + 1]; k < end; ++k) body(k, i * support.cols + support.col(k));
    }
}

}  // namespace gradwright::engine
