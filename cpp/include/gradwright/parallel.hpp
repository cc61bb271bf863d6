// Loops shared between threads: OpenMP where the compiler has it switched on, serial otherwise.
//
// Chunks depend only on the sizes and on threads(), so results are bit-reproducible for a fixed
// number of threads.  Nothing here allocates.
#pragma once

#include <algorithm>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "gradwright/view.hpp"

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

inline bool must_be_serial() {
#if defined(_OPENMP)
    return forked || omp_in_parallel();
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
        const Index size = count / chunks, longer = count % chunks;
        const Index first = chunk * size + std::min(chunk, longer);
        body(chunk, first, first + size + (chunk < longer ? 1 : 0));
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

}  // namespace gradwright
