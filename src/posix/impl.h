#pragma once

#include "entries.h"
#include "file.h"

namespace cenote::posix {

/// Where a path leads: the place of its last component, and the live inode there, if there is one.
struct Resolved {
  EntryPlace place;
  std::optional<Inode> inode;
  std::vector<ObjectId> ancestors;  ///< the directories walked through, the root first
  bool is_root() const { return is_superblock(place.directory); }
};

struct FileSystem::Impl {
  explicit Impl(async::Container container) : entries(std::move(container)) {}

  Entries entries;

  std::uint32_t redundancy() { return entries.container().redundancy(); }
  WallTime now() { return entries.container().client().reactor().wall_now(); }

  /// Walks the path. The last component need not exist; a symbolic link there is followed when `follow` is set.
  Task<Result<Resolved>> resolve(std::string path, bool follow, Until until);
  /// As `resolve`, kNotFound naming the path when nothing is there.
  Task<Result<Resolved>> resolve_existing(std::string path, bool follow, Until until);
  /// A live inode's page of names after `after`.
  Task<Result<std::vector<DirectoryEntry>>> read_page(ObjectId directory, std::string after, Until until);

  /// kTxRestart when another client came between.
  Task<Result<>> rename_once(std::string from, std::string to, Until until);
  /// Opens or makes the file at `place`; `present` is what a lookup found there, if one was made.
  Task<Result<File>> create_file(EntryPlace place, std::optional<Inode> present, CreateOptions options, Until until);
  Task<Result<Inode>> new_inode(FileType type, CreateOptions options, Until until);
  File open_state(EntryPlace place, ObjectId object);
};

}  // namespace cenote::posix
