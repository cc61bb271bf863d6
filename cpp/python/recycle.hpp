// New arrays for results.  Fresh memory from the operating system costs as much as a kernel (a page fault
// every 4 KiB), so the last large results are remembered and handed out again once nobody else holds them.
#pragma once

#include <array>

#include "array.hpp"

namespace gradwright::python {

class Recycler {
public:
    /// A C-contiguous array; its contents are arbitrary.
    template <class T>
    py::object array(int dimensions, const Index* sizes) {
        Index bytes = sizeof(T);
        for (int axis = 0; axis < dimensions; ++axis) bytes *= sizes[axis];
        if (bytes < smallest || bytes > largest) return new_array(type_number<T>(), dimensions, sizes);
        for (const Entry& entry : entries_) {
            if (entry.bytes == bytes && is_free(entry.array, type_number<T>(), dimensions, sizes)) return entry.array;
        }
        py::object array = new_array(type_number<T>(), dimensions, sizes);
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
        py::object array;
        Index bytes = 0;
    };

    // Nobody else refers to it, directly or through a view, and nobody has changed what it is.
    static bool is_free(const py::object& object, int type, int dimensions, const Index* sizes) {
        if (Py_REFCNT(object.ptr()) != 1) return false;
        const Array array(object.ptr());
        if (array.type() != type || array.dimensions() != dimensions) return false;
        for (int axis = 0; axis < dimensions; ++axis) {
            if (array.size(axis) != sizes[axis]) return false;
        }
        return array.contiguous_in_place();
    }

    void remember(const py::object& array, Index bytes) {
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
    Index held_ = 0;  // bytes
};

/// The one recycler; never destroyed, since the interpreter may be gone before it.
inline Recycler& recycler() {
    static Recycler& instance = *new Recycler;
    return instance;
}

}  // namespace gradwright::python
