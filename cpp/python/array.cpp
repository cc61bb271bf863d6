#include "array.hpp"

#include <pybind11/numpy.h>

#include <cstddef>

namespace gradwright::python {

namespace py = pybind11;

namespace {

using Api = py::detail::npy_api;
using PyArray = py::detail::PyArray_Proxy;
using PyDescriptor = py::detail::PyArrayDescr_Proxy;

static_assert(offsetof(numpy::ArrayFields, data) == offsetof(PyArray, data));
static_assert(offsetof(numpy::ArrayFields, dimensions) == offsetof(PyArray, nd));
static_assert(offsetof(numpy::ArrayFields, sizes) == offsetof(PyArray, dimensions));
static_assert(offsetof(numpy::ArrayFields, strides) == offsetof(PyArray, strides));
static_assert(offsetof(numpy::ArrayFields, base) == offsetof(PyArray, base));
static_assert(offsetof(numpy::ArrayFields, descriptor) == offsetof(PyArray, descr));
static_assert(offsetof(numpy::ArrayFields, flags) == offsetof(PyArray, flags));
static_assert(offsetof(numpy::DescriptorFields, byte_order) == offsetof(PyDescriptor, byteorder));
static_assert(offsetof(numpy::DescriptorFields, number) == offsetof(PyDescriptor, type_num));
static_assert(int(numpy::c_contiguous) == Api::NPY_ARRAY_C_CONTIGUOUS_);
static_assert(int(numpy::force_cast) == Api::NPY_ARRAY_FORCECAST_);
static_assert(int(numpy::aligned) == Api::NPY_ARRAY_ALIGNED_);
static_assert(int(numpy::writeable) == Api::NPY_ARRAY_WRITEABLE_);
static_assert(int(numpy::boolean) == Api::NPY_BOOL_ && int(numpy::ubyte) == Api::NPY_UBYTE_);
static_assert(int(numpy::float32) == Api::NPY_FLOAT_ && int(numpy::float64) == Api::NPY_DOUBLE_);

const Api& api() {
    static const Api& found = Api::get();
    return found;
}

PyObject* descriptor_of(int type) { return api().PyArray_DescrFromType_(type); }

}  // namespace

namespace numpy {

PyTypeObject* array_type = nullptr;

void load() { array_type = api().PyArray_Type_; }

Object empty(int type, int dimensions, const Index* sizes) {
    return owned(api().PyArray_NewFromDescr_(array_type, descriptor_of(type), dimensions, sizes,
                                             nullptr, nullptr, 0, nullptr));
}

Object within(PyObject* base, void* data, int type, int dimensions, const Index* sizes) {
    Object array = owned(api().PyArray_NewFromDescr_(array_type, descriptor_of(type), dimensions,
                                                     sizes, nullptr, data, writeable, nullptr));
    if (api().PyArray_SetBaseObject_(array.ptr(), Py_NewRef(base)) < 0) throw ErrorSet{};
    return array;
}

Object copy(PyObject* array, int type) {
    constexpr int flags = c_contiguous | aligned | force_cast;
    return owned(api().PyArray_FromAny_(array, descriptor_of(type), 0, 0, flags, nullptr));
}

Object scalar(void* value, int type) {
    const Object descriptor = owned(descriptor_of(type));
    return owned(api().PyArray_Scalar_(value, descriptor.ptr(), nullptr));
}

Object as_array(PyObject* scalar) {
    return owned(api().PyArray_FromAny_(scalar, nullptr, 0, 0, 0, nullptr));
}

void assign(PyObject* to, PyObject* from) {
    if (api().PyArray_CopyInto_(to, from) < 0) throw ErrorSet{};
}

bool is_number(PyObject* object) {
    static PyObject* const types = [] {
        const py::module_ module = py::module_::import("numpy");
        return py::make_tuple(module.attr("floating"), module.attr("integer")).release().ptr();
    }();
    return PyObject_IsInstance(object, types) == 1;
}

}  // namespace numpy

std::string Array::shape() const {
    std::string text = "(";
    for (int axis = 0; axis < dimensions(); ++axis) {
        text += (axis > 0 ? ", " : "") + std::to_string(size(axis));
    }
    return text + (dimensions() == 1 ? ",)" : ")");
}

std::string Array::type_name() const { return py::str(py::handle(fields()->descriptor)); }

Index Array::item_size() const {
    if (is_float()) return type() == numpy::float32 ? sizeof(float) : sizeof(double);
    return py::handle(array_).attr("itemsize").cast<Index>();
}

Array::Span Array::span() const {
    const auto start = reinterpret_cast<std::uintptr_t>(data());
    Span bytes{start, start + static_cast<std::uintptr_t>(item_size())};
    for (int axis = 0; axis < dimensions(); ++axis) {
        if (size(axis) == 0) return {start, start};
        const Index reach = (size(axis) - 1) * stride(axis);
        (reach < 0 ? bytes.low : bytes.high) += static_cast<std::uintptr_t>(reach);
    }
    return bytes;
}

std::string describe(PyObject* object) {
    if (!Array::check(object)) return Py_TYPE(object)->tp_name;
    const Array array(object);
    return array.type_name() + " array of shape " + array.shape();
}

}  // namespace gradwright::python
