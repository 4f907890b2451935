#include "fault_tree.h"

#include <algorithm>
#include <numeric>

#include "cenote/base/assert.h"
#include "placement_hash.h"

namespace cenote::cluster {
namespace {

// Sums of weights of all targets stay far below 2^64.
constexpr std::uint32_t kWeightUnitBits = 20;  // MiB

std::size_t domains_with(const FaultTree& tree, std::span<const std::uint32_t> targets, std::size_t level) {
  std::vector<bool> seen(tree.domain_bound(level));
  for (const std::uint32_t target : targets) seen[tree.domain_of(level, target)] = true;
  return static_cast<std::size_t>(std::ranges::count(seen, true));
}

std::size_t level_of_separation(const FaultTree& tree, std::span<const std::uint32_t> targets,
                                std::uint32_t group_size) {
  for (std::size_t level = 0; level < tree.target_level(); ++level) {
    if (domains_with(tree, targets, level) >= group_size) return level;
  }
  return tree.target_level();
}

/// Members of a group for each domain: by weight, at most one.
std::vector<std::uint64_t> fill_domains(std::span<const std::uint64_t> weights, std::uint32_t group_size) {
  std::vector<std::uint64_t> shares(weights.size());
  std::vector<std::uint32_t> open;
  std::uint64_t open_weight = 0;
  for (std::uint32_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    open.push_back(i);
    open_weight += weights[i];
  }
  std::uint64_t members = group_size;
  for (bool is_level = false; !is_level;) {
    is_level = true;
    std::vector<std::uint32_t> still_open;
    std::uint64_t full_weight = 0;
    const std::uint64_t to_share = members;
    for (const std::uint32_t i : open) {
      const bool is_full = Wide{weights[i]} * to_share >= open_weight;
      if (!is_full) {
        still_open.push_back(i);
        continue;
      }
      shares[i] = kOne;
      full_weight += weights[i];
      --members;
      is_level = false;
    }
    open = std::move(still_open);
    open_weight -= full_weight;
  }
  std::uint64_t left = members * kOne;
  for (const std::uint32_t i : open) {
    shares[i] = static_cast<std::uint64_t>(Wide{weights[i]} * members * kOne / open_weight);
    left -= shares[i];
  }
  // What rounding down has left over, so that the sum is exact: less than there are.
  for (std::size_t k = 0; left > 0; ++k, --left) ++shares[open[k]];
  return shares;
}

}  // namespace

FaultTree::FaultTree(const PoolMap& map) {
  const std::size_t nodes = map.levels().size();
  domain_of_.resize(nodes + 3);
  for (std::vector<std::uint32_t>& level : domain_of_) level.resize(map.targets().size());
  domain_bounds_.assign(nodes + 1, static_cast<std::uint32_t>(map.domains().size()));
  domain_bounds_.push_back(static_cast<std::uint32_t>(map.engines().size()));
  domain_bounds_.push_back(static_cast<std::uint32_t>(map.targets().size()));
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) {
    const MapTarget& target = map.targets()[i];
    domain_of_[nodes + 2][i] = i;
    domain_of_[nodes + 1][i] = target.engine;
    std::uint32_t domain = map.engines()[target.engine].node;
    for (std::size_t level = nodes + 1; level-- > 0; domain = map.domains()[domain].parent)
      domain_of_[level][i] = domain;
    weights_.push_back(std::max<std::uint64_t>(target.bytes >> kWeightUnitBits, 1));
  }
}

Shares compute_shares(const FaultTree& tree, std::span<const std::uint32_t> targets, std::uint32_t group_size) {
  ASSERT(group_size > 0 && targets.size() >= group_size);
  Shares shares;
  shares.separation = level_of_separation(tree, targets, group_size);
  std::vector<std::uint64_t> weights(tree.domain_bound(shares.separation));
  for (const std::uint32_t target : targets) weights[tree.domain_of(shares.separation, target)] += tree.weight(target);
  const std::vector<std::uint64_t> of_domain = fill_domains(weights, group_size);
  shares.of_target.resize(tree.target_count());
  std::vector<std::uint64_t> left = of_domain;
  for (const std::uint32_t target : targets) {
    const std::uint32_t domain = tree.domain_of(shares.separation, target);
    shares.of_target[target] =
        static_cast<std::uint64_t>(Wide{of_domain[domain]} * tree.weight(target) / weights[domain]);
    left[domain] -= shares.of_target[target];
  }
  for (const std::uint32_t target : targets) {
    std::uint64_t& rest = left[tree.domain_of(shares.separation, target)];
    if (rest == 0) continue;
    ++shares.of_target[target];
    --rest;
  }
  for (std::size_t level = 0; level < shares.separation; ++level) {
    std::vector<std::uint64_t> sums(tree.domain_bound(level));
    for (const std::uint32_t target : targets) sums[tree.domain_of(level, target)] += shares.of_target[target];
    std::vector<std::uint32_t>& most = shares.most_members.emplace_back();
    for (const std::uint64_t sum : sums) most.push_back(static_cast<std::uint32_t>((sum + kOne - 1) >> kPointBits));
  }
  return shares;
}

}  // namespace cenote::cluster
