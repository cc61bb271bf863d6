// The Python module gradwright._processor: what the kernels were compiled for and what this processor can run.
// It is itself compiled for any processor of its architecture.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

namespace {

/// The levels of x86-64 whose instructions the processor and the operating system know, best first.
std::vector<std::string> levels() {
    std::vector<std::string> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("fma");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v4) found.emplace_back("x86-64-v4");
    if (v3) found.emplace_back("x86-64-v3");
    if (v2) found.emplace_back("x86-64-v2");
#endif
    return found;
}

}  // namespace

PYBIND11_MODULE(_processor, module) {
    module.attr("built") = GRADWRIGHT_BUILT;
    module.def("levels", &levels, "The levels of x86-64 that this processor has, best first.");
}
