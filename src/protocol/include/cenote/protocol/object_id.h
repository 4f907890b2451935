#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote {

/// How keys of one level of an object are compared and listed.
enum class KeyFlavour : std::uint8_t {
  kHashed = 0,   ///< Any bytes; listed in no order a user may rely on.
  kLexical = 1,  ///< Any bytes, listed in byte order.
  kUint64 = 2,   ///< Exactly eight bytes, little-endian; listed in numeric order.
};

/// Redundancy and stripe width. Numbers are stable; object_class.h takes them apart and has those that are not served
/// by this version.
enum class ObjectClass : std::uint16_t {
  kS1 = 1,  ///< One shard: all dkeys on one target.
  kSX = 2,  ///< Dkeys spread over all targets of the pool.
};

/// Leased object numbers (the user part of an id) start here; those below belong to the layouts of the front ends, for
/// objects that must be found without a lease: the root of a file system, the default map of `kv`.
inline constexpr std::uint64_t kFirstLeasedObject = 1024;

/// 128-bit name of an object within a container. The upper 32 bits belong to Cenote: class (16), dkey flavour (4),
/// akey flavour (4), reserved (8, zero). The other 96 are the user's, unique within the container.
class ObjectId {
 public:
  constexpr ObjectId() = default;
  constexpr ObjectId(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}
  static constexpr ObjectId make(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys, std::uint32_t user_high,
                                 std::uint64_t user_low) {
    const std::uint64_t kind = std::uint64_t{static_cast<std::uint16_t>(object_class)} << 48 |
                               std::uint64_t{static_cast<std::uint8_t>(dkeys)} << 44 |
                               std::uint64_t{static_cast<std::uint8_t>(akeys)} << 40;
    return {kind | user_high, user_low};
  }

  constexpr std::uint64_t high() const { return high_; }
  constexpr std::uint64_t low() const { return low_; }
  constexpr ObjectClass object_class() const { return static_cast<ObjectClass>(high_ >> 48); }
  constexpr KeyFlavour dkey_flavour() const { return static_cast<KeyFlavour>((high_ >> 44) & 15); }
  constexpr KeyFlavour akey_flavour() const { return static_cast<KeyFlavour>((high_ >> 40) & 15); }
  /// kInvalidArgument: unknown class or flavour, or reserved bits set.
  Result<> validate() const;
  /// 32 hexadecimal digits with a dot in the middle.
  std::string to_string() const;
  static Result<ObjectId> parse(std::string_view text);
  friend constexpr auto operator<=>(const ObjectId&, const ObjectId&) = default;

 private:
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

}  // namespace cenote
