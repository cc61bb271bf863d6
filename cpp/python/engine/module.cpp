// The Python module gradwright._engine: networks that train in C++.
#include <pybind11/pybind11.h>

#include <cstdint>

#include "gradwright/blas.hpp"

namespace gradwright::engine::python {
void bind_float32(pybind11::module_& module);
void bind_float64(pybind11::module_& module);
}  // namespace gradwright::engine::python

PYBIND11_MODULE(_engine, module) {
    gradwright::engine::python::bind_float32(module);
    gradwright::engine::python::bind_float64(module);
    module.def("set_blas", [](std::uintptr_t sgemm, std::uintptr_t dgemm) {
        gradwright::set_blas(reinterpret_cast<gradwright::Gemm<float>>(sgemm),
                             reinterpret_cast<gradwright::Gemm<double>>(dgemm));
    }, pybind11::arg("sgemm_address"), pybind11::arg("dgemm_address"));
}
