// Large results that bypass the caches.
//
// A store to memory that no cache holds reads the old contents first, a third stream besides the one
// read and the one written.  Rows of a result larger than a cache are computed in a buffer and copied
// by stores that do without.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "gradwright/view.hpp"

namespace gradwright {

/// The size of a result from which on its next reader would not find it in a cache.
inline constexpr Index streamed_bytes = Index(8) << 20;

namespace detail {

inline constexpr Index cache_line = 64;

/// Whether a result is large, and its rows are whole cache lines apart.
template <class T>
bool is_streamed(const Matrix<T>& M) {
#if defined(__SSE2__)
    constexpr Index size = sizeof(T);
    const auto start = static_cast<Index>(reinterpret_cast<std::uintptr_t>(M.data));
    return M.rows * M.cols >= streamed_bytes / size && (start | (M.stride * size)) % cache_line == 0;
#else
    static_cast<void>(M);
    return false;
#endif
}

/// Copy to memory that begins at a cache line.
template <class T>
void stream(const T* from, Index count, T* to) {
    Index done = 0;  // bytes
#if defined(__SSE2__)
    constexpr Index step = sizeof(__m128);
    auto* source = reinterpret_cast<const char*>(from);
    auto* target = reinterpret_cast<char*>(to);
    for (; done + step <= count * Index(sizeof(T)); done += step) {
        __m128 four;
        std::memcpy(&four, source + done, sizeof four);
        _mm_stream_ps(reinterpret_cast<float*>(target + done), four);
    }
#endif
    for (Index i = done / Index(sizeof(T)); i < count; ++i) to[i] = from[i];
}

/// Other threads see what was streamed.
inline void finish_stream() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

}  // namespace detail

/// The rows of a result, each of which is opened, written and closed; what it held before is lost.
template <class T>
class Rows {
public:
    explicit Rows(Matrix<T> result)
        : result_(result), streamed_(result.cols <= capacity && detail::is_streamed(result)) {}
    ~Rows() {
        if (streamed_) detail::finish_stream();
    }
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;

    T* open(Index n) { return streamed_ ? row_ : result_.row(n); }
    void close(Index n) { close(n, 0, result_.cols); }

    /// Columns first, ..., last - 1 have been written; `first` begins a cache line.
    void close(Index n, Index first, Index last) {
        if (streamed_) detail::stream(row_ + first, last - first, result_.row(n) + first);
    }

private:
    static constexpr Index capacity = (Index(32) << 10) / Index(sizeof(T));

    Matrix<T> result_;
    bool streamed_;
    alignas(detail::cache_line) T row_[capacity];
};

}  // namespace gradwright
