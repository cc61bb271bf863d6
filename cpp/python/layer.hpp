// A layer as Python sees it: a module with forward, backward and vjp.
#pragma once

#include <vector>

#include "results.hpp"

namespace gradwright::python {

/// Where an argument of backward after the upstream gradient comes from.
struct Saved {
    enum Source { argument, result } source;  // of forward
    std::size_t position;
};

/// A layer registers itself where its binding defines it; module.cpp makes a Python module of each.
class Layer {
public:
    Layer(const char* name, const char* doc, Function forward, Function backward, std::vector<Saved> saved,
          const char* vjp_doc);
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    const char* name() const { return name_; }
    void add_to(PyObject* package);

    static std::vector<Layer*>& all();

private:
    using FastCall = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);

    static PyObject* forward(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);
    static PyObject* backward(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);
    static PyObject* vjp(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);
    static PyObject* pullback(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);
    static PyMethodDef method(const char* name, FastCall call, const char* doc);

    PyObject* output_and_pullback(const Call& call) const;
    PyObject* pull_back(PyObject* saved, const Call& call) const;

    const char* name_;
    const char* doc_;
    Function forward_, backward_, pullback_;
    std::vector<Saved> saved_;
    PyMethodDef forward_method_, backward_method_, vjp_method_, pullback_method_;
    PyObject* self_ = nullptr;  // a capsule that holds `this`
};

}  // namespace gradwright::python
