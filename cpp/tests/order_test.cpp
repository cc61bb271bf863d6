// Prints the bits of sums, means and maxima of rows of many lengths: every instruction set prints the same.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "gradwright/reduce.hpp"

namespace {

using namespace gradwright;

template <class T>
void show(T value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    std::printf("%016llx ", static_cast<unsigned long long>(bits));
}

/// Values of many magnitudes, whose sum depends on the order.
template <class T>
std::vector<T> uneven(Index count) {
    std::vector<T> values;
    std::uint32_t seed = 7;
    for (Index k = 0; k < count; ++k) {
        seed = seed * 1664525U + 1013904223U;
        const T sign = (seed >> 31U) != 0 ? T(1) : T(-1);
        values.push_back(sign / static_cast<T>(1 + (seed >> 12U) % 99991U));
    }
    return values;
}

template <class T>
void reductions() {
    for (Index count = 0; count < 9000; count = count < 100 ? count + 1 : count * 2 + 1) {
        const std::vector<T> values = uneven<T>(count);
        const auto term = [x = values.data()](Index k) { return x[k]; };
        show(sum<T>(count, term));
        show(mean<T>(count, term));
        show(largest<T>(count, term));
        show(maximum<T>(count, term));
        std::puts("");
    }
}

}  // namespace

int main() {
    reductions<float>();
    reductions<double>();
}
