#include "ready_queue.h"

#include <gtest/gtest.h>

#include <deque>

#include "cenote/runtime/random.h"

namespace cenote {
namespace {

TEST(ReadyQueueTest, IsFifoAcrossGrowthAndWrapAround) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  ReadyQueue queue;
  std::deque<void*> model;
  std::uintptr_t next = 1;
  for (int step = 0; step < 20000; ++step) {
    // Slow growth past the first size, with the ends at every place of the ring.
    if (random.chance(53, 100)) {
      void* address = reinterpret_cast<void*>(next++ * 16);
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
