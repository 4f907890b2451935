#include "spin_policy.h"

#include <gtest/gtest.h>

namespace cenote {
namespace {

using namespace std::chrono_literals;

constexpr Instant kNow{1000s};

TEST(SpinPolicy, BeginsWithTheShorterTime) { EXPECT_EQ(SpinPolicy(20us, 100us).limit(kNow), Duration(20us)); }

TEST(SpinPolicy, PollsLongerOnceHalfOfTheLastPausesEndedSoon) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 3; ++i) policy.pause_ended(50us);
  EXPECT_EQ(policy.limit(kNow), Duration(20us));
  policy.pause_ended(100us);
  EXPECT_EQ(policy.limit(kNow), Duration(100us));
}

TEST(SpinPolicy, IdlenessTakesItBack) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(50us);
  for (int i = 0; i < 4; ++i) policy.pause_ended(101us);
  EXPECT_EQ(policy.limit(kNow), Duration(100us)) << "half of the last eight ended soon";
  policy.pause_ended(10s);
  EXPECT_EQ(policy.limit(kNow), Duration(20us));
}

TEST(SpinPolicy, ShortPausesSayNothing) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(20us);
  EXPECT_EQ(policy.limit(kNow), Duration(20us));
  for (int i = 0; i < 8; ++i) policy.pause_ended(21us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(1us);
  EXPECT_EQ(policy.limit(kNow), Duration(100us));
}

TEST(SpinPolicy, NeverPollsLessThanToldOrWhereToldNotTo) {
  SpinPolicy longer(200us, 100us);
  for (int i = 0; i < 8; ++i) longer.pause_ended(250us);
  EXPECT_EQ(longer.limit(kNow), Duration(200us));
  SpinPolicy none(0us, 100us);
  for (int i = 0; i < 8; ++i) none.pause_ended(50us);
  EXPECT_EQ(none.limit(kNow), Duration(0us));
}

TEST(SpinPolicy, PollsNotWhereSomebodyComputes) {
  SpinPolicy policy(20us, 100us);
  policy.left_to_others(kNow, kNow + 300us);
  EXPECT_EQ(policy.limit(kNow + 300us), Duration(20us));
  policy.left_to_others(kNow, kNow + 3ms);
  EXPECT_EQ(policy.limit(kNow + 3ms), Duration(0us));
  EXPECT_EQ(policy.limit(kNow + 100ms), Duration(0us));
  EXPECT_EQ(policy.limit(kNow + 103ms), Duration(20us));
}

}  // namespace
}  // namespace cenote
