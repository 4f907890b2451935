#include "latency_buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace cenote::cli {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

LatencyBuckets of(double until_1ms, double until_10ms, double all) {
  LatencyBuckets buckets;
  buckets.add(0.001, until_1ms);
  buckets.add(0.010, until_10ms);
  buckets.add(kInfinity, all);
  return buckets;
}

TEST(LatencyBuckets, QuantilesLieWithinTheirBucket) {
  const LatencyBuckets buckets = of(50, 100, 100);
  EXPECT_EQ(buckets.count(), 100);
  EXPECT_THAT(buckets.quantile(0.25), Optional(DoubleNear(0.0005, 1e-9)));
  EXPECT_THAT(buckets.quantile(0.5), Optional(DoubleNear(0.001, 1e-9)));
  EXPECT_THAT(buckets.quantile(0.75), Optional(DoubleNear(0.0055, 1e-9)));
  EXPECT_THAT(buckets.quantile(1), Optional(DoubleNear(0.010, 1e-9)));
  EXPECT_THAT(buckets.quantile(7), Optional(DoubleNear(0.010, 1e-9)));
  EXPECT_THAT(of(0, 3, 3).quantile(0), Optional(DoubleNear(0.001, 1e-9))) << "the bucket that has some";
}

TEST(LatencyBuckets, BeyondTheLastBoundIsThat) {
  EXPECT_THAT(of(0, 0, 5).quantile(0.5), Optional(0.010));
  EXPECT_THAT(of(90, 95, 100).quantile(0.99), Optional(0.010));
  LatencyBuckets only_infinite;
  only_infinite.add(kInfinity, 3);
  EXPECT_THAT(only_infinite.quantile(0.5), Optional(0.0));
}

TEST(LatencyBuckets, AreNothingWithoutCounts) {
  EXPECT_EQ(LatencyBuckets().quantile(0.5), std::nullopt);
  EXPECT_EQ(of(0, 0, 0).quantile(0.5), std::nullopt);
  EXPECT_EQ(LatencyBuckets().count(), 0);
}

TEST(LatencyBuckets, TheDifferenceIsWhatCameSince) {
  const LatencyBuckets since = of(10, 30, 30).since(of(10, 10, 10));
  EXPECT_EQ(since.count(), 20);
  EXPECT_THAT(since.quantile(0.5), Optional(DoubleNear(0.0055, 1e-9)));
  EXPECT_EQ(of(10, 10, 10).since(of(10, 10, 10)).quantile(0.5), std::nullopt);
  // A bound that is new.
  EXPECT_EQ(of(1, 2, 3).since(LatencyBuckets()).count(), 3);
}

TEST(LatencyBuckets, TheDifferenceIsNeverNegative) {
  const LatencyBuckets since = of(1, 2, 3).since(of(10, 10, 10));
  EXPECT_EQ(since.count(), 0);
  EXPECT_TRUE(of(1, 2, 3).fell_behind(of(0, 0, 4)));
  EXPECT_FALSE(of(1, 2, 3).fell_behind(of(1, 2, 3)));
  // Buckets that contradict each other.
  const LatencyBuckets odd = of(9, 2, 1);
  EXPECT_TRUE(odd.quantile(0.99).has_value());
}

}  // namespace
}  // namespace cenote::cli
