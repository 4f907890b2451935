#pragma once

#include <cstdint>

// The arithmetic of placement: integers only, the same on every machine and in every process. docs/placement.md has it
// for whoever writes it again; a change here moves data.
namespace cenote::cluster {

__extension__ using Wide = unsigned __int128;

/// Fixed point of shares and credits: 32 bits behind the point.
inline constexpr std::uint32_t kPointBits = 32;
inline constexpr std::uint64_t kOne = std::uint64_t{1} << kPointBits;

inline constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;  // 2^64 / golden ratio, odd

/// A bijection of 64 bits that looks random (splitmix64's).
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// floor(a * b / 2^64): a number below `b` from a random `a`.
constexpr std::uint64_t scale(std::uint64_t a, std::uint64_t b) {
  return static_cast<std::uint64_t>(Wide{a} * b >> 64);
}

/// Bit 63 becomes bit 0.
constexpr std::uint64_t reverse_bits(std::uint64_t x) {
  x = (x >> 1 & 0x5555555555555555) | (x & 0x5555555555555555) << 1;
  x = (x >> 2 & 0x3333333333333333) | (x & 0x3333333333333333) << 2;
  x = (x >> 4 & 0x0f0f0f0f0f0f0f0f) | (x & 0x0f0f0f0f0f0f0f0f) << 4;
  return __builtin_bswap64(x);
}

/// splitmix64.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : state_(seed) {}
  constexpr std::uint64_t next() { return mix(state_ += kGolden); }
  constexpr std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(scale(next(), bound)); }

  /// Every order is equally likely.
  template <typename Sequence>
  void shuffle(Sequence& sequence) {
    for (std::size_t i = sequence.size(); i > 1; --i) {
      const std::uint32_t other = below(static_cast<std::uint32_t>(i));
      const auto held = sequence[i - 1];
      sequence[i - 1] = sequence[other];
      sequence[other] = held;
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace cenote::cluster
