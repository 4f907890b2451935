#include "cenote/base/format.h"
#include "cenote/store/store_check.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

/// A store that is filled to the brim, again and again.
class StoreFull : public ::testing::Test, public StoreBench {
 protected:
  StoreFull() : StoreBench(21, 64) {}
  void SetUp() override {
    format_store();
    open();
    tree = make_tree("tree");
  }

  /// Puts batches of large values until there is no space; returns how many keys there are now.
  std::uint64_t fill_with_keys(std::uint64_t from) {
    for (std::uint64_t next = from;; next += 32) {
      Batch batch;
      for (std::uint64_t i = 0; i < 32; ++i) batch.put(tree, as_bytes(fmt::format("{:08}", next + i)), Bytes(2000));
      const auto put = commit(std::move(batch));
      if (put) continue;
      EXPECT_EQ(put.error().code(), Code::kNoSpace) << put.error().to_string();
      return next;
    }
  }
  void erase_keys(std::uint64_t from, std::uint64_t to) {
    while (from < to) {
      Batch batch;
      for (std::uint32_t i = 0; i < kMaxBatchEntries && from < to; ++i)
        batch.erase(tree, as_bytes(fmt::format("{:08}", from++)));
      const auto erased = commit(std::move(batch));
      ASSERT_TRUE(erased) << erased.error().to_string();
    }
  }
  std::vector<Extent> fill_with_extents() {
    std::vector<Extent> extents;
    for (;;) {
      const auto extent = store->reserve(64, SpaceClass::kForeground);
      if (!extent) {
        EXPECT_EQ(extent.error().code(), Code::kNoSpace);
        return extents;
      }
      Batch batch;
      batch.claim(*extent);
      const auto claimed = commit(std::move(batch));
      EXPECT_TRUE(claimed) << claimed.error().to_string();
      extents.push_back(*extent);
    }
  }
  void release(std::vector<Extent>& extents) {
    for (Extent extent : extents) {
      Batch batch;
      batch.release(extent);
      const auto released = commit(std::move(batch));
      ASSERT_TRUE(released) << released.error().to_string();
    }
    extents.clear();
  }
  void check(std::vector<Extent> extents) {
    const auto checked = block_on(check_store(*store, std::move(extents)));
    EXPECT_TRUE(checked) << checked.error().to_string();
  }

  TreeId tree{};
};

TEST_F(StoreFull, DeletesAndRefillsForEver) {
  std::uint64_t first_fill = 0;
  for (int round = 0; round < 4; ++round) {
    const std::uint64_t keys = fill_with_keys(0);
    if (round == 0) first_fill = keys;
    EXPECT_GE(keys, first_fill * 9 / 10) << "round " << round;  // no space is lost
    // Full: what is there can still be changed and checkpointed.
    EXPECT_TRUE(block_on(store->checkpoint()));
    if (round % 2 == 0) {
      crash();
      open();
    }
    erase_keys(0, keys);
    check({});
  }
}

TEST_F(StoreFull, ExtentsAndPagesShareTheSpace) {
  std::vector<Extent> extents = fill_with_extents();
  ASSERT_GT(extents.size(), 20u);
  // Keys still fit into what is kept for deletes only if they belong to a delete.
  Batch keys;
  for (int i = 0; i < 4; ++i) keys.put(tree, as_bytes(std::to_string(i)), as_bytes("v"));
  keys.set_space_class(SpaceClass::kReclaim);
  EXPECT_TRUE(commit(std::move(keys)));
  EXPECT_TRUE(block_on(store->checkpoint()));
  check(extents);
  const std::size_t most = extents.size();
  for (int round = 0; round < 3; ++round) {
    release(extents);
    const std::uint64_t count = fill_with_keys(0);
    EXPECT_GT(count, 1000u);
    EXPECT_FALSE(store->reserve(1, SpaceClass::kForeground));
    erase_keys(0, count);
    ASSERT_TRUE(block_on(store->checkpoint()));
    ASSERT_TRUE(block_on(store->checkpoint()));  // what the first one retired is free after the second at the latest
    extents = fill_with_extents();
    EXPECT_GE(extents.size(), most * 9 / 10);
    crash();
    open();
    check(extents);
  }
}

TEST_F(StoreFull, ReclaimingMayUseTheReserve) {
  while (store->reserve(kGroupBlocks, SpaceClass::kForeground)) {
  }
  EXPECT_TRUE(store->reserve(8, SpaceClass::kReclaim));
}

}  // namespace
}  // namespace cenote::store
