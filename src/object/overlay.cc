#include "overlay.h"

#include <algorithm>

namespace cenote::object {

void Overlay::resolve(std::uint64_t first, std::uint64_t end, Slices& out) {
  // Usually one version hides all others, a small overwrite of a large extent for instance.
  const auto* newest = std::max_element(versions_.begin(), versions_.end(),
                                        [](const Slice& a, const Slice& b) { return a.epoch < b.epoch; });
  if (newest != versions_.end() && newest->first <= first && newest->end >= end) {
    out.push_back({first, end, newest->version, newest->epoch});
    return;
  }
  std::sort(versions_.begin(), versions_.end(), [](const Slice& a, const Slice& b) {
    return a.epoch != b.epoch ? a.epoch > b.epoch : a.version < b.version;
  });
  gaps_.clear();
  gaps_.push_back({first, end});
  covered_.clear();
  for (const Slice& version : versions_) {
    if (gaps_.empty()) break;
    cover(version);
  }
  for (const Gap& gap : gaps_) covered_.push_back({gap.first, gap.end, kHole, kEpochZero});
  std::sort(covered_.begin(), covered_.end(), [](const Slice& a, const Slice& b) { return a.first < b.first; });
  for (const Slice& slice : covered_) {
    const bool joins = !out.empty() && out.back().end == slice.first && out.back().version == slice.version &&
                       out.back().epoch == slice.epoch;
    if (joins) {
      out.back().end = slice.end;
    } else {
      out.push_back(slice);
    }
  }
}

// Newer versions have been laid already, so this one shows only through the gaps they left.
void Overlay::cover(const Slice& version) {
  const auto* found = std::lower_bound(gaps_.begin(), gaps_.end(), version.first,
                                       [](const Gap& gap, std::uint64_t record) { return gap.end <= record; });
  auto index = static_cast<std::size_t>(found - gaps_.begin());
  while (index < gaps_.size() && gaps_[index].first < version.end) {
    const Gap gap = gaps_[index];
    const std::uint64_t from = std::max(gap.first, version.first);
    const std::uint64_t to = std::min(gap.end, version.end);
    covered_.push_back({from, to, version.version, version.epoch});
    const bool left = gap.first < from;
    const bool right = to < gap.end;
    if (left && right) {
      gaps_[index] = {gap.first, from};
      gaps_.insert(index + 1, {to, gap.end});
      return;
    }
    if (left) {
      gaps_[index++] = {gap.first, from};
    } else if (right) {
      gaps_[index] = {to, gap.end};
      return;
    } else {
      gaps_.erase(index);
    }
  }
}

}  // namespace cenote::object
