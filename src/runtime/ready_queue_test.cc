#include "ready_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>

#include "cenote/runtime/random.h"

namespace cenote {
namespace {

TEST(ReadyQueueTest, IsFifoAcrossGrowthAndWrapAround) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  ReadyQueue queue;
  std::deque<void*> model;
  constexpr std::size_t kSteps = 20000;
  // The queue never looks at what its handles stand for, so that any address does.
  const auto frames = std::make_unique<std::array<std::uint64_t, kSteps>>();
  std::size_t next = 0;
  for (std::size_t step = 0; step < kSteps; ++step) {
    // Slow growth past the first size, with the ends at every place of the ring.
    if (random.chance(53, 100)) {
      void* address = &(*frames)[next++];
      queue.push(std::coroutine_handle<>::from_address(address));
      model.push_back(address);
    } else if (!model.empty()) {
      ASSERT_EQ(queue.pop().address(), model.front());
      model.pop_front();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_EQ(queue.empty(), model.empty());
  }
  EXPECT_GT(model.size(), 256u);
}

}  // namespace
}  // namespace cenote
