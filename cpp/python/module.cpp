// The Python module gradwright._kernels.
#include <pybind11/pybind11.h>

#include <cstdint>

#include "openblas.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_kernels, module) {
    using gradwright::Gemm;
    gradwright::python::use_bundled_blas();
    module.attr("bundled_blas") = gradwright::python::bundled_blas();
    module.def("use_bundled_blas", &gradwright::python::use_bundled_blas);
    module.def("set_blas", [](std::uintptr_t sgemm_address, std::uintptr_t dgemm_address) {
        gradwright::set_blas(reinterpret_cast<Gemm<float>>(sgemm_address),
                             reinterpret_cast<Gemm<double>>(dgemm_address));
    }, py::arg("sgemm_address"), py::arg("dgemm_address"));
}
