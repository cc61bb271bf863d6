// The index arrays of a sparse matrix as arguments, looked at entry by entry before a kernel runs.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace gradwright::python {

namespace numpy {
inline constexpr int int32 = 5;  // NPY_INT
}

/// The index arrays of a sparse matrix, CSR, integers of any width: (P,) columns and K + 1 row starts.
class PatternInput {
public:
    PatternInput(const Call& call, std::size_t indices, std::size_t indptr, Size& K, const Size& D, const Size& P)
        : rows_(K), cols_(D) {
        indices_ = integers(call, indices);
        indptr_ = integers(call, indptr);
        if (rows_ < 0) rows_ = indptr_.size() - 1;
        if (indptr_.size() == 0 || indptr_.size() != rows_ + 1) {
            raise(PyExc_ValueError, "%s: expected indptr of shape (%zd,), got %s", call.layer(), std::max<Index>(rows_, 0) + 1,
                  Array(call.object(indptr)).shape().c_str());
        }
        if (indices_.size() != P) {
            raise(PyExc_ValueError, "%s: expected as many indices as values, got %zd and %zd", call.layer(),
                  indices_.size(), static_cast<Index>(P));
        }
        check(call);
    }

    Pattern pattern() const { return {indices_.data(), indptr_.data(), rows_, cols_}; }

private:
    /// The entries as 32-bit integers; those that do not fit become -1, which no index is.
    class Integers {
    public:
        Integers() = default;
        explicit Integers(Object array, Index size) : array_(std::move(array)), size_(size) {}
        Index size() const { return size_; }
        const std::int32_t* data() const { return reinterpret_cast<const std::int32_t*>(Array(array_.ptr()).data()); }

    private:
        Object array_;
        Index size_ = 0;
    };

    static Integers integers(const Call& call, std::size_t i) {
        const Array given(call.object(i));
        if (!Array::check(call.object(i)) || !given.is_integer()) {
            raise(PyExc_TypeError, "%s: %s must be a NumPy array of integers, got %s", call.layer(), call.name(i),
                  describe(call.object(i)).c_str());
        }
        if (given.dimensions() != 1) {
            raise(PyExc_ValueError, "%s: expected %s of one dimension, got shape %s", call.layer(), call.name(i),
                  given.shape().c_str());
        }
        const Index size = given.size(0);
        if (given.type() == numpy::int32 && given.readable_in_place(sizeof(std::int32_t))) {
            return Integers(Object::shared(call.object(i)), size);
        }
        Object wide = numpy::copy(call.object(i), type_number<std::int64_t>());
        const auto* from = reinterpret_cast<const std::int64_t*>(Array(wide.ptr()).data());
        Object narrow = numpy::copy(call.object(i), numpy::int32);
        auto* to = reinterpret_cast<std::int32_t*>(Array(narrow.ptr()).data());
        for (Index k = 0; k < size; ++k) to[k] = from[k] == static_cast<std::int32_t>(from[k]) ? to[k] : -1;
        return Integers(std::move(narrow), size);
    }

    [[noreturn]] static void refuse(const Call& call, Index row, const std::string& what) {
        raise(PyExc_ValueError, "%s: row %zd: %s", call.layer(), row, what.c_str());
    }

    void check(const Call& call) const {
        const std::int32_t *start = indptr_.data(), *column = indices_.data();
        if (start[0] != 0) refuse(call, 0, "indptr starts at " + std::to_string(start[0]) + ", expected 0");
        for (Index k = 0; k < rows_; ++k) {
            if (start[k + 1] < start[k]) refuse(call, k, "indptr falls behind it");
        }
        if (start[rows_] != indices_.size()) {
            refuse(call, rows_ - 1, "indptr ends at " + std::to_string(start[rows_]) + " of " +
                                        std::to_string(indices_.size()) + " indices");
        }
        for (Index k = 0; k < rows_; ++k) {
            bool rising = true;
            for (std::int32_t p = start[k]; p < start[k + 1]; ++p) {
                if (column[p] < 0 || column[p] >= cols_) {
                    refuse(call, k, "indices: a column is not in 0, ..., " + std::to_string(cols_ - 1));
                }
                rising = rising && (p == start[k] || column[p] > column[p - 1]);
            }
            if (rising) continue;
            std::vector<std::int32_t> sorted(column + start[k], column + start[k + 1]);
            std::sort(sorted.begin(), sorted.end());
            if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
                refuse(call, k, "indices: a column occurs twice");
            }
        }
    }

    Index rows_, cols_;
    Integers indices_, indptr_;
};

}  // namespace gradwright::python
