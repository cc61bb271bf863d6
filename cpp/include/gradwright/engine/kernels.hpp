// One face for all generated activations, one for losses, one for optimizers: what a network calls.
#pragma once

#include <array>
#include <cstring>

#include "gradwright/runtime.hpp"

namespace gradwright::engine {

inline constexpr Index max_hyperparameters = 8, max_states = 4;

using Names = std::array<const char*, max_hyperparameters>;  // null after the last one

/// An activation with hyperparameters only.
template <class Real>
struct Activation {
    const char* name;
    Names hyperparameters;
    bool by_rows;      // a sample is mapped as a whole; otherwise every entry on its own
    bool uses_input;   // by the backward pass
    bool uses_output;  // by the backward pass
    void (*forward)(Matrix<const Real> X, const double* hyperparameter, Matrix<Real> Y);
    void (*backward)(Matrix<const Real> DY, Matrix<const Real> X, Matrix<const Real> Y, const double* hyperparameter,
                     Matrix<Real> DX);
};

/// Memory for what a loss keeps between its two passes, handed out front to back.
class Room {
public:
    explicit Room(double* memory) : next_(memory) {}

    template <class T>
    T* take(Index count) {
        static_assert(sizeof(T) <= sizeof(double));
        T* start = reinterpret_cast<T*>(next_);
        next_ += count;
        return start;
    }

private:
    double* next_;
};

/// A loss: its value for a batch of rows and, by DL, its gradient.
template <class Real>
struct Loss {
    template <class Target>
    using Pass = Real (*)(Matrix<const Real> Y, Target T, Real scale, Real DL, const double* hyperparameter, Room room,
                          Matrix<Real> DY);

    const char* name;
    Names hyperparameters;
    double (*scale)(Index N, Index K);  // of the mean; null for a loss that is a sum
    Index (*room)(Index N, Index K);    // values kept
    Pass<Matrix<const Real>> with_matrix;
    Pass<OneHot<Real>> with_labels;  // null where targets cannot be labels
};

/// An optimizer: `step` changes theta and its states in place.
template <class Real>
struct Optimizer {
    const char* name;
    std::array<const char*, max_states> states;  // null after the last one
    Names hyperparameters;                       // but for the learning rate
    void (*step)(Index count, Real* theta, const Real* g, Real* const* states, Index t, double learning_rate,
                 const double* hyperparameter);

    Index state_count() const {
        Index count = 0;
        while (count < max_states && states[static_cast<std::size_t>(count)] != nullptr) ++count;
        return count;
    }
};

/// The place of a name in a list that ends with null, or -1.
template <class List>
Index place_of(const List& names, const char* wanted) {
    for (std::size_t i = 0; i < names.size() && names[i] != nullptr; ++i) {
        if (std::strcmp(names[i], wanted) == 0) return static_cast<Index>(i);
    }
    return -1;
}

}  // namespace gradwright::engine
