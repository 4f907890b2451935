#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/protocol/object_id.h"

// The redundancy of a pool: how many of its engines can be lost, with their data, before data is lost.
namespace cenote::cluster {

/// No class keeps more replicas than one more than that.
inline constexpr std::uint32_t kMaxPoolRedundancy = 5;

/// Whether a pool with this map can have it: placement puts the members of a group into as many nodes as it has.
/// kOutOfRange: above kMaxPoolRedundancy; kInvalidArgument, saying how many nodes are missing.
Result<> check_redundancy(const PoolMap& map, std::uint32_t redundancy);

/// The same of what should hold the data of the pool: up and up-in. kInvalidArgument, saying how many are missing.
Result<> check_wanted(const PoolMap& map, std::uint32_t redundancy);

/// How many copies a group may lack, of the `redundancy` + 1 that it should have at least. Engines whose part of the
/// data is lost as long as it is not made anew: each counts, also two of one node, as placement puts two members of a
/// group into one where there are too few. And copies that were never made anew, as there were not enough nodes. More
/// than the redundancy: data may be lost.
std::size_t copies_lacking(const PoolMap& map, std::uint32_t redundancy);

/// Whether an object may be kept in a pool of this redundancy: its class has to survive as much as the pool promises.
/// kInvalidArgument, naming the class.
Result<> check_class(const ObjectId& object, std::uint32_t redundancy);

/// The targets of an engine that have a part in the pool: up, up-in or draining. None: it is not in the map, or
/// excluded.
std::vector<TargetId> used_targets(const PoolMap& map, Rank rank);

/// What a map says of an engine: the state of its most useful target, and the version of its last change.
struct MappedEngine {
  Rank rank;
  ComponentState state = ComponentState::kNew;
  MapVersion since;
  bool is_used = false;  ///< a target of it is
  friend bool operator==(const MappedEngine&, const MappedEngine&) = default;
};
/// All engines of the map, by rank.
std::vector<MappedEngine> mapped_engines(const PoolMap& map);

/// About how much of a pool's data is not where its map wants it, of 1: what targets should hold more than they did
/// when it was settled, by their weights. 0: nothing moves.
double moving_share(const PoolMap& map);

/// How a pool is: "up", or "degraded: ", what is wrong and with which engines, or "changing: ", engines are switching,
/// or "moving: ", what the data moves for.
std::string pool_state(const PoolMap& map, MapVersion active, std::uint32_t redundancy,
                       const std::vector<Rank>& suspended);
/// The same, also whether what should move is paused.
std::string pool_state(const StoredMap& stored);

}  // namespace cenote::cluster
