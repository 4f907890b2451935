#include "cenote/runtime/sim_reactor.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "cenote/runtime/scope.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

Task<> sleep_and_note(Reactor& reactor, Duration duration, char name, std::string& order) {
  co_await reactor.sleep_for(duration);
  order.push_back(name);
}
Task<> step_often(Reactor& reactor, int steps, char name, std::string& order) {
  for (int i = 0; i < steps; ++i) {
    order.push_back(name);
    co_await reactor.yield();
  }
}
Task<int> answer(Reactor& reactor) {
  co_await reactor.sleep_for(1h);
  co_return 42;
}
Task<> never(Event& event) { co_await event.wait(Until::forever()); }
Task<> spin(Reactor& reactor) {
  while (true) co_await reactor.yield();
}

TEST(SimWorldTest, BlockOnReturnsTheValueAndMovesVirtualTime) {
  SimWorld world(1);
  SimReactor& node = world.add_node("a");
  const Instant before = world.now();
  EXPECT_EQ(world.block_on(node, answer(node)), 42);
  EXPECT_EQ(world.now(), before + 1h);
}

TEST(SimWorldTest, TimersOfANodeRunInOrder) {
  SimWorld world(1);
  SimReactor& node = world.add_node("a");
  Scope scope(node);
  std::string order;
  scope.spawn(sleep_and_note(node, 2s, 'b', order));
  scope.spawn(sleep_and_note(node, 1s, 'a', order));
  scope.spawn(sleep_and_note(node, 2s, 'c', order));
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(order, "abc");
}

std::string interleaving(std::uint64_t seed) {
  SimWorld world(seed);
  std::string order;
  std::vector<std::unique_ptr<Scope>> scopes;
  for (char name = 'a'; name < 'd'; ++name) {
    SimReactor& node = world.add_node(std::string(1, name));
    scopes.push_back(std::make_unique<Scope>(node));
    scopes.back()->spawn(step_often(node, 10, name, order));
  }
  EXPECT_TRUE(world.run_until_idle());
  order += std::to_string(world.random());
  return order;
}

TEST(SimWorldTest, SeedDecidesTheInterleavingAndNothingElse) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string order = interleaving(seed);
    EXPECT_EQ(order, interleaving(seed)) << "seed " << seed;
    seen.insert(order);
  }
  EXPECT_EQ(seen.size(), 20u);
}

TEST(SimWorldTest, CoroutinesOfOneNodeAreFifo) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    SimWorld world(seed);
    SimReactor& node = world.add_node("a");
    Scope scope(node);
    std::string order;
    scope.spawn(step_often(node, 3, 'x', order));
    scope.spawn(step_often(node, 3, 'y', order));
    EXPECT_TRUE(world.run_until_idle());
    EXPECT_EQ(order, "xyxyxy") << "seed " << seed;
  }
}

class NotingMail final : public Mail {
 public:
  NotingMail(SimReactor& target, std::vector<int>& delivered, int id)
      : target_(target), delivered_(delivered), id_(id) {}

 private:
  void deliver() override {
    EXPECT_TRUE(target_.is_current());
    delivered_.push_back(id_);
  }
  SimReactor& target_;
  std::vector<int>& delivered_;
  int id_;
};

TEST(SimWorldTest, MailIsDeliveredOnItsNodeInOrder) {
  SimWorld world(3);
  SimReactor& node = world.add_node("a");
  std::vector<int> delivered;
  NotingMail first(node, delivered, 1), second(node, delivered, 2);
  node.post(first);
  node.post(second);
  EXPECT_TRUE(delivered.empty());
  EXPECT_FALSE(node.is_current());
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(delivered, (std::vector{1, 2}));
}

TEST(SimWorldTest, ActionsRunAtTheirTimeInOrderInsideOrOutsideANode) {
  SimWorld world(3);
  SimReactor& node = world.add_node("a");
  std::vector<int> ran;
  const Instant start = world.now();
  world.after(2s, [&] {
    EXPECT_FALSE(node.is_current());
    ran.push_back(2);
  });
  world.at(node, start + 2s, [&] {
    EXPECT_TRUE(node.is_current());
    ran.push_back(3);
  });
  world.after(1s, [&] {
    EXPECT_EQ(world.now(), start + 1s);
    ran.push_back(1);
    world.at(start, [&] { ran.push_back(10); });  // the past means now
  });
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(ran, (std::vector{1, 10, 2, 3}));
}

TEST(SimWorldTest, LimitStopsAtExactlyThatTime) {
  SimWorld world(3);
  int ran = 0;
  world.after(10s, [&] { ++ran; });
  const Instant start = world.now();
  EXPECT_FALSE(world.run_until_idle(9s));
  EXPECT_EQ(world.now(), start + 9s);
  EXPECT_EQ(ran, 0);
  EXPECT_TRUE(world.run_until_idle(1s));
  EXPECT_EQ(ran, 1);
}

TEST(SimWorldTest, RunUntilTellsDoneFromIdle) {
  SimWorld world(3);
  bool done = false;
  world.after(1s, [&] { done = true; });
  EXPECT_TRUE(world.run_until([&] { return done; }));
  EXPECT_FALSE(world.run_until([] { return false; }));
}

TEST(SimWorldTest, WallClockFollowsVirtualTimeWithItsSkew) {
  SimWorld world(3);
  SimReactor& node = world.add_node("a");
  const WallTime before = node.wall_now();
  world.after(5s, [] {});
  world.run_until_idle();
  EXPECT_EQ(node.wall_now(), before + 5s);
  node.set_clock_skew(-7s);
  EXPECT_EQ(node.wall_now(), before - 2s);
}

TEST(SimWorldTest, NodesHaveStreamsOfTheirOwn) {
  SimWorld world(3);
  SimReactor& a = world.add_node("a");
  SimReactor& b = world.add_node("b");
  EXPECT_NE(a.random(), b.random());
  Bytes of_a(32), of_b(32), again(32);
  a.fill_secret(of_a);
  b.fill_secret(of_b);
  EXPECT_NE(of_a, of_b);
  a.fill_secret(again);
  EXPECT_NE(of_a, again);
}

TEST(SimWorldDeathTest, StuckTaskAbortsWithTheSeed) {
  EXPECT_DEATH(
      {
        SimWorld world(4711);
        SimReactor& node = world.add_node("a");
        Event event(node);
        world.block_on(node, never(event));
      },
      "never ended \\(seed 4711");
}

TEST(SimWorldDeathTest, TaskPastTheLimitAbortsWithTheSeed) {
  EXPECT_DEATH(
      {
        SimWorld world(4712);
        SimReactor& node = world.add_node("a");
        world.block_on(node, answer(node), 1min);
      },
      "never ended \\(seed 4712");
}

TEST(SimWorldDeathTest, SpinningWithoutTimeAbortsWithTheSeed) {
  EXPECT_DEATH(
      {
        SimWorld world(4713);
        world.set_step_limit(1000);
        SimReactor& node = world.add_node("a");
        world.block_on(node, spin(node));
      },
      "without virtual time moving \\(seed 4713");
}

}  // namespace
}  // namespace cenote
