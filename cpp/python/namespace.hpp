// What a layer's or an optimizer's Python module is made of.
#pragma once

#include <string>
#include <vector>

#include "object.hpp"

namespace gradwright::python {

/// An empty module package.name; borrowed from the package.
PyObject* add_module(PyObject* package, const char* name, const char* doc);

/// Add a value to a module, which keeps a reference to it.
void add_value(PyObject* module, const char* name, PyObject* value);

/// Add a method; `self` is handed to it, `path` is what it says its module is.
void add_method(PyObject* module, PyMethodDef& method, PyObject* self, const std::string& path);

/// A new type of named tuple; never freed.
PyTypeObject* named_tuple(const char* name, const std::vector<const char*>& fields, const std::string& module);

}  // namespace gradwright::python
