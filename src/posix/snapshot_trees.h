#pragma once

#include <map>
#include <memory>
#include <string>

#include "cenote/posix/file_system.h"

namespace cenote::posix {

inline constexpr std::string_view kSnapshotsName = ".snapshots";

/// The tree of one snapshot, for as long as somebody has a node of it.
struct SnapshotTree {
  SnapshotInfo info;
  std::uint16_t index = 0;  ///< part of its inode numbers; not used again by this FileSystem
  std::unique_ptr<FileSystem> files;
  Instant verified{};    ///< the snapshot was there then
  bool is_gone = false;  ///< it was destroyed
};
using SnapshotTreePointer = std::shared_ptr<SnapshotTree>;

/// The named snapshots of a container, as trees below a directory that is stored nowhere.
class SnapshotTrees {
 public:
  explicit SnapshotTrees(async::Container container) : container_(std::move(container)) {}

  /// Its root. kNotFound: no such snapshot, or there was no tree yet.
  Task<Result<Found>> find(std::string name, Until until);
  /// One page of their names.
  Task<Result<std::vector<std::string>>> list(std::string after, Until until);
  /// What is asked about nodes of this tree. kGone: the snapshot was destroyed, which is seen after kVerifiedFor.
  Task<Result<FileSystem*>> use(SnapshotTreePointer tree, Until until);

  static constexpr Duration kVerifiedFor = std::chrono::seconds(1);

 private:
  Task<Result<SnapshotTreePointer>> open(std::string name, Until until);

  async::Container container_;
  std::map<std::string, SnapshotTreePointer> trees_;
  std::uint16_t next_index_ = 1;
};

}  // namespace cenote::posix
