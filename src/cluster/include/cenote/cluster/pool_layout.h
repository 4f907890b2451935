#pragma once

#include <memory>
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

/// Which targets of a pool answer for what, under one version of its map: what clients send requests by, and engines
/// check them by. Immutable, so any number of threads may share one.
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
  /// Targets have the numbers below.
  std::uint32_t target_count() const;
  TargetPlace place_of(TargetId target) const;

  /// The target that has a dkey of the object, for classes without redundancy. kNotReady: the target that had it is
  /// lost or has not come back, and nobody else has it. kUnsupported: the class has redundancy.
  Result<TargetId> home(const ObjectId& object, PlacementSeed seed, ByteView dkey) const;
  /// All targets with data. kNotReady: as of `home`, so whoever asks them all misses something.
  Result<std::vector<TargetId>> all() const;

 private:
  PoolLayout() = default;

  std::optional<PoolMap> map_;
  std::optional<Placement> single_;  ///< of groups of one target
  std::uint32_t targets_ = 0;
};

}  // namespace cenote::cluster
