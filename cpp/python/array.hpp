// NumPy arrays and Python errors, close to the C interface: a call must cost well below a microsecond.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <type_traits>

#include "gradwright/view.hpp"

namespace gradwright::python {

namespace py = pybind11;

/// Thrown after a Python error has been set.
struct ErrorSet {};

template <class... Values>
[[noreturn]] void raise(PyObject* type, const char* format, Values... values) {
    PyErr_Format(type, format, values...);
    throw ErrorSet{};
}

/// A new reference from the interpreter, or the error it has set.
inline py::object owned(PyObject* result) {
    if (result == nullptr) throw ErrorSet{};
    return py::reinterpret_steal<py::object>(result);
}

inline const py::detail::npy_api& numpy() {
    static const py::detail::npy_api& api = py::detail::npy_api::get();
    return api;
}

template <class T>
constexpr int type_number() {
    using api = py::detail::npy_api;
    if constexpr (std::is_same_v<T, float>) return api::NPY_FLOAT_;
    if constexpr (std::is_same_v<T, double>) return api::NPY_DOUBLE_;
    if constexpr (std::is_same_v<T, std::int64_t>) return api::NPY_INT64_;
}

template <class T>
constexpr const char* type_name() {
    return sizeof(T) == sizeof(float) ? "float32" : "float64";
}

/// A borrowed numpy.ndarray.
class Array {
public:
    explicit Array(PyObject* array) : array_(array) {}

    static bool check(PyObject* object) {
        return PyObject_TypeCheck(object, numpy().PyArray_Type_) != 0;
    }

    PyObject* object() const { return array_; }
    char* data() const { return proxy()->data; }
    PyObject* base() const { return proxy()->base; }  // whose memory it is, or null
    int dimensions() const { return proxy()->nd; }
    const Index* sizes() const { return proxy()->dimensions; }
    Index size(int axis) const { return proxy()->dimensions[axis]; }
    Index stride(int axis) const { return proxy()->strides[axis]; }  // bytes
    int type() const { return descriptor()->type_num; }
    bool is_float() const { return type() == type_number<float>() || type() == type_number<double>(); }
    bool is_integer() const { return type() > py::detail::npy_api::NPY_BOOL_ && type() < type_number<float>(); }
    bool writeable() const { return (proxy()->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0; }

    /// Whether the kernels can read it where it is: aligned, native, and adjacent within a row.
    bool readable_in_place(Index item) const {
        if (is_foreign()) return false;
        if ((proxy()->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
        const int last = dimensions() - 1;
        if (last < 0) return true;
        if (size(last) > 1 && stride(last) != item) return false;
        if (last == 0 || size(0) <= 1) return true;
        return stride(0) >= size(1) * item && stride(0) % item == 0;
    }

    /// Whether its entries are adjacent in row order, aligned and native.
    bool in_row_order() const {
        using api = py::detail::npy_api;
        constexpr int flags = api::NPY_ARRAY_C_CONTIGUOUS_ | api::NPY_ARRAY_ALIGNED_;
        return (proxy()->flags & flags) == flags && !is_foreign();
    }

    /// Whether it is as new_array makes it.
    bool contiguous_in_place() const { return in_row_order() && writeable(); }

    bool has_shape_of(Array other) const {
        return dimensions() == other.dimensions() && std::equal(sizes(), sizes() + dimensions(), other.sizes());
    }

    /// How many there are.
    Index entries() const {
        return std::accumulate(sizes(), sizes() + dimensions(), Index(1), std::multiplies<Index>());
    }

    /// Whether the bytes that two arrays span have any in common.
    bool overlaps(Array other) const {
        const auto [low, high] = span();
        const auto [other_low, other_high] = other.span();
        return low < other_high && other_low < high;
    }

    /// "(2, 3)"
    std::string shape() const {
        std::string text = "(";
        for (int axis = 0; axis < dimensions(); ++axis) {
            text += std::to_string(size(axis)) + (dimensions() == 1 ? "," : axis + 1 < dimensions() ? ", " : "");
        }
        return text + ")";
    }

    /// "float32"
    std::string type_name() const { return py::str(py::handle(proxy()->descr)); }

private:
    struct Span {
        std::uintptr_t low, high;
    };

    bool is_foreign() const {  // byte order
        return descriptor()->byteorder == (PY_LITTLE_ENDIAN ? '>' : '<');
    }

    const py::detail::PyArray_Proxy* proxy() const { return py::detail::array_proxy(array_); }
    const py::detail::PyArrayDescr_Proxy* descriptor() const {
        return py::detail::array_descriptor_proxy(proxy()->descr);
    }

    Index item_size() const {
        if (is_float()) return type() == type_number<float>() ? sizeof(float) : sizeof(double);
        return owned(PyObject_GetAttrString(array_, "itemsize")).cast<Index>();
    }

    Span span() const {
        const auto start = reinterpret_cast<std::uintptr_t>(data());
        Span bytes{start, start + static_cast<std::uintptr_t>(item_size())};
        for (int axis = 0; axis < dimensions(); ++axis) {
            if (size(axis) == 0) return {start, start};
            const Index reach = (size(axis) - 1) * stride(axis);
            (reach < 0 ? bytes.low : bytes.high) += static_cast<std::uintptr_t>(reach);
        }
        return bytes;
    }

    PyObject* array_;
};

/// What an argument is, for an error message: "int64 array" or "list".
inline std::string describe(PyObject* object) {
    if (Array::check(object)) return Array(object).type_name() + " array of shape " + Array(object).shape();
    return Py_TYPE(object)->tp_name;
}

/// A new C-contiguous array.
inline py::object new_array(int type, int dimensions, const Index* sizes) {
    PyObject* descriptor = numpy().PyArray_DescrFromType_(type);
    return owned(numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descriptor, dimensions, sizes, nullptr,
                                               nullptr, 0, nullptr));
}

/// A C-contiguous, aligned copy of `array` in native byte order.
inline py::object contiguous(Array array, int type) {
    using api = py::detail::npy_api;
    PyObject* descriptor = numpy().PyArray_DescrFromType_(type);
    constexpr int flags =
        api::NPY_ARRAY_C_CONTIGUOUS_ | api::NPY_ARRAY_ALIGNED_ | api::NPY_ARRAY_FORCECAST_;
    return owned(numpy().PyArray_FromAny_(array.object(), descriptor, 0, 0, flags, nullptr));
}

}  // namespace gradwright::python
