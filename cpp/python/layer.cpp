#include "layer.hpp"

#include <string>
#include <utility>

#include "guarded.hpp"
#include "namespace.hpp"

namespace gradwright::python {

namespace {

const Layer* layer_of(PyObject* capsule) {
    return static_cast<const Layer*>(PyCapsule_GetPointer(capsule, nullptr));
}

}  // namespace

std::vector<Layer*>& Layer::all() {
    static std::vector<Layer*> layers;
    return layers;
}

PyMethodDef Layer::method(const char* name, FastCall call, const char* doc) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call)), METH_FASTCALL | METH_KEYWORDS, doc};
}

Layer::Layer(const char* name, const char* doc, Function forward, Function backward, std::vector<Saved> saved,
             const char* vjp_doc)
    : name_(name), doc_(doc), forward_(std::move(forward)), backward_(std::move(backward)), saved_(std::move(saved)),
      forward_method_(method("forward", &Layer::forward, forward_.doc)),
      backward_method_(method("backward", &Layer::backward, backward_.doc)),
      vjp_method_(method("vjp", &Layer::vjp, vjp_doc)),
      pullback_method_(method("pullback", &Layer::pullback, "pullback(DY, out=None)\n--\n\nThe gradients.")) {
    forward_.layer = backward_.layer = name;
    all().push_back(this);
}

void Layer::add_to(PyObject* package) {
    const std::string path = std::string("gradwright.generated.cpp.") + name_;
    PyObject* module = add_module(package, name_, doc_);
    if (forward_.results.size() > 1) forward_.result_type = named_tuple("Forward", forward_.results, path);
    if (backward_.results.size() > 1) backward_.result_type = named_tuple("Gradients", backward_.results, path);
    pullback_ = {"pullback", nullptr, {backward_.parameters[0]}, backward_.results, "", name_, nullptr};
    self_ = owned(PyCapsule_New(this, nullptr, nullptr)).release();
    for (PyMethodDef* definition : {&forward_method_, &backward_method_, &vjp_method_}) {
        add_method(module, *definition, self_, path);
    }
    for (const Function* function : {&forward_, &backward_}) {
        PyTypeObject* type = function->result_type;
        if (type != nullptr) add_value(module, type->tp_name, reinterpret_cast<PyObject*>(type));
    }
}

PyObject* Layer::forward(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded([&] {
        const Function& function = layer_of(self)->forward_;
        return function.implementation(Call(function, given, count, keywords));
    });
}

PyObject* Layer::backward(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded([&] {
        const Function& function = layer_of(self)->backward_;
        return function.implementation(Call(function, given, count, keywords));
    });
}

PyObject* Layer::vjp(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded([&] {
        const Layer* layer = layer_of(self);
        return layer->output_and_pullback(Call(layer->forward_, given, count, keywords));
    });
}

PyObject* Layer::pullback(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return guarded([&] {
        const Layer* layer = layer_of(PyTuple_GET_ITEM(self, 0));
        return layer->pull_back(self, Call(layer->pullback_, given, count, keywords));
    });
}

PyObject* Layer::output_and_pullback(const Call& call) const {
    const Object result = owned(forward_.implementation(call));
    const bool single = forward_.results.size() == 1;
    const Object output = single ? result : Object::shared(PyTuple_GET_ITEM(result.ptr(), 0));
    // The pullback's self: this layer, then what backward takes after the upstream gradient.
    const Object saved = owned(PyTuple_New(static_cast<Py_ssize_t>(saved_.size()) + 1));
    PyTuple_SET_ITEM(saved.ptr(), 0, Py_NewRef(self_));
    Py_ssize_t place = 1;
    for (const Saved& source : saved_) {
        PyObject* object = nullptr;
        if (source.source == Saved::argument) {
            object = call.object(source.position);
            object = object != nullptr ? Py_NewRef(object)
                                       : forward_.parameters[source.position].default_value().release();
        } else {
            object = Py_NewRef(single ? result.ptr()
                                      : PyTuple_GET_ITEM(result.ptr(), static_cast<Py_ssize_t>(source.position)));
        }
        PyTuple_SET_ITEM(saved.ptr(), place++, object);
    }
    PyMethodDef* definition = const_cast<PyMethodDef*>(&pullback_method_);  // Python only reads it
    const Object pullback = owned(PyCFunction_NewEx(definition, saved.ptr(), nullptr));
    return PyTuple_Pack(2, output.ptr(), pullback.ptr());
}

PyObject* Layer::pull_back(PyObject* saved, const Call& given) const {
    Call call(backward_);
    call.set_object(0, given.object(0));
    for (std::size_t i = 1; i < call.out_position(); ++i) {
        call.set_object(i, PyTuple_GET_ITEM(saved, static_cast<Py_ssize_t>(i)));
    }
    call.set_object(call.out_position(), given.object(given.out_position()));
    return backward_.implementation(call);
}

}  // namespace gradwright::python
