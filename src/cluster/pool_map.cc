// Invariants: check_invariants() asserts what broken_rule() names; a map that was decoded was held against the same.

#include "cenote/cluster/pool_map.h"

#include <algorithm>
#include <optional>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "map_builder.h"
#include "map_transitions.h"

namespace cenote::cluster {
namespace {

MapVersion after(MapVersion version) { return MapVersion(version.value() + 1); }

/// How useful a target in this state is, the most useful first.
std::uint32_t usefulness(ComponentState state) {
  using enum ComponentState;
  constexpr ComponentState kOrder[] = {kUpIn, kUp, kDraining, kNew, kDown, kDownOut};
  return static_cast<std::uint32_t>(std::ranges::find(kOrder, state) - kOrder);
}

}  // namespace

std::string_view state_name(ComponentState state) {
  switch (state) {
    case ComponentState::kNew:
      return "new";
    case ComponentState::kUp:
      return "up";
    case ComponentState::kUpIn:
      return "up-in";
    case ComponentState::kDraining:
      return "draining";
    case ComponentState::kDown:
      return "down";
    case ComponentState::kDownOut:
      return "down-out";
  }
  return "?";
}

Result<PoolMap> PoolMap::create(Uuid pool, std::vector<std::string> levels, std::span<const EngineSpec> engines) {
  if (levels.size() > kMaxMapLevels)
    return failf(Code::kOutOfRange, "{} levels of domains: at most {} are possible", levels.size(), kMaxMapLevels);
  for (const std::string& level : levels) {
    if (!is_map_name(level) || std::ranges::count(levels, level) != 1)
      return failf(Code::kInvalidArgument, "'{}' cannot be the name of a level, or is that of two",
                   printable(as_bytes(level)));
  }
  if (engines.empty()) return fail(Code::kInvalidArgument, "a pool needs an engine");
  PoolMap map;
  map.pool_ = pool;
  map.levels_ = std::move(levels);
  CHECK_OK(map.add(engines));
  map.settled_ = map.version_;
  for (MapTarget& target : map.targets_) {
    target.state = ComponentState::kUpIn;
    target.joined = map.version_;
  }
  return map;
}

Result<> PoolMap::require_writable() const {
  if (features_.read_only_compatible == 0) return {};
  return failf(Code::kUnsupported, "the map of pool {} was changed by a newer Cenote; this one can only read it",
               pool_.to_string());
}

Result<> PoolMap::add(std::span<const EngineSpec> engines) {
  CHECK_OK(require_writable());
  PoolMap next = *this;
  next.version_ = after(version_);
  Builder builder(next);
  for (const EngineSpec& engine : engines) CHECK_OK(builder.add(engine));
  *this = std::move(next);
  return {};
}

Result<> PoolMap::apply(MapOperation operation, std::span<const TargetId> targets) {
  CHECK_OK(require_writable());
  if (targets.empty()) return fail(Code::kInvalidArgument, "no target was named");
  PoolMap next = *this;
  next.version_ = after(version_);
  for (const TargetId id : targets) {
    if (id.value() >= targets_.size()) return failf(Code::kNotFound, "the pool has no target {}", id.value());
    // From the state of the next map, so that naming a target twice is not legal either.
    MapTarget& target = next.targets_[id.value()];
    const MapTransition* row = find_transition(operation, target.state, is_relied_on(target));
    if (row == nullptr)
      return failf(Code::kInvalidArgument, "target {} cannot {}: it is {}", id.value(), operation_name(operation),
                   state_name(target.state));
    target.state = row->to;
    target.changed = next.version_;
    if (operation == MapOperation::kActivate) target.joined = next.version_;
    if (row->leaves) target.left = next.version_;
  }
  *this = std::move(next);
  return {};
}

Result<> PoolMap::settle(MapVersion moved) {
  CHECK_OK(require_writable());
  if (moved > version_) return failf(Code::kInvalidArgument, "there is no version {} of the map", moved.value());
  if (!is_moving()) return fail(Code::kInvalidArgument, "no data of the pool moves");
  for (const MapTarget& target : targets_) {
    if (target.state != ComponentState::kNew && target.changed > moved)
      return failf(Code::kStaleMap, "the map changed in version {}, after the one the data moved for, {}",
                   target.changed.value(), moved.value());
  }
  version_ = after(version_);
  for (MapTarget& target : targets_) {
    const MapTransition* row = find_transition(std::nullopt, target.state, is_relied_on(target));
    if (row == nullptr) continue;
    target.state = row->to;
    target.changed = version_;
    if (row->leaves) target.left = version_;
  }
  settled_ = version_;
  return {};
}

bool PoolMap::is_wanted(const MapTarget& target) const {
  return target.state == ComponentState::kUp || target.state == ComponentState::kUpIn;
}

bool PoolMap::is_relied_on(const MapTarget& target) const {
  switch (target.state) {
    case ComponentState::kUpIn:
    case ComponentState::kDraining:
    case ComponentState::kDown:
      return true;
    case ComponentState::kUp:
      return target.joined <= settled_ && target.left > settled_;
    case ComponentState::kNew:
    case ComponentState::kDownOut:
      break;
  }
  return false;
}

bool PoolMap::is_complete(const MapTarget& target) {
  return target.state == ComponentState::kUpIn || target.state == ComponentState::kDraining;
}

bool PoolMap::is_moving() const {
  return std::ranges::any_of(targets_, [this](const MapTarget& target) {
    switch (target.state) {
      case ComponentState::kUp:
      case ComponentState::kDraining:
      case ComponentState::kDown:
        return true;
      case ComponentState::kDownOut:
        // Lost before it had its data: others take its place, who need not be those that have the data.
        return target.joined > settled_;
      case ComponentState::kNew:
      case ComponentState::kUpIn:
        break;
    }
    return false;
  });
}

std::string PoolMap::path_of(const MapEngine& engine) const {
  std::vector<std::string_view> names;
  for (std::uint32_t at = engine.node; at != Domain::kRoot; at = domains_[at].parent)
    names.push_back(domains_[at].name);
  std::ranges::reverse(names);
  return fmt::format("{}", fmt::join(names, "/"));
}

Result<std::vector<TargetId>> PoolMap::below(std::string_view path) const {
  std::vector<TargetId> found;
  for (std::uint32_t i = 0; i < targets_.size(); ++i) {
    const MapEngine& engine = engines_[targets_[i].engine];
    const std::string whole = fmt::format("{}/{}/{}", path_of(engine), engine.rank.value(), targets_[i].index);
    const bool is_below =
        path.empty() || (whole.starts_with(path) && (whole.size() == path.size() || whole[path.size()] == '/'));
    if (is_below) found.emplace_back(i);
  }
  if (found.empty()) return failf(Code::kNotFound, "the pool has nothing at '{}'", printable(as_bytes(path)));
  return found;
}

ComponentState PoolMap::state_of(std::span<const TargetId> targets) const {
  ComponentState best = ComponentState::kDownOut;
  for (const TargetId id : targets) {
    if (usefulness(target(id).state) < usefulness(best)) best = target(id).state;
  }
  return best;
}

MapVersion PoolMap::changed_of(std::span<const TargetId> targets) const {
  MapVersion latest;
  for (const TargetId id : targets) latest = std::max(latest, target(id).changed);
  return latest;
}

void PoolMap::check_invariants() const {
  const char* broken = broken_rule();
  if (broken != nullptr) assertion_failed(broken, __FILE__, __LINE__);
}

}  // namespace cenote::cluster
