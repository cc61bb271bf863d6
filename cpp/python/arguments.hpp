// The arguments of a bound function: found by position or keyword, checked, and seen through views.
//
// Arrays whose rows the kernels can read are not copied; any other layout is.  Shapes are compared
// as arguments are declared; copies are made when a view is taken, after all checks.
#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "array.hpp"
#include "gradwright/runtime.hpp"

namespace gradwright::python {

/// A parameter of a bound function; one with a default (never NaN) may be left out.
struct Parameter {
    const char* name;
    double default_value = NAN;
    bool required() const { return std::isnan(default_value); }
};

class Call;
using Implementation = PyObject* (*)(const Call& call);

/// A bound function.  `results` names what it returns: one result as it is, several as a named tuple.
struct Function {
    const char* name;
    Implementation implementation;
    std::vector<Parameter> parameters;
    std::vector<const char*> results;
    const char* doc;                      // its first line is the signature that help() shows
    const char* layer = nullptr;          // filled in by Layer, as is the type of named tuple
    PyTypeObject* result_type = nullptr;
};

/// One call: the objects given, in the order of the parameters, `out` after them.
class Call {
public:
    static constexpr std::size_t max_parameters = 16;

    explicit Call(const Function& function) : function_(function) {}

    Call(const Function& function, PyObject* const* given, Py_ssize_t count, PyObject* keywords)
        : function_(function) {
        const std::vector<Parameter>& parameters = function.parameters;
        if (count > static_cast<Py_ssize_t>(parameters.size())) {
            raise(PyExc_TypeError, "%s: %s takes %zu arguments and out, got %zd", layer(), function.name,
                  parameters.size(), count);
        }
        for (Py_ssize_t i = 0; i < count; ++i) objects_[i] = given[i];
        const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
        for (Py_ssize_t i = 0; i < named; ++i) keyword(PyTuple_GET_ITEM(keywords, i), given[count + i]);
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            if (objects_[i] == nullptr && parameters[i].required()) {
                raise(PyExc_TypeError, "%s: %s needs the argument %s", layer(), function.name, name(i));
            }
        }
    }

    const Function& function() const { return function_; }
    const char* layer() const { return function_.layer; }
    const char* name(std::size_t i) const { return function_.parameters[i].name; }
    PyObject* object(std::size_t i) const { return objects_[i]; }
    void set_object(std::size_t i, PyObject* object) { objects_[i] = object; }
    std::size_t out_position() const { return function_.parameters.size(); }

    /// Call body(T()) with the type that the arrays at these positions share.
    template <class Body>
    PyObject* with_type(std::initializer_list<std::size_t> positions, Body&& body) const {
        std::size_t first = *positions.begin();
        for (std::size_t i : positions) {
            if (!Array::check(objects_[i]) || !Array(objects_[i]).is_float()) {
                raise(PyExc_TypeError, "%s: %s must be a NumPy array of float32 or float64, got %s", layer(), name(i),
                      describe(objects_[i]).c_str());
            }
            if (Array(objects_[i]).type() != Array(objects_[first]).type()) {
                const std::string type = Array(objects_[first]).type_name();
                raise(PyExc_TypeError, "%s: expected one dtype, got %s %s and %s %s; convert one with .astype", layer(),
                      name(first), type.c_str(), name(i), Array(objects_[i]).type_name().c_str());
            }
        }
        return Array(objects_[first]).type() == type_number<float>() ? body(float()) : body(double());
    }

    /// The scalar argument i: a Python or NumPy number or a float array without dimensions, no bool.
    template <class T>
    T number(std::size_t i) const {
        PyObject* object = objects_[i];
        if (object == nullptr) return static_cast<T>(function_.parameters[i].default_value);
        if (!PyFloat_Check(object) && !is_number(object)) {
            raise(PyExc_TypeError, "%s: %s must be a number, got %s", layer(), name(i), describe(object).c_str());
        }
        const double value = PyFloat_AsDouble(object);
        if (value == -1.0 && PyErr_Occurred() != nullptr) throw ErrorSet{};
        return static_cast<T>(value);
    }

    /// ValueError "layer: message" unless the condition holds.
    void require(bool condition, const char* message) const {
        if (!condition) raise(PyExc_ValueError, "%s: %s", layer(), message);
    }

    /// The buffer given for result i, or null.
    PyObject* out(std::size_t i) const {
        PyObject* out = objects_[out_position()];
        const std::size_t results = function_.results.size();
        if (out == nullptr || out == Py_None) return nullptr;
        if (results == 1) return out;
        if (!PyTuple_Check(out) || PyTuple_GET_SIZE(out) != static_cast<Py_ssize_t>(results)) {
            raise(PyExc_TypeError, "%s: out must be a tuple of %zu arrays (or None), one for each result, got %s",
                  layer(), results, describe(out).c_str());
        }
        PyObject* buffer = PyTuple_GET_ITEM(out, static_cast<Py_ssize_t>(i));
        return buffer == Py_None ? nullptr : buffer;
    }

    /// Whether `array` shares memory with an argument, or with a buffer for an earlier result.
    bool overlaps_others(Array array, std::size_t result) const {
        for (std::size_t i = 0; i < out_position(); ++i) {
            if (objects_[i] != nullptr && Array::check(objects_[i]) && array.overlaps(Array(objects_[i]))) return true;
        }
        for (std::size_t i = 0; i < result; ++i) {
            PyObject* other = out(i);
            if (other != nullptr && array.overlaps(Array(other))) {
                raise(PyExc_ValueError, "%s: the arrays in out overlap each other", layer());
            }
        }
        return false;
    }

private:
    void keyword(PyObject* key, PyObject* value) {
        std::size_t i = 0;
        while (i < out_position() && PyUnicode_CompareWithASCIIString(key, name(i)) != 0) ++i;
        if (i == out_position() && PyUnicode_CompareWithASCIIString(key, "out") != 0) {
            raise(PyExc_TypeError, "%s: %s has no argument %R", layer(), function_.name, key);
        }
        if (objects_[i] != nullptr) raise(PyExc_TypeError, "%s: %s got %R twice", layer(), function_.name, key);
        objects_[i] = value;
    }

    static bool is_number(PyObject* object) {
        if (PyBool_Check(object)) return false;
        if (PyLong_Check(object)) return true;
        if (Array::check(object)) return Array(object).dimensions() == 0 && Array(object).is_float();
        static PyObject* const number_types = [] {
            const py::module_ module = py::module_::import("numpy");
            return py::make_tuple(module.attr("floating"), module.attr("integer")).release().ptr();
        }();
        return PyObject_IsInstance(object, number_types) == 1;
    }

    const Function& function_;
    PyObject* objects_[max_parameters + 1] = {};
};

/// A symbolic size: fixed by the first argument that has it, compared with all later ones.
class Size {
public:
    explicit Size(const char* symbol) : symbol_(symbol) {}
    operator Index() const { return value_; }
    const char* symbol() const { return symbol_; }

    void match(const Call& call, std::size_t argument, int axis) {
        const Array array(call.object(argument));
        if (value_ < 0) {
            value_ = array.size(axis);
            argument_ = argument;
            axis_ = axis;
        } else if (value_ != array.size(axis)) {
            raise(PyExc_ValueError, "%s: expected %s.shape[%d] == %s.shape[%d], got %s %s and %s %s", call.layer(),
                  call.name(argument_), axis_, call.name(argument), axis, call.name(argument_),
                  Array(call.object(argument_)).shape().c_str(), call.name(argument), array.shape().c_str());
        }
    }

private:
    const char* symbol_;
    Index value_ = -1;
    std::size_t argument_ = 0;
    int axis_ = 0;
};

/// A float array argument of one or two dimensions.
template <class T>
class Input {
public:
    template <class... Sizes>
    Input(const Call& call, std::size_t position, Sizes&... sizes) : array_(call.object(position)) {
        if (array_.dimensions() != static_cast<int>(sizeof...(sizes))) {
            std::string expected;
            ((expected += expected.empty() ? "" : ", ", expected += sizes.symbol()), ...);
            raise(PyExc_ValueError, "%s: expected %s of shape (%s%s), got %s", call.layer(), call.name(position),
                  expected.c_str(), sizeof...(sizes) == 1 ? "," : "", array_.shape().c_str());
        }
        int axis = 0;
        (sizes.match(call, position, axis++), ...);
    }

    Matrix<const T> matrix() {
        settle();
        const Index rows = array_.size(0), cols = array_.size(1);
        const Index stride = rows > 1 ? array_.stride(0) / static_cast<Index>(sizeof(T)) : cols;
        return {reinterpret_cast<const T*>(array_.data()), rows, cols, stride};
    }

    Vector<const T> vector() {
        settle();
        return {reinterpret_cast<const T*>(array_.data()), array_.size(0)};
    }

private:
    void settle() {
        if (array_.readable_in_place(sizeof(T))) return;
        copy_ = contiguous(array_, type_number<T>());
        array_ = Array(copy_.ptr());
    }

    Array array_;
    py::object copy_;
};

/// Integer labels (N,), each one of 0, ..., K - 1, in place of a one-hot (N, K) array.
template <class T>
class Labels {
public:
    Labels(const Call& call, std::size_t position, Size& N, const Size& K) : classes_(K) {
        const Array given(call.object(position));
        N.match(call, position, 0);
        call.require(K < (Index(1) << 31), "labels stand for fewer than 2^31 classes");
        array_ = given.type() == type_number<std::int64_t>() && given.readable_in_place(sizeof(std::int64_t))
            ? py::reinterpret_borrow<py::object>(given.object())
            : contiguous(given, type_number<std::int64_t>());
        for (Index n = 0; n < N; ++n) {
            if (labels()[n] < 0 || labels()[n] >= classes_) {
                raise(PyExc_IndexError, "%s: label %lld at %s[%zd] is outside 0..%zd", call.layer(),
                      static_cast<long long>(labels()[n]), call.name(position), n, classes_ - 1);
            }
        }
    }

    OneHot<T> matrix() const { return {labels(), Array(array_.ptr()).size(0), classes_}; }

private:
    const std::int64_t* labels() const {
        return reinterpret_cast<const std::int64_t*>(Array(array_.ptr()).data());
    }

    Index classes_;
    py::object array_;
};

/// Call body with argument i as Input (N, K) of the type that the arrays at `floats` have, or as Labels (N,).
template <class T, class Body>
PyObject* with_target(const Call& call, std::initializer_list<std::size_t> floats, std::size_t i, Size& N, Size& K,
                      Body&& body) {
    PyObject* object = call.object(i);
    if (!Array::check(object) || (Array(object).dimensions() == 1 && !Array(object).is_integer())) {
        raise(PyExc_TypeError, "%s: %s must be an (N, K) array of floats or an (N,) array of integer labels, got %s",
              call.layer(), call.name(i), describe(object).c_str());
    }
    if (Array(object).dimensions() == 1) {
        Labels<T> target(call, i, N, K);
        return body(target);
    }
    return call.with_type({*floats.begin(), i}, [&](auto) {
        Input<T> target(call, i, N, K);
        return body(target);
    });
}

}  // namespace gradwright::python
