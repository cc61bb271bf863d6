#include "namespace.hpp"

namespace gradwright::python {

PyObject* add_module(PyObject* package, const char* name, const char* doc) {
    const std::string path = std::string(PyModule_GetName(package)) + "." + name;
    PyObject* module = PyImport_AddModule(path.c_str());  // borrowed
    if (module == nullptr || PyModule_SetDocString(module, doc) < 0) throw ErrorSet{};
    add_value(package, name, module);
    return module;
}

void add_value(PyObject* module, const char* name, PyObject* value) {
    if (PyModule_AddObjectRef(module, name, value) < 0) throw ErrorSet{};
}

void add_method(PyObject* module, PyMethodDef& method, PyObject* self, const std::string& path) {
    const Object name = owned(PyUnicode_FromString(path.c_str()));
    const Object function = owned(PyCFunction_NewEx(&method, self, name.ptr()));
    add_value(module, method.ml_name, function.ptr());
}

PyTypeObject* named_tuple(const char* name, const std::vector<const char*>& fields, const std::string& module) {
    const Object names = owned(PyList_New(0));
    for (const char* field : fields) {
        if (PyList_Append(names.ptr(), owned(PyUnicode_FromString(field)).ptr()) < 0) throw ErrorSet{};
    }
    const Object collections = owned(PyImport_ImportModule("collections"));
    const Object make = owned(PyObject_GetAttrString(collections.ptr(), "namedtuple"));
    const Object arguments = owned(Py_BuildValue("(sO)", name, names.ptr()));
    const Object options = owned(Py_BuildValue("{s:s}", "module", module.c_str()));
    return reinterpret_cast<PyTypeObject*>(owned(PyObject_Call(make.ptr(), arguments.ptr(), options.ptr())).release());
}

}  // namespace gradwright::python
