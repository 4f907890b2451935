#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "cenote/cluster/pool_map.h"

// The legal changes of a target's state; whatever is not in the table is refused.
namespace cenote::cluster {

struct MapTransition {
  std::string_view name;
  std::optional<MapOperation> operation;  ///< nullopt: settle
  ComponentState from;
  /// Where it matters: whether the data was last complete with the target in its place (PoolMap::is_relied_on).
  std::optional<bool> relied_on;
  ComponentState to;
  bool leaves;  ///< the target ceases to be complete
};

std::span<const MapTransition> map_transitions();
/// nullptr: not legal.
const MapTransition* find_transition(std::optional<MapOperation> operation, ComponentState from, bool relied_on);
std::string_view operation_name(MapOperation operation);

}  // namespace cenote::cluster
