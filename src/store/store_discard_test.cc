#include <algorithm>
#include <optional>

#include "aligned_buffer.h"
#include "cenote/base/codec.h"
#include "cenote/store/store_check.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

using Layout = StoreBench::Layout;

/// A store that gives freed space back to its device. A discard of the simulated device turns blocks into noise, or is
/// ignored, at random.
class StoreDiscard : public ::testing::TestWithParam<Layout>, public StoreBench {
 protected:
  StoreDiscard() : StoreBench(61, 64, GetParam()) { options.discard = true; }

  void SetUp() override {
    format_store();
    open();
    tree = make_tree("tree");
  }
  media::SimMedium& data_medium() { return *mediums[devices_with_space(true).front()]; }

  /// An extent with data that the tree refers to; nothing when there is no space.
  std::optional<Extent> own(std::uint32_t blocks) {
    const auto extent = store->reserve(blocks, SpaceClass::kForeground);
    if (!extent) return std::nullopt;
    for (std::uint32_t i = 0; i < extent->blocks; ++i) write(media::BlockNo(extent->first.value() + i));
    Batch batch;
    batch.claim(*extent);
    const auto claimed = commit(std::move(batch));
    EXPECT_TRUE(claimed) << claimed.error().to_string();
    return *extent;
  }
  void release(Extent extent) {
    Batch batch;
    batch.release(extent);
    const auto released = commit(std::move(batch));
    EXPECT_TRUE(released) << released.error().to_string();
  }
  void write(media::BlockNo block) {
    const AlignedBuffer buffer = contents(block);
    const auto write = [](media::BlockDevice* device, media::BlockNo at, ByteView from) -> Task<Result<>> {
      co_return co_await device->write(at, from, media::Durability::kDurable);
    };
    ASSERT_TRUE(block_on(write(&store->data_device(), block, buffer.span())));
  }
  bool holds(Extent extent) {
    for (std::uint32_t i = 0; i < extent.blocks; ++i) {
      const media::BlockNo block(extent.first.value() + i);
      AlignedBuffer found(media::kBlockBytes);
      const auto read = [](media::BlockDevice* device, media::BlockNo at, MutableBytes into) -> Task<Result<>> {
        co_return co_await device->read(at, into);
      };
      EXPECT_TRUE(block_on(read(&store->data_device(), block, found.span())));
      if (!std::ranges::equal(found.span(), contents(block).span())) return false;
    }
    return true;
  }
  /// Until nothing waits any more and all that runs has ended.
  void settle() {
    world.run_until([] { return false; }, std::chrono::seconds(5));
  }

  TreeId tree{};

 private:
  static AlignedBuffer contents(media::BlockNo block) {
    AlignedBuffer buffer(media::kBlockBytes);
    for (std::size_t at = 0; at < buffer.size(); at += 8) store_le(buffer.data() + at, block.value() * 4096 + at);
    return buffer;
  }
};

TEST_P(StoreDiscard, WhatIsFreedIsDiscardedAndNothingElse) {
  std::vector<Extent> kept, freed;
  for (int i = 0; i < 40; ++i) (i % 2 == 0 ? kept : freed).push_back(*own(8));
  settle();
  EXPECT_EQ(store->status().discarded_blocks, 0u);
  for (const Extent& extent : freed) release(extent);
  settle();
  EXPECT_EQ(store->status().discarded_blocks, 20 * 8u);
  EXPECT_EQ(store->status().discard_failures, 0u);
  for (const Extent& extent : kept) EXPECT_TRUE(holds(extent));
  EXPECT_TRUE(std::ranges::any_of(freed, [&](const Extent& extent) { return !holds(extent); })) << "none was";
  const auto checked = block_on(check_store(*store, kept));
  EXPECT_TRUE(checked) << checked.error().to_string();
}

TEST_P(StoreDiscard, AReaderFromBeforeKeepsItsExtent) {
  const Extent extent = *own(64);
  {
    const ExtentGuard guard = store->guard_extents();
    release(extent);
    settle();
    EXPECT_EQ(store->status().discarded_blocks, 0u);
    EXPECT_TRUE(holds(extent));
  }
  settle();
  EXPECT_EQ(store->status().discarded_blocks, 64u);
}

TEST_P(StoreDiscard, AReleaseThatIsNotDurableDiscardsNothing) {
  const Extent extent = *own(64);
  Batch batch;
  batch.release(extent);
  // Applied, and the power fails before the log is written.
  const auto applied = block_on(store->run([&](View& view) { return view.apply(batch); }));
  ASSERT_TRUE(applied) << applied.error().to_string();
  ASSERT_FALSE(store->is_durable(*applied));
  EXPECT_EQ(store->status().discarded_blocks, 0u);
  crash({.keep_random = false, .tear = false});
  open();
  EXPECT_TRUE(holds(extent));
}

TEST_P(StoreDiscard, SpaceThatIsWantedIsNotHeldBack) {
  std::vector<Extent> all;
  while (const auto extent = own(kGroupBlocks)) all.push_back(*extent);
  ASSERT_GT(all.size(), 10u);
  // Again and again everything is freed and wanted again in the same moment.
  for (int round = 0; round < 3; ++round) {
    Batch batch;
    for (const Extent& extent : all) batch.release(extent);
    ASSERT_TRUE(commit(std::move(batch)));
    std::uint64_t blocks = 0;
    for (const Extent& extent : all) blocks += extent.blocks;
    EXPECT_GE(store->status().data_blocks_free + 2 * kGroupBlocks, blocks) << "free, although some wait";
    all.clear();
    std::uint64_t again = 0;
    while (const auto extent = own(kGroupBlocks)) {
      all.push_back(*extent);
      again += extent->blocks;
    }
    settle();
    EXPECT_GE(again + 2 * kGroupBlocks, blocks);
    for (const Extent& extent : all) EXPECT_TRUE(holds(extent)) << "discarded after it was handed out again";
  }
}

TEST_P(StoreDiscard, IsOffUnlessAskedFor) {
  power_off();
  options.discard = false;
  open();
  release(*own(64));
  settle();
  EXPECT_EQ(store->status().discarded_blocks, 0u);
  EXPECT_EQ(drives[devices_with_space(true).front()]->counters().discards, 0u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreDiscard,
                         ::testing::Values(Layout::kOneDevice, Layout::kThreeDevices, Layout::kWalWithData));

}  // namespace
}  // namespace cenote::store
