// Loops shared between threads: OpenMP where the compiler has it switched on, serial otherwise.
//
// Chunks depend only on the sizes and on threads(), so results are bit-reproducible for a fixed
// number of threads.  Nothing here allocates.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "gradwright/view.hpp"

/// Before a loop whose iterations are independent, even where its arrays are one and the same.
#if defined(__clang__)
#define GRADWRIGHT_VECTORIZE _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define GRADWRIGHT_VECTORIZE _Pragma("GCC ivdep")
#else
#define GRADWRIGHT_VECTORIZE
#endif

namespace gradwright {

inline constexpr Index max_chunks = 64;

/// Work, in elements streamed through a cache, below which another thread costs more than it gives.
inline constexpr Index work_per_thread = 16 * 1024;

namespace detail {

inline Index& thread_limit() {
#if defined(_OPENMP)
    static Index limit = std::clamp<Index>(omp_get_max_threads(), 1, max_chunks);
#else
    static Index limit = 1;
#endif
    return limit;
}

// A forked child inherits the memory of the thread pool but not its threads: waiting for them
// would never end, so the child works alone.
inline bool forked = false;
#if defined(__unix__) || defined(__APPLE__)
inline const int fork_handler = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

// Set in threads that already share the work with others.
inline thread_local bool serial = false;

class SerialScope {
public:
    SerialScope() : outer_(serial) { serial = true; }
    ~SerialScope() { serial = outer_; }
    SerialScope(const SerialScope&) = delete;
    SerialScope& operator=(const SerialScope&) = delete;

private:
    const bool outer_;
};

inline bool must_be_serial() {
#if defined(_OPENMP)
    return serial || forked || omp_in_parallel();
#else
    return true;
#endif
}

}  // namespace detail

/// The number of threads a parallel loop may use (1 without OpenMP).
inline int threads() { return static_cast<int>(detail::thread_limit()); }

/// Limit parallel loops to `count` threads, 1 <= count <= max_chunks.  Not while one is running.
inline void set_threads(int count) {
#if defined(_OPENMP)
    detail::thread_limit() = std::clamp<Index>(count, 1, max_chunks);
#else
    static_cast<void>(count);
#endif
}

/// How many chunks `count` items of `work_per_item` elements are cut into.
inline Index chunk_count(Index count, Index work_per_item) {
    const Index enough = work_per_thread / std::max<Index>(work_per_item, 1);  // items
    if (count < 2 || count / 2 <= enough || detail::thread_limit() == 1) return 1;
    if (detail::must_be_serial()) return 1;
    return std::min({detail::thread_limit(), count, count / std::max<Index>(enough, 1)});
}

namespace detail {

/// Call body(first, last) for chunk number `chunk` of `chunks` chunks of 0, ..., count - 1.
template <class Body>
decltype(auto) with_chunk(Index chunk, Index chunks, Index count, Body&& body) {
    const Index size = count / chunks, longer = count % chunks;
    const Index first = chunk * size + std::min(chunk, longer);
    return body(first, first + size + (chunk < longer ? 1 : 0));
}

}  // namespace detail

/// Call body(chunk, first, last) for contiguous chunks of 0, ..., count - 1.
template <class Body>
void parallel_chunks(Index count, Index work_per_item, Body&& body) {
    if (count <= 0) return;
    const Index chunks = chunk_count(count, work_per_item);
    if (chunks == 1) {
        body(Index(0), Index(0), count);
        return;
    }
#if defined(_OPENMP)
#pragma omp parallel for num_threads(static_cast<int>(chunks)) schedule(static, 1)
#endif
    for (Index chunk = 0; chunk < chunks; ++chunk) {
        detail::with_chunk(chunk, chunks, count, [&](Index first, Index last) { body(chunk, first, last); });
    }
}

/// Call body(first, last) for contiguous ranges that together are 0, ..., count - 1.
template <class Body>
void parallel_for(Index count, Index work_per_item, Body&& body) {
    parallel_chunks(count, work_per_item, [&](Index, Index first, Index last) { body(first, last); });
}

/// The sum of body(first, last) over contiguous ranges that together are 0, ..., count - 1.
template <class Body>
auto parallel_sum(Index count, Index work_per_item, Body&& body) {
    using Sum = decltype(body(Index(0), Index(0)));
    Sum partial[max_chunks] = {};
    parallel_chunks(count, work_per_item, [&](Index chunk, Index first, Index last) {
        partial[chunk] = body(first, last);
    });
    Sum total{};
    for (const Sum& part : partial) total += part;
    return total;
}

/// Call body(count, x, y, ...) for runs of adjacent entries, at x in the first matrix, y in the second
/// and so on, until every entry of these matrices of one shape has had its turn.
template <class Body, class First, class... Rest>
void parallel_entries(Index work_per_entry, Body&& body, const First& A, const Rest&... others) {
    if (A.stride == A.cols && ((others.stride == others.cols) && ...)) {
        parallel_for(A.rows * A.cols, work_per_entry, [&](Index first, Index last) {
            body(last - first, A.data + first, (others.data + first)...);
        });
    } else {
        parallel_for(A.rows, work_per_entry * A.cols, [&](Index first, Index last) {
            for (Index n = first; n < last; ++n) body(A.cols, A.row(n), others.row(n)...);
        });
    }
}

/// The most columns that parallel_columns hands out at once.
inline constexpr Index column_tile = 1024;

/// One value for each column of a tile, on the stack, zero at first.
template <class T>
struct Columns {
    T value[column_tile];
    explicit Columns(Index count) { std::fill_n(value, count, T(0)); }
    T& operator[](Index c) { return value[c]; }
};

/// Call body(first, last) for tiles of the columns 0, ..., cols - 1, aligned with cache lines.
template <class Body>
void parallel_columns(Index rows, Index cols, Index work_per_entry, Body&& body) {
    constexpr Index line = 16;  // entries
    parallel_for((cols + line - 1) / line, rows * line * work_per_entry, [&](Index first, Index last) {
        const Index end = std::min(last * line, cols);
        for (Index k = first * line; k < end; k += column_tile) body(k, std::min(k + column_tile, end));
    });
}

/// Call body(n, count) for the rows n, ..., n + count() - 1 at a time, in order; count is a compile-time
/// constant, so that a column pass loads and stores its accumulators once for several rows.
template <class Body>
void row_blocks(Index rows, Body&& body) {
    constexpr Index block = 4;
    Index n = 0;
    for (; n + block <= rows; n += block) body(n, std::integral_constant<Index, block>());
    for (; n < rows; ++n) body(n, std::integral_constant<Index, 1>());
}

namespace detail {

/// `sums` values for each column of a tile, on the stack, zero at first.
template <Index sums>
struct ColumnSums {
    double value[sums][column_tile];

    explicit ColumnSums(Index columns) {
        for (auto& row : value) std::fill_n(row, columns, 0.0);
    }
    void add(const ColumnSums& part, Index columns) {
        for (Index s = 0; s < sums; ++s) {
            for (Index c = 0; c < columns; ++c) value[s][c] += part.value[s][c];
        }
    }
    /// Call body(start, ..., sum, ...) with a pointer to each sum.
    template <class Body, class... Start>
    void pass_to(Body&& body, Start... start) {
        pass_to(body, std::make_integer_sequence<Index, sums>(), start...);
    }

private:
    template <class Body, Index... s, class... Start>
    void pass_to(Body& body, std::integer_sequence<Index, s...>, Start... start) {
        body(start..., value[s]...);
    }
};

}  // namespace detail

/// One walk over the rows that works on them and adds up `sums` values for each column.
///
/// A few rows at a time, while they are in a cache, row_pass(first, last) works on rows first, ...,
/// last - 1 and column_pass(n, count, first, last, sum, ...) adds the rows n, ..., n + count() - 1 of
/// the columns first, ..., last - 1 to double[last - first] each.  columns_done(first, last, sum, ...)
/// gets the totals.  More than column_tile columns are read again, tile by tile.
template <Index sums, class RowPass, class ColumnPass, class ColumnsDone>
void parallel_walk(Index rows, Index cols, Index work_per_row, RowPass&& row_pass, ColumnPass&& column_pass,
                   ColumnsDone&& columns_done) {
    using Sums = detail::ColumnSums<sums>;
    const Index chunks = chunk_count(rows, work_per_row);
    Index first = 0;
    do {
        const Index last = std::min(first + column_tile, cols);
        const auto walk = [&](Index chunk, Sums& sum) {
            detail::with_chunk(chunk, chunks, rows, [&](Index top, Index bottom) {
                row_blocks(bottom - top, [&](Index block, auto count) {
                    const Index n = top + block;
                    if (first == 0) row_pass(n, n + count());
                    sum.pass_to(column_pass, n, count, first, last);
                });
            });
        };
        Sums total(last - first);
        if (chunks == 1) {
            walk(0, total);
        } else {
#if defined(_OPENMP)
#pragma omp parallel for ordered num_threads(static_cast<int>(chunks)) schedule(static, 1)
#endif
            for (Index chunk = 0; chunk < chunks; ++chunk) {
                Sums part(last - first);
                walk(chunk, part);
#if defined(_OPENMP)
#pragma omp ordered
#endif
                total.add(part, last - first);
            }
        }
        total.pass_to(columns_done, first, last);
        first = last;
    } while (first < cols);
}

}  // namespace gradwright
