#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fault_tree.h"

namespace cenote::cluster {

/// Which replacements of lost members are passed over, so that every domain ends near its share. The rest of a domain
/// fits into every group that lost a member there, another domain only into those that it is not in; so where domains
/// are few, replacements drawn by weight leave the rest of a domain with too much, or a domain that is in every group
/// with too little. What is passed over follows from the shares alone, so it changes little with one loss more.
struct LossShares {
  /// Of the draws for a lost member that meet a target of its own domain, the part that is taken, in units of kOne; by
  /// domain of the level of separation.
  std::vector<std::uint64_t> own_part;
  /// Of those that meet another.
  std::vector<std::uint64_t> other_part;
};

/// `base`: shares when nothing was lost; `wanted`: those of the targets that are left, who lie apart at its level.
LossShares compute_loss_shares(const FaultTree& tree, const Shares& base, const Shares& wanted,
                               const std::vector<bool>& is_left);

}  // namespace cenote::cluster
