#include "cenote/runtime/scope.h"

#include <gtest/gtest.h>

#include <memory>

#include "cenote/runtime/sim_reactor.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

class ScopeTest : public testing::Test {
 protected:
  SimWorld world{1};
  SimReactor& node = world.add_node("node");
};

Task<> count_up(int& count) {
  ++count;
  co_return;
}
Task<> sleep_until_cancelled(Reactor& reactor, CancelSource& cancel, int& cancelled) {
  const Result<> slept = co_await sleep_for(reactor, 1h, cancel);
  if (!slept) ++cancelled;
}
Task<> sleep_then_count(Reactor& reactor, int& count) {
  co_await reactor.sleep_for(1s);
  ++count;
}
Task<> keep(std::shared_ptr<int> held, Reactor& reactor) {
  co_await reactor.sleep_for(1s);
  ++*held;
}

TEST_F(ScopeTest, SpawnSchedulesAndDoesNotRunInline) {
  Scope scope(node);
  int count = 0;
  EXPECT_TRUE(scope.spawn(count_up(count)));
  EXPECT_EQ(count, 0);
  EXPECT_EQ(scope.running(), 1u);
  world.run_until_idle();
  EXPECT_EQ(count, 1);
  EXPECT_EQ(scope.running(), 0u);
}

TEST_F(ScopeTest, StopCancelsAndWaits) {
  Scope scope(node);
  int cancelled = 0;
  for (int i = 0; i < 3; ++i) scope.spawn(sleep_until_cancelled(node, scope.cancel_source(), cancelled));
  world.run_until_idle(1s);
  EXPECT_EQ(scope.running(), 3u);
  const Instant before = world.now();
  world.block_on(node, scope.stop());
  EXPECT_EQ(cancelled, 3);
  EXPECT_EQ(world.now(), before);
  world.block_on(node, scope.stop());
}

TEST_F(ScopeTest, DrainWaitsWithoutCancelling) {
  Scope scope(node);
  int count = 0;
  scope.spawn(sleep_then_count(node, count));
  const Instant before = world.now();
  world.block_on(node, scope.drain());
  EXPECT_EQ(count, 1);
  EXPECT_EQ(world.now(), before + 1s);
  EXPECT_FALSE(scope.stopping());
  EXPECT_FALSE(scope.spawn(count_up(count)));
}

TEST_F(ScopeTest, SpawnAfterStopDestroysTheTaskUnrun) {
  Scope scope(node);
  world.block_on(node, scope.stop());
  auto held = std::make_shared<int>(0);
  EXPECT_FALSE(scope.spawn(keep(held, node)));
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST_F(ScopeTest, FramesAreFreedBeforeStopReturns) {
  Scope scope(node);
  auto held = std::make_shared<int>(0);
  scope.spawn(keep(held, node));
  EXPECT_EQ(held.use_count(), 2);
  struct Stopper {
    static Task<long> run(Scope& scope, std::shared_ptr<int>& held) {
      co_await scope.stop();
      co_return held.use_count();
    }
  };
  EXPECT_EQ(world.block_on(node, Stopper::run(scope, held)), 1);
  EXPECT_EQ(*held, 1);
}

TEST_F(ScopeTest, TasksMaySpawnMoreWhileTheScopeRuns) {
  struct Tree {
    static Task<> grow(Scope& scope, int depth, int& count) {
      ++count;
      if (depth == 0) co_return;
      EXPECT_TRUE(scope.spawn(grow(scope, depth - 1, count)));
      EXPECT_TRUE(scope.spawn(grow(scope, depth - 1, count)));
    }
  };
  Scope scope(node);
  int count = 0;
  scope.spawn(Tree::grow(scope, 5, count));
  world.run_until_idle();
  EXPECT_EQ(count, 63);
  EXPECT_EQ(scope.running(), 0u);
}

using ScopeDeathTest = ScopeTest;
TEST_F(ScopeDeathTest, DestroyingARunningScopeAborts) {
  EXPECT_DEATH(
      {
        Scope scope(node);
        int count = 0;
        scope.spawn(count_up(count));
      },
      "gate_.count\\(\\) == 0");
}

}  // namespace
}  // namespace cenote
