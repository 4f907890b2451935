#include "clock_watch.h"

#include <gtest/gtest.h>

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

ClockReading at(std::uint32_t rank, Duration ahead) { return {cluster::Rank(rank), ahead - 1ms, ahead + 1ms}; }

bool is_right(std::uint32_t own, std::vector<ClockReading> others) {
  return judge_clock(cluster::Rank(own), others, 500ms).has_value();
}

TEST(JudgeClock, NearAMajorityIsRight) {
  EXPECT_TRUE(is_right(0, {}));
  EXPECT_TRUE(is_right(2, {at(0, 100ms), at(1, -400ms)}));
  EXPECT_TRUE(is_right(2, {at(0, 10s), at(1, -400ms)})) << "engine 0 is off, then";
  EXPECT_FALSE(is_right(2, {at(0, 10s), at(1, 10s)}));
  EXPECT_FALSE(is_right(0, {at(1, 10s), at(2, -1h)})) << "nobody knows better: none serves";
  EXPECT_TRUE(is_right(4, {at(0, 2s), at(1, 2s), at(2, 0ms), at(3, 0ms)}));
  EXPECT_FALSE(is_right(4, {at(0, 2s), at(1, 2s), at(2, 2s), at(3, 0ms)}));
}

TEST(JudgeClock, OfTwoHalvesTheOneWithTheLowestRankGoesOn) {
  EXPECT_TRUE(is_right(0, {at(1, 10s)}));
  EXPECT_FALSE(is_right(1, {at(0, -10s)}));
  EXPECT_TRUE(is_right(3, {at(0, 0ms), at(1, 10s), at(2, 10s)}));
  EXPECT_FALSE(is_right(1, {at(0, -10s), at(2, 0ms), at(3, -10s)}));
}

TEST(JudgeClock, AnAnswerThatTookLongProvesNothing) {
  const ClockReading slow{cluster::Rank(0), -10s, 10s};
  EXPECT_TRUE(is_right(1, {slow}));
  const ClockReading slow_but_far{cluster::Rank(0), 10s, 30s};
  EXPECT_FALSE(is_right(1, {slow_but_far}));
}

TEST(JudgeClock, SaysHowFarAndWhatToDo) {
  const std::vector<ClockReading> others{at(0, 90s), at(1, -5s), at(2, 90s), at(4, 91s)};
  const auto verdict = judge_clock(cluster::Rank(3), others, 500ms);
  ASSERT_FALSE(verdict.has_value());
  EXPECT_EQ(verdict.error(), Code::kClockOff);
  EXPECT_EQ(verdict.error().message(),
            "the clock of this machine is 90.0 s behind that of engine 0, 5.0 s ahead of that of engine 1, 90.0 s "
            "behind that of engine 2 and off from 1 more: set it, and keep it set (chrony, ntpd); an engine serves "
            "only while its clock is within 0.5 s of those of most engines");
}

}  // namespace
}  // namespace cenote::engine
