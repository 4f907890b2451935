#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/client/async.h"

namespace cenote::posix {

inline constexpr std::uint32_t kMaxNameBytes = 255;
inline constexpr std::uint32_t kMaxPathBytes = 4096;
inline constexpr std::uint32_t kMaxSymlinkDepth = 40;
/// Files are cut into dkeys of this many bytes.
inline constexpr std::uint32_t kChunkBytes = 1u << 20;

enum class FileType : std::uint8_t { kFile = 1, kDirectory = 2, kSymlink = 3 };

/// What stat tells. Times are nanoseconds since 1970.
struct Attributes {
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;  ///< permission bits, set-id and sticky included (07777)
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t links = 1;
  std::uint64_t size = 0;  ///< bytes; of a symlink, the length of its target
  WallTime atime, mtime, ctime;
  ObjectId object;  ///< the inode number is derived from it
};

struct DirectoryEntry {
  std::string name;
  FileType type = FileType::kFile;
  ObjectId object;
};

struct CreateOptions {
  std::uint32_t mode = 0644;
  std::uint32_t uid = 0, gid = 0;
  std::optional<WallTime> atime, mtime;  ///< now, unless given
  bool exclusive = false;                ///< kExists when the name is taken
  bool truncate = false;                 ///< an existing file loses its contents, and gets the times
};

struct AttributeChange {
  std::optional<std::uint32_t> mode, uid, gid;
  std::optional<WallTime> atime, mtime;
};

class FileSystem;

/// An open directory: spares the walk along its path for many operations in it. Stays usable, but pointless, when the
/// directory is removed. Cheap to copy.
class Directory {
 public:
  const ObjectId& object() const { return object_; }

 private:
  friend class FileSystem;
  explicit Directory(ObjectId object) : object_(object) {}
  ObjectId object_;
};

/// An open regular file. Reads and writes at any offset; every write is durable when it returns. Cheap to copy.
class File {
 public:
  Task<Result<std::uint64_t>> read(std::uint64_t offset, MutableBytes into,
                                   Until until = {});  ///< bytes read; short only at the end
  Task<Result<>> write(std::uint64_t offset, ByteView from, Until until = {});
  Task<Result<>> truncate(std::uint64_t size, Until until = {});
  Task<Result<std::uint64_t>> size(Until until = {});
  /// Records the time of the last write through this handle; called once when done.
  Task<Result<>> close(Until until = {});
  /// Takes back the `create` that made the file: the name goes, and what was written. Left alone is a file that was
  /// there before, one that somebody has truncated, closed or changed since, and whatever else has the name by now.
  Task<Result<>> abandon(Until until = {});
  const ObjectId& object() const;

 private:
  friend class FileSystem;
  struct State;
  explicit File(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// Directories, files and symbolic links in one container (docs/formats/posix.md). Paths are absolute, '/'-separated;
/// "." and ".." are understood. Symbolic links are followed, except in the last component where POSIX says so.
class FileSystem {
 public:
  /// Writes superblock and root directory unless they are there; the container must be of type "posix". A view of a
  /// snapshot shows the tree as it was: what would change it is kReadOnly; kNotFound if there was no tree yet.
  static Task<Result<std::unique_ptr<FileSystem>>> open(async::Container container, Until until = {});
  ~FileSystem();

  Task<Result<Attributes>> stat(std::string path, bool follow = true, Until until = {});
  Task<Result<>> set_attributes(std::string path, AttributeChange change, Until until = {});
  Task<Result<File>> create(std::string path, CreateOptions options, Until until = {});
  Task<Result<File>> open_file(std::string path, Until until = {});
  Task<Result<>> mkdir(std::string path, CreateOptions options, Until until = {});
  Task<Result<Directory>> open_directory(std::string path, Until until = {});
  /// The same two inside an open directory; `name` is one component.
  Task<Result<File>> create_at(Directory directory, std::string name, CreateOptions options, Until until = {});
  Task<Result<Directory>> mkdir_at(Directory directory, std::string name, CreateOptions options, Until until = {});
  Task<Result<>> symlink(std::string target, std::string path, CreateOptions options, Until until = {});
  Task<Result<std::string>> readlink(std::string path, Until until = {});
  Task<Result<>> unlink(std::string path, Until until = {});  ///< kIsADirectory for directories
  Task<Result<>> rmdir(std::string path, Until until = {});   ///< kNotEmpty
  /// Replaces an existing target of the same kind (an empty one, for directories), as rename(2) does.
  Task<Result<>> rename(std::string from, std::string to, Until until = {});
  /// One page of a directory in name order; `after` is the last name of the page before, empty at the start; an empty
  /// page is the end. Entries created or removed meanwhile may or may not show, others show exactly once.
  Task<Result<std::vector<DirectoryEntry>>> read_directory(std::string path, std::string after, Until until = {});
  Task<Result<>> set_xattr(std::string path, std::string name, Bytes value, Until until = {});
  Task<Result<Bytes>> get_xattr(std::string path, std::string name, Until until = {});
  Task<Result<std::vector<std::string>>> list_xattrs(std::string path, Until until = {});
  Task<Result<>> remove_xattr(std::string path, std::string name, Until until = {});

 private:
  struct Impl;
  explicit FileSystem(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::posix
