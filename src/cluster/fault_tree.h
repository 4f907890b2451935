#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cenote/cluster/pool_map.h"

namespace cenote::cluster {

/// A pool map as placement looks at it: for each level from the highest to the targets themselves, which domain a
/// target lies in.
class FaultTree {
 public:
  explicit FaultTree(const PoolMap& map);

  /// Levels that users named, nodes, engines, targets.
  std::size_t levels() const { return domain_of_.size(); }
  std::size_t target_level() const { return domain_of_.size() - 1; }
  std::size_t target_count() const { return weights_.size(); }
  /// Numbers of domains of a level are below this.
  std::uint32_t domain_bound(std::size_t level) const { return domain_bounds_[level]; }
  std::uint32_t domain_of(std::size_t level, std::uint32_t target) const { return domain_of_[level][target]; }
  std::uint64_t weight(std::uint32_t target) const { return weights_[target]; }

 private:
  std::vector<std::vector<std::uint32_t>> domain_of_;  // [level][target]
  std::vector<std::uint32_t> domain_bounds_;
  std::vector<std::uint64_t> weights_;
};

/// How many members of a group each target should have on average, for one set of targets and one size of groups.
struct Shares {
  /// Of all targets of the pool, in units of kOne; 0 for those that are not of the set. They add up to `group_size`,
  /// save what is lost by rounding down.
  std::vector<std::uint64_t> of_target;
  /// The highest level that has as many domains as a group has members: they all lie in different ones.
  std::size_t separation = 0;
  /// [level above separation][domain]: most members of a group that lie in it.
  std::vector<std::vector<std::uint32_t>> most_members;
};

/// Targets by their weights, as far as no domain of the level of separation gets more than one member of each group:
/// such ones get one, and the others share the rest. The set has at least `group_size` targets.
Shares compute_shares(const FaultTree& tree, std::span<const std::uint32_t> targets, std::uint32_t group_size);

}  // namespace cenote::cluster
