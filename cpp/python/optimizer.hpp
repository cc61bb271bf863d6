// An optimizer as Python sees it: a module with update and initial_state, for arrays of any shape.
#pragma once

#include <vector>

#include "results.hpp"

namespace gradwright::python {

/// A float array argument of the shape of argument 0, seen entry by entry in row order.
template <class T>
class Entries {
public:
    Entries(const Call& call, std::size_t position) : array_(call.object(position)) {
        const Array first(call.object(0));
        if (!array_.has_shape_of(first)) {
            raise(PyExc_ValueError, "%s: expected %s.shape == %s.shape, got %s %s and %s %s", call.layer(),
                  call.name(position), call.name(0), call.name(position), array_.shape().c_str(), call.name(0),
                  first.shape().c_str());
        }
    }

    Vector<const T> vector() {
        if (!array_.in_row_order() && !copy_) {
            copy_ = numpy::copy(array_.object(), type_number<T>());
            array_ = Array(copy_.ptr());
        }
        return {reinterpret_cast<const T*>(array_.data()), array_.entries()};
    }

private:
    Array array_;
    Object copy_;
};

/// Result number `result` of a step: the new value of the array that is argument `position`.
template <class T>
class Replaced {
public:
    Replaced(const Call& call, std::size_t result, std::size_t position) {
        const Array old(call.object(position));
        PyObject* buffer = call.out(result);
        if (buffer != nullptr) {
            check_buffer(call, result, buffer, old);
            buffer_ = Object::shared(buffer);
            if (is_usable(call, Array(buffer), position)) array_ = buffer_;
        }
        if (!array_) array_ = result_array<T>(old.dimensions(), old.sizes());
    }

    Vector<T> vector() const {
        const Array array(array_.ptr());
        return {reinterpret_cast<T*>(array.data()), array.entries()};
    }

    /// The object to return; a new reference.
    PyObject* finish() {
        if (!buffer_ || buffer_.ptr() == array_.ptr()) return array_.release();
        numpy::assign(buffer_.ptr(), array_.ptr());
        return buffer_.release();
    }

private:
    static void check_buffer(const Call& call, std::size_t result, PyObject* buffer, Array old) {
        if (!Array::check(buffer) || Array(buffer).type() != type_number<T>()) {
            raise(PyExc_TypeError, "%s: out must be an array of %s, got %s", call.layer(), type_name<T>(),
                  describe(buffer).c_str());
        }
        const Array array(buffer);
        if (!array.has_shape_of(old)) {
            raise(PyExc_ValueError, "%s: expected out of shape %s, got %s", call.layer(), old.shape().c_str(),
                  array.shape().c_str());
        }
        if (!array.writeable()) raise(PyExc_ValueError, "%s: out is read-only", call.layer());
        for (std::size_t i = 0; i < result; ++i) {
            PyObject* other = call.out(i);
            if (other != nullptr && array.overlaps(Array(other))) {
                raise(PyExc_ValueError, "%s: the arrays in out overlap each other", call.layer());
            }
        }
    }

    // It is the array it replaces, or apart from all arguments.
    static bool is_usable(const Call& call, Array buffer, std::size_t position) {
        if (!buffer.in_row_order()) return false;
        for (std::size_t i = 0; i < call.out_position(); ++i) {
            PyObject* object = call.object(i);
            if (object == nullptr || !Array::check(object) || !buffer.overlaps(Array(object))) continue;
            const bool same = i == position && Array(object).data() == buffer.data() && Array(object).in_row_order();
            if (!same) return false;
        }
        return true;
    }

    Object buffer_;  // the caller's, if given
    Object array_;   // where the kernel writes
};

/// The number of a step: an integer of at least 1.
Index step_number(const Call& call, std::size_t position);

/// FloatingPointError that names the first entry of the gradient that is infinite or NaN.
[[noreturn]] void refuse(const Call& call, std::size_t gradient, Index place, double value);

/// Run update(parameter, gradient, ...), which returns whether the step was done; the gradient is argument 1.
/// Other Python threads go on meanwhile if it is long enough.
template <class Update, class T, class... Rest>
void run_step(const Call& call, Update&& update, Vector<const T> parameter, Vector<const T> gradient,
              const Rest&... rest) {
    bool done = false;
    run(gradient.size, [&] { done = update(parameter, gradient, rest...); });
    if (done) return;
    const Index place = first_not_finite(gradient);
    refuse(call, 1, place, static_cast<double>(gradient[place]));
}

/// An optimizer registers itself where its binding defines it; module.cpp makes a Python module of each.
class Optimizer {
public:
    Optimizer(const char* name, const char* doc, Function update, std::vector<const char*> states,
              const char* state_doc);
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;

    const char* name() const { return name_; }
    void add_to(PyObject* package);

    static std::vector<Optimizer*>& all();

private:
    static PyObject* update(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);
    static PyObject* initial_state(PyObject* self, PyObject* parameter);

    PyObject* zeros_like(PyObject* parameter) const;

    const char* name_;
    const char* doc_;
    Function update_;
    std::vector<const char*> states_;
    PyMethodDef update_method_, state_method_;
    PyTypeObject* state_type_ = nullptr;
    PyObject* self_ = nullptr;  // a capsule that holds `this`
};

}  // namespace gradwright::python
