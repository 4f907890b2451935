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
/// kMalformed, kNewerFormat; kCorrupt: encode_superblock cannot have written it in a container of this redundancy.
Result<FsSuperblock> decode_superblock(ByteView stored, std::uint32_t redundancy);

/// The fixed ids of the layout in a container of this redundancy, below kFirstLeasedObject.
ObjectId superblock_object(std::uint32_t redundancy);
ObjectId root_object(std::uint32_t redundancy);
/// Of any redundancy.
bool is_superblock(const ObjectId& object);

/// The object that holds the extended attributes of another one, and keeps them as well as that one its data: one dkey,
/// an akey per attribute.
ObjectId xattr_object(const ObjectId& object);

}  // namespace cenote::posix
