#include "cenote/base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace cenote {
namespace {

using namespace std::chrono_literals;

// Log-uniform over the range the histogram promises its error bound for.
std::vector<std::int64_t> random_durations(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> exponent(2.0, 11.0);  // 100 ns to 100 s
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<std::int64_t>(std::pow(10.0, exponent(random))));
  return values;
}

std::int64_t exact_percentile(const std::vector<std::int64_t>& sorted, double percent) {
  const auto rank = static_cast<std::size_t>(std::ceil(percent / 100.0 * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(Histogram, BucketsTileTheRange) {
  for (std::size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    const std::uint64_t begin = LatencyHistogram::bucket_begin(i);
    const std::uint64_t end = LatencyHistogram::bucket_begin(i + 1);
    ASSERT_LT(begin, end);
    ASSERT_EQ(LatencyHistogram::bucket_of(begin), i);
    ASSERT_EQ(LatencyHistogram::bucket_of(end - 1), i);
  }
  EXPECT_EQ(LatencyHistogram::bucket_of(UINT64_MAX), LatencyHistogram::kBuckets - 1);
}

TEST(Histogram, PercentilesAreWithinThreePercent) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    auto values = random_durations(seed, 4000);
    LatencyHistogram histogram;
    for (std::int64_t value : values) histogram.record(Duration(value));
    std::ranges::sort(values);
    for (double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
      const auto exact = static_cast<double>(exact_percentile(values, percent));
      EXPECT_NEAR(static_cast<double>(histogram.percentile(percent).count()), exact, exact * 0.03) << percent;
    }
    EXPECT_EQ(histogram.count(), values.size());
    EXPECT_EQ(histogram.max().count(), values.back());
  }
}

TEST(Histogram, SmallDurationsAreExact) {
  LatencyHistogram histogram;
  for (int i = 0; i <= 63; ++i) histogram.record(Duration(i));
  EXPECT_EQ(histogram.percentile(50), 31ns);
  EXPECT_EQ(histogram.percentile(100), 63ns);
  EXPECT_EQ(histogram.sum(), Duration(63 * 64 / 2));
  EXPECT_EQ(histogram.count_at_most(9ns), 10u);
}

TEST(Histogram, MergeEqualsRecordingEverything) {
  const auto values = random_durations(7, 2000);
  LatencyHistogram all;
  LatencyHistogram even;
  LatencyHistogram odd;
  for (std::size_t i = 0; i < values.size(); ++i) {
    all.record(Duration(values[i]));
    (i % 2 == 0 ? even : odd).record(Duration(values[i]));
  }
  LatencyHistogram merged(even);
  merged.merge(odd);
  EXPECT_EQ(merged.count(), all.count());
  EXPECT_EQ(merged.sum(), all.sum());
  EXPECT_EQ(merged.max(), all.max());
  for (int percent = 0; percent <= 100; ++percent) EXPECT_EQ(merged.percentile(percent), all.percentile(percent));
}

TEST(Histogram, EmptyAndReset) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.percentile(99), 0ns);
  EXPECT_EQ(histogram.mean(), 0ns);
  histogram.record(3us);
  histogram.record(5us);
  EXPECT_EQ(histogram.mean(), 4us);
  histogram.reset();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0ns);
}

TEST(Histogram, ExtremesAreCountedAndNotLost) {
  LatencyHistogram histogram;
  histogram.record(-5ns);
  histogram.record(1000s);
  EXPECT_EQ(histogram.count(), 2u);
  EXPECT_EQ(histogram.percentile(1), 0ns);
  EXPECT_EQ(histogram.percentile(100), 1000s);
  EXPECT_EQ(histogram.max(), 1000s);
  EXPECT_EQ(histogram.count_at_most(100s), 1u);
}

TEST(Histogram, AssignmentReplaces) {
  LatencyHistogram from;
  from.record(7us);
  LatencyHistogram to;
  to.record(1s);
  to = from;
  EXPECT_EQ(to.count(), 1u);
  EXPECT_EQ(to.max(), 7us);
  const LatencyHistogram& self = to;
  to = self;
  EXPECT_EQ(to.count(), 1u);
}

}  // namespace
}  // namespace cenote
