#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

// Access control lists of POSIX.1e draft 17 (acl(5)): what they say, how they and a mode keep in step, what is
// inherited.
namespace cenote::posix {

/// The extended attributes that they are.
inline constexpr std::string_view kAccessAcl = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

enum class AclTag : std::uint16_t {
  kOwner = 0x01,
  kUser = 0x02,
  kGroup = 0x04,
  kNamedGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20,
};

struct AclEntry {
  AclTag tag = AclTag::kOwner;
  std::uint16_t permissions = 0;  ///< of 07
  std::uint32_t id = 0;           ///< of a named user or group; else zero
  friend bool operator==(const AclEntry&, const AclEntry&) = default;
};

/// Entries of one list.
///
/// Invariants: in the order of their tags; one each of owner, group and others, at most one mask, and one if there are
/// named users or groups.
using Acl = std::vector<AclEntry>;

/// The value of the attribute, as Linux has it (linux/posix_acl_xattr.h). kInvalidArgument: not of that form, or a list
/// that says nothing clear. One without entries is empty, which means that there is none.
Result<Acl> decode_acl(ByteView value);
Bytes encode_acl(const Acl& acl);

/// Whether it says no more than a mode.
bool is_plain(const Acl& acl);
/// The mode that shows while this is the access list: the mask, if there is one, as what the group may.
std::uint32_t mode_with(const Acl& acl, std::uint32_t mode);
/// What chmod makes of an access list.
Acl acl_with(Acl acl, std::uint32_t mode);

/// What something new has of the default list of its directory.
struct InheritedAcl {
  std::uint32_t mode = 0;
  std::optional<Acl> access;  ///< none: the mode says it all
};
/// `mode` is what its maker asked for, without a umask: the list is in its place.
InheritedAcl inherit(Acl default_acl, std::uint32_t mode);

}  // namespace cenote::posix
