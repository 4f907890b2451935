#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "cenote/base/epoch.h"

namespace cenote::object {

/// Versions that a rollback took back: those above `after`, up to and including `upto`. No reader sees them, and
/// nothing of a later epoch depends on them; they stay in the tree until a pass of aggregation has removed them.
struct RolledBack {
  Epoch after, upto;
  friend bool operator==(const RolledBack&, const RolledBack&) = default;
};

/// Ranges that one container can have at a time; only rollbacks to ever later epochs within one pass add up.
inline constexpr std::size_t kMaxRolledBack = 64;

/// The range that holds `epoch`; null: none, the version is there. `ranges` are ascending and apart.
inline const RolledBack* find_rolled_back(std::span<const RolledBack> ranges, Epoch epoch) {
  const auto found = std::ranges::lower_bound(ranges, epoch, {}, &RolledBack::upto);
  return found != ranges.end() && found->after < epoch ? &*found : nullptr;
}

/// Whether a reader at `epoch` saw what is no more. One at the end of a range sees what the rollback went back to.
inline bool lost_its_view(std::span<const RolledBack> ranges, Epoch epoch) {
  const RolledBack* range = find_rolled_back(ranges, epoch);
  return range != nullptr && epoch < range->upto;
}

}  // namespace cenote::object
