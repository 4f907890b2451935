#include "own_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::engine {
namespace {

TEST(OwnThread, TheReactorGoesOnWhileTheWorkBlocks) {
  const auto reactor = *UringReactor::create({});
  std::binary_semaphore answered(0);
  std::thread::id worker;
  const auto wait_for_the_reactor = [&]() -> Result<int> {
    worker = std::this_thread::get_id();
    answered.acquire();  // only what else the reactor runs ends this
    return 7;
  };
  const auto let_it_go = [](std::binary_semaphore* flag) -> Task<> {
    flag->release();
    co_return;
  };
  const auto both = [&]() -> Task<Result<int>> {
    Scope scope(*reactor);
    scope.spawn(let_it_go(&answered));
    auto outcome = co_await on_own_thread(*reactor, wait_for_the_reactor);
    EXPECT_TRUE(reactor->is_current());
    co_await scope.drain();
    co_return outcome;
  };
  EXPECT_EQ(reactor->block_on(both()), 7);
  EXPECT_NE(worker, std::this_thread::get_id());
}

TEST(OwnThread, ErrorsComeBackAndManyRunAtOnce) {
  const auto reactor = *UringReactor::create({});
  std::atomic<int> ran = 0;
  const auto one = [](Reactor* home, std::atomic<int>* count, int number) -> Task<> {
    const auto outcome = co_await on_own_thread(*home, [&]() -> Result<> {
      ++*count;
      if (number % 2 == 0) return fail(Code::kOutOfRange, "even");
      return {};
    });
    EXPECT_EQ(outcome.has_value(), number % 2 != 0);
  };
  const auto all = [&]() -> Task<> {
    Scope scope(*reactor);
    for (int number = 0; number < 20; ++number) scope.spawn(one(reactor.get(), &ran, number));
    co_await scope.drain();
  };
  reactor->block_on(all());
  EXPECT_EQ(ran, 20);
}

}  // namespace
}  // namespace cenote::engine
