// What is true of every map, made here or decoded.

#include <algorithm>
#include <set>
#include <vector>

#include "cenote/cluster/pool_map.h"
#include "map_builder.h"

namespace cenote::cluster {

const char* PoolMap::broken_rule() const {
  if (version_.value() == 0 || settled_.value() == 0 || settled_ > version_) return "versions are not in order";
  if (const char* broken = broken_rule_of_tree()) return broken;
  for (const MapTarget& target : targets_) {
    if (const char* broken = broken_rule_of(target)) return broken;
  }
  return nullptr;
}

const char* PoolMap::broken_rule_of_tree() const {
  std::set<std::string_view> level_names;
  for (const std::string& level : levels_) {
    if (!is_map_name(level) || !level_names.insert(level).second) return "a level has a bad name";
  }
  std::vector<std::size_t> depths;
  std::vector<bool> is_used(domains_.size());
  std::set<std::pair<std::uint32_t, std::string_view>> domain_names;
  for (std::uint32_t i = 0; i < domains_.size(); ++i) {
    const Domain& domain = domains_[i];
    if (domain.parent != Domain::kRoot && domain.parent >= i) return "a domain stands before the one above it";
    depths.push_back(domain.parent == Domain::kRoot ? 1 : depths[domain.parent] + 1);
    if (depths.back() > levels_.size() + 1) return "a domain lies too deep";
    if (!is_map_name(domain.name) || !domain_names.emplace(domain.parent, domain.name).second)
      return "a domain has a bad name";
    if (domain.parent != Domain::kRoot) is_used[domain.parent] = true;
  }
  std::set<Rank> ranks;
  std::set<Uuid> ids;
  for (const MapEngine& engine : engines_) {
    if (engine.node >= domains_.size() || depths[engine.node] != levels_.size() + 1) return "an engine is on no node";
    if (!ranks.insert(engine.rank).second || !ids.insert(engine.id).second) return "an engine is there twice";
    is_used[engine.node] = true;
  }
  if (std::ranges::count(is_used, false) > 0) return "a domain is empty";
  std::vector<std::uint32_t> counts(engines_.size());
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    const MapTarget& target = targets_[i];
    if (target.engine >= engines_.size() || (i > 0 && targets_[i - 1].engine > target.engine) ||
        target.index != counts[target.engine]++)
      return "targets are not in order";
  }
  if (engines_.empty() || std::ranges::count(counts, 0u) > 0) return "an engine has no target";
  return nullptr;
}

const char* PoolMap::broken_rule_of(const MapTarget& target) const {
  if (target.bytes == 0) return "a target has no size";
  if (target.changed.value() == 0 || target.changed > version_ || target.joined > target.changed ||
      target.left > target.changed || (target.left.value() != 0 && target.left <= target.joined))
    return "versions of a target are not in order";
  const bool never_joined = target.joined.value() == 0;
  if ((target.state == ComponentState::kNew) != never_joined) return "only a new target never joined";
  const bool is_old = target.joined <= settled_;
  switch (target.state) {
    case ComponentState::kNew:
      return target.left.value() == 0 ? nullptr : "a new target has left";
    case ComponentState::kUp:
      return is_old || target.left.value() == 0 ? nullptr : "a target left that was never complete";
    case ComponentState::kUpIn:
    case ComponentState::kDraining:
      return is_old && target.left <= settled_ ? nullptr : "a target is complete before its data has moved";
    case ComponentState::kDown:
      return is_old && target.left > settled_ ? nullptr : "a target is down though its data has moved";
    case ComponentState::kDownOut:
      return target.left <= settled_ ? nullptr : "a target is out before its data has moved";
  }
  return "a target has no known state";
}

}  // namespace cenote::cluster
