// The Python module gradwright._engine: networks that train in C++.
#include <pybind11/pybind11.h>

namespace gradwright::engine::python {
void bind_float32(pybind11::module_& module);
void bind_float64(pybind11::module_& module);
}  // namespace gradwright::engine::python

PYBIND11_MODULE(_engine, module) {
    gradwright::engine::python::bind_float32(module);
    gradwright::engine::python::bind_float64(module);
}
