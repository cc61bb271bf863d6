// The border between C++ and Python: exceptions become Python errors.
#pragma once

#include <exception>

#include "object.hpp"

namespace gradwright::python {

/// Run body; a C++ exception becomes a Python one, and the result is null.
template <class Body>
PyObject* guarded(Body&& body) noexcept {
    try {
        return body();
    } catch (const ErrorSet&) {
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

}  // namespace gradwright::python
