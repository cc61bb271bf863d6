// Philox4x64-10: random bits as a function of a key and a counter. Salmon et al. (2011).
#pragma once

#include <array>
#include <cstdint>

namespace gradwright::engine {

/// The four words for a counter; the same as numpy.random.Philox(key=..., counter=...) gives after one increment.
inline std::array<std::uint64_t, 4> philox(std::array<std::uint64_t, 2> key, std::array<std::uint64_t, 4> counter) {
    __extension__ using Wide = unsigned __int128;
    for (int round = 0; round < 10; ++round) {
        const Wide a = Wide(counter[0]) * 0xD2E7470EE14C6C93U, b = Wide(counter[2]) * 0xCA5A826395121157U;
        counter = {static_cast<std::uint64_t>(b >> 64) ^ counter[1] ^ key[0], static_cast<std::uint64_t>(b),
                   static_cast<std::uint64_t>(a >> 64) ^ counter[3] ^ key[1], static_cast<std::uint64_t>(a)};
        key[0] += 0x9E3779B97F4A7C15U;
        key[1] += 0xBB67AE8584CAA73BU;
    }
    return counter;
}

}  // namespace gradwright::engine
