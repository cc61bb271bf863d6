#include "binding.hpp"

namespace gradwright::engine::python {
void bind_float64(py::module_& module) { bind<double>(module, "Network64"); }
}  // namespace gradwright::engine::python
