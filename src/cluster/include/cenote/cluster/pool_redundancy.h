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

/// How a pool is: "up", or "degraded: ", what is wrong and with which engines, or that engines are switching.
std::string pool_state(const PoolMap& map, MapVersion active, std::uint32_t redundancy,
                       const std::vector<Rank>& suspended);

}  // namespace cenote::cluster
