#include "cenote/protocol/object_class.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <optional>

#include "cenote/base/assert.h"
#include "cenote/base/bytes.h"
#include "cenote/base/format.h"

namespace cenote {
namespace {

// The number: redundancy in the high byte, groups in the low one.
constexpr std::uint32_t kErasureBit = 0x80;
constexpr std::uint32_t kOneGroup = 1;
constexpr std::uint32_t kAllTargets = 2;
constexpr std::uint32_t kTwoGroups = 3;  // and one more for each further power of two
constexpr std::uint32_t kMaxDataLog2 = 4;
constexpr std::uint32_t kMaxParity = 3;

static_assert((1u << kMaxDataLog2) + kMaxParity == kMaxGroupSize);
static_assert(static_cast<std::uint16_t>(ObjectClass::kS1) == kOneGroup);
static_assert(static_cast<std::uint16_t>(ObjectClass::kSX) == kAllTargets);

std::optional<std::uint32_t> groups_code(std::uint32_t groups) {
  if (groups == 0) return kAllTargets;
  if (groups == 1) return kOneGroup;
  if (groups > kMaxGroups || !std::has_single_bit(groups)) return std::nullopt;
  return kTwoGroups + static_cast<std::uint32_t>(std::countr_zero(groups)) - 1;
}

std::optional<std::uint32_t> groups_of(std::uint32_t code) {
  if (code == kOneGroup) return 1;
  if (code == kAllTargets) return 0;
  if (code < kTwoGroups || code > *groups_code(kMaxGroups)) return std::nullopt;
  return 2u << (code - kTwoGroups);
}

std::optional<std::uint32_t> redundancy_code(const ClassParts& parts) {
  switch (parts.redundancy) {
    case Redundancy::kNone:
      if (parts.data == 1 && parts.copies == 0) return 0;
      break;
    case Redundancy::kReplicated:
      if (parts.data == 1 && parts.copies >= 1 && parts.copies < kMaxReplicas) return parts.copies + 1;
      break;
    case Redundancy::kErasureCoded:
      if (parts.data >= 2 && parts.data <= (1u << kMaxDataLog2) && std::has_single_bit(parts.data) &&
          parts.copies >= 1 && parts.copies <= kMaxParity)
        return kErasureBit | static_cast<std::uint32_t>(std::countr_zero(parts.data)) << 4 | parts.copies;
      break;
  }
  return std::nullopt;
}

std::optional<ClassParts> redundancy_of(std::uint32_t code) {
  if (code == 0) return ClassParts{};
  if (code >= 2 && code <= kMaxReplicas) return ClassParts{.redundancy = Redundancy::kReplicated, .copies = code - 1};
  if ((code & kErasureBit) == 0) return std::nullopt;
  const ClassParts parts{.redundancy = Redundancy::kErasureCoded, .data = 1u << (code >> 4 & 7), .copies = code & 15};
  if (redundancy_code(parts) != code) return std::nullopt;
  return parts;
}

std::string groups_name(std::uint32_t groups) { return groups == 0 ? "X" : fmt::format("{}", groups); }

/// Takes a decimal number from the front of `text`: no sign, no leading zero.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  std::uint32_t value = 0;
  if (text.empty() || text.front() == '0') return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

std::optional<ClassParts> parse_redundancy(std::string_view& text) {
  if (take_prefix(text, "S")) return ClassParts{};
  ClassParts parts;
  if (take_prefix(text, "RP_")) {
    const auto replicas = take_number(text);
    if (!replicas || !take_prefix(text, "G")) return std::nullopt;
    parts = {.redundancy = Redundancy::kReplicated, .copies = *replicas - 1};
  } else if (take_prefix(text, "EC_")) {
    const auto data = take_number(text);
    if (!data || !take_prefix(text, "P")) return std::nullopt;
    const auto parity = take_number(text);
    if (!parity || !take_prefix(text, "G")) return std::nullopt;
    parts = {.redundancy = Redundancy::kErasureCoded, .data = *data, .copies = *parity};
  } else {
    return std::nullopt;
  }
  return parts;
}

/// The widest code with this parity whose groups fit into the domains; kNone where none does.
ClassParts widest_code(std::uint32_t parity, std::uint32_t domains) {
  for (std::uint32_t data = 1u << kMaxDataLog2; data >= 2 && parity >= 1 && parity <= kMaxParity; data /= 2) {
    if (data + parity <= domains) return {.redundancy = Redundancy::kErasureCoded, .data = data, .copies = parity};
  }
  return {};
}

std::uint32_t groups_for(const ClassHints& hints) {
  constexpr std::uint32_t kMediumGroups = 8;
  switch (hints.size) {
    case ClassHints::Size::kSmall:
      return 1;
    case ClassHints::Size::kMedium:
      return hints.sharing == ClassHints::Sharing::kManyClients ? 0 : kMediumGroups;
    case ClassHints::Size::kUnknown:
    case ClassHints::Size::kLarge:
      return 0;
  }
  return 0;
}

}  // namespace

Result<ClassParts> class_parts(ObjectClass object_class) {
  const std::uint32_t number = static_cast<std::uint16_t>(object_class);
  auto parts = redundancy_of(number >> 8);
  const auto groups = groups_of(number & 0xff);
  if (!parts || !groups) return failf(Code::kInvalidArgument, "no object class has the number {}", number);
  parts->groups = *groups;
  return *parts;
}

Result<ObjectClass> make_class(const ClassParts& parts) {
  const auto redundancy = redundancy_code(parts);
  const auto groups = groups_code(parts.groups);
  if (!redundancy || !groups)
    return fail(
        Code::kInvalidArgument,
        "no object class has these parts: there are S, RP_2 to RP_6, EC_2P1 to EC_16P3, with 1, 2, 4 .. 32768 or X "
        "groups");
  return static_cast<ObjectClass>(*redundancy << 8 | *groups);
}

ObjectClass with_redundancy(ObjectClass object_class, std::uint32_t redundancy) {
  const auto parts = class_parts(object_class);
  ASSERT(parts && redundancy < kMaxReplicas);
  if (parts->redundancy_factor() >= redundancy) return object_class;
  const auto wanted =
      make_class({.redundancy = Redundancy::kReplicated, .copies = redundancy, .groups = parts->groups});
  ASSERT(wanted);
  return *wanted;
}

std::string class_name(ObjectClass object_class) {
  const auto parts = class_parts(object_class);
  if (!parts) return fmt::format("class {}", static_cast<std::uint16_t>(object_class));
  const std::string groups = groups_name(parts->groups);
  switch (parts->redundancy) {
    case Redundancy::kNone:
      return "S" + groups;
    case Redundancy::kReplicated:
      return fmt::format("RP_{}G{}", parts->group_size(), groups);
    case Redundancy::kErasureCoded:
      break;
  }
  return fmt::format("EC_{}P{}G{}", parts->data, parts->copies, groups);
}

Result<ObjectClass> parse_class(std::string_view name) {
  std::string_view rest = name;
  if (auto parts = parse_redundancy(rest)) {
    const bool all = rest == "X";
    const auto groups = all ? std::optional<std::uint32_t>(0) : take_number(rest);
    if (groups && (all || rest.empty())) {
      parts->groups = *groups;
      if (const auto object_class = make_class(*parts)) return *object_class;
    }
  }
  return failf(Code::kInvalidArgument,
               "'{}' is no object class: S1, S2, S4 .. SX, RP_2G1 to RP_6GX, EC_2P1G1 to EC_16P3GX",
               printable(as_bytes(name)));
}

Result<ObjectClass> choose_class(const ClassHints& hints, std::uint32_t redundancy_factor) {
  if (redundancy_factor >= kMaxReplicas)
    return failf(Code::kInvalidArgument, "a redundancy factor of {}: 0 to 5 are possible", redundancy_factor);
  if (redundancy_factor >= hints.domains)
    return failf(Code::kInvalidArgument, "a redundancy factor of {} needs {} fault domains, the pool has {}",
                 redundancy_factor, redundancy_factor + 1, hints.domains);
  ClassParts parts;
  if (hints.erasure_code && hints.size == ClassHints::Size::kLarge)
    parts = widest_code(redundancy_factor, hints.domains);
  if (parts.redundancy == Redundancy::kNone && redundancy_factor > 0)
    parts = {.redundancy = Redundancy::kReplicated, .copies = redundancy_factor};
  parts.groups = groups_for(hints);
  return make_class(parts);
}

}  // namespace cenote
