// Dynamic sparse training: which weights of a layer end, where others begin, and the arrays after that.
//
// gradwright/sparse/moves.py says the same in NumPy, bit for bit. Nothing here is as large as a dense
// matrix: gradients of absent weights are looked at a few rows at a time, and only the best are kept.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "gradwright/engine/philox.hpp"
#include "gradwright/engine/support.hpp"
#include "gradwright/finite.hpp"

namespace gradwright::engine {

/// What becomes of a layer's weights: which of them end, and the places, row by row, where others begin.
struct Change {
    std::vector<char> lost;
    Index losing = 0;
    std::vector<std::int64_t> places;  // rising
};

namespace detail {

template <class Real>
using MagnitudeBits = typename gradwright::detail::Exponent<Real>::Bits;

/// The magnitude of a number as bits, which are in the same order; NaN is above all.
template <class Real>
MagnitudeBits<Real> magnitude(Real value) {
    MagnitudeBits<Real> bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & (~MagnitudeBits<Real>(0) >> 1);
}

/// The number of rank `rank` (0 is the smallest): the leading bits say among which few it is.
template <class Bits>
Bits of_rank(const std::vector<Bits>& numbers, Index rank) {
    constexpr int shift = 8 * sizeof(Bits) - 13;  // no sign; exponent and a few more
    std::vector<std::int32_t> count(std::size_t(1) << 12), other(count.size());
    std::size_t i = 0;  // two counts: the next number is often of the same kind as this one
    for (; i + 1 < numbers.size(); i += 2) {
        ++count[static_cast<std::size_t>(numbers[i] >> shift)];
        ++other[static_cast<std::size_t>(numbers[i + 1] >> shift)];
    }
    if (i < numbers.size()) ++count[static_cast<std::size_t>(numbers[i] >> shift)];
    for (std::size_t k = 0; k < count.size(); ++k) count[k] += other[k];
    std::size_t leading = 0;
    while (rank >= count[leading]) rank -= count[leading++];
    std::vector<Bits> few;
    for (const Bits n : numbers) {
        if (static_cast<std::size_t>(n >> shift) == leading) few.push_back(n);
    }
    std::nth_element(few.begin(), few.begin() + rank, few.end());
    return few[static_cast<std::size_t>(rank)];
}

/// Sort by the lowest bits first; no number is above `largest`.
inline void radix_sort(std::vector<std::uint64_t>& numbers, std::uint64_t largest) {
    constexpr int width = 11;
    std::vector<std::uint64_t> other(numbers.size());
    for (int shift = 0; shift < 64 && largest >> shift != 0; shift += width) {
        std::array<std::size_t, (std::size_t(1) << width) + 1> start{};
        const auto digit = [=](std::uint64_t n) { return static_cast<std::size_t>(n >> shift & ((1U << width) - 1)); };
        for (const std::uint64_t n : numbers) ++start[digit(n) + 1];
        for (std::size_t d = 1; d < start.size(); ++d) start[d] += start[d - 1];
        for (const std::uint64_t n : numbers) other[start[digit(n)]++] = n;
        numbers.swap(other);
    }
}

}  // namespace detail

/// Values of a layer, and what becomes of them.
template <class Real>
struct Weights {
    const Real* value;
    Index count;
    Change* change;
};

/// Give up `count` more of the weights that `eligible` takes, those nearest to zero; ties go to the first.
template <class Real, class Eligible>
void lose_smallest(const std::vector<Weights<Real>>& layers, Index count, Eligible&& eligible) {
    if (count <= 0) return;
    using Bits = detail::MagnitudeBits<Real>;
    std::vector<Bits> sizes;
    Index all = 0;
    for (const Weights<Real>& layer : layers) all += layer.count;
    sizes.resize(static_cast<std::size_t>(all));
    std::size_t found = 0;  // signs come in no order: no branch foretells them
    for (const Weights<Real>& layer : layers) {
        for (Index k = 0; k < layer.count; ++k) {
            sizes[found] = detail::magnitude(layer.value[k]);
            found += eligible(layer.value[k]);
        }
    }
    sizes.resize(found);
    const Bits limit = detail::of_rank(sizes, count - 1);
    Index ties = count;
    for (const Bits size : sizes) ties -= size < limit ? 1 : 0;
    for (const Weights<Real>& layer : layers) {
        char* lost = layer.change->lost.data();
        std::int32_t losing = 0;
        for (Index k = 0; k < layer.count; ++k) {
            const int ends = int(detail::magnitude(layer.value[k]) < limit) & int(eligible(layer.value[k]));
            lost[k] = static_cast<char>(lost[k] | ends);
            losing += ends;
        }
        for (Index k = 0; k < layer.count && ties > 0; ++k) {
            if (detail::magnitude(layer.value[k]) != limit || !eligible(layer.value[k])) continue;
            lost[k] = 1;
            ++losing;
            --ties;
        }
        layer.change->losing += losing;
    }
}

/// Give up `count` weights of all the layers together: those nearest to zero, or the smallest positive and the
/// largest negative ones, each in proportion.
template <class Real>
void lose(const std::vector<Weights<Real>>& layers, Index count, bool by_sign) {
    if (!by_sign) {
        lose_smallest(layers, count, [](Real) { return true; });
        return;
    }
    Index negative = 0, all = 0;
    for (const Weights<Real>& layer : layers) {
        all += layer.count;
        for (Index k = 0; k < layer.count; ++k) negative += layer.value[k] < 0 ? 1 : 0;
    }
    auto low = static_cast<Index>(std::nearbyint(double(count * negative) / double(std::max<Index>(all, 1))));
    low = std::max(std::min(low, negative), count - (all - negative));
    lose_smallest(layers, low, [](Real value) { return value < 0; });
    lose_smallest(layers, count - low, [](Real value) { return !(value < 0); });
}

/// Give up all weights of magnitude below the threshold.
template <class Real>
void lose_below(const std::vector<Weights<Real>>& layers, double threshold) {
    for (const Weights<Real>& layer : layers) {
        for (Index k = 0; k < layer.count; ++k) {
            if (!(std::abs(double(layer.value[k])) < threshold)) continue;
            layer.change->lost[static_cast<std::size_t>(k)] = 1;
            ++layer.change->losing;
        }
    }
}

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
        std::vector<std::uint64_t> more;
        while (static_cast<Index>(known + more.size()) < count) {
            if (used % 4 == 0) words = philox(key, {++block, step, purpose, 0});
            const double u = double(words[used++ % 4] >> 11) * 0x1p-53;
            more.push_back(static_cast<std::uint64_t>(u * double(total)));
        }
        detail::radix_sort(more, static_cast<std::uint64_t>(total));
        chosen.insert(chosen.end(), more.begin(), more.end());
        std::inplace_merge(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(known), chosen.end());
        chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
    }
    return chosen;
}

/// Call body(k, place) for the weights row by row; `place` counts the entries of the dense matrix.
template <class Body>
void for_each_place(const Support& support, Body&& body) {
    const std::int32_t* start = support.row_start();
    for (Index i = 0; i < support.rows; ++i) {
        for (std::int32_t k = start[i]; k < start[i + 1]; ++k) body(k, i * support.cols + support.col(k));
    }
}

/// `count` different places without a weight, rising, all sets equally likely.
inline std::vector<std::int64_t> absent_at_random(const Support& support, Index count, std::array<std::uint64_t, 2> key,
                                                  std::uint64_t step, std::uint64_t purpose) {
    const auto ranks = drawn(support.rows * support.cols - support.count, count, key, step, purpose);
    std::vector<std::int64_t> places(ranks.size());
    std::size_t next = 0;
    for_each_place(support, [&](Index k, Index place) {  // free places before this weight: place - k
        for (; next < ranks.size() && static_cast<Index>(ranks[next]) < place - k; ++next) {
            places[next] = static_cast<std::int64_t>(ranks[next]) + k;
        }
    });
    for (; next < ranks.size(); ++next) places[next] = static_cast<std::int64_t>(ranks[next]) + support.count;
    return places;
}

/// The places with the largest numbers among many that are looked at in order, in magnitude; ties go to the first.
template <class Real>
class Largest {
public:
    explicit Largest(Index count) : count_(static_cast<std::size_t>(count)) {}

    /// `count` values in a row, the first of them at this place.
    void look(const Real* values, Index count, std::int32_t layer, std::int64_t place) {
        constexpr Index group = 16;
        for (Index first = 0; first < count; first += group) {
            const Index last = std::min(first + group, count);
            detail::MagnitudeBits<Real> largest = 0;
            for (Index i = first; i < last; ++i) largest = std::max(largest, detail::magnitude(values[i]));
            if (full_ && largest <= floor_) continue;
            for (Index i = first; i < last; ++i) look(values[i], layer, place + i);
        }
    }

    void look(Real value, std::int32_t layer, std::int64_t place) {
        const auto size = detail::magnitude(value);
        if (full_ && size <= floor_) return;
        if (count_ == 0) return;
        found_.push_back({size, layer, place});
        if (found_.size() >= 2 * count_ + 4096) shrink();
    }

    /// Every place to the change of its layer.
    void grow(const std::vector<Change*>& changes) {
        if (found_.size() > count_) shrink();
        std::vector<std::vector<std::uint64_t>> places(changes.size());
        std::uint64_t largest = 0;
        for (const Entry& entry : found_) {
            const auto place = static_cast<std::uint64_t>(entry.place);
            places[static_cast<std::size_t>(entry.layer)].push_back(place);
            largest = std::max(largest, place);
        }
        for (std::size_t i = 0; i < places.size(); ++i) {
            detail::radix_sort(places[i], largest);
            changes[i]->places.assign(places[i].begin(), places[i].end());
        }
    }

private:
    struct Entry {
        detail::MagnitudeBits<Real> size;
        std::int32_t layer;
        std::int64_t place;

        bool operator<(const Entry& other) const {
            if (size != other.size) return size > other.size;
            return layer != other.layer ? layer < other.layer : place < other.place;
        }
    };

    void shrink() {
        std::nth_element(found_.begin(), found_.begin() + static_cast<std::ptrdiff_t>(count_ - 1), found_.end());
        found_.resize(count_);
        floor_ = found_.back().size;
        full_ = true;
    }

    std::size_t count_;
    std::vector<Entry> found_;
    detail::MagnitudeBits<Real> floor_ = 0;
    bool full_ = false;
};

/// The support after a change, and which weight of the old one every weight is; -1 is a new one.
struct Moved {
    Buffer<std::int32_t> indptr, indices, from;
    Index count = 0;
    bool had_weights = false;

    void make(const Support& old, const Change& change) {
        count = old.count - change.losing + Index(change.places.size());
        had_weights = old.count > 0;
        indptr.reserve(old.rows + 1);
        indices.reserve(count + 1);  // a weight that ends is written too, and then overwritten
        from.reserve(count + 1);
        const std::int32_t* start = old.row_start();
        std::size_t next = 0;
        std::int32_t at = indptr[0] = 0;
        const std::size_t places = change.places.size();
        for (Index i = 0; i < old.rows; ++i) {
            const Index row = i * old.cols;
            const auto begin_before = [&](Index place) {
                for (; next < places && change.places[next] < place; ++next, ++at) {
                    indices[at] = static_cast<std::int32_t>(change.places[next] - row);
                    from[at] = -1;
                }
            };
            for (std::int32_t k = start[i]; k < start[i + 1]; ++k) {
                const std::int32_t col = old.col(k);
                begin_before(row + col);
                indices[at] = col;
                from[at] = k;
                at += change.lost[static_cast<std::size_t>(k)] ? 0 : 1;
            }
            begin_before((i + 1) * old.cols);
            indptr[i + 1] = at;
        }
    }

    /// The array of the new weights from that of the old ones; both may be the same memory.
    template <class Real>
    void carry(const Real* old, Real* now, Buffer<Real>& scratch) const {
        scratch.reserve(std::max<Index>(count, 1));
        using Bits = detail::MagnitudeBits<Real>;
        const Real nothing = 0;
        const Real* some = had_weights ? old : &nothing;
        for (Index k = 0; k < count; ++k) {  // no branch foretells new weights: they read the first old one
            const std::int32_t k_old = from[k];
            Bits bits;
            std::memcpy(&bits, some + std::max(k_old, 0), sizeof bits);
            bits &= Bits(0) - Bits(k_old >= 0);
            std::memcpy(&scratch[k], &bits, sizeof bits);
        }
        std::copy_n(scratch.data(), count, now);
    }
};

}  // namespace gradwright::engine
