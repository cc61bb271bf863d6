#include "recycle.hpp"

#include <array>

namespace gradwright::python {

namespace {

class Recycler {
public:
    Object array(int type, Index item, int dimensions, const Index* sizes) {
        Index bytes = item;
        for (int axis = 0; axis < dimensions; ++axis) bytes *= sizes[axis];
        if (bytes < smallest || bytes > largest) return numpy::empty(type, dimensions, sizes);
        for (const Entry& entry : entries_) {
            const bool fits = entry.bytes == bytes && is_free(entry.array, type, dimensions, sizes);
            if (fits) return entry.array;
        }
        Object array = aligned_array(type, dimensions, sizes, bytes);
        remember(array, bytes);
        return array;
    }

    void forget() {
        for (Entry& entry : entries_) entry = {};
        held_ = 0;
    }

private:
    static constexpr Index smallest = Index(32) << 10, largest = Index(128) << 20;  // bytes

    struct Entry {
        Object array;
        Index bytes = 0;
    };

    /// An array within a larger one of bytes, its base.
    Object aligned_array(int type, int dimensions, const Index* sizes, Index bytes) {
        constexpr std::uintptr_t line = 64, page = 4096;
        const Index room = bytes + static_cast<Index>(line + page);
        const Object base = numpy::empty(numpy::ubyte, 1, &room);
        const auto start = reinterpret_cast<std::uintptr_t>(Array(base.ptr()).data());
        place_ = (place_ + 13 * line) % page;  // 13 and the lines of a page have no common divisor
        const std::uintptr_t first = (start + line - 1) / line * line + place_;
        return numpy::within(base.ptr(), reinterpret_cast<void*>(first), type, dimensions, sizes);
    }

    // Nobody else refers to it or, through a view, to its base; nobody has changed what it is.
    static bool is_free(const Object& object, int type, int dimensions, const Index* sizes) {
        const Array array(object.ptr());
        if (Py_REFCNT(object.ptr()) != 1) return false;
        if (array.base() == nullptr || Py_REFCNT(array.base()) != 1) return false;
        if (array.type() != type || array.dimensions() != dimensions) return false;
        return std::equal(sizes, sizes + dimensions, array.sizes()) && array.contiguous_in_place();
    }

    void remember(const Object& array, Index bytes) {
        do {
            oldest_ = (oldest_ + 1) % entries_.size();
            held_ -= entries_[oldest_].bytes;
            entries_[oldest_] = {};
        } while (held_ + bytes > largest);
        entries_[oldest_] = {array, bytes};
        held_ += bytes;
    }

    std::array<Entry, 16> entries_;
    std::size_t oldest_ = 0;
    Index held_ = 0;            // bytes
    std::uintptr_t place_ = 0;  // of the last array, within its page
};

/// The one recycler; never destroyed, since the interpreter may be gone before it.
Recycler& recycler() {
    static Recycler& instance = *new Recycler;
    return instance;
}

}  // namespace

Object recycled_array(int type, Index item, int dimensions, const Index* sizes) {
    return recycler().array(type, item, dimensions, sizes);
}

void forget_recycled_arrays() { recycler().forget(); }

}  // namespace gradwright::python
