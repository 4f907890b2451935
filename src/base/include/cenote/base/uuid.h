#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote {

/// A 128-bit identity of a system, engine, target, pool, container or session. The null one means "none".
class Uuid {
 public:
  constexpr Uuid() = default;
  /// A version 4 UUID from 128 random bits; randomness comes from the caller's reactor, so simulations repeat.
  static Uuid from_random(std::uint64_t high, std::uint64_t low);
  static Result<Uuid> parse(std::string_view text);
  static Uuid from_bytes(std::span<const std::byte, 16> bytes);

  std::span<const std::byte, 16> bytes() const { return bytes_; }
  std::string to_string() const;
  bool is_null() const { return *this == Uuid(); }
  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::array<std::byte, 16> bytes_{};
};

}  // namespace cenote

template <>
struct std::hash<cenote::Uuid> {
  std::size_t operator()(const cenote::Uuid& id) const noexcept;
};
