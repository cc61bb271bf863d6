// Products with a sparse matrix of weights, feature-major: every weight is one axpy over the batch.
//
//     forward    Y = X (M (.) W)^T             rows of W over rows of X
//     backward   DX = DY (M (.) W)             columns of W over rows of DY,
//                DW = M (.) (DY^T X)           and the sampled product on the way: DY is read once
//     sampled    DW alone                      where no DX is wanted
//
// These are the equations of the derived layer sparse_linear, with X and Y transposed. A matrix of
// activations holds a feature a row; a block is `vectors` registers of samples of every row, and a
// kernel is compiled for each number of them, so that sums stay in registers. What is read at random,
// rows of X or of DY, is cut into tiles that stay in a cache while a group of lines passes over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
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
    Index tiles_in_second_cache;  // so many fit it together
    const std::int32_t* start;
    const Id* other;
};

inline constexpr Index max_vectors = 8;

/// Rows so many samples wide that fit the first cache, three matrices of them.
template <class Real>
constexpr Index rows_in_cache(Index width) {
    constexpr Index values = 16 * 1024 / (3 * sizeof(Real));
    return std::max<Index>(values / std::max<Index>(width, 1), 1);
}

namespace detail {

/// So many vectors of samples, and half a vector more.
template <class Real, Index vectors, bool half>
struct Samples {
    Vec<Real> whole[vectors + 1];
    HalfVec<Real> tail;

    GRADWRIGHT_INLINE void fill(Real value) {
        for (Index z = 0; z < vectors; ++z) whole[z] = broadcast(value);
        tail = value - HalfVec<Real>{};
    }

    GRADWRIGHT_INLINE void load(const Real* from) {
        for (Index z = 0; z < vectors; ++z) whole[z] = engine::load(from + z * lanes<Real>);
        if (half) engine::load(from + vectors * lanes<Real>, tail);
    }

    GRADWRIGHT_INLINE void store(Real* to) const {
        for (Index z = 0; z < vectors; ++z) engine::store(whole[z], to + z * lanes<Real>);
        if (half) engine::store(tail, to + vectors * lanes<Real>);
    }

    GRADWRIGHT_INLINE void add_product(Real factor, const Real* from) {
        const Vec<Real> w = broadcast(factor);
        for (Index z = 0; z < vectors; ++z) whole[z] += w * engine::load(from + z * lanes<Real>);
        if (!half) return;
        HalfVec<Real> x;
        engine::load(from + vectors * lanes<Real>, x);
        tail += factor * x;
    }

    /// Products with other samples; all lanes of the result together are the scalar product.
    GRADWRIGHT_INLINE Vec<Real> products(const Real* from) const {
        Vec<Real> even{}, odd{};
        for (Index z = 0; z < vectors; ++z) {
            (z % 2 == 0 ? even : odd) += whole[z] * engine::load(from + z * lanes<Real>);
        }
        even += odd;
        if (half) {
            HalfVec<Real> x;
            engine::load(from + vectors * lanes<Real>, x);
            even += widened<Real>(tail * x);
        }
        return even;
    }
};

template <class T>
GRADWRIGHT_INLINE void prefetch(const T* first, const T* last) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(T));
    for (; first < last; first += line) __builtin_prefetch(first, 0, 2);
}

/// Call body(line, tile, first weight, last weight) for lines first, ..., last - 1 of all tiles, and done(first line,
/// last line, block) for a few lines at a time when their last tile is over. What is read at random comes into the
/// second cache once, a few tiles at a time, and with it groups of lines whose weights stay there from one tile to
/// the next. `array` has a value for every weight, which the body reads or writes, or is null.
template <class Real, class Id, class Body, class Done>
GRADWRIGHT_INLINE void for_each_line(Lines<Id> lines, const Real* array, Index first, Index last, Window block,
                                      Body&& body, Done&& done) {
    constexpr Index group_weights = 32 * 1024, worth_asking = 128;
    const Index few = rows_in_cache<Real>(block.width);
    for (Index tile = 0; tile < lines.tiles; tile += lines.tiles_in_second_cache) {
        const Index end_tile = std::min(tile + lines.tiles_in_second_cache, lines.tiles);
        const std::int32_t *start = lines.start + tile * lines.count, *end = lines.start + end_tile * lines.count;
        const auto ask_for = [=](Index line) {
            prefetch(lines.other + start[line], lines.other + end[line]);
            if (array != nullptr) prefetch(array + start[line], array + end[line]);
        };
        for (Index from = first, to; from < last; from = to) {
            Index weights = 0;
            for (to = from; to < last && weights < group_weights; ++to) weights += end[to] - start[to];
            const bool long_lines = weights >= worth_asking * (to - from);
            for (Index t = tile; t < end_tile; ++t) {
                const std::int32_t *begin = lines.start + t * lines.count, *next = begin + lines.count;
                const bool ask = long_lines && t == tile;
                for (Index line = from; line < to; line += few) {
                    const Index stop = std::min(line + few, to);
                    for (Index i = line; i < stop; ++i) {
                        if (ask) ask_for(i + 1 < last ? i + 1 : i);
                        body(i, t, begin[i], next[i]);
                    }
                    if (t + 1 == lines.tiles) done(line, stop, block);
                }
            }
        }
    }
}

template <class Real, Index vectors, bool half, class Id, class Done>
void sparse_forward(Lines<Id> rows, const Real* value, const Real* bias, const Real* X, Real* Y, Window block,
                    Index first, Index last, Done&& done) {
    X += block.offset;
    Y += block.offset;
    const auto line = [=](Index i, Index tile, std::int32_t k, std::int32_t end) {
        if (tile > 0 && k == end) return;
        Real* y = Y + i * block.stride;
        Samples<Real, vectors, half> sum;
        if (tile == 0) {
            sum.fill(bias[i]);
        } else {
            sum.load(y);
        }
        for (; k < end; ++k) sum.add_product(value[k], X + static_cast<Index>(rows.other[k]) * block.stride);
        sum.store(y);
    };
    for_each_line<Real>(rows, value, first, last, block, line, done);
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

template <class Real, Index vectors, bool half, bool add, class Id, class Done>
void sparse_backward(Lines<Id> columns, const std::int32_t* row_start, const Id* rank, const Real* value, const Real* X,
                     const Real* DY, Real* DX, Real* DW, Window block, Index first, Index last, Done&& done) {
    X += block.offset;
    DY += block.offset;
    DX += block.offset;
    Products<Real, add> products(DW);
    const auto line = [&](Index j, Index tile, std::int32_t k, std::int32_t end) {
        if (tile > 0 && k == end) return;
        Real* dx = DX + j * block.stride;
        Samples<Real, vectors, half> x, sum;
        x.load(X + j * block.stride);
        if (tile == 0) {
            sum.fill(Real(0));
        } else {
            sum.load(dx);
        }
        for (; k < end; ++k) {
            const Id row = columns.other[k];
            const Real* dy = DY + static_cast<Index>(row) * block.stride;
            const std::int32_t at = row_start[row] + static_cast<std::int32_t>(rank[k]);
            sum.add_product(value[at], dy);
            products.push(x.products(dy), at);
        }
        sum.store(dx);
    };
    for_each_line<Real>(columns, nullptr, first, last, block, line, done);
    products.finish();
}

template <class Real, Index vectors, bool half, bool add, class Id>
void sparse_sampled(Lines<Id> rows, const Real* X, const Real* DY, Real* DW, Window block, Index first, Index last) {
    X += block.offset;
    DY += block.offset;
    Products<Real, add> products(DW);
    const auto line = [&](Index i, Index, std::int32_t k, std::int32_t end) {
        if (k == end) return;
        Samples<Real, vectors, half> dy;
        dy.load(DY + i * block.stride);
        for (; k < end; ++k) products.push(dy.products(X + static_cast<Index>(rows.other[k]) * block.stride), k);
    };
    for_each_line<Real>(rows, DW, first, last, block, line, [](Index, Index, Window) {});
    products.finish();
}

template <Index vectors_, bool half_>
struct Shape {
    static constexpr Index vectors = vectors_;
    static constexpr bool half = half_;
};

/// Call body(Shape<vectors, half>()) for the shape that is so many half vectors wide.
template <class Body, Index... counts>
void with_shape(Index vectors, bool half, Body&& body, std::integer_sequence<Index, counts...>) {
    if constexpr (half_bytes != vector_bytes) {
        if (half) {
            static_cast<void>(((vectors == counts && (body(Shape<counts, true>()), true)) || ...));
            return;
        }
    }
    static_cast<void>(((vectors == counts + 1 && (body(Shape<counts + 1, false>()), true)) || ...));
}

/// Call body(block, on_top, shape) for blocks of the window. on_top is true_type where the gradient is added to: for
/// every block but the first, and for all of them if `add`.
template <class Real, class Body>
void for_each_block(Window window, bool add, Body&& body) {
    const Index vectors = (window.width + lanes<Real> - 1) / lanes<Real>;  // windows are whole half vectors
    const Index blocks = (vectors + max_vectors - 1) / max_vectors;
    for (Index b = 0; b < blocks; ++b) {
        const Index first = vectors * b / blocks * lanes<Real>;
        const Index last = std::min(vectors * (b + 1) / blocks * lanes<Real>, window.width);
        const Window block{window.offset + first, last - first, window.stride};
        const auto with = [&](auto shape) {
            if (add || b > 0) {
                body(block, std::true_type(), shape);
            } else {
                body(block, std::false_type(), shape);
            }
        };
        with_shape(block.width / lanes<Real>, block.width % lanes<Real> != 0, with,
                   std::make_integer_sequence<Index, max_vectors>());
    }
}

}  // namespace detail

}  // namespace gradwright::engine
