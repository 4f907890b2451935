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

Result<> check_wanted(const PoolMap& map, std::uint32_t redundancy) {
  std::set<std::uint32_t> nodes;
  for (const MapTarget& target : map.targets())
    if (map.is_wanted(target)) nodes.insert(map.engines()[target.engine].node);
  if (nodes.size() > redundancy) return {};
  return failf(Code::kInvalidArgument,
               "the pool keeps its data in {} fault domain{}, and {} would be left for it: {} missing", redundancy + 1,
               redundancy == 0 ? "" : "s", nodes.size(), redundancy + 1 - nodes.size());
}

namespace {

/// How many nodes too few had data when it was last complete.
std::size_t nodes_lacking(const PoolMap& map, std::uint32_t redundancy) {
  std::set<std::uint32_t> nodes;
  for (const MapTarget& target : map.targets())
    if (map.is_relied_on(target)) nodes.insert(map.engines()[target.engine].node);
  const std::size_t wanted = redundancy + 1;
  return wanted > nodes.size() ? wanted - nodes.size() : 0;
}

}  // namespace

std::size_t copies_lacking(const PoolMap& map, std::uint32_t redundancy) {
  std::set<std::uint32_t> lost;
  for (const MapTarget& target : map.targets())
    if (map.is_relied_on(target) && !PoolMap::is_complete(target)) lost.insert(target.engine);
  return lost.size() + nodes_lacking(map, redundancy);
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

double moving_share(const PoolMap& map) {
  double before = 0, after = 0;
  for (const MapTarget& target : map.targets()) {
    const auto bytes = static_cast<double>(target.bytes);
    if (map.is_relied_on(target)) before += bytes;
    if (map.is_wanted(target)) after += bytes;
  }
  if (!map.is_moving() || before == 0 || after == 0) return 0;
  double moving = 0;
  for (const MapTarget& target : map.targets()) {
    if (!map.is_wanted(target)) continue;
    const auto bytes = static_cast<double>(target.bytes);
    // What came back has to be given all of its part anew.
    const double held = PoolMap::is_complete(target) ? bytes / before : 0;
    moving += std::max(0.0, bytes / after - held);
  }
  return std::min(moving, 1.0);
}

namespace {

/// What the data of a pool moves for: "engine 2 is drained; engines 3 and 4 get their part".
std::string moving_text(const PoolMap& map) {
  std::vector<Rank> draining, filling;
  for (const MappedEngine& engine : mapped_engines(map)) {
    if (engine.state == ComponentState::kDraining) draining.push_back(engine.rank);
    if (engine.state == ComponentState::kUp) filling.push_back(engine.rank);
  }
  std::string text;
  if (!draining.empty())
    text = fmt::format("{} {} drained", engines_text(draining), draining.size() == 1 ? "is" : "are");
  if (!filling.empty()) {
    if (!text.empty()) text += "; ";
    text += fmt::format("{} get{} data", engines_text(filling), filling.size() == 1 ? "s" : "");
  }
  return text.empty() ? "data is made anew" : text;
}

}  // namespace

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
  if (const std::size_t lacking = nodes_lacking(map, redundancy); lacking > 0) {
    if (!state.empty()) state += "; ";
    state += fmt::format("{} of {} copies missing, as there are too few fault domains", lacking, redundancy + 1);
  }
  if (!state.empty()) return "degraded: " + state;
  if (active < map.version())
    return fmt::format("changing: engines switch from map version {} to {}", active.value(), map.version().value());
  return map.is_moving() ? "moving: " + moving_text(map) : "up";
}

std::string pool_state(const StoredMap& stored) {
  std::string state = pool_state(stored.map, stored.active, stored.redundancy, stored.suspended);
  if (stored.paused && state.starts_with("moving")) state += " (paused)";
  return state;
}

}  // namespace cenote::cluster
