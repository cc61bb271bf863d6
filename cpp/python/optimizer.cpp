#include "optimizer.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "guarded.hpp"
#include "namespace.hpp"

namespace gradwright::python {

namespace {

const Optimizer* optimizer_of(PyObject* capsule) {
    return static_cast<const Optimizer*>(PyCapsule_GetPointer(capsule, nullptr));
}

}  // namespace

Index step_number(const Call& call, std::size_t position) {
    PyObject* object = call.object(position);
    if (PyBool_Check(object) || !PyIndex_Check(object) || Array::check(object)) {
        raise(PyExc_TypeError, "%s: %s must be an integer, got %s", call.layer(), call.name(position),
              describe(object).c_str());
    }
    const Py_ssize_t value = PyNumber_AsSsize_t(object, nullptr);  // clipped
    if (value == -1 && PyErr_Occurred() != nullptr) throw ErrorSet{};
    if (value < 1 || value >= Py_ssize_t(1) << 53) {
        raise(PyExc_ValueError, "%s: expected 1 <= %s < 2^53, got %S", call.layer(), call.name(position), object);
    }
    return value;
}

void refuse(const Call& call, std::size_t gradient, Index place, double value) {
    const Array array(call.object(gradient));
    std::string index;
    for (int axis = array.dimensions() - 1; axis >= 0; --axis) {
        index = std::to_string(place % array.size(axis)) + (index.empty() ? "" : ", ") + index;
        place /= array.size(axis);
    }
    const Object entry = owned(PyFloat_FromDouble(value));
    raise(PyExc_FloatingPointError, "%s: %s[%s] is %S; the step is refused and nothing is changed", call.layer(),
          call.name(gradient), index.c_str(), entry.ptr());
}

std::vector<Optimizer*>& Optimizer::all() {
    static std::vector<Optimizer*> optimizers;
    return optimizers;
}

Optimizer::Optimizer(const char* name, const char* doc, Function update, std::vector<const char*> states,
                     const char* state_doc)
    : name_(name), doc_(doc), update_(std::move(update)), states_(std::move(states)),
      update_method_{"update", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&Optimizer::update)),
                     METH_FASTCALL | METH_KEYWORDS, update_.doc},
      state_method_{"initial_state", &Optimizer::initial_state, METH_O, state_doc} {
    update_.layer = name;
    all().push_back(this);
}

void Optimizer::add_to(PyObject* package) {
    const std::string path = std::string("gradwright.generated.cpp.") + name_;
    PyObject* module = add_module(package, name_, doc_);
    state_type_ = named_tuple("State", states_, path);
    add_value(module, state_type_->tp_name, reinterpret_cast<PyObject*>(state_type_));
    if (update_.results.size() > 1) {
        update_.result_type = named_tuple("Update", update_.results, path);
        add_value(module, update_.result_type->tp_name, reinterpret_cast<PyObject*>(update_.result_type));
    }
    self_ = owned(PyCapsule_New(this, nullptr, nullptr)).release();
    for (PyMethodDef* definition : {&update_method_, &state_method_}) {
        add_method(module, *definition, self_, path);
    }
}

PyObject* Optimizer::update(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded([&] {
        const Function& function = optimizer_of(self)->update_;
        return function.implementation(Call(function, given, count, keywords));
    });
}

PyObject* Optimizer::initial_state(PyObject* self, PyObject* parameter) {
    return guarded([&] { return optimizer_of(self)->zeros_like(parameter); });
}

PyObject* Optimizer::zeros_like(PyObject* parameter) const {
    if (!Array::check(parameter) || !Array(parameter).is_float()) {
        raise(PyExc_TypeError, "%s: %s must be a NumPy array of float32 or float64, got %s", name_,
              update_.parameters[0].name, describe(parameter).c_str());
    }
    const Array like(parameter);
    const Index bytes = like.entries() * (like.type() == type_number<float>() ? Index(sizeof(float)) : Index(sizeof(double)));
    Object state = owned(state_type_->tp_alloc(state_type_, static_cast<Py_ssize_t>(states_.size())));
    for (std::size_t i = 0; i < states_.size(); ++i) {
        Object zeros = numpy::empty(like.type(), like.dimensions(), like.sizes());
        std::memset(Array(zeros.ptr()).data(), 0, static_cast<std::size_t>(bytes));
        PyTuple_SET_ITEM(state.ptr(), static_cast<Py_ssize_t>(i), zeros.release());
    }
    return state.release();
}

}  // namespace gradwright::python
