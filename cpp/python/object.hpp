// References to Python objects and Python errors, without pybind11: a binding that includes little
// compiles in a second.
#pragma once

#include <Python.h>

#include <utility>

namespace gradwright::python {

/// Thrown after a Python error has been set.
struct ErrorSet {};

template <class... Values>
[[noreturn]] void raise(PyObject* type, const char* format, Values... values) {
    PyErr_Format(type, format, values...);
    throw ErrorSet{};
}

/// A counted reference to a Python object, or to none.
class Object {
public:
    Object() = default;
    Object(const Object& other) : object_(other.object_) { Py_XINCREF(object_); }
    Object(Object&& other) noexcept : object_(other.release()) {}
    ~Object() { Py_XDECREF(object_); }
    Object& operator=(Object other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }

    /// Another reference to an object that somebody else holds.
    static Object shared(PyObject* object) {
        Object reference;
        reference.object_ = object;
        Py_XINCREF(object);
        return reference;
    }

    /// A new reference from the interpreter, or the error it has set.
    static Object owned(PyObject* result) {
        if (result == nullptr) throw ErrorSet{};
        Object reference;
        reference.object_ = result;
        return reference;
    }

    PyObject* ptr() const { return object_; }
    PyObject* release() { return std::exchange(object_, nullptr); }
    explicit operator bool() const { return object_ != nullptr; }

private:
    PyObject* object_ = nullptr;
};

inline Object owned(PyObject* result) { return Object::owned(result); }

/// Lets other Python threads run while it lives.
class Released {
public:
    Released() : state_(PyEval_SaveThread()) {}
    ~Released() { PyEval_RestoreThread(state_); }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

private:
    PyThreadState* state_;
};

}  // namespace gradwright::python
