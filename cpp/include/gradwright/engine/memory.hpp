// Memory of the engine: aligned, zero at first, on large pages where it is large, kept until the end.
#pragma once

#include <stdlib.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "gradwright/view.hpp"

namespace gradwright::engine {

inline constexpr std::size_t line_bytes = 64, page_bytes = std::size_t(1) << 21;

/// An array for a moment, which holds whatever was there.
template <class T>
std::unique_ptr<T[]> unset(Index count) {
    return std::unique_ptr<T[]>(new T[static_cast<std::size_t>(count)]);
}

/// An array that grows and never shrinks.
template <class T>
class Buffer {
public:
    T* data() const { return data_.get(); }
    T& operator[](Index i) const { return data_.get()[i]; }
    Index size() const { return size_; }

    /// Make room for `count` values. Old values are lost, new ones are 0, if it has to grow.
    void reserve(Index count) {
        if (count <= size_) return;
        const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
        const std::size_t alignment = bytes >= page_bytes ? page_bytes : line_bytes;
        data_.reset();
        size_ = 0;
        void* memory = nullptr;  // not in whole large pages: what the last one leaves over would be resident
        if (posix_memalign(&memory, alignment, bytes) != 0) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
        if (alignment == page_bytes) madvise(memory, bytes / page_bytes * page_bytes, MADV_HUGEPAGE);
#endif
        std::memset(memory, 0, bytes);
        data_.reset(static_cast<T*>(memory));
        size_ = count;
    }

private:
    struct Free {
        void operator()(T* memory) const { std::free(memory); }
    };
    std::unique_ptr<T, Free> data_;
    Index size_ = 0;
};

}  // namespace gradwright::engine
