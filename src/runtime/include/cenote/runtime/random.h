#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "cenote/base/assert.h"

namespace cenote {

/// xoshiro256** 1.0 of David Blackman and Sebastiano Vigna (https://prng.di.unimi.it, "Scrambled Linear Pseudorandom
/// Number Generators", ACM TOMS 2021), its state filled by SplitMix64 from one 64-bit seed as its authors advise. Fast
/// and equal on every machine, which the simulator needs; not for secrets. Not thread-safe.
class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
      word = mixed ^ (mixed >> 31);
    }
  }

  /// 64 uniform bits.
  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// Uniform in [0, bound), without bias: the first values of the range that would be met once too often are drawn
  /// again.
  std::uint64_t below(std::uint64_t bound) {
    ASSERT(bound > 0);
    const std::uint64_t surplus = (0 - bound) % bound;
    std::uint64_t value = next();
    while (value < surplus) value = next();
    return value % bound;
  }

  /// True with probability `numerator / denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace cenote
