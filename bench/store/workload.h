#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace cenote::bench {

/// The same small updates for every engine: 16-byte keys, uniformly random from a fixed set, and 100-byte values.
inline constexpr std::size_t kKeyBytes = 16;
inline constexpr std::size_t kValueBytes = 100;
inline constexpr std::uint64_t kKeys = 100'000;

/// xorshift64*: cheap enough to vanish beside any put.
class PutStream {
 public:
  explicit PutStream(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) { value_.fill('v'); }

  /// Moves to the next put; the views below show it until the next move.
  void next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    const std::uint64_t random = state_ * 0x2545f4914f6cdd1d;
    set_key(random % kKeys);
    std::memcpy(value_.data(), &random, sizeof random);
  }
  std::string_view key() const { return {key_.data(), key_.size()}; }
  std::string_view value() const { return {value_.data(), value_.size()}; }

 private:
  // Big-endian, so that byte order is the order of numbers in every engine.
  void set_key(std::uint64_t number) {
    for (std::size_t i = 0; i < 8; ++i) key_[8 + i] = static_cast<char>(number >> (8 * (7 - i)));
  }

  std::uint64_t state_;
  std::array<char, kKeyBytes> key_{};
  std::array<char, kValueBytes> value_{};
};

}  // namespace cenote::bench
