#pragma once

#include <optional>
#include <string>

#include "cenote/base/time.h"
#include "cenote/protocol/object_id.h"

namespace cenote::posix {

inline constexpr std::uint32_t kMaxNameBytes = 255;
inline constexpr std::uint32_t kMaxPathBytes = 4096;
inline constexpr std::uint32_t kMaxSymlinkDepth = 40;
inline constexpr std::uint32_t kMaxXattrBytes = 65536;
/// Names of one file.
inline constexpr std::uint32_t kMaxLinks = 65000;
/// Files are cut into dkeys of this many bytes.
inline constexpr std::uint32_t kChunkBytes = 1u << 20;
/// 16 TiB.
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 44;

enum class FileType : std::uint8_t {
  kFile = 1,
  kDirectory = 2,
  kSymlink = 3,
  kFifo = 4,
  kSocket = 5,
  kCharacterDevice = 6,
  kBlockDevice = 7,
};

/// Of anything in a file system; unique in it, never used again. The root has 1. `snapshot`: of which one it is, as
/// this FileSystem counts those that it was asked for; 0: it is in the present.
constexpr std::uint64_t inode_number(const ObjectId& object, std::uint16_t snapshot = 0) {
  return object.low() | std::uint64_t{snapshot} << 48;
}

/// What stat tells. Times are nanoseconds since 1970.
struct Attributes {
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;  ///< permission bits, set-id and sticky included (07777)
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t links = 1;   ///< names; 0: removed, but open; of directories always 1
  std::uint32_t device = 0;  ///< of a device: what it is of, in the caller's encoding
  std::uint64_t size = 0;    ///< bytes; of a symlink, the length of its target
  WallTime atime, mtime, ctime;
  WallTime created;
  bool has_xattrs = false;     ///< false: there are none
  ObjectId object;             ///< `inode_number` is derived from it
  std::uint16_t snapshot = 0;  ///< ... and this
};

struct AttributeChange {
  std::optional<std::uint32_t> mode, uid, gid;
  std::optional<WallTime> atime, mtime;
  std::optional<std::uint64_t> size;  ///< of files only
};

/// Of something new. Front ends know whether set-id bits may be given.
struct CreateOptions {
  std::uint32_t mode = 0644;
  std::uint32_t umask = 0;  ///< what `mode` loses, unless the directory has a default access control list
  /// A directory with the set-group-id bit hands its group on instead, and the bit to directories.
  std::uint32_t uid = 0, gid = 0;
  std::optional<WallTime> atime, mtime;  ///< now, unless given; then writes through the File of `create` leave it
  bool exclusive = false;                ///< kExists when the name is taken; only files need not be
  bool truncate = false;                 ///< an existing file loses its contents, and gets the times
};

}  // namespace cenote::posix
