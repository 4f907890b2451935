#pragma once

#include <optional>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/posix/attributes.h"

namespace cenote::posix {

/// What is kept of a file, a directory or anything else that can have a name.
struct Inode {
  FileType type = FileType::kFile;
  ObjectId object;
  std::uint32_t mode = 0, uid = 0, gid = 0;
  std::uint32_t links = 1;
  std::uint32_t device = 0;
  WallTime atime{}, mtime{}, ctime{}, created{};
  bool has_companion = false;  ///< the companion object may hold something
  bool has_xattrs = false;     ///< that, and extended attributes may be in it
  bool is_wide = false;        ///< of a file: the tail object may hold something
  // Of a directory.
  WallTime times_set{};  ///< when mtime was set; a change of the directory after that is the mtime instead
  ObjectId parent;       ///< of the root, itself
  // Of a symbolic link.
  std::string target;

  bool is_directory() const { return type == FileType::kDirectory; }
};

/// What a name leads to: the inode, or where else that is to be found.
struct Entry {
  FileType type = FileType::kFile;
  ObjectId object;
  std::optional<Inode> inode;  ///< none: it lies with the directory's object, or in the companion

  static Entry of(Inode inode) { return {inode.type, inode.object, std::move(inode)}; }
  static Entry reference(const Inode& inode) { return {inode.type, inode.object, std::nullopt}; }
};

inline constexpr std::size_t kMaxEntryBytes = 104 + kMaxPathBytes;

Bytes encode_entry(const Entry& entry);
/// kCorrupt or kNewerFormat naming `what`, for anything encode_entry cannot have written.
Result<Entry> decode_entry(ByteView stored, std::string_view what);

/// Where the inode of something is that has been renamed and has one name.
struct WhereAt {
  ObjectId directory;
  std::string name;
  friend bool operator==(const WhereAt&, const WhereAt&) = default;
};
Bytes encode_where(const WhereAt& where);
Result<WhereAt> decode_where(ByteView stored, std::string_view what);

Bytes encode_time(WallTime time);
Result<WallTime> decode_time(ByteView stored, std::string_view what);

/// The container's superblock.
struct FsSuperblock {
  std::uint32_t chunk_bytes = kChunkBytes;
  std::uint32_t touch_marks = 1;  ///< of each directory
  ObjectId root;
  WallTime created{};
};
/// Most that a directory may have.
inline constexpr std::uint32_t kMaxTouchMarks = 16;
Bytes encode_superblock(const FsSuperblock& superblock);
/// kMalformed, kNewerFormat; kUnsupported: of the first format; kCorrupt: encode_superblock cannot have written it in a
/// container of this redundancy.
Result<FsSuperblock> decode_superblock(ByteView stored, std::uint32_t redundancy);

}  // namespace cenote::posix
