#include "spin_policy.h"

#include <gtest/gtest.h>

namespace cenote {
namespace {

using namespace std::chrono_literals;

TEST(SpinPolicy, BeginsWithTheShorterTime) { EXPECT_EQ(SpinPolicy(20us, 100us).limit(), Duration(20us)); }

TEST(SpinPolicy, PollsLongerOnceHalfOfTheLastPausesEndedSoon) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 3; ++i) policy.pause_ended(50us);
  EXPECT_EQ(policy.limit(), Duration(20us));
  policy.pause_ended(100us);
  EXPECT_EQ(policy.limit(), Duration(100us));
}

TEST(SpinPolicy, IdlenessTakesItBack) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(50us);
  for (int i = 0; i < 4; ++i) policy.pause_ended(101us);
  EXPECT_EQ(policy.limit(), Duration(100us)) << "half of the last eight ended soon";
  policy.pause_ended(10s);
  EXPECT_EQ(policy.limit(), Duration(20us));
}

TEST(SpinPolicy, ShortPausesSayNothing) {
  SpinPolicy policy(20us, 100us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(20us);
  EXPECT_EQ(policy.limit(), Duration(20us));
  for (int i = 0; i < 8; ++i) policy.pause_ended(21us);
  for (int i = 0; i < 100; ++i) policy.pause_ended(1us);
  EXPECT_EQ(policy.limit(), Duration(100us));
}

TEST(SpinPolicy, NeverPollsLessThanToldOrWhereToldNotTo) {
  SpinPolicy longer(200us, 100us);
  for (int i = 0; i < 8; ++i) longer.pause_ended(250us);
  EXPECT_EQ(longer.limit(), Duration(200us));
  SpinPolicy none(0us, 100us);
  for (int i = 0; i < 8; ++i) none.pause_ended(50us);
  EXPECT_EQ(none.limit(), Duration(0us));
}

}  // namespace
}  // namespace cenote
