#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cenote/base/error.h"
#include "cenote/protocol/object_id.h"

namespace cenote {

/// Most members of a redundancy group: EC_16P3.
inline constexpr std::uint32_t kMaxGroupSize = 19;
/// Most members of a group of replicas: RP_6.
inline constexpr std::uint32_t kMaxReplicas = 6;
/// Most groups of an object with a fixed number of them.
inline constexpr std::uint32_t kMaxGroups = 32768;

/// How an object keeps its data through the loss of targets.
enum class Redundancy : std::uint8_t { kNone, kReplicated, kErasureCoded };

/// What the class of an object says, taken apart. Every valid class has exactly one number and one name:
/// docs/formats/object-class.md.
struct ClassParts {
  Redundancy redundancy = Redundancy::kNone;
  std::uint32_t data = 1;    ///< members that hold data: 1, or the k of EC_kPm
  std::uint32_t copies = 0;  ///< further members of a group: replicas, or the m of EC_kPm
  std::uint32_t groups = 1;  ///< 1 to kMaxGroups, a power of two; 0: every dkey finds its own group ("X")

  /// Targets that hold one dkey.
  constexpr std::uint32_t group_size() const { return data + copies; }
  /// Fault domains that may be lost without loss of data.
  constexpr std::uint32_t redundancy_factor() const { return copies; }
  constexpr bool spreads_over_all() const { return groups == 0; }
  friend constexpr bool operator==(const ClassParts&, const ClassParts&) = default;
};

/// kInvalidArgument: no class has this number. That a class is known says nothing about whether this version of Cenote
/// serves objects of it: ObjectId::validate does.
Result<ClassParts> class_parts(ObjectClass object_class);
/// Whether what belongs to a dkey of the object is on several targets; of an object that was validated.
inline bool has_replicas(const ObjectId& object) {
  return object.object_class() != ObjectClass::kS1 && object.object_class() != ObjectClass::kSX;
}
/// kInvalidArgument: no class is made of these parts.
Result<ObjectClass> make_class(const ClassParts& parts);

/// The class with the same groups that keeps its data when `redundancy` targets are lost (at most kMaxReplicas - 1):
/// one replica more than that, where the class itself keeps less. `object_class` is one.
ObjectClass with_redundancy(ObjectClass object_class, std::uint32_t redundancy);

/// "S1", "SX", "RP_3G8", "EC_8P2GX"; a number that is no class in the form "class 9999".
std::string class_name(ObjectClass object_class);
/// The inverse: exactly the names that class_name gives. kInvalidArgument for anything else.
Result<ObjectClass> parse_class(std::string_view name);

/// What a user knows about an object before it is written.
struct ClassHints {
  enum class Size : std::uint8_t { kUnknown, kSmall, kMedium, kLarge };  ///< up to 1 MiB, up to 64 MiB, more
  enum class Sharing : std::uint8_t { kUnknown, kOneClient, kManyClients };

  Size size = Size::kUnknown;
  Sharing sharing = Sharing::kUnknown;
  /// Large objects may be erasure-coded. Never chosen otherwise.
  bool erasure_code = false;
  /// Fault domains of the pool: no class with larger groups is chosen.
  std::uint32_t domains = 1;
};

/// The class of an object whose user named none. kInvalidArgument: the redundancy factor is above 5, or the pool has
/// too few domains for it.
Result<ObjectClass> choose_class(const ClassHints& hints, std::uint32_t redundancy_factor);

}  // namespace cenote
