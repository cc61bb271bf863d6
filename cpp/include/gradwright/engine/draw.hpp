// Places without a weight, drawn at random: gradwright/sparse/moves.py draws the same, bit for bit.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "gradwright/engine/philox.hpp"
#include "gradwright/engine/support.hpp"

namespace gradwright::engine {

namespace detail {

/// Sort the numbers from `first` on by the lowest bits first; none is above `largest`.
inline void radix_sort(std::vector<std::uint64_t>& numbers, std::size_t first, std::uint64_t largest) {
    constexpr int width = 11;
    std::vector<std::uint64_t> other(numbers.size() - first);
    std::uint64_t *from = numbers.data() + first, *to = other.data();
    for (int shift = 0; shift < 64 && largest >> shift != 0; shift += width) {
        std::array<std::size_t, (std::size_t(1) << width) + 1> start{};
        const auto digit = [=](std::uint64_t n) { return static_cast<std::size_t>(n >> shift & ((1U << width) - 1)); };
        for (std::size_t i = 0; i < other.size(); ++i) ++start[digit(from[i]) + 1];
        for (std::size_t d = 1; d < start.size(); ++d) start[d] += start[d - 1];
        for (std::size_t i = 0; i < other.size(); ++i) to[start[digit(from[i])]++] = from[i];
        std::swap(from, to);
    }
    if (from == other.data()) std::copy_n(from, other.size(), to);
}

}  // namespace detail

/// `count` different whole numbers below `total`, rising: floor(u total) for u = 53 bits of Philox4x64-10 with this
/// key and the counters (1, step, purpose, 0), (2, ...); what came before is drawn again. More than half: the others.
inline std::vector<std::uint64_t> drawn(Index total, Index count, std::array<std::uint64_t, 2> key, std::uint64_t step,
                                        std::uint64_t purpose) {
    if (2 * count > total) {
        const auto absent = drawn(total, total - count, key, step, purpose);
        std::vector<std::uint64_t> present;
        present.reserve(static_cast<std::size_t>(count));
        std::size_t next = 0;
        for (std::uint64_t n = 0; n < static_cast<std::uint64_t>(total); ++n) {
            if (next < absent.size() && absent[next] == n) {
                ++next;
            } else {
                present.push_back(n);
            }
        }
        return present;
    }
    std::vector<std::uint64_t> chosen;
    chosen.reserve(static_cast<std::size_t>(count));
    std::uint64_t used = 0, block = 0;
    std::array<std::uint64_t, 4> words{};
    while (static_cast<Index>(chosen.size()) < count) {
        const std::size_t known = chosen.size();
        while (static_cast<Index>(chosen.size()) < count) {
            if (used % 4 == 0) words = philox(key, {++block, step, purpose, 0});
            const double u = double(words[used++ % 4] >> 11) * 0x1p-53;
            chosen.push_back(static_cast<std::uint64_t>(u * double(total)));
        }
        detail::radix_sort(chosen, known, static_cast<std::uint64_t>(total));
        std::inplace_merge(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(known), chosen.end());
        chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    }
    return chosen;
}

/// One whole number in each of `count` equal stretches of those below `total`, rising: u of the way through it, for u
/// = 32 bits of Philox4x64-10, the low ones of a word first, with this key and the counters (1, step, purpose, 0),
/// (2, ...).
inline std::vector<std::uint64_t> spread(Index total, Index count, std::array<std::uint64_t, 2> key, std::uint64_t step,
                                         std::uint64_t purpose) {
    constexpr std::size_t group = 8;
    std::vector<std::uint64_t> chosen(static_cast<std::size_t>(count));
    const auto parts = static_cast<std::uint64_t>(std::max<Index>(count, 1));
    const auto all = static_cast<std::uint64_t>(total);
    const std::uint64_t length = all / parts, rest = all % parts;
    std::uint64_t first = 0, over = 0;  // where a stretch begins: `over` parts of `parts` behind `first`
    for (std::size_t i = 0; i < chosen.size(); i += group) {
        const auto words = philox(key, {i / group + 1, step, purpose, 0});
        for (std::size_t n = 0; n < std::min(group, chosen.size() - i); ++n) {
            const std::uint64_t bits = words[n / 2] >> n % 2 * 32 & 0xFFFFFFFFU;
            over += rest;
            const std::uint64_t own = length + (over >= parts);
            over = std::min(over, over - parts);  // over - parts is huge where it is below 0
            chosen[i + n] = first + (bits * own >> 32);
            first += own;
        }
    }
    return chosen;
}

/// Call body(n, row, column) for the places without a weight that have these ranks, which rise, among all of them.
template <class Body>
void for_each_absent(const Support& support, const std::vector<std::uint64_t>& ranks, Body&& body) {
    constexpr Index group = 4;
    const auto absent_before = unset<std::int64_t>(support.cols + group);
    const auto count = static_cast<Index>(ranks.size());
    Index n = 0;
    for (Index i = 0; i < support.rows; ++i) {
        const Index start = support.row_start()[i], end = support.row_start()[i + 1];
        std::int64_t* before = absent_before.get();
        for_each_place(support, i, i + 1, [=](Index k, Index place) { before[k - start] = place - k; });
        std::fill_n(before + (end - start), group, std::numeric_limits<std::int64_t>::max());
        const std::int64_t absent = (i + 1) * support.cols - end;  // up to the end of the row
        for (; n < count; ++n) {
            const auto rank = static_cast<std::int64_t>(ranks[static_cast<std::size_t>(n)]);
            if (rank >= absent) break;
            Index passed = group;  // weights; no branch foretells how many
            while (passed == group) {
                passed = 0;
                for (Index w = 0; w < group; ++w) passed += before[w] <= rank;
                before += passed;
            }
            body(n, i, rank + start + (before - absent_before.get()) - i * support.cols);
        }
    }
}

/// `count` different places without a weight, rising, all sets equally likely.
inline std::vector<std::int64_t> absent_at_random(const Support& support, Index count, std::array<std::uint64_t, 2> key,
                                                  std::uint64_t step, std::uint64_t purpose) {
    const auto ranks = drawn(support.rows * support.cols - support.count, count, key, step, purpose);
    std::vector<std::int64_t> places(ranks.size());
    for_each_absent(support, ranks, [&](Index n, Index row, Index column) {
        places[static_cast<std::size_t>(n)] = row * support.cols + column;
    });
    return places;
}

/// Call body(n, row, column) for `count` places without a weight, one in each of as many equal stretches of them.
template <class Body>
void for_each_spread(const Support& support, Index count, std::array<std::uint64_t, 2> key, std::uint64_t step,
                     std::uint64_t purpose, Body&& body) {
    for_each_absent(support, spread(support.rows * support.cols - support.count, count, key, step, purpose), body);
}

}  // namespace gradwright::engine
