#pragma once

#include <string>

#include "cenote/posix/file_system.h"

namespace cenote::posix {

/// Where a several-step operation on an entry has got to (docs/formats/posix.md, "Operations that take several steps").
enum class EntryState : std::uint8_t {
  kLive = 0,
  kRemoved = 1,  ///< the name is gone; its object is still to be punched, then the entry
  kMoving = 2,   ///< moves to `other_end`; live until that has the object
  kArrived = 3,  ///< came from `other_end`, which is still to be cleared; what it replaced is still to be punched
};

/// What one directory entry stores.
struct Inode {
  FileType type = FileType::kFile;
  EntryState state = EntryState::kLive;
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::uint32_t links = 1;
  WallTime atime{}, mtime{}, ctime{};
  ObjectId object;            ///< a symbolic link has one too, for its inode number
  bool has_xattrs = false;    ///< the object's companion may hold extended attributes
  ObjectId object_to_remove;  ///< kArrived: what this entry replaced, if anything
  bool removed_has_xattrs = false;
  ObjectId other_directory;  ///< kMoving, kArrived: the other end of the rename
  std::string other_name;
  std::string symlink_target;

  /// The chain that the state tells of is over.
  void settle() {
    state = EntryState::kLive;
    object_to_remove = {};
    removed_has_xattrs = false;
    other_directory = {};
    other_name.clear();
  }
};

Bytes encode_inode(const Inode& inode);
/// kCorrupt or kNewerFormat naming `what`, for anything encode_inode cannot have written.
Result<Inode> decode_inode(ByteView stored, std::string_view what);

/// The container's superblock.
struct FsSuperblock {
  std::uint32_t chunk_bytes = kChunkBytes;
  ObjectId root;
  WallTime created{};
};
Bytes encode_superblock(const FsSuperblock& superblock);
Result<FsSuperblock> decode_superblock(ByteView stored);

/// The fixed ids of the layout, below kFirstLeasedObject.
constexpr ObjectId superblock_object() {
  return ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0);
}
constexpr ObjectId root_object() {
  return ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);
}

/// The object that holds the extended attributes of another one: one dkey, an akey per attribute.
constexpr ObjectId xattr_object(const ObjectId& object) {
  constexpr std::uint32_t kCompanionBit = 1u << 31;
  return ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical,
                        static_cast<std::uint32_t>(object.high()) | kCompanionBit, object.low());
}

}  // namespace cenote::posix
