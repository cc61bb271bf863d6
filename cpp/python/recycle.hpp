// New arrays for results.  Fresh memory from the operating system costs as much as a kernel (a page fault
// every 4 KiB), so the last large results are remembered and handed out again once nobody else holds them.
// They start on cache lines, each on another one within its page: vector loads that straddle lines, and loads
// behind stores to the same place of another page, cost a memory-bound kernel 15 to 30 %.
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
        py::object array = new_aligned_array(type_number<T>(), dimensions, sizes, bytes);
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

    /// An array within a larger one of bytes, its base.
    py::object new_aligned_array(int type, int dimensions, const Index* sizes, Index bytes) {
        constexpr std::uintptr_t line = 64, page = 4096;
        const Index room = bytes + static_cast<Index>(line + page);
        const py::object base = new_array(py::detail::npy_api::NPY_UBYTE_, 1, &room);
        const auto start = reinterpret_cast<std::uintptr_t>(Array(base.ptr()).data());
        place_ = (place_ + 13 * line) % page;  // 13 and the number of lines in a page have no common divisor
        const std::uintptr_t first = (start + line - 1) / line * line + place_;
        py::object array = owned(numpy().PyArray_NewFromDescr_(
            numpy().PyArray_Type_, numpy().PyArray_DescrFromType_(type), dimensions, sizes, nullptr,
            reinterpret_cast<void*>(first), py::detail::npy_api::NPY_ARRAY_WRITEABLE_, nullptr));
        if (numpy().PyArray_SetBaseObject_(array.ptr(), py::object(base).release().ptr()) < 0) throw ErrorSet{};
        return array;
    }

    // Nobody else refers to it or, through a view, to its base; and nobody has changed what it is.
    static bool is_free(const py::object& object, int type, int dimensions, const Index* sizes) {
        const Array array(object.ptr());
        if (Py_REFCNT(object.ptr()) != 1 || array.base() == nullptr || Py_REFCNT(array.base()) != 1) return false;
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
    std::uintptr_t place_ = 0;  // of the last array, within its page
};

/// The one recycler; never destroyed, since the interpreter may be gone before it.
inline Recycler& recycler() {
    static Recycler& instance = *new Recycler;
    return instance;
}

}  // namespace gradwright::python
