#include "cenote/runtime/task.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cenote/runtime/sim_reactor.h"

namespace cenote {
namespace {

Task<std::unique_ptr<int>> give_unique(int value) { co_return std::make_unique<int>(value); }
Task<> hold(std::shared_ptr<int> held) {
  ++*held;
  co_return;
}
Task<Result<int>> parse(int value) {
  if (value < 0) co_return fail(Code::kInvalidArgument, "negative");
  co_return value * 2;
}
Task<Result<int>> parse_both(int a, int b) {
  CO_TRY(const int first, co_await parse(a));
  CO_TRY(const int second, co_await parse(b));
  co_return first + second;
}
Task<int> count_down(int depth) {
  if (depth == 0) co_return 0;
  co_return 1 + co_await count_down(depth - 1);
}
Task<int> loop_over_tasks(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += co_await count_down(1);
  co_return sum;
}
struct alignas(64) CacheLine {
  std::array<std::byte, 64> bytes;
};
Task<bool> over_aligned_local(Reactor& reactor) {
  CacheLine line{};
  co_await reactor.yield();
  co_return reinterpret_cast<std::uintptr_t>(&line) % alignof(CacheLine) == 0;
}

class TaskTest : public testing::Test {
 protected:
  template <typename T>
  T run(Task<T> task) {
    return world.block_on(node, std::move(task));
  }
  SimWorld world{1};
  SimReactor& node = world.add_node("node");
};

TEST_F(TaskTest, ReturnsMoveOnlyValues) { EXPECT_EQ(*run(give_unique(5)), 5); }

TEST_F(TaskTest, IsLazyAndFreesItsParametersUnrun) {
  auto held = std::make_shared<int>(0);
  {
    Task<> task = hold(held);
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_EQ(*held, 0);
}

TEST_F(TaskTest, MovesKeepOneOwner) {
  auto first = std::make_shared<int>(0);
  auto second = std::make_shared<int>(0);
  {
    Task<> task = hold(first);
    Task<> moved = std::move(task);
    Task<> other = hold(second);
    moved = std::move(other);
    Task<> empty;
    run(std::move(moved));
  }
  EXPECT_EQ(*first, 0);
  EXPECT_EQ(*second, 1);
  EXPECT_EQ(first.use_count(), 1);
  EXPECT_EQ(second.use_count(), 1);
}

TEST_F(TaskTest, ErrorsTravelThroughCoTry) {
  EXPECT_EQ(run(parse_both(1, 2)), 6);
  EXPECT_EQ(run(parse_both(1, -2)).error().code(), Code::kInvalidArgument);
}

// Ends of tasks are symmetric transfers: neither depth nor length grows the stack.
TEST_F(TaskTest, DeepAndLongChainsDoNotOverflowTheStack) {
  EXPECT_EQ(run(count_down(20'000)), 20'000);
  EXPECT_EQ(run(loop_over_tasks(20'000)), 20'000);
}

TEST_F(TaskTest, OverAlignedLocalsAreAligned) { EXPECT_TRUE(run(over_aligned_local(node))); }

constexpr std::align_val_t kPlain{16};

TEST(FrameTest, EverySizeIsUsableAndAligned) {
  std::vector<std::pair<void*, std::size_t>> frames;
  for (std::size_t bytes = 1; bytes < 5000; bytes += 61) {
    void* frame = allocate_frame(bytes, kPlain);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame) % 16, 0u);
    std::fill_n(static_cast<std::byte*>(frame), bytes, std::byte{0xa5});
    frames.emplace_back(frame, bytes);
  }
  for (const auto& [frame, bytes] : frames) free_frame(frame, bytes, kPlain);
}

TEST(FrameTest, MayBeFreedOnAnotherThread) {
  std::vector<void*> frames;
  for (int i = 0; i < 3000; ++i) frames.push_back(allocate_frame(200, kPlain));
  std::thread([&] {
    for (void* frame : frames) free_frame(frame, 200, kPlain);
  }).join();
}

#if !defined(CENOTE_ASAN) && !defined(CENOTE_TSAN)
TEST(FrameTest, FreedFramesAreReusedWithinTheirSizeClass) {
  void* first = allocate_frame(100, kPlain);
  free_frame(first, 100, kPlain);
  EXPECT_EQ(allocate_frame(128, kPlain), first);
  void* other_class = allocate_frame(129, kPlain);
  EXPECT_NE(other_class, first);
  free_frame(other_class, 129, kPlain);
  free_frame(first, 128, kPlain);
}

TEST(FrameTest, OverAlignedAndHugeFramesBypassThePool) {
  void* aligned = allocate_frame(100, std::align_val_t{64});
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % 64, 0u);
  free_frame(aligned, 100, std::align_val_t{64});
  void* huge = allocate_frame(1 << 20, kPlain);
  free_frame(huge, 1 << 20, kPlain);
}
#endif

}  // namespace
}  // namespace cenote
