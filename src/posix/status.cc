#include "cenote/posix/status.h"

#include "cenote/base/assert.h"

namespace cenote::posix {
namespace {

constexpr std::uint32_t kBlockBytes = 4096;
constexpr std::uint32_t kStatBlockBytes = 512;

mode_t type_bits(FileType type) {
  switch (type) {
    case FileType::kFile:
      return S_IFREG;
    case FileType::kDirectory:
      return S_IFDIR;
    case FileType::kSymlink:
      return S_IFLNK;
    case FileType::kFifo:
      return S_IFIFO;
    case FileType::kSocket:
      return S_IFSOCK;
    case FileType::kCharacterDevice:
      return S_IFCHR;
    case FileType::kBlockDevice:
      return S_IFBLK;
  }
  ASSERT(false);
}

timespec time_of(WallTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  return {.tv_sec = seconds.count(), .tv_nsec = (since - seconds).count()};
}

}  // namespace

struct stat stat_of(const Attributes& attributes) {
  struct stat status{};
  status.st_ino = inode_number(attributes.object, attributes.snapshot);
  status.st_mode = type_bits(attributes.type) | attributes.mode;
  status.st_nlink = attributes.links;
  status.st_uid = attributes.uid;
  status.st_gid = attributes.gid;
  status.st_rdev = attributes.device;
  status.st_size = static_cast<off_t>(attributes.size);
  status.st_blksize = kBlockBytes;
  // What a file without holes would take.
  status.st_blocks = static_cast<blkcnt_t>((attributes.size + kStatBlockBytes - 1) / kStatBlockBytes);
  status.st_atim = time_of(attributes.atime);
  status.st_mtim = time_of(attributes.mtime);
  status.st_ctim = time_of(attributes.ctime);
  return status;
}

}  // namespace cenote::posix
