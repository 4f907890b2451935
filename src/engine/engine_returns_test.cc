#include "engine_returns.h"

#include <gtest/gtest.h>

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;
using cluster::Rank;

const Uuid kPool = Uuid::from_random(1, 2);

/// Two engines, and what one pool says of them; time passes by looks, once a second.
class EngineReturnsTest : public testing::Test {
 protected:
  EngineReturnsTest() {
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      engines_.push_back({.place = {.rank = Rank(rank), .engine = {}}, .up = true, .registered = cluster::Revision(1)});
    }
  }
  void restart(std::uint32_t rank) {
    engines_[rank].registered = cluster::Revision(engines_[rank].registered.value() + 1);
  }
  /// How long it takes until the engine gets its part again, or its losses are forgotten; `limit`: it does not.
  Duration until_due(std::uint32_t rank, Duration limit, bool back = true) {
    for (Duration passed{};; passed += 1s, now_ += 1s) {
      returns_.look(engines_, pools_, now_);
      for (const auto& due : returns_.due(now_)) {
        const auto& ranks = back ? due.back : due.stayed;
        if (due.pool == kPool && std::ranges::find(ranks, Rank(rank)) != ranks.end()) return passed;
      }
      if (passed >= limit) return limit;
    }
  }

  EngineReturns returns_{{}};
  std::vector<cluster::ListedEngine> engines_;
  std::map<Uuid, PoolLosses> pools_;
  Instant now_{};
};

TEST_F(EngineReturnsTest, AnEngineIsTakenBackWhenItHasStayedForAWhile) {
  EXPECT_EQ(until_due(1, 60s), 60s) << "no pool misses it";
  pools_[kPool].awaited = {{.rank = Rank(1)}};
  EXPECT_EQ(until_due(1, 60s), 10s);
  engines_[1].up = false;
  EXPECT_EQ(until_due(1, 60s), 60s);
  engines_[1].up = true;
  EXPECT_EQ(until_due(1, 5s), 5s);
  restart(1);
  EXPECT_EQ(until_due(1, 60s), 10s) << "it counts anew";
}

TEST_F(EngineReturnsTest, WhoComesAndGoesWaitsLonger) {
  for (const auto& [losses, wait] : {std::pair(1u, Duration(10s)), std::pair(2u, Duration(20s)),
                                     std::pair(5u, Duration(160s)), std::pair(100u, Duration(20min))}) {
    restart(0);
    pools_[kPool].awaited = {{.rank = Rank(0), .times = losses}};
    EXPECT_EQ(until_due(0, 2h), wait) << losses;
  }
  // It stays.
  pools_[kPool] = {.awaited = {}, .returned = {{.rank = Rank(0), .times = 100}}};
  EXPECT_EQ(until_due(0, 2h, false), Duration(1h));
  restart(0);
  EXPECT_EQ(until_due(0, 2h, false), Duration(1h)) << "since it was started again";
}

TEST_F(EngineReturnsTest, NobodyIsTakenBackWhileMovesArePausedOrWhereItIsOff) {
  pools_[kPool] = {.awaited = {{.rank = Rank(1)}}, .returned = {}, .paused = true};
  EXPECT_EQ(until_due(1, 60s), 60s);
  pools_[kPool].paused = false;
  EXPECT_EQ(until_due(1, 60s), 0s) << "it has stayed for long enough";
  returns_ = EngineReturns({.enabled = false});
  EXPECT_EQ(until_due(1, 60s), 60s);
}

TEST_F(EngineReturnsTest, WhatIsRefusedIsTriedAgainLaterAndSaidOnce) {
  pools_[kPool].awaited = {{.rank = Rank(0)}, {.rank = Rank(1)}};
  EXPECT_EQ(until_due(1, 60s), 10s);
  ASSERT_EQ(returns_.due(now_).size(), 1u);
  EXPECT_EQ(returns_.due(now_).front().back.size(), 2u) << "both, together";
  const Error error(Code::kConditionFailed, "flatten it");
  EXPECT_TRUE(returns_.note_refused(kPool, Rank(1), error, now_));
  EXPECT_EQ(returns_.due(now_).front().back, std::vector{Rank(0)});
  EXPECT_EQ(until_due(1, 60s), 10s);
  EXPECT_FALSE(returns_.note_refused(kPool, Rank(1), error, now_));
  EXPECT_TRUE(returns_.note_refused(kPool, Rank(1), Error(Code::kConditionFailed, "wait"), now_));
  restart(1);
  EXPECT_EQ(until_due(1, 60s), 10s);
  EXPECT_TRUE(returns_.note_refused(kPool, Rank(1), error, now_)) << "of another start";
  EXPECT_FALSE(returns_.note_refused(Uuid(), Rank(1), error, now_)) << "nobody waits for that any more";
}

}  // namespace
}  // namespace cenote::engine
