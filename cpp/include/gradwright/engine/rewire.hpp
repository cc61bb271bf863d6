// Dynamic sparse training: which weights of a layer end, where others begin, and the arrays after that.
//
// gradwright/sparse/moves.py says the same in NumPy, bit for bit. Nothing here is as large as a dense
// matrix: gradients of absent weights are looked at a few rows at a time, and only the best are kept.
#pragma once

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "gradwright/engine/draw.hpp"
#include "gradwright/finite.hpp"

namespace gradwright::engine {

/// Places without a weight whose gradients are averaged from step to step: m = beta m + (1 - beta) DW.
template <class Real>
struct Watch {
    Support support;
    Real* momentum = nullptr;  // somebody else's; null: nothing is watched
    double beta = 0;
    Buffer<Real> gradient;
    bool moved = true;  // weights may have begun there since the places were drawn
};

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

/// The number of rank `rank` (0 is the smallest) of `count`: the leading bits say among which few it is.
template <class Bits>
Bits of_rank(const Bits* numbers, Index count, Index rank) {
    constexpr int shift = 8 * sizeof(Bits) - 13;  // no sign; exponent and a few more
    std::array<std::int32_t, 1 << 12> many{}, other{};
    Index i = 0;  // two counts: the next number is often of the same kind as this one
    for (; i + 1 < count; i += 2) {
        ++many[static_cast<std::size_t>(numbers[i] >> shift)];
        ++other[static_cast<std::size_t>(numbers[i + 1] >> shift)];
    }
    if (i < count) ++many[static_cast<std::size_t>(numbers[i] >> shift)];
    for (std::size_t k = 0; k < many.size(); ++k) many[k] += other[k];
    std::size_t leading = 0;
    while (rank >= many[leading]) rank -= many[leading++];
    std::vector<Bits> few(static_cast<std::size_t>(many[leading]) + 1);  // one too many is written, and overwritten
    std::size_t found = 0;
    for (i = 0; i < count; ++i) {
        few[found] = numbers[i];
        found += static_cast<std::size_t>(numbers[i] >> shift) == leading;
    }
    std::nth_element(few.begin(), few.begin() + rank, few.begin() + static_cast<std::ptrdiff_t>(found));
    return few[static_cast<std::size_t>(rank)];
}

}  // namespace detail

/// Values of a layer, and what becomes of them.
template <class Real>
struct Weights {
    const Real* value;
    Index count;
    Change* change;
};

/// Give up `count` weights of all the layers together, those nearest to zero; of each of two kinds in proportion. Ties
/// go to the first.
template <class Real, class Kind>
void lose_smallest(const std::vector<Weights<Real>>& layers, Index count, Kind&& kind) {
    using Bits = detail::MagnitudeBits<Real>;
    Index all = 0;
    for (const Weights<Real>& layer : layers) all += layer.count;
    count = std::min(count, all);
    const std::array<std::unique_ptr<Bits[]>, 2> sizes{unset<Bits>(all + 1), unset<Bits>(all + 1)};
    std::array<Index, 2> found{}, wanted{}, ties{};
    for (const Weights<Real>& layer : layers) {
        for (Index k = 0; k < layer.count; ++k) {  // kinds come in no order: no branch foretells them
            const bool other = kind(layer.value[k]);
            const Bits size = detail::magnitude(layer.value[k]);
            sizes[0][found[0]] = size;
            sizes[1][found[1]] = size;
            found[0] += !other;
            found[1] += other;
        }
    }
    const double ideal = double(count * found[1]) / double(std::max<Index>(all, 1));
    wanted[1] = std::max(std::min(static_cast<Index>(std::nearbyint(ideal)), found[1]), count - found[0]);
    wanted[0] = count - wanted[1];
    std::array<Bits, 2> limit{};
    for (std::size_t n = 0; n < 2; ++n) {
        if (wanted[n] <= 0) continue;
        limit[n] = detail::of_rank(sizes[n].get(), found[n], wanted[n] - 1);
        ties[n] = wanted[n];
        for (Index k = 0; k < found[n]; ++k) ties[n] -= sizes[n][k] < limit[n];
    }
    for (const Weights<Real>& layer : layers) {
        char* lost = layer.change->lost.data();
        std::int32_t losing = 0;
        for (Index k = 0; k < layer.count; ++k) {
            const Bits own = limit[0] ^ ((limit[0] ^ limit[1]) & -Bits(kind(layer.value[k])));
            lost[k] = detail::magnitude(layer.value[k]) < own;
            losing += lost[k];
        }
        for (Index k = 0; k < layer.count && ties[0] + ties[1] > 0; ++k) {
            const std::size_t n = kind(layer.value[k]);
            if (detail::magnitude(layer.value[k]) != limit[n] || ties[n] == 0) continue;
            lost[k] = 1;
            ++losing;
            --ties[n];
        }
        layer.change->losing += losing;
    }
}

/// Give up `count` weights of all the layers together: those nearest to zero, or the smallest positive and the
/// largest negative ones, each in proportion.
template <class Real>
void lose(const std::vector<Weights<Real>>& layers, Index count, bool by_sign) {
    if (by_sign) {
        lose_smallest(layers, count, [](Real value) { return value < 0; });
    } else {
        lose_smallest(layers, count, [](Real) { return false; });
    }
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

/// The places with the largest numbers among many that are looked at in order, in magnitude; ties go to the first.
template <class Real>
class Largest {
public:
    explicit Largest(Index count)
        : count_(count), room_(4 * count + 4096), sizes_(unset<Bits>(room_)), places_(unset<std::int64_t>(room_)) {}

    /// Values of which value i is at place(i), if it counts(i).
    template <class Place, class Counts>
    void look(const Real* values, Index count, Place&& place, Counts&& counts) {
        constexpr Index group = 16;
        const Bits infinite = detail::magnitude(std::numeric_limits<Real>::infinity());
        for (Index first = 0; first < count; first += group) {
            const Index last = std::min(first + group, count);
            if (last - first == group) {
                Bits largest = 0;
                for (Index i = 0; i < group; ++i) largest = std::max(largest, detail::magnitude(values[first + i]));
                if (largest < least_) continue;
            }
            if (found_ + group > room_) keep_largest();
            Index found = found_;
            for (Index i = first; i < last; ++i) {  // no branch foretells which of them are large
                sizes_[found] = detail::magnitude(values[i]);
                places_[found] = place(i);
                found += (sizes_[found] >= least_) & (sizes_[found] <= infinite) & counts(i);  // NaN is not large
            }
            found_ = found;
        }
    }

    /// All of them, rising: the first, and behind the last.
    std::pair<const std::int64_t*, const std::int64_t*> places() {
        keep_largest();
        return {places_.get(), places_.get() + found_};
    }

private:
    using Bits = detail::MagnitudeBits<Real>;

    void keep_largest() {
        if (found_ <= count_) return;
        const Bits limit = count_ == 0 ? ~Bits(0) : detail::of_rank(sizes_.get(), found_, found_ - count_);
        Index ties = count_, kept = 0;
        for (Index i = 0; i < found_; ++i) ties -= sizes_[i] > limit;
        for (Index i = 0; i < found_; ++i) {
            const Bits size = sizes_[i];
            const bool tie = (size == limit) & (ties > 0);
            sizes_[kept] = size;
            places_[kept] = places_[i];
            kept += (size > limit) | tie;
            ties -= tie;
        }
        found_ = kept;
        least_ = limit + 1;  // a later one of the same size is not the first
    }

    Index count_, room_, found_ = 0;
    std::unique_ptr<Bits[]> sizes_;
    std::unique_ptr<std::int64_t[]> places_;
    Bits least_ = 0;
};

/// Look at the gradient of absent weights in rows `row`, ... of a layer whose entry (0, 0) is at place `before`.
template <class Real>
void look_at_absent(const Support& support, Index row, Matrix<Real> DW, std::int64_t before, Largest<Real>& best) {
    std::vector<Index> last_row(static_cast<std::size_t>(support.cols), -1);  // with a weight in this column
    for (Index i = row; i < row + DW.rows; ++i) {
        const Index first = i * support.cols;
        Index* last = last_row.data();
        for_each_place(support, i, i + 1, [=](Index, Index place) { last[place - first] = i; });
        best.look(DW.row(i - row), support.cols, [=](Index n) { return before + first + n; },
                  [=](Index n) { return last[n] != i; });
    }
}

/// Look at the momentum of watched places where no weight has begun meanwhile.
template <class Real>
void look_at_watched(const Support& support, const Watch<Real>& watched, std::int64_t before, Largest<Real>& best) {
    constexpr Index batch = 4096;
    const Index cols = support.cols;
    std::vector<Index> last_row(static_cast<std::size_t>(cols), -1);
    std::vector<std::int64_t> places(static_cast<std::size_t>(batch + cols));
    std::vector<Real> values(places.size());
    Index fresh = 0;
    for (Index i = 0; i < support.rows; ++i) {
        Index* last = last_row.data();
        const Index first = i * cols;
        if (watched.moved) for_each_place(support, i, i + 1, [=](Index, Index place) { last[place - first] = i; });
        for_each_place(watched.support, i, i + 1, [&, to = places.data(), value = values.data()](Index k, Index place) {
            value[fresh] = watched.momentum[k];
            to[fresh] = before + place;
            fresh += last[place - first] != i;
        });
        if (fresh < batch && i + 1 < support.rows) continue;
        best.look(values.data(), fresh, [from = places.data()](Index n) { return from[n]; },
                  [](Index) { return true; });
        fresh = 0;
    }
}

/// The support after a change, and which weight of the old one every weight is; -1 is a new one.
struct Moved {
    Buffer<std::int32_t> indptr, indices, from;
    Index count = 0;
    bool had_weights = false;

    void make(const Support& old, const Change& change) {
        count = old.count - change.losing + Index(change.places.size());
        had_weights = old.count > 0;
        indptr.reserve(old.rows + 1);
        indices.reserve(std::max<Index>(count, 1));
        from.reserve(std::max<Index>(count, 1));
        std::vector<std::int32_t> staying(static_cast<std::size_t>(old.cols) + 1), weight(staying), beginning(staying);
        const auto behind = static_cast<std::int32_t>(old.cols);
        std::size_t next = 0;
        indptr[0] = 0;
        for (Index i = 0; i < old.rows; ++i) {
            const Index row = i * old.cols;
            std::size_t stay = 0, begin = 0;
            for_each_place(old, i, i + 1, [&](Index k, Index place) {
                staying[stay] = static_cast<std::int32_t>(place - row);
                weight[stay] = static_cast<std::int32_t>(k);
                stay += change.lost[static_cast<std::size_t>(k)] == 0;
            });
            for (; next < change.places.size() && change.places[next] < row + old.cols; ++next) {
                beginning[begin++] = static_cast<std::int32_t>(change.places[next] - row);
            }
            staying[stay] = beginning[begin] = behind;
            indptr[i + 1] = indptr[i] + static_cast<std::int32_t>(stay + begin);
            stay = begin = 0;
            for (std::int32_t at = indptr[i]; at < indptr[i + 1]; ++at) {  // no branch foretells which comes first
                const bool begins = beginning[begin] < staying[stay];
                indices[at] = std::min(beginning[begin], staying[stay]);
                from[at] = weight[stay] | -std::int32_t(begins);
                stay += !begins;
                begin += begins;
            }
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
