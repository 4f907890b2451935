#pragma once

#include <deque>
#include <functional>
#include <map>

#include "cenote/posix/file_system.h"
#include "cenote/runtime/scope.h"
#include "file_data.h"
#include "janitor.h"
#include "node_table.h"
#include "records.h"
#include "removal.h"
#include "session.h"
#include "snapshot_trees.h"

namespace cenote::posix {

/// Something that has no name yet.
struct NewInode {
  Inode inode;
  std::vector<Xattr> xattrs;
};

/// nullopt: no file system was made in it yet.
Task<Result<std::optional<FsSuperblock>>> load_superblock(async::Container container, Until until);

struct FileSystem::Impl {
  Impl(const async::Container& opened, const FsSuperblock& superblock);

  async::Container container;
  RecordCache cache;
  Records records;  // outside of any transaction
  std::uint32_t touch_marks;
  NodeTable nodes;
  SnapshotTrees snapshots;
  Session session;
  Janitor janitor;
  Scope freeing;
  /// Directories where something may wait that this session was not told of, or could not free; and since when.
  std::map<ObjectId, Instant> doubtful;
  std::uint64_t kept_open = 0;  // files without a name
  Semaphore freeing_slots;
  std::deque<Removed> to_free;
  std::uint32_t freeing_tasks = 0;

  Reactor& reactor() { return container.client().reactor(); }
  WallTime now() { return reactor().wall_now(); }
  /// A directory's mark for a change of this name: so that changes of different names do not wait for each other.
  std::uint32_t mark_of(std::string_view name) const;

  // Finding.
  Node node_of(const Inode& inode, Place place);
  /// The inode that a name's entry leads to; nullopt: it is gone meanwhile.
  Task<Result<std::optional<Stored>>> inode_of(Entry entry, Place place, Until until);
  /// kGone: it is no more.
  Task<Result<Stored>> load(Node node, Until until);
  /// What is known, outside, of where a node's inode has gone to. kGone: nowhere.
  Task<Result<>> relocate(Node node, Until until);
  Attributes describe(const Stored& stored, std::uint64_t size) const;
  Task<Result<Found>> found(Stored stored, Place place, Until until);
  Task<Result<std::uint64_t>> size_of(Inode inode, Until until);

  // Snapshots.
  bool is_snapshots_directory(const Node& node) const;
  /// The name of the directory of snapshots, where that is.
  bool is_snapshots_name(const Node& directory, std::string_view name) const;
  /// kReadOnly: a node of a snapshot, or the directory of snapshots.
  Result<> check_changes(const Node& node) const;
  /// The same of a name that is to go, or to come by a rename.
  Result<> check_changes(const Node& directory, std::string_view name) const;
  Task<Result<Attributes>> snapshots_attributes(Until until);
  Task<Result<Found>> find_snapshots(Until until);

  // Changing.
  Task<Result<NewInode>> new_inode(Node directory, FileType type, CreateOptions options, Until until);
  Task<Result<>> give_mode(Inode directory, CreateOptions options, NewInode* made, Until until);
  Task<Result<Found>> insert(Node directory, std::string name, NewInode made, Until until);
  Task<Result<std::optional<Error>>> why_not(ObjectId directory, std::string name, Until until);
  /// Reads the inode, lets `change` at it and writes it, in one transaction. Pending times are told with it.
  Task<Result<Inode>> change_inode(Node node, std::function<Result<>(Inode&)> change, Until until);
  /// Writes the times of reads and writes that are not told of yet.
  Task<Result<>> save_times(Node node, Until until);
  Task<Result<>> truncate(Node node, std::uint64_t size, Until until);
  /// The file was written just now; from time to time, others are told.
  Task<Result<>> note_written(Node node, Until until);
  /// Says in the inode that the tail may hold something; before it does.
  Task<Result<>> widen(Node node, Until until);

  // Removing.
  /// After a transaction took the last name away: frees it, or keeps it for those who have it open.
  Task<> removed(Inode inode, Place place, Until until);
  Task<Result<>> reclaim(Inode inode, Place place, Until until);
  /// The same for the janitor, who knows nothing of what is open here.
  static Task<Result<>> free_removed(Records records, Inode inode, Place place, Until until);
  /// Something may wait in this directory that nobody is about to free.
  void doubt(const ObjectId& directory);
  /// It has lost its last name and is open here: the last `close` frees it.
  void keep(Node::State& state, Place place);
  /// A removal in this directory that failed: it may take effect yet.
  void note_doubt(const Error& error, const ObjectId& directory);
  /// Frees what waits in the doubtful directories.
  Task<Result<>> settle_doubts(Until until);
  Task<Result<>> free_waiting(ObjectId directory, std::vector<std::string> dkeys, Until until);
  /// Frees what is in `to_free`, until there is nothing.
  static Task<> free_queued(Impl* self);
  /// Several at a time, in as few messages as that takes.
  Task<> free_together(std::vector<Removed> batch, Until until);
  static Task<> free_apart(Impl* self, Removed removed, Until until);
  static Task<Result<>> punch_contents(Records records, Inode inode, Until until);
  Task<Result<>> unlink_without_room(Place place, Until until);
  /// Frees what waits in a directory, or lets it wait elsewhere.
  Task<Result<>> clear_waiting(ObjectId directory, std::vector<std::string> dkeys, Until until);

  Task<Result<>> close_file(Node node, Until until);
  /// Gives back what has no name, unless somebody still uses it.
  Task<Result<>> free_unused(Node node, Until until);
};

}  // namespace cenote::posix
