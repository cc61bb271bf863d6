// The OpenBLAS bundled with the wheel, as the dense product of gradwright/blas.hpp.
#pragma once

#include <gradwright/blas.hpp>

#ifdef GRADWRIGHT_OPENBLAS
extern "C" {
void scipy_sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
                  const float*, const int*, const float*, const int*, const float*, float*,
                  const int*);
void scipy_dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
                  const double*, const int*, const double*, const int*, const double*, double*,
                  const int*);
void scipy_openblas_set_num_threads(int);
char* scipy_openblas_get_config();
}
#endif

namespace gradwright::python {

// "OpenBLAS 0.3.34 ...", or null in a build without it.
inline const char* bundled_blas() {
#ifdef GRADWRIGHT_OPENBLAS
    return scipy_openblas_get_config();
#else
    return nullptr;
#endif
}

// Registers the bundled OpenBLAS, or the loops of our own in a build without it.
inline void use_bundled_blas() {
#ifdef GRADWRIGHT_OPENBLAS
    scipy_openblas_set_num_threads(1);  // the kernels slice the work themselves
    set_blas(scipy_sgemm_, scipy_dgemm_, bundled_blas());
#else
    set_blas(nullptr, nullptr);
#endif
}

}  // namespace gradwright::python
