#pragma once

#include <optional>

#include "inode.h"

namespace cenote::posix {

/// The place of a name: a dkey of a directory object. The root has no name; its attributes lie in the superblock
/// object.
struct EntryPlace {
  ObjectId directory;
  std::string name;
  static EntryPlace root(std::uint32_t redundancy) { return {superblock_object(redundancy), "root"}; }
};

/// Single-dkey operations on directory entries, and the finishing of chains that somebody left half done. No paths
/// here.
class Entries {
 public:
  explicit Entries(async::Container container) : container_(std::move(container)) {}

  async::Container& container() { return container_; }

  /// The live inode under a name, or nullopt. Finishes whatever chain of steps it meets there, so what it returns is
  /// settled.
  Task<Result<std::optional<Inode>>> find(EntryPlace place, Until until);
  /// As `find`, kNotFound naming the entry.
  Task<Result<Inode>> get(EntryPlace place, Until until);
  // The inodes given to these come from `find`, or are new.
  /// kExists when the name is taken.
  Task<Result<>> insert(EntryPlace place, Inode inode, Until until);
  /// Writes changed attributes. kNotFound when the name is gone meanwhile.
  Task<Result<>> replace(EntryPlace place, Inode inode, Until until);
  /// Takes the name away and gives back the space of its object.
  Task<Result<>> remove(EntryPlace place, Inode inode, Until until);
  /// Gives the inode a new name; `replaced` is what lies there now, if anything. kTxRestart, and the old name stays,
  /// when that is no longer so.
  Task<Result<>> move(EntryPlace from, Inode inode, EntryPlace to, std::optional<Inode> replaced, Until until);
  /// True when no live entry is in the directory.
  Task<Result<bool>> is_empty(ObjectId directory, Until until);

 private:
  Task<Result<std::optional<Inode>>> load(EntryPlace place, Until until);
  Task<Result<>> store(EntryPlace place, Inode inode, Precondition condition, Until until);
  Task<Result<>> begin_end(EntryPlace place, Inode inode, Until until);
  Task<Result<>> punch_ended(EntryPlace place, ObjectId object, Until until);
  Task<Result<>> punch_entry(EntryPlace place, Until until);
  Task<Result<>> punch_object(ObjectId object, bool has_xattrs, Until until);
  Task<Result<>> finish_removal(EntryPlace place, Inode inode, Until until);
  Task<Result<bool>> has_moved(Inode inode, Until until);
  Task<Result<>> clear_source(EntryPlace from, ObjectId object, Until until);
  Task<Result<>> finish_arrival(EntryPlace place, Inode inode, Until until);

  async::Container container_;
};

}  // namespace cenote::posix
