// The Python module gradwright._kernels: the BLAS in use, the threads in use, and a submodule for each layer.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "layer.hpp"
#include "openblas.hpp"
#include "optimizer.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_kernels, module) {
    using gradwright::Gemm;
    using gradwright::python::Layer;
    using gradwright::python::Optimizer;

    gradwright::python::numpy::load();
    gradwright::python::use_bundled_blas();
    module.attr("bundled_blas") = gradwright::python::bundled_blas();
    module.def("use_bundled_blas", &gradwright::python::use_bundled_blas);
    module.def("set_blas", [](std::uintptr_t sgemm_address, std::uintptr_t dgemm_address) {
        gradwright::set_blas(reinterpret_cast<Gemm<float>>(sgemm_address),
                             reinterpret_cast<Gemm<double>>(dgemm_address));
    }, py::arg("sgemm_address"), py::arg("dgemm_address"));

    module.def("threads", &gradwright::threads, "The number of threads a kernel may use.");
    module.def("set_threads", [](int count) {
        if (count < 1) throw py::value_error("set_threads: expected at least one thread, got " + std::to_string(count));
        gradwright::set_threads(count);
    }, py::arg("count"), "Let kernels use at most `count` threads, 1 to 64.");

    module.def("release_memory", [] { gradwright::python::forget_recycled_arrays(); },
               "Give back the memory kept for the next large results (at most 128 MiB).");

    auto& layers = Layer::all();
    std::sort(layers.begin(), layers.end(), [](const Layer* a, const Layer* b) {
        return std::strcmp(a->name(), b->name()) < 0;
    });
    for (Layer* layer : layers) layer->add_to(module.ptr());

    auto& optimizers = Optimizer::all();
    std::sort(optimizers.begin(), optimizers.end(), [](const Optimizer* a, const Optimizer* b) {
        return std::strcmp(a->name(), b->name()) < 0;
    });
    for (Optimizer* optimizer : optimizers) optimizer->add_to(module.ptr());
}
