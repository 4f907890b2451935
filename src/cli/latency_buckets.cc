#include "latency_buckets.h"

#include <algorithm>
#include <cmath>

namespace cenote::cli {

void LatencyBuckets::add(double bound_s, double count) {
  if (std::isnan(bound_s) || bound_s < 0 || !std::isfinite(count) || count < 0) return;
  counts_[bound_s] += count;
}

void LatencyBuckets::add(const LatencyBuckets& other) {
  for (const auto& [bound, count] : other.counts_) counts_[bound] += count;
}

LatencyBuckets LatencyBuckets::since(const LatencyBuckets& before) const {
  LatencyBuckets difference;
  double least = 0;
  for (const auto& [bound, count] : counts_) {
    const auto old = before.counts_.find(bound);
    // Cumulative again, whatever the two said.
    least = std::max(least, count - (old == before.counts_.end() ? 0 : old->second));
    difference.counts_[bound] = least;
  }
  return difference;
}

bool LatencyBuckets::fell_behind(const LatencyBuckets& before) const {
  return std::ranges::any_of(before.counts_, [&](const auto& old) {
    const auto now = counts_.find(old.first);
    return now != counts_.end() && now->second < old.second;
  });
}

double LatencyBuckets::count() const { return counts_.empty() ? 0 : counts_.rbegin()->second; }

std::optional<double> LatencyBuckets::quantile(double share) const {
  if (count() <= 0) return std::nullopt;
  const double wanted = std::clamp(share, 0.0, 1.0) * count();
  double lower_bound = 0, below = 0;
  for (const auto& [bound, count] : counts_) {
    if (count > below && count >= wanted) {
      if (std::isinf(bound)) return lower_bound;
      return lower_bound + (bound - lower_bound) * std::max(0.0, wanted - below) / (count - below);
    }
    if (std::isinf(bound)) break;
    lower_bound = bound;
    below = std::max(below, count);
  }
  return lower_bound;
}

}  // namespace cenote::cli
