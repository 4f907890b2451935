#pragma once

#include <map>
#include <memory>
#include <optional>

#include "cenote/posix/node.h"
#include "layout.h"

namespace cenote::posix {

struct SnapshotTree;

/// What one FileSystem knows of something, whatever its names are. Facts that others can change are hints here: they
/// say where to look first.
struct Node::State {
  FileType type = FileType::kFile;
  ObjectId object;
  Place place;                             ///< where the inode was last
  ObjectId parent_hint;                    ///< of a directory: to whom ".." leads
  std::shared_ptr<SnapshotTree> snapshot;  ///< in which it is; none: in the present
  bool is_wide = false;                    ///< of a file: its tail may hold something; that it once did stays so

  std::uint32_t open_files = 0;
  std::uint32_t holds = 0;
  bool is_in_use() const { return open_files > 0 || holds > 0; }
  /// It has lost its last name while it was in use here, and is given back by the last `close` or `release`.
  bool is_removed = false;
  bool is_kept = false;  ///< that, and it is not given back yet
  /// Reads and writes of this FileSystem that its inode does not tell of yet.
  std::optional<WallTime> read_at, written_at;
  WallTime times_saved{};  ///< when they were told last
  WallTime saved_ctime{};  ///< the ctime that this left
};

/// One state for each object that somebody has a node of.
class NodeTable {
 public:
  Node get(FileType type, const ObjectId& object, Place place);
  /// Of all nodes from now on.
  void belong_to(std::weak_ptr<SnapshotTree> snapshot) { snapshot_ = std::move(snapshot); }
  /// nullptr: nobody has one.
  std::shared_ptr<Node::State> find(const ObjectId& object) const;

 private:
  void sweep();

  std::weak_ptr<SnapshotTree> snapshot_;
  std::map<ObjectId, std::weak_ptr<Node::State>> states_;
  std::size_t sweep_at_ = 1024;  // more states than that: those that nobody has go
};

}  // namespace cenote::posix
