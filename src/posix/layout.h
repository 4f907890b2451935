#pragma once

#include <string>

#include "cenote/base/bytes.h"
#include "cenote/protocol/object_id.h"
#include "inode.h"

// Which objects and keys of a container hold what (docs/formats/posix.md).
namespace cenote::posix {

// Fixed ids, below kFirstLeasedObject, in a container of this redundancy.
ObjectId superblock_object(std::uint32_t redundancy);
ObjectId root_object(std::uint32_t redundancy);
/// Has one dkey for each session.
ObjectId sessions_object(std::uint32_t redundancy);

/// Stored nowhere: the number of the directory of snapshots.
ObjectId snapshots_directory(std::uint32_t redundancy);

/// Holds what is said about another object besides its inode, and keeps it as well as that one its data.
ObjectId companion_object(const ObjectId& object);
/// Holds what a file has from its second chunk on: spread over all targets, as the first one's object is not.
ObjectId tail_object(const ObjectId& head);

// Companion: dkeys, and their akeys.
inline constexpr std::string_view kXattrDkey = "x";  // an akey for each
inline constexpr std::string_view kPlaceDkey = "i";
inline constexpr std::string_view kWhereAkey = "where";
/// Everywhere where an inode or an entry is.
inline constexpr std::string_view kInodeAkey = "inode";
/// A directory's own dkey.
inline constexpr std::string_view kSelfDkey = ".";

/// The akey of one of a directory's marks: when it was changed.
std::string touch_akey(std::uint32_t mark);

/// Where an inode, or an entry, is: akey kInodeAkey of this dkey.
struct Place {
  ObjectId object;
  std::string dkey;

  static Place of_name(const ObjectId& directory, std::string name) { return {directory, std::move(name)}; }
  static Place of_directory(const ObjectId& directory) { return {directory, std::string(kSelfDkey)}; }
  static Place in_companion(const ObjectId& object) { return {companion_object(object), std::string(kPlaceDkey)}; }
  /// Of what has lost its last name, in the directory where that was, until it is given back.
  static Place removed(const ObjectId& directory, std::uint64_t session, const ObjectId& object);
  friend bool operator==(const Place&, const Place&) = default;
};

/// What all dkeys of `Place::removed` begin with, of one session. No name begins like that.
std::string removed_prefix(std::uint64_t session);
/// Whether a dkey of a directory is a name.
bool is_name(std::string_view dkey);
struct RemovedKey {
  std::uint64_t session = 0;
  ObjectId object;
};
/// The parts of a dkey of `Place::removed`; kCorrupt: it is none.
Result<RemovedKey> parse_removed(std::string_view dkey);

}  // namespace cenote::posix
