#include "harness/statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace cenote::bench {
namespace {

TEST(Statistics, NothingMeasuredIsAllZero) {
  const Summary summary = summarize({});
  EXPECT_EQ(summary.median, 0);
  EXPECT_EQ(summary.spread_percent(), 0);
}

TEST(Statistics, MedianOfAnOddNumberIsTheMiddle) {
  const std::vector<double> values{9, 1, 5, 2, 100};
  const Summary summary = summarize(values);
  EXPECT_EQ(summary.median, 5);
  EXPECT_EQ(summary.low, 1);
  EXPECT_EQ(summary.high, 100);
}

TEST(Statistics, MedianOfAnEvenNumberIsBetweenTheMiddleTwo) {
  const std::vector<double> values{4, 1, 3, 2};
  EXPECT_EQ(summarize(values).median, 2.5);
}

TEST(Statistics, SpreadIsHalfTheRangeInPercentOfTheMedian) {
  const std::vector<double> values{90, 100, 120};
  EXPECT_DOUBLE_EQ(summarize(values).spread_percent(), 15);
}

}  // namespace
}  // namespace cenote::bench
