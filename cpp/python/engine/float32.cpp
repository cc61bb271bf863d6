#include "binding.hpp"

namespace gradwright::engine::python {
void bind_float32(py::module_& module) { 
    bind<float>(module, "Network32");
    module.def("names", &names, "The activations, losses and optimizers there are.");
}
}  // namespace gradwright::engine::python
