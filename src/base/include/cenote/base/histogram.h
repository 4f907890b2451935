#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "cenote/base/time.h"

namespace cenote {

/// Distribution of durations in log-linear buckets: exact below 64 ns, then 32 buckets to each power of two up to 2^37
/// ns (137 s), so a percentile is within 1.6 % of the recorded value. Longer durations count as the longest bucket,
/// negative ones (a clock stepped back) as zero; `max` and `sum` stay exact.
///
/// Invariants: the bucket ranges are disjoint, ascending and without gaps; `count` is the sum of the buckets, so every
/// number derived from one copy agrees with the others.
///
/// One thread records; any thread may copy it or read it at the same time and sees a recent state. Recording is two
/// plain adds and no locked instruction. 8.5 KiB.
class LatencyHistogram {
 public:
  static constexpr unsigned kSubBucketBits = 5;
  static constexpr unsigned kRangeBits = 37;
  static constexpr std::size_t kSubBuckets = std::size_t{1} << kSubBucketBits;
  static constexpr std::size_t kBuckets = kSubBuckets * (kRangeBits - kSubBucketBits + 1);

  LatencyHistogram() = default;
  /// A snapshot; `other` may be recorded to meanwhile.
  LatencyHistogram(const LatencyHistogram& other) { merge(other); }
  LatencyHistogram& operator=(const LatencyHistogram& other);
  ~LatencyHistogram() = default;

  /// Owner's thread only.
  void record(Duration duration) { record_nanoseconds(duration.count() < 0 ? 0 : std::uint64_t(duration.count())); }
  /// Adds everything that `other` counted. Owner's thread of this one; any thread of `other`.
  void merge(const LatencyHistogram& other);
  /// Forgets everything. Owner's thread only.
  void reset();

  std::uint64_t count() const;
  Duration sum() const { return Duration(sum_.load(std::memory_order_relaxed)); }
  Duration max() const { return Duration(max_.load(std::memory_order_relaxed)); }
  /// Zero while nothing is recorded.
  Duration mean() const;
  /// The duration that `percent` (0 to 100) of all recorded ones do not exceed; zero while nothing is recorded.
  Duration percentile(double percent) const;
  /// How many recorded durations were at most `bound`, within the resolution of the buckets.
  std::uint64_t count_at_most(Duration bound) const;

  /// Bucket that counts `nanoseconds`.
  static constexpr std::size_t bucket_of(std::uint64_t nanoseconds) {
    if (nanoseconds < 2 * kSubBuckets) return nanoseconds;
    const unsigned shift = static_cast<unsigned>(std::bit_width(nanoseconds)) - kSubBucketBits - 1;
    const std::size_t bucket = shift * kSubBuckets + (nanoseconds >> shift);
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  /// Smallest value of `bucket`; of kBuckets: the end of the range.
  static constexpr std::uint64_t bucket_begin(std::size_t bucket) {
    if (bucket < 2 * kSubBuckets) return bucket;
    const std::size_t shift = bucket / kSubBuckets - 1;
    return (bucket % kSubBuckets + kSubBuckets) << shift;
  }

 private:
  using Cell = std::atomic<std::uint64_t>;

  // The owner is the only writer, so load and store need no locked instruction; atomics make the exporter's read sound.
  static void bump(Cell& cell, std::uint64_t by) {
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  void record_nanoseconds(std::uint64_t nanoseconds) {
    bump(counts_[bucket_of(nanoseconds)], 1);
    bump(sum_, nanoseconds);
    if (nanoseconds > max_.load(std::memory_order_relaxed)) max_.store(nanoseconds, std::memory_order_relaxed);
  }
  // What stands for every value of a bucket: its middle, and never more than the longest value seen.
  std::uint64_t representative(std::size_t bucket) const;

  std::array<Cell, kBuckets> counts_{};
  Cell sum_{0};
  Cell max_{0};
};

}  // namespace cenote
