#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cenote/cluster/placement.h"
#include "cenote/cluster/pool_map.h"

namespace cenote::cluster {

/// Where a target is found: its engine, and its index there.
struct TargetPlace {
  Rank engine;
  std::uint16_t index = 0;
  friend bool operator==(const TargetPlace&, const TargetPlace&) = default;
};

/// A redundancy group of an object, by what chooses it and, among its members, the leader for a dkey.
struct GroupKey {
  ObjectId object;
  PlacementSeed seed;
  std::uint32_t group = 0;
  std::uint64_t dkey_hash = 0;  ///< as of PoolLayout::key_of
};

/// Which targets of a pool answer for what, under one version of its map: what clients send requests by, and engines
/// check them by. Nothing in it changes that a user could see, so any number of threads may share one.
class PoolLayout {
 public:
  /// Builds the tables of placement: milliseconds for hundreds of targets, so not for a data path.
  static Result<std::shared_ptr<const PoolLayout>> build(PoolMap map);
  /// Of a pool that was made before pools had maps: on the only engine of its system, rank 0, all of whose targets it
  /// uses. Its version is 1 and never changes.
  static std::shared_ptr<const PoolLayout> without_map(std::uint32_t targets);

  MapVersion version() const;
  /// nullptr: the pool has none.
  const PoolMap* map() const { return map_ ? &*map_ : nullptr; }
  /// Whether data may be elsewhere than it should (PoolMap::is_moving).
  bool is_moving() const { return moving_; }
  /// Targets have the numbers below.
  std::uint32_t target_count() const;
  TargetPlace place_of(TargetId target) const;

  /// The group of a dkey. kInvalidArgument: no such class. kUnsupported: the class keeps its data by erasure codes.
  static Result<GroupKey> key_of(const ObjectId& object, PlacementSeed seed, ByteView dkey);
  /// Who holds the group. Of classes without redundancy: one target. kUnsupported: as above, and of a pool without a
  /// map for any class with redundancy. kResourceExhausted: the pool has fewer targets than the group members.
  Result<GroupLayout> group(const GroupKey& key) const;
  /// The complete member that answers for updates of a dkey: chosen by its hash, so that the load of a group spreads
  /// over its members. kNotReady: none is left that is complete.
  Result<TargetId> leader(const GroupKey& key) const;
  Result<TargetId> leader(const GroupKey& key, const GroupLayout& group) const;
  /// `leader` of the group of a dkey. Without redundancy: the target that has it.
  Result<TargetId> home(const ObjectId& object, PlacementSeed seed, ByteView dkey) const;
  /// Whom a read of a dkey may ask, the leader first. kNotReady: as of `leader`.
  Result<SmallVector<TargetId, kMaxReplicas>> readers(const ObjectId& object, PlacementSeed seed, ByteView dkey) const;
  /// The same of a group of a pool with a map.
  Result<SmallVector<TargetId, kMaxReplicas>> readers(const GroupKey& key) const;
  /// All targets with data. kNotReady: one that had some is lost or has not come back; whoever asks the others may miss
  /// what nobody else has.
  Result<std::vector<TargetId>> all() const;
  /// The same, and those that are lost are left out: the others have all data of objects with redundancy.
  std::vector<TargetId> all_complete() const;

 private:
  PoolLayout() = default;

  Result<const Placement*> placement_of(std::uint32_t group_size) const;

  /// The tables of one group size, built when they are first asked for: most pools use one size or two.
  struct Tables {
    std::once_flag built;
    std::optional<Result<Placement>> placement;
  };

  std::optional<PoolMap> map_;
  bool moving_ = false;
  std::optional<Placement> single_;                          ///< of groups of one target
  mutable std::array<Tables, kMaxReplicas + 1> replicated_;  ///< by group size
  std::uint32_t targets_ = 0;
};

}  // namespace cenote::cluster
