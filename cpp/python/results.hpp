// The results of a bound function: new arrays, or the caller's buffers.
#pragma once

#include <limits>
#include <utility>

#include "arguments.hpp"
#include "recycle.hpp"

namespace gradwright::python {

/// OverflowError if an array of this shape cannot exist.
template <class T>
void check_size(const Call& call, int dimensions, const Index* sizes) {
    constexpr Index limit = std::numeric_limits<Index>::max() / static_cast<Index>(sizeof(T));
    if (dimensions == 2 && sizes[1] != 0 && sizes[0] > limit / sizes[1]) {
        raise(PyExc_OverflowError, "%s: an array of shape (%zd, %zd) is larger than any memory", call.layer(), sizes[0],
              sizes[1]);
    }
}

/// Memory that a kernel needs while it runs.
template <class T>
class Scratch {
public:
    template <class... Sizes>
    explicit Scratch(const Call& call, const Sizes&... sizes) : sizes_{static_cast<Index>(sizes)...} {
        check_size<T>(call, sizeof...(sizes), sizes_);
        array_ = result_array<T>(sizeof...(sizes), sizes_);
    }

    Matrix<T> matrix() const { return {data(), sizes_[0], sizes_[1]}; }
    Vector<T> vector() const { return {data(), sizes_[0]}; }

private:
    T* data() const { return reinterpret_cast<T*>(Array(array_.ptr()).data()); }

    Index sizes_[2];
    Object array_;
};

/// Result number `position` of a call.  Without sizes it is a scalar, returned as a NumPy scalar.
template <class T>
class Output {
public:
    template <class... Sizes>
    Output(const Call& call, std::size_t position, const Sizes&... sizes)
        : dimensions_(sizeof...(sizes)), sizes_{static_cast<Index>(sizes)...} {
        check_size<T>(call, dimensions_, sizes_);
        PyObject* buffer = call.out(position);
        if (buffer != nullptr) check_buffer(call, buffer);
        if (buffer != nullptr) buffer_ = Object::shared(buffer);
        if (dimensions_ == 0) return;
        const bool in_place = buffer != nullptr && Array(buffer).readable_in_place(sizeof(T)) &&
            !call.overlaps_others(Array(buffer), position);
        array_ = in_place ? buffer_ : result_array<T>(dimensions_, sizes_);
    }

    Matrix<T> matrix() const {
        const Array array(array_.ptr());
        const Index stride = sizes_[0] > 1 ? array.stride(0) / static_cast<Index>(sizeof(T)) : sizes_[1];
        return {reinterpret_cast<T*>(array.data()), sizes_[0], sizes_[1], stride};
    }

    Vector<T> vector() const { return {reinterpret_cast<T*>(Array(array_.ptr()).data()), sizes_[0]}; }

    T& scalar() { return scalar_; }

    /// The object to return; a new reference.
    PyObject* finish() {
        if (dimensions_ == 0) {
            array_ = numpy::scalar(&scalar_, type_number<T>());
        }
        if (!buffer_ || buffer_.ptr() == array_.ptr()) return array_.release();
        if (dimensions_ == 0) array_ = numpy::as_array(array_.ptr());
        numpy::assign(buffer_.ptr(), array_.ptr());
        return buffer_.release();
    }

private:
    void check_buffer(const Call& call, PyObject* buffer) const {
        if (!Array::check(buffer) || Array(buffer).type() != type_number<T>()) {
            raise(PyExc_TypeError, "%s: out must be an array of %s, got %s", call.layer(),
                  type_name<T>(), describe(buffer).c_str());
        }
        const Array array(buffer);
        bool same = array.dimensions() == dimensions_;
        for (int axis = 0; same && axis < dimensions_; ++axis) same = array.size(axis) == sizes_[axis];
        if (!same) {
            const char* comma = dimensions_ == 1 ? "," : "";
            const std::string expected = dimensions_ == 0 ? "()"
                : "(" + std::to_string(sizes_[0]) + (dimensions_ == 1 ? comma : ", " + std::to_string(sizes_[1])) + ")";
            raise(PyExc_ValueError, "%s: expected out of shape %s, got %s", call.layer(), expected.c_str(),
                  array.shape().c_str());
        }
        if (!array.writeable()) raise(PyExc_ValueError, "%s: out is read-only", call.layer());
    }

    int dimensions_;
    Index sizes_[3];
    T scalar_{};
    Object buffer_;  // the caller's, if given
    Object array_;   // where the kernel writes
};

/// The value to return: one result as it is, several as the function's named tuple.
template <class... Outputs>
PyObject* finish(const Call& call, Outputs&... outputs) {
    if constexpr (sizeof...(outputs) == 1) {
        return (outputs.finish(), ...);
    } else {
        // A named tuple is a tuple without further fields: filled directly, its constructor is Python code.
        PyTypeObject* type = call.function().result_type;
        Object tuple = owned(type->tp_alloc(type, sizeof...(outputs)));
        Py_ssize_t i = 0;
        (PyTuple_SET_ITEM(tuple.ptr(), i++, outputs.finish()), ...);
        return tuple.release();
    }
}

/// Run a kernel on views; other Python threads go on meanwhile if `work` (elements) is worth it.
template <class Kernel, class... Views>
void run(Index work, Kernel&& kernel, Views&&... views) {
    constexpr Index worth_releasing = 16 * 1024;
    if (work < worth_releasing) {
        kernel(views...);
        return;
    }
    const Released released;
    kernel(views...);
}

}  // namespace gradwright::python
