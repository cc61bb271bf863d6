// One call of a bound function: its arguments found by position or keyword, and the scalars among them.
#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "array.hpp"

namespace gradwright::python {

/// A parameter of a bound function; with a default it may be left out, with a text it is keyword-only.
struct Parameter {
    const char* name;
    double number = NAN;
    const char* text = nullptr;

    Parameter(const char* name) : name(name) {}
    Parameter(const char* name, double number) : name(name), number(number) {}
    Parameter(const char* name, const char* text) : name(name), text(text) {}

    bool required() const { return text == nullptr && std::isnan(number); }

    Object default_value() const {
        return owned(text != nullptr ? PyUnicode_FromString(text) : PyFloat_FromDouble(number));
    }
};

/// What values a scalar parameter may have.
enum class Domain { positive, nonnegative, unit, share, real };

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
        Py_ssize_t positional = 0;
        for (const Parameter& parameter : parameters) positional += parameter.text == nullptr;
        if (count > positional) {
            raise(PyExc_TypeError, "%s: %s takes at most %zd positional arguments, got %zd", layer(), function.name,
                  positional, count);
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
        if (object == nullptr) return static_cast<T>(function_.parameters[i].number);
        if (!PyFloat_Check(object) && !is_number(object)) {
            raise(PyExc_TypeError, "%s: %s must be a number, got %s", layer(), name(i), describe(object).c_str());
        }
        const double value = PyFloat_AsDouble(object);
        if (value == -1.0 && PyErr_Occurred() != nullptr) throw ErrorSet{};
        return static_cast<T>(value);
    }

    /// The scalar argument i, a finite number within its domain.
    template <class T>
    T hyperparameter(std::size_t i, Domain domain) const {
        const double value = number<double>(i);
        const bool inside = std::isfinite(value) && (domain != Domain::positive || value > 0) &&
            (domain != Domain::nonnegative || value >= 0) && (domain != Domain::unit || (value >= 0 && value < 1)) &&
            (domain != Domain::share || (value >= 0 && value <= 1));
        if (!inside) {
            constexpr const char* wanted[] = {"> 0", ">= 0", "in [0, 1)", "in [0, 1]", "finite"};
            const Object given = owned(PyFloat_FromDouble(value));
            raise(PyExc_ValueError, "%s: expected %s %s, got %R", layer(), name(i), wanted[static_cast<int>(domain)],
                  given.ptr());
        }
        return static_cast<T>(value);
    }

    /// Whether argument i, "mean" or "sum", is "mean".
    bool is_mean(std::size_t i) const {
        PyObject* object = objects_[i];
        if (object == nullptr) return std::string(function_.parameters[i].text) == "mean";
        if (!PyUnicode_Check(object)) {
            raise(PyExc_TypeError, "%s: %s must be 'mean' or 'sum', got %s", layer(), name(i), describe(object).c_str());
        }
        if (PyUnicode_CompareWithASCIIString(object, "mean") == 0) return true;
        if (PyUnicode_CompareWithASCIIString(object, "sum") == 0) return false;
        raise(PyExc_ValueError, "%s: expected %s 'mean' or 'sum', got %R", layer(), name(i), object);
    }

    /// ValueError "layer: expected ..., got X (0, 3)" unless the condition on argument i holds.
    void require(bool condition, const char* expected, std::size_t i) const {
        if (condition) return;
        raise(PyExc_ValueError, "%s: expected %s, got %s %s", layer(), expected, name(i),
              Array(objects_[i]).shape().c_str());
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
        for (std::size_t i = 0; i < result; ++i) {
            PyObject* other = out(i);
            if (other != nullptr && array.overlaps(Array(other))) {
                raise(PyExc_ValueError, "%s: the arrays in out overlap each other", layer());
            }
        }
        for (std::size_t i = 0; i < out_position(); ++i) {
            if (objects_[i] != nullptr && Array::check(objects_[i]) && array.overlaps(Array(objects_[i]))) return true;
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
        return numpy::is_number(object);
    }

    const Function& function_;
    PyObject* objects_[max_parameters + 1] = {};
};

}  // namespace gradwright::python
