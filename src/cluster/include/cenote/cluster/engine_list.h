#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cenote/base/uuid.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/pool_map.h"

// The engines of a system, as the coordinator has them (docs/formats/membership.md).
namespace cenote::cluster {

/// Most engines of a system: their targets, of as many as an engine may have, are as many as a map holds.
inline constexpr std::size_t kMaxEngines = kMaxMapTargets / kMaxEngineTargets;

/// The number of an engine within its system, and those of its targets: for ever, whether it runs or not.
struct EnginePlace {
  Rank rank;
  Uuid engine;
  std::uint32_t first_target = 0;  ///< the targets of all engines are numbered in the order of their ranks
  std::uint32_t targets = 0;
  friend bool operator==(const EnginePlace&, const EnginePlace&) = default;
};

/// The place of the engine, which gets the next one if it has none. Durable. kForeign: it has one with another number
/// of targets; kOutOfRange: the system has as many engines as it can.
Task<Result<EnginePlace>> claim_place(Coordinator& coordinator, Uuid engine, std::uint32_t targets, Until until = {});

struct ListedEngine {
  EnginePlace place;
  /// It has a lease: the rest is what it said of itself.
  bool up = false;
  Revision registered;  ///< of its registration: another one, another process
  std::vector<std::string> addresses = {};
  std::string control_address = {};
  std::string fault_domain = {};
  friend bool operator==(const ListedEngine&, const ListedEngine&) = default;
};

/// All engines that ever got a place, by rank. Places and registrations are not of one moment.
Task<Result<std::vector<ListedEngine>>> list_engines(Coordinator& coordinator, Until until = {});

}  // namespace cenote::cluster
