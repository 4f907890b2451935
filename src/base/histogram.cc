#include "cenote/base/histogram.h"

#include <algorithm>
#include <cmath>

namespace cenote {

using Histogram = LatencyHistogram;

static_assert(Histogram::bucket_of(63) == 63 && Histogram::bucket_of(64) == 64 && Histogram::bucket_of(65) == 64);
static_assert(Histogram::bucket_begin(Histogram::kBuckets) == std::uint64_t{1} << Histogram::kRangeBits);
static_assert(Histogram::bucket_of((std::uint64_t{1} << Histogram::kRangeBits) - 1) == Histogram::kBuckets - 1);

LatencyHistogram& LatencyHistogram::operator=(const LatencyHistogram& other) {
  if (this == &other) return *this;
  reset();
  merge(other);
  return *this;
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) bump(counts_[i], other.counts_[i].load(std::memory_order_relaxed));
  bump(sum_, other.sum_.load(std::memory_order_relaxed));
  max_.store(std::max(max_.load(std::memory_order_relaxed), other.max_.load(std::memory_order_relaxed)),
             std::memory_order_relaxed);
}

void LatencyHistogram::reset() {
  for (Cell& cell : counts_) cell.store(0, std::memory_order_relaxed);
  sum_.store(0, std::memory_order_relaxed);
  max_.store(0, std::memory_order_relaxed);
}

std::uint64_t LatencyHistogram::count() const {
  std::uint64_t total = 0;
  for (const Cell& cell : counts_) total += cell.load(std::memory_order_relaxed);
  return total;
}

Duration LatencyHistogram::mean() const {
  const std::uint64_t recorded = count();
  return recorded == 0 ? Duration::zero() : Duration(sum_.load(std::memory_order_relaxed) / recorded);
}

std::uint64_t LatencyHistogram::representative(std::size_t bucket) const {
  const std::uint64_t longest = max_.load(std::memory_order_relaxed);
  if (bucket == kBuckets - 1 && longest >= bucket_begin(kBuckets)) return longest;
  const std::uint64_t middle = (bucket_begin(bucket) + bucket_begin(bucket + 1) - 1) / 2;
  return std::min(middle, longest);
}

Duration LatencyHistogram::percentile(double percent) const {
  const std::uint64_t recorded = count();
  if (recorded == 0) return Duration::zero();
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(recorded)));
  const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, recorded);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i].load(std::memory_order_relaxed);
    if (seen >= rank) return Duration(representative(i));
  }
  return max();
}

std::uint64_t LatencyHistogram::count_at_most(Duration bound) const {
  if (bound < Duration::zero()) return 0;
  const auto limit = static_cast<std::uint64_t>(bound.count());
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets && representative(i) <= limit; ++i) {
    seen += counts_[i].load(std::memory_order_relaxed);
  }
  return seen;
}

}  // namespace cenote
