// NumPy arrays, close to the C interface: a call must cost well below a microsecond.
#pragma once

#include "object.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>
#include <string>
#include <type_traits>

#include "gradwright/view.hpp"

namespace gradwright::python {

namespace numpy {

// The beginning of NumPy's structures, and its numbers, as its stable interface documents them;
// array.cpp compares them with pybind11's.
struct ArrayFields {
    PyObject_HEAD
    char* data;
    int dimensions;
    Index* sizes;
    Index* strides;
    PyObject* base;
    PyObject* descriptor;
    int flags;
};
struct DescriptorFields {
    PyObject_HEAD
    PyObject* type;
    char kind, character, byte_order, former_flags;
    int number;
};
enum Flag { c_contiguous = 0x1, force_cast = 0x10, aligned = 0x100, writeable = 0x400 };
enum Number { boolean = 0, ubyte = 2, int64 = sizeof(long) == 8 ? 7 : 9, float32 = 11, float64 = 12 };

extern PyTypeObject* array_type;  // set by load

/// Find NumPy; before anything else here is used.
void load();

/// A new C-contiguous array; in memory that `base` owns, if given.
Object empty(int type, int dimensions, const Index* sizes);
Object within(PyObject* base, void* data, int type, int dimensions, const Index* sizes);

/// A C-contiguous, aligned copy of `array` in native byte order.
Object copy(PyObject* array, int type);

/// A NumPy scalar, or an array without dimensions.
Object scalar(void* value, int type);
Object as_array(PyObject* scalar);

/// Copy all entries of one array to another one of the same shape.
void assign(PyObject* to, PyObject* from);

/// Whether it is a NumPy scalar of a float or integer type.
bool is_number(PyObject* object);

}  // namespace numpy

template <class T>
constexpr int type_number() {
    if constexpr (std::is_same_v<T, float>) return numpy::float32;
    if constexpr (std::is_same_v<T, double>) return numpy::float64;
    if constexpr (std::is_same_v<T, std::int64_t>) return numpy::int64;
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
        return PyObject_TypeCheck(object, numpy::array_type) != 0;
    }

    PyObject* object() const { return array_; }
    char* data() const { return fields()->data; }
    PyObject* base() const { return fields()->base; }  // whose memory it is, or null
    int dimensions() const { return fields()->dimensions; }
    const Index* sizes() const { return fields()->sizes; }
    Index size(int axis) const { return fields()->sizes[axis]; }
    Index stride(int axis) const { return fields()->strides[axis]; }  // bytes
    int type() const { return descriptor()->number; }
    bool is_float() const { return type() == numpy::float32 || type() == numpy::float64; }
    bool is_integer() const { return type() > numpy::boolean && type() < numpy::float32; }
    bool writeable() const { return (fields()->flags & numpy::writeable) != 0; }

    /// Whether the kernels can read it where it is: aligned, native, and adjacent within a row.
    bool readable_in_place(Index item) const {
        if (is_foreign() || (fields()->flags & numpy::aligned) == 0) return false;
        const int last = dimensions() - 1;
        if (last < 0) return true;
        if (size(last) > 1 && stride(last) != item) return false;
        if (last == 0 || size(0) <= 1) return true;
        return stride(0) >= size(1) * item && stride(0) % item == 0;
    }

    /// Whether its entries are adjacent in row order, aligned and native.
    bool in_row_order() const {
        constexpr int flags = numpy::c_contiguous | numpy::aligned;
        return (fields()->flags & flags) == flags && !is_foreign();
    }

    /// Whether it is as numpy::empty makes it.
    bool contiguous_in_place() const { return in_row_order() && writeable(); }

    bool has_shape_of(Array other) const {
        return dimensions() == other.dimensions() &&
            std::equal(sizes(), sizes() + dimensions(), other.sizes());
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

    std::string shape() const;      // "(2, 3)"
    std::string type_name() const;  // "float32"

private:
    struct Span {
        std::uintptr_t low, high;
    };

    bool is_foreign() const {  // byte order
        return descriptor()->byte_order == (PY_LITTLE_ENDIAN ? '>' : '<');
    }

    const numpy::ArrayFields* fields() const {
        return reinterpret_cast<const numpy::ArrayFields*>(array_);
    }
    const numpy::DescriptorFields* descriptor() const {
        return reinterpret_cast<const numpy::DescriptorFields*>(fields()->descriptor);
    }

    Index item_size() const;
    Span span() const;

    PyObject* array_;
};

/// What an argument is, for an error message: "int64 array" or "list".
std::string describe(PyObject* object);

}  // namespace gradwright::python
