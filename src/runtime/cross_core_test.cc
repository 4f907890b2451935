#include "cenote/runtime/cross_core.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

Task<int> add_there(Reactor& there, int a, int b) {
  EXPECT_TRUE(there.is_current());
  co_await there.sleep_for(10us);
  EXPECT_TRUE(there.is_current());
  co_return a + b;
}
Task<> note_there(Reactor& there, std::string& note) {
  co_await there.yield();
  note = "was here";
}
Task<Result<std::unique_ptr<int>>> make_there(int value) {
  if (value < 0) co_return fail(Code::kOutOfRange);
  co_return std::make_unique<int>(value);
}

Task<> use_all_kinds(Reactor& home, Reactor& target) {
  EXPECT_EQ(co_await call_on(home, target, [&target] { return add_there(target, 2, 3); }), 5);
  EXPECT_TRUE(home.is_current());
  std::string note;
  co_await call_on(home, target, [&] { return note_there(target, note); });
  EXPECT_EQ(note, "was here");
  auto made = co_await call_on(home, target, [] { return make_there(7); });
  EXPECT_EQ(**made, 7);
  EXPECT_EQ((co_await call_on(home, target, [] { return make_there(-1); })).error().code(), Code::kOutOfRange);
  // The closure lives as long as the call, so a coroutine lambda may use its captures after it has waited.
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): that promise is what is tested
  const int twice = co_await call_on(home, target, [&target, factor = std::make_unique<int>(2)]() -> Task<int> {
    co_await target.yield();
    co_return *factor * 21;
  });
  EXPECT_EQ(twice, 42);
}

Task<> call_often(Reactor& home, Reactor& target, int times, int& sum) {
  for (int i = 0; i < times; ++i) {
    sum += co_await call_on(home, target, [&target, i] { return add_there(target, i, 1); });
  }
}

TEST(CrossCoreTest, WorksBetweenSimulatedNodesInAnyOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    SimWorld world(seed);
    SimReactor& home = world.add_node("home");
    SimReactor& target = world.add_node("target");
    world.block_on(home, use_all_kinds(home, target));
  }
}

TEST(CrossCoreTest, SameReactorIsAPlainAwait) {
  SimWorld world(1);
  SimReactor& node = world.add_node("node");
  world.block_on(node, use_all_kinds(node, node));
}

TEST(CrossCoreTest, ManyCallsAtOnceBetweenSimulatedNodes) {
  SimWorld world(5);
  SimReactor& a = world.add_node("a");
  SimReactor& b = world.add_node("b");
  Scope from_a(a), from_b(b);
  int sum_a = 0, sum_b = 0;
  for (int i = 0; i < 10; ++i) {
    from_a.spawn(call_often(a, b, 10, sum_a));
    from_b.spawn(call_often(b, a, 10, sum_b));
  }
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(sum_a, 550);
  EXPECT_EQ(sum_b, 550);
}

TEST(CrossCoreTest, WorksBetweenThreads) {
  auto home = *UringReactor::create();
  auto target = *UringReactor::create();
  std::thread other([&] { target->run(); });
  home->block_on(use_all_kinds(*home, *target));
  target->stop();
  other.join();
}

TEST(CrossCoreTest, ThreadsCallEachOtherAtTheSameTime) {
  constexpr int kCallers = 10;
  constexpr int kCalls = 50;
  auto a = *UringReactor::create();
  auto b = *UringReactor::create();
  int sum_a = 0, sum_b = 0;
  {
    Scope from_a(*a), from_b(*b);
    for (int i = 0; i < kCallers; ++i) {
      from_a.spawn(call_often(*a, *b, kCalls, sum_a));
      from_b.spawn(call_often(*b, *a, kCalls, sum_b));
    }
    // Each side goes on serving the other until both have drained.
    struct Finish {
      static Task<> run(Reactor& home, Reactor& other, Scope& mine, Scope& others) {
        co_await mine.drain();
        co_await call_on(home, other, [&others] { return others.drain(); });
      }
    };
    std::thread other([&] { b->run(); });
    a->block_on(Finish::run(*a, *b, from_a, from_b));
    b->stop();
    other.join();
  }
  const int expected = kCallers * (kCalls * (kCalls - 1) / 2 + kCalls);
  EXPECT_EQ(sum_a, expected);
  EXPECT_EQ(sum_b, expected);
}

Task<Result<>> sleep_at(Reactor& reactor, Until until) {
  Event never(reactor);
  co_return co_await never.wait(until);
}

/// Cancels while the other side waits, before it begins, and after it has ended.
Task<> cancel_across(Reactor& home, Reactor& target) {
  CancelSource cancelled;
  cancelled.cancel();
  EXPECT_EQ(
      (co_await call_on(home, target, {kNoDeadline, &cancelled}, [&](Until there) { return sleep_at(target, there); }))
          .error(),
      Code::kCancelled);
  for (const Duration delay : {Duration(0), Duration(1), Duration(100us)}) {
    CancelSource source;
    Scope scope(home);
    struct Later {
      static Task<> run(Reactor& reactor, CancelSource& source, Duration delay) {
        co_await reactor.sleep_for(delay);
        source.cancel();
      }
    };
    scope.spawn(Later::run(home, source, delay));
    const auto ended =
        co_await call_on(home, target, {kNoDeadline, &source}, [&](Until there) { return sleep_at(target, there); });
    EXPECT_FALSE(ended);
    EXPECT_EQ(ended.error(), Code::kCancelled);
    co_await scope.drain();
  }
  CancelSource late;
  EXPECT_EQ(
      (co_await call_on(home, target, {home.now() + 1ms, &late}, [&](Until there) { return sleep_at(target, there); }))
          .error(),
      Code::kDeadlineExceeded);
  late.cancel();  // nobody listens any more
  const Until none = Until::at(home.now() + 1ms);
  EXPECT_EQ((co_await call_on(home, target, none, [&](Until there) { return sleep_at(target, there); })).error(),
            Code::kDeadlineExceeded);
}

TEST(CrossCoreTest, CancellationCrossesBetweenSimulatedNodes) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimWorld world(seed);
    SimReactor& home = world.add_node("home");
    SimReactor& target = world.add_node("target");
    world.block_on(home, cancel_across(home, target));
  }
}

TEST(CrossCoreTest, CancellationCrossesBetweenThreads) {
  auto home = *UringReactor::create();
  auto target = *UringReactor::create();
  std::thread other([&] { target->run(); });
  home->block_on(cancel_across(*home, *target));
  target->stop();
  other.join();
}

// The answer may end the caller's reactor while the poster is still inside `post`.
TEST(CrossCoreTest, CallerMayDestroyItsReactorAtOnceAfterTheAnswer) {
  auto target = *UringReactor::create();
  std::thread other([&] { target->run(); });
  for (int i = 0; i < 200; ++i) {
    auto home = *UringReactor::create({.queue_entries = 4});
    int sum = 0;
    home->block_on(call_often(*home, *target, 1, sum));
    EXPECT_EQ(sum, 1);
  }
  target->stop();
  other.join();
}

}  // namespace
}  // namespace cenote
