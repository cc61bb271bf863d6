// Array arguments: their shapes compared, then seen through the views that kernels take.
//
// Arrays whose rows the kernels can read are not copied; any other layout is, when its view is taken,
// which is after all checks.
#pragma once

#include <initializer_list>
#include <string>

#include "call.hpp"
#include "gradwright/runtime.hpp"

namespace gradwright::python {

/// A symbolic size: fixed by the first argument that has it, compared with all later ones.
class Size {
public:
    explicit Size(const char* symbol) : symbol_(symbol) {}
    operator Index() const { return value_; }
    const char* symbol() const { return symbol_; }

    void match(const Call& call, std::size_t argument, int axis) {
        const Array array(call.object(argument));
        if (value_ < 0) {
            value_ = array.size(axis);
            argument_ = argument;
            axis_ = axis;
        } else if (value_ != array.size(axis)) {
            raise(PyExc_ValueError, "%s: expected %s.shape[%d] == %s.shape[%d], got %s %s and %s %s", call.layer(),
                  call.name(argument_), axis_, call.name(argument), axis, call.name(argument_),
                  Array(call.object(argument_)).shape().c_str(), call.name(argument), array.shape().c_str());
        }
    }

private:
    const char* symbol_;
    Index value_ = -1;
    std::size_t argument_ = 0;
    int axis_ = 0;
};

/// An array argument of T with one or two dimensions.
template <class T>
class Input {
public:
    template <class... Sizes>
    Input(const Call& call, std::size_t position, Sizes&... sizes) : array_(call.object(position)) {
        if (!Array::check(array_.object()) || array_.type() != type_number<T>()) {
            raise(PyExc_TypeError, "%s: %s must be a NumPy array of %s, got %s", call.layer(), call.name(position),
                  type_name<T>(), describe(array_.object()).c_str());
        }
        if (array_.dimensions() != static_cast<int>(sizeof...(sizes))) {
            std::string expected;
            ((expected += expected.empty() ? "" : ", ", expected += sizes.symbol()), ...);
            raise(PyExc_ValueError, "%s: expected %s of shape (%s%s), got %s", call.layer(), call.name(position),
                  expected.c_str(), sizeof...(sizes) == 1 ? "," : "", array_.shape().c_str());
        }
        int axis = 0;
        (sizes.match(call, position, axis++), ...);
    }

    Matrix<const T> matrix() {
        settle();
        const Index rows = array_.size(0), cols = array_.size(1);
        const Index stride = rows > 1 ? array_.stride(0) / static_cast<Index>(sizeof(T)) : cols;
        return {reinterpret_cast<const T*>(array_.data()), rows, cols, stride};
    }

    Vector<const T> vector() {
        settle();
        return {reinterpret_cast<const T*>(array_.data()), array_.size(0)};
    }

    /// ValueError unless every entry of a vector is at least 0, or NaN.
    void require_nonnegative(const Call& call, std::size_t position) {
        const Vector<const T> entries = vector();
        for (Index k = 0; k < entries.size; ++k) {
            if (entries[k] < T(0)) {
                const Object entry = owned(PyFloat_FromDouble(static_cast<double>(entries[k])));
                raise(PyExc_ValueError, "%s: expected %s >= 0, got %R", call.layer(), call.name(position), entry.ptr());
            }
        }
    }

private:
    void settle() {
        if (array_.readable_in_place(sizeof(T))) return;
        copy_ = numpy::copy(array_.object(), type_number<T>());
        array_ = Array(copy_.ptr());
    }

    Array array_;
    Object copy_;
};

/// Integer labels (N,), each one of 0, ..., K - 1, in place of a one-hot (N, K) array.
template <class T>
class Labels {
public:
    Labels(const Call& call, std::size_t position, Size& N, const Size& K) : classes_(K) {
        const Array given(call.object(position));
        N.match(call, position, 0);
        call.require(K < (Index(1) << 31), "fewer than 2^31 classes", position);
        array_ = given.type() == type_number<std::int64_t>() && given.readable_in_place(sizeof(std::int64_t))
            ? Object::shared(given.object())
            : numpy::copy(given.object(), type_number<std::int64_t>());
        for (Index n = 0; n < N; ++n) {
            if (labels()[n] < 0 || labels()[n] >= classes_) {
                raise(PyExc_IndexError, "%s: label %lld at %s[%zd] is outside 0..%zd", call.layer(),
                      static_cast<long long>(labels()[n]), call.name(position), n, classes_ - 1);
            }
        }
    }

    OneHot<T> matrix() const { return {labels(), Array(array_.ptr()).size(0), classes_}; }

private:
    const std::int64_t* labels() const {
        return reinterpret_cast<const std::int64_t*>(Array(array_.ptr()).data());
    }

    Index classes_;
    Object array_;
};

/// Call body with argument i as Input (N, K) of the type that the arrays at `floats` have, or as Labels (N,).
template <class T, class Body>
PyObject* with_target(const Call& call, std::initializer_list<std::size_t> floats, std::size_t i, Size& N, Size& K,
                      Body&& body) {
    PyObject* object = call.object(i);
    if (!Array::check(object) || (Array(object).dimensions() == 1 && !Array(object).is_integer())) {
        raise(PyExc_TypeError, "%s: %s must be an (N, K) array of floats or an (N,) array of integer labels, got %s",
              call.layer(), call.name(i), describe(object).c_str());
    }
    if (Array(object).dimensions() == 1) {
        Labels<T> target(call, i, N, K);
        return body(target);
    }
    return call.with_type({*floats.begin(), i}, [&](auto) {
        Input<T> target(call, i, N, K);
        return body(target);
    });
}

}  // namespace gradwright::python
