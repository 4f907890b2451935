#include "acl.h"

#include <algorithm>

#include "cenote/base/assert.h"
#include "cenote/base/codec.h"

namespace cenote::posix {
namespace {

constexpr std::uint32_t kVersion = 2;
constexpr std::uint32_t kNobody = 0xffffffff;
constexpr std::size_t kHeaderBytes = 4, kEntryBytes = 8;
constexpr std::uint16_t kAll = 07;
constexpr std::uint32_t kModePermissions = 0777;

bool is_named(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kNamedGroup; }

bool is_tag(std::uint16_t number) {
  switch (static_cast<AclTag>(number)) {
    case AclTag::kOwner:
    case AclTag::kUser:
    case AclTag::kGroup:
    case AclTag::kNamedGroup:
    case AclTag::kMask:
    case AclTag::kOther:
      return true;
  }
  return false;
}

std::ptrdiff_t count(const Acl& acl, AclTag tag) { return std::ranges::count(acl, tag, &AclEntry::tag); }

bool is_valid(const Acl& acl) {
  if (!std::ranges::is_sorted(acl, {}, &AclEntry::tag)) return false;
  for (const AclEntry& entry : acl) {
    if (entry.permissions > kAll || (is_named(entry.tag) && entry.id == kNobody)) return false;
  }
  const bool needs_mask = std::ranges::any_of(acl, is_named, &AclEntry::tag);
  const auto masks = count(acl, AclTag::kMask);
  return count(acl, AclTag::kOwner) == 1 && count(acl, AclTag::kGroup) == 1 && count(acl, AclTag::kOther) == 1 &&
         masks <= 1 && (masks == 1 || !needs_mask);
}

/// The entries that a mode is about, by how far its three bits of them lie from the right.
struct ModeEntries {
  std::uint16_t *owner = nullptr, *group = nullptr, *other = nullptr;
};

ModeEntries entries_of_mode(Acl& acl) {
  ModeEntries result;
  for (AclEntry& entry : acl) {
    if (entry.tag == AclTag::kOwner) result.owner = &entry.permissions;
    if (entry.tag == AclTag::kOther) result.other = &entry.permissions;
    // The mask comes later, and stands for the group where there is one.
    if (entry.tag == AclTag::kGroup || entry.tag == AclTag::kMask) result.group = &entry.permissions;
  }
  ASSERT(result.owner != nullptr && result.group != nullptr && result.other != nullptr);
  return result;
}

std::uint16_t bits(std::uint32_t mode, unsigned shift) { return static_cast<std::uint16_t>((mode >> shift) & kAll); }

}  // namespace

Result<Acl> decode_acl(ByteView value) {
  Decoder decoder(value);
  if (decoder.integer<std::uint32_t>() != kVersion || decoder.bad() || decoder.remaining() % kEntryBytes != 0)
    return fail(Code::kInvalidArgument, "no access control list of version 2");
  Acl acl(decoder.remaining() / kEntryBytes);
  bool known = true;
  for (AclEntry& entry : acl) {
    const auto tag = decoder.integer<std::uint16_t>();
    known = known && is_tag(tag);
    entry.tag = static_cast<AclTag>(tag);
    entry.permissions = decoder.integer<std::uint16_t>();
    const auto id = decoder.integer<std::uint32_t>();
    if (is_named(entry.tag)) entry.id = id;
  }
  if (!known || (!acl.empty() && !is_valid(acl)))
    return fail(Code::kInvalidArgument,
                "the access control list has too many or too few entries, or they are not in order");
  return acl;
}

Bytes encode_acl(const Acl& acl) {
  ASSERT(acl.empty() || is_valid(acl));
  Bytes value;
  value.reserve(kHeaderBytes + acl.size() * kEntryBytes);
  Encoder encoder(value);
  encoder.integer(kVersion);
  for (const AclEntry& entry : acl) {
    encoder.integer(static_cast<std::uint16_t>(entry.tag));
    encoder.integer(entry.permissions);
    encoder.integer(is_named(entry.tag) ? entry.id : kNobody);
  }
  return value;
}

bool is_plain(const Acl& acl) {
  return std::ranges::none_of(acl,
                              [](const AclEntry& entry) { return is_named(entry.tag) || entry.tag == AclTag::kMask; });
}

std::uint32_t mode_with(const Acl& acl, std::uint32_t mode) {
  Acl copy = acl;
  const ModeEntries entries = entries_of_mode(copy);
  const std::uint32_t owner = *entries.owner, group = *entries.group, other = *entries.other;
  return (mode & ~kModePermissions) | owner << 6 | group << 3 | other;
}

Acl acl_with(Acl acl, std::uint32_t mode) {
  const ModeEntries entries = entries_of_mode(acl);
  *entries.owner = bits(mode, 6);
  *entries.group = bits(mode, 3);
  *entries.other = bits(mode, 0);
  return acl;
}

InheritedAcl inherit(Acl default_acl, std::uint32_t mode) {
  const ModeEntries entries = entries_of_mode(default_acl);
  *entries.owner &= bits(mode, 6);
  *entries.group &= bits(mode, 3);
  *entries.other &= bits(mode, 0);
  InheritedAcl result{.mode = mode_with(default_acl, mode), .access = {}};
  if (!is_plain(default_acl)) result.access = std::move(default_acl);
  return result;
}

}  // namespace cenote::posix
