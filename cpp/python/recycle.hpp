// New arrays for results.  Fresh memory from the operating system costs as much as a kernel (a page
// fault every 4 KiB), so the last large results are remembered and handed out again once nobody else
// holds them.  They start on cache lines, each on another one within its page: vector loads that
// straddle lines, and loads behind stores to the same place of another page, cost a memory-bound
// kernel 15 to 30 %.
#pragma once

#include "array.hpp"

namespace gradwright::python {

/// A C-contiguous array of items of `item` bytes; its contents are arbitrary.
Object recycled_array(int type, Index item, int dimensions, const Index* sizes);

template <class T>
Object result_array(int dimensions, const Index* sizes) {
    return recycled_array(type_number<T>(), sizeof(T), dimensions, sizes);
}

/// Give back the memory that nobody uses.
void forget_recycled_arrays();

}  // namespace gradwright::python
