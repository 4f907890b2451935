#include "cenote/cluster/pool_redundancy.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::cluster {
namespace {

bool is_used(const MapTarget& target) { return target.state == ComponentState::kUp || PoolMap::is_complete(target); }

/// "engine 2", "engines 1, 2 and 5".
std::string engines_text(const std::vector<Rank>& ranks) {
  std::string text = ranks.size() == 1 ? "engine " : "engines ";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += std::to_string(ranks[i].value());
  }
  return text;
}

}  // namespace

Result<> check_redundancy(const PoolMap& map, std::uint32_t redundancy) {
  if (redundancy > kMaxPoolRedundancy)
    return failf(Code::kOutOfRange, "a redundancy of {}: 0 to {} are possible", redundancy, kMaxPoolRedundancy);
  std::set<std::uint32_t> nodes;
  for (const MapEngine& engine : map.engines()) nodes.insert(engine.node);
  if (nodes.size() > redundancy) return {};
  return failf(Code::kInvalidArgument,
               "a pool of redundancy {} needs engines in {} fault domains, and there are {}: {} missing", redundancy,
               redundancy + 1, nodes.size(), redundancy + 1 - nodes.size());
}

Result<> check_class(const ObjectId& object, std::uint32_t redundancy) {
  if (redundancy == 0) return {};
  TRY(const ClassParts parts, class_parts(object.object_class()));
  if (parts.redundancy_factor() >= redundancy) return {};
  return failf(Code::kInvalidArgument,
               "object {} is of class {}, which survives the loss of {} engines; its pool is to survive that of {}",
               object.to_string(), class_name(object.object_class()), parts.redundancy_factor(), redundancy);
}

std::vector<TargetId> used_targets(const PoolMap& map, Rank rank) {
  std::vector<TargetId> found;
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) {
    const MapTarget& target = map.targets()[i];
    if (is_used(target) && map.engines()[target.engine].rank == rank) found.emplace_back(i);
  }
  return found;
}

std::vector<MappedEngine> mapped_engines(const PoolMap& map) {
  std::vector<std::vector<TargetId>> targets(map.engines().size());
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) targets[map.targets()[i].engine].emplace_back(i);
  std::vector<MappedEngine> engines;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    engines.push_back(
        {.rank = map.engines()[i].rank,
         .state = map.state_of(targets[i]),
         .since = map.changed_of(targets[i]),
         .is_used = std::ranges::any_of(targets[i], [&](TargetId id) { return is_used(map.target(id)); })});
  }
  std::ranges::sort(engines, {}, &MappedEngine::rank);
  return engines;
}

std::string pool_state(const PoolMap& map, MapVersion active, std::uint32_t redundancy,
                       const std::vector<Rank>& suspended) {
  std::string state;
  if (!suspended.empty()) {
    state = fmt::format("suspended: {} {} gone, and no more can be excluded than {}", engines_text(suspended),
                        suspended.size() == 1 ? "is" : "are", redundancy);
  }
  std::vector<Rank> excluded;
  for (const MappedEngine& engine : mapped_engines(map)) {
    if (engine.state == ComponentState::kDown) excluded.push_back(engine.rank);
  }
  if (!excluded.empty()) {
    if (!state.empty()) state += "; ";
    state += fmt::format("{} {} excluded", engines_text(excluded), excluded.size() == 1 ? "is" : "are");
  }
  if (!state.empty()) return "degraded: " + state;
  if (active < map.version())
    return fmt::format("changing: engines switch from map version {} to {}", active.value(), map.version().value());
  return "up";
}

}  // namespace cenote::cluster
