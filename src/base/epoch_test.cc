#include "cenote/base/epoch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace cenote {
namespace {

constexpr std::int64_t kTick = 1 << 16;

WallTime wall(std::int64_t nanoseconds) { return WallTime(Duration(nanoseconds)); }

TEST(HybridClock, FollowsTheWallClock) {
  HybridClock clock;
  EXPECT_EQ(clock.last(), kEpochZero);
  const std::int64_t now = 1'769'860'800'000'000'000;
  const Epoch epoch = clock.next(wall(now));
  EXPECT_LE(epoch.value(), static_cast<std::uint64_t>(now));
  EXPECT_GT(epoch.value() + kTick, static_cast<std::uint64_t>(now));
  EXPECT_EQ(clock.last(), epoch);
}

TEST(HybridClock, CountsWithinOneTick) {
  HybridClock clock;
  EXPECT_EQ(clock.next(wall(5 * kTick)).value(), 5u * kTick);
  EXPECT_EQ(clock.next(wall(5 * kTick + 17)).value(), 5u * kTick + 1);
  EXPECT_EQ(clock.next(wall(4 * kTick)).value(), 5u * kTick + 2) << "the wall clock stepped back";
  EXPECT_EQ(clock.next(wall(6 * kTick)).value(), 6u * kTick);
}

TEST(HybridClock, IsAheadOfAllItObserved) {
  HybridClock clock;
  clock.observe(Epoch(100 * kTick + 9));
  EXPECT_EQ(clock.next(wall(3 * kTick)).value(), 100u * kTick + 10);
  clock.observe(Epoch(7));
  EXPECT_EQ(clock.last().value(), 100u * kTick + 10) << "an old epoch changes nothing";
}

TEST(HybridClock, ExchangedEpochsRespectCausality) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    HybridClock clocks[3];
    std::int64_t true_time = 1'000'000 * kTick;
    std::uint64_t highest_wall = 0;
    for (int step = 0; step < 1000; ++step) {
      true_time += static_cast<std::int64_t>(random() % kTick);
      HybridClock& clock = clocks[random() % 3];
      const std::int64_t skewed = true_time + static_cast<std::int64_t>(random() % (20 * kTick)) - 10 * kTick;
      highest_wall = std::max(highest_wall, static_cast<std::uint64_t>(skewed));
      const Epoch before = clock.last();
      const Epoch epoch = clock.next(wall(skewed));
      ASSERT_GT(epoch, before);
      ASSERT_LE(epoch.value(), highest_wall + 1000) << "drifts from the fastest clock by its counter only";
      HybridClock& peer = clocks[random() % 3];
      peer.observe(epoch);
      ASSERT_GE(peer.last(), epoch);
      ASSERT_GT(peer.next(wall(skewed)), epoch);
    }
  }
}

}  // namespace
}  // namespace cenote
