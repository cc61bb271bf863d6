#include "binding.hpp"

namespace gradwright::engine::python {
void bind_float32(py::module_& module) { bind<float>(module, "Network32"); }
}  // namespace gradwright::engine::python
