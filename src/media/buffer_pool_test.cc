#include "cenote/media/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "cenote/runtime/random.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

#if defined(CENOTE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace cenote::media {
namespace {

using namespace std::chrono_literals;

class BufferPoolTest : public testing::Test {
 protected:
  SimWorld world{1};
  SimReactor& node = world.add_node("node");
};

/// What the waiting coroutines of a test got, in order.
struct Served {
  std::vector<std::pair<int, Code>> log;
  std::map<int, Buffer> buffers;
};

Task<> take(BufferPool& pool, std::uint32_t bytes, Until until, int id, Served& served) {
  Result<Buffer> buffer = co_await pool.allocate(bytes, until);
  served.log.emplace_back(id, buffer ? Code::kOk : buffer.error().code());
  if (buffer) served.buffers.emplace(id, *std::move(buffer));
}

using Log = std::vector<std::pair<int, Code>>;

TEST_F(BufferPoolTest, BuffersAreAlignedAndRoundedToBlocks) {
  BufferPool pool(node);
  for (std::uint32_t bytes : {1u, 4096u, 4097u, 12288u, 100'000u, BufferPool::kMaxBufferBytes}) {
    Result<Buffer> buffer = pool.try_allocate(bytes);
    ASSERT_TRUE(buffer) << bytes;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % kBlockBytes, 0u);
    EXPECT_EQ(buffer->size(), (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
    EXPECT_EQ(buffer->registered_index(), -1);
    std::memset(buffer->data(), 0xab, buffer->size());
  }
  EXPECT_EQ(pool.used_bytes(), 0u);
  pool.check_invariants();
}

TEST_F(BufferPoolTest, RefusesSizesThatNoPoolHas) {
  BufferPool pool(node, {.budget_bytes = 1 << 20});
  EXPECT_EQ(pool.try_allocate(0).error(), Code::kOutOfRange);
  EXPECT_EQ(pool.try_allocate(BufferPool::kMaxBufferBytes + 1).error(), Code::kOutOfRange);
  EXPECT_EQ(pool.try_allocate(BufferPool::kMaxBufferBytes).error(), Code::kResourceExhausted);
  // Waiting for it would never end.
  const Result<Buffer> waited = world.block_on(node, pool.allocate(BufferPool::kMaxBufferBytes, Until::forever()));
  EXPECT_EQ(waited.error(), Code::kOutOfRange);
}

TEST_F(BufferPoolTest, NeverExceedsItsBudget) {
  BufferPool pool(node, {.budget_bytes = 5 * kBlockBytes + 100});
  EXPECT_EQ(pool.budget_bytes(), 5 * kBlockBytes);
  std::vector<Buffer> buffers;
  while (Result<Buffer> buffer = pool.try_allocate(kBlockBytes)) buffers.push_back(*std::move(buffer));
  EXPECT_EQ(buffers.size(), 5u);
  EXPECT_EQ(pool.used_bytes(), pool.budget_bytes());
  buffers.clear();
  EXPECT_TRUE(pool.try_allocate(4 * kBlockBytes));
}

TEST_F(BufferPoolTest, SlabsAreMadeWhenTheyAreNeeded) {
  BufferPool pool(node, {.budget_bytes = 64ull << 30});
  EXPECT_EQ(pool.slabs().size(), 0u);
  Buffer a = *pool.try_allocate(BufferPool::kMaxBufferBytes);
  EXPECT_EQ(pool.slabs().size(), 1u);
  Buffer b = *pool.try_allocate(1);
  EXPECT_EQ(pool.slabs().size(), 2u);
  a = {};
  b = {};
  a = *pool.try_allocate(BufferPool::kMaxBufferBytes);
  b = *pool.try_allocate(BufferPool::kMaxBufferBytes);
  EXPECT_EQ(pool.slabs().size(), 2u);
}

TEST_F(BufferPoolTest, WaitersAreServedInOrderAndALargeOneIsNotOvertaken) {
  BufferPool pool(node, {.budget_bytes = 8 * kBlockBytes});
  Scope scope(node);
  Served served;
  Buffer first = *pool.try_allocate(4 * kBlockBytes);
  Buffer second = *pool.try_allocate(kBlockBytes);
  scope.spawn(take(pool, 8 * kBlockBytes, Until::forever(), 1, served));
  scope.spawn(take(pool, kBlockBytes, Until::forever(), 2, served));
  world.run_until_idle();
  EXPECT_TRUE(served.log.empty());
  EXPECT_EQ(pool.try_allocate(kBlockBytes).error(), Code::kResourceExhausted);

  first = {};
  world.run_until_idle();
  EXPECT_TRUE(served.log.empty());
  second = {};
  world.run_until_idle();
  EXPECT_EQ(served.log, (Log{{1, Code::kOk}}));
  served.buffers.erase(1);
  world.run_until_idle();
  EXPECT_EQ(served.log, (Log{{1, Code::kOk}, {2, Code::kOk}}));
  pool.check_invariants();
}

TEST_F(BufferPoolTest, OneThatGivesUpAtTheHeadLetsTheNextOneIn) {
  BufferPool pool(node, {.budget_bytes = 4 * kBlockBytes});
  Scope scope(node);
  Served served;
  Buffer held = *pool.try_allocate(kBlockBytes);
  scope.spawn(take(pool, 4 * kBlockBytes, Until::at(node.now() + 1ms), 1, served));
  scope.spawn(take(pool, kBlockBytes, Until::forever(), 2, served));
  world.run_until_idle();
  EXPECT_EQ(served.log, (Log{{1, Code::kDeadlineExceeded}, {2, Code::kOk}}));
  EXPECT_EQ(pool.used_bytes(), 2 * kBlockBytes);
}

TEST_F(BufferPoolTest, ABufferServedToOneThatGaveUpIsNotLost) {
  BufferPool pool(node, {.budget_bytes = kBlockBytes});
  Scope scope(node);
  CancelSource cancel;
  Served served;
  Buffer held = *pool.try_allocate(kBlockBytes);
  scope.spawn(take(pool, kBlockBytes, {.cancel = &cancel}, 1, served));
  world.run_until_idle();
  // The wait has ended, its coroutine has not resumed: the freed memory is offered to it and must come back.
  cancel.cancel();
  held = {};
  world.run_until_idle();
  EXPECT_EQ(served.log, (Log{{1, Code::kCancelled}}));
  EXPECT_EQ(pool.used_bytes(), 0u);
  pool.check_invariants();
}

TEST_F(BufferPoolTest, RandomUseKeepsBuffersApart) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  BufferPool pool(node, {.budget_bytes = (5ull << 20) + kBlockBytes});
  std::vector<std::pair<Buffer, std::uint8_t>> live;
  for (int step = 0; step < 2000; ++step) {
    if (random.chance(1, 2)) {
      Result<Buffer> buffer = pool.try_allocate(1 + static_cast<std::uint32_t>(random.below(1u << random.below(19))));
      if (!buffer) continue;
      const auto mark = static_cast<std::uint8_t>(random.next());
      // One byte a block shows an overlap.
      for (std::uint32_t at = 0; at < buffer->size(); at += kBlockBytes) buffer->data()[at] = std::byte{mark};
      live.emplace_back(*std::move(buffer), mark);
    } else if (!live.empty()) {
      std::swap(live[random.below(live.size())], live.back());
      const auto& [buffer, mark] = live.back();
      for (std::uint32_t at = 0; at < buffer.size(); at += kBlockBytes) ASSERT_EQ(buffer.data()[at], std::byte{mark});
      live.pop_back();
    }
    ASSERT_LE(pool.used_bytes(), pool.budget_bytes());
  }
  pool.check_invariants();
}

class CountingRegistrar final : public SlabRegistrar {
 public:
  explicit CountingRegistrar(std::size_t limit) : limit_(limit) {}
  int add(std::size_t slab, MutableBytes) override { return slab < limit_ ? static_cast<int>(slab) + 10 : -1; }

 private:
  std::size_t limit_;
};

TEST_F(BufferPoolTest, SlabsAreRegisteredNowAndLater) {
  BufferPool pool(node);
  const Buffer early = *pool.try_allocate(kBlockBytes);
  EXPECT_FALSE(pool.registered());
  pool.register_slabs(std::make_unique<CountingRegistrar>(2));
  EXPECT_TRUE(pool.registered());
  EXPECT_EQ(early.registered_index(), -1);
  const Buffer same_slab = *pool.try_allocate(kBlockBytes);
  EXPECT_EQ(same_slab.registered_index(), 10);
  Buffer second_slab = *pool.try_allocate(BufferPool::kMaxBufferBytes);
  EXPECT_EQ(second_slab.registered_index(), 11);
  const Buffer refused = *pool.try_allocate(BufferPool::kMaxBufferBytes);
  EXPECT_EQ(refused.registered_index(), -1);
  const Buffer moved = std::move(second_slab);
  EXPECT_EQ(moved.registered_index(), 11);
}

#if defined(CENOTE_ASAN)
TEST_F(BufferPoolTest, FreedMemoryMayNotBeTouched) {
  BufferPool pool(node);
  Buffer buffer = *pool.try_allocate(3 * kBlockBytes);
  std::byte* data = buffer.data();
  EXPECT_FALSE(__asan_address_is_poisoned(data + 3 * kBlockBytes - 1));
  EXPECT_TRUE(__asan_address_is_poisoned(data + 3 * kBlockBytes));
  buffer = {};
  EXPECT_TRUE(__asan_address_is_poisoned(data));
}
#endif

TEST(BufferPoolDeathTest, APoolOutlivesItsBuffers) {
  EXPECT_DEATH(
      {
        SimWorld world(1);
        SimReactor& node = world.add_node("node");
        Buffer left;
        BufferPool pool(node);
        left = *pool.try_allocate(1);
      },
      "used_bytes == 0");
}

}  // namespace
}  // namespace cenote::media
