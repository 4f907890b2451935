#pragma once

#include <algorithm>
#include <vector>

#include "cenote/base/assert.h"
#include "cenote/base/epoch.h"

namespace cenote::object {

/// How the retained readers cut the past: era i holds the epochs above reader i - 1 up to and including reader i. The
/// readers are the snapshots below the bound of aggregation, and the bound, which stands for all readers above it.
///
/// An entry that is superseded at epoch s was seen by the readers in [its epoch, s). No retained one lies there exactly
/// when both belong to the same era; so each era can be merged as if its end were the only reader.
class Eras {
 public:
  Eras() = default;
  /// `snapshots` ascending; those at or above the bound do not count.
  Eras(const std::vector<Epoch>& snapshots, Epoch bound)
      : ends_(snapshots.begin(), std::ranges::lower_bound(snapshots, bound)) {
    ends_.push_back(bound);
  }

  std::size_t count() const { return ends_.size(); }
  /// The era of an epoch at or below the bound.
  std::size_t of(Epoch epoch) const {
    if (ends_.size() == 1) return 0;
    const auto era = static_cast<std::size_t>(std::ranges::lower_bound(ends_, epoch) - ends_.begin());
    ASSERT(era < ends_.size());
    return era;
  }
  /// Its reader.
  Epoch end(std::size_t era) const { return ends_[era]; }

 private:
  std::vector<Epoch> ends_;
};

}  // namespace cenote::object
