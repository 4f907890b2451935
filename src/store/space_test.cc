#include "space.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace cenote::store {
namespace {

Space empty_space(std::uint64_t groups) {
  Space space(groups * kGroupBlocks, {{0, kGroupBlocks}});
  EXPECT_TRUE(space.finish_loading());
  return space;
}

TEST(IndexSet, FindsMembersAcrossSummaryWords) {
  IndexSet set(200000);
  EXPECT_FALSE(set.first());
  for (std::uint64_t member : {3u, 64u, 4096u, 199999u}) set.add(member);
  EXPECT_EQ(set.first_from(4), 64u);
  EXPECT_EQ(set.first_from(65), 4096u);
  EXPECT_EQ(set.first_from(4097), 199999u);
  set.remove(199999);
  EXPECT_FALSE(set.first_from(4097));
  EXPECT_EQ(set.count(), 3u);
  IndexSet all(130);
  all.add_all();
  EXPECT_EQ(all.count(), 130u);
  EXPECT_EQ(all.first_from(129), 129u);
  EXPECT_FALSE(all.first_from(130));
}

TEST(GroupBits, FindsRuns) {
  GroupBits bits;
  EXPECT_EQ(bits.longest_free_run(), kGroupBlocks);
  bits.set_run(10, 60);
  bits.set_run(200, 1);
  EXPECT_EQ(bits.free_run(10).first, 0u);
  EXPECT_EQ(bits.free_run(11).first, 70u);
  EXPECT_EQ(bits.longest_free_run(), 130u);
  EXPECT_TRUE(bits.none_in(70, 130));
  EXPECT_FALSE(bits.none_in(70, 131));
  EXPECT_TRUE(bits.all_in(10, 60));
  EXPECT_FALSE(bits.all_in(9, 60));
}

TEST(Space, GivesSequentialWritersContiguousBlocks) {
  Space space = empty_space(8);
  std::uint64_t expected = kGroupBlocks;
  for (int i = 0; i < 64; ++i) {
    const auto extent = space.reserve(8, true);
    ASSERT_TRUE(extent);
    EXPECT_EQ(extent->first.value(), expected);
    expected += 8;
  }
  EXPECT_EQ(space.data_groups(), 2u);
  space.check_invariants();
}

TEST(Space, FillsPartlyUsedGroupsBeforeItTakesNewOnes) {
  Space space = empty_space(8);
  const auto first = space.reserve(100, true);
  const auto second = space.reserve(200, true);  // does not fit behind the first
  EXPECT_EQ(space.data_groups(), 2u);
  const auto third = space.reserve(150, true);
  EXPECT_EQ(space.data_groups(), 2u);
  EXPECT_EQ(third->first.value() / kGroupBlocks, first->first.value() / kGroupBlocks);
  EXPECT_FALSE(space.reserve(100, false));
  const auto shorter = space.reserve_shorter(100);
  EXPECT_EQ(shorter->blocks, 56u);
  space.cancel(*shorter);
  space.cancel(*second);
  space.cancel(*first);
  EXPECT_EQ(space.data_groups(), 1u);
  space.check_invariants();
}

TEST(Space, SeparatesPagesFromExtents) {
  Space space = empty_space(4);
  const auto slot = space.take_slot();
  const auto extent = space.reserve(1, true);
  EXPECT_NE(*slot / kSlotsPerGroup, extent->first.value() / kGroupBlocks);
  EXPECT_EQ(space.slots_available(), kSlotsPerGroup - 1 + kSlotsPerGroup);
  space.retire_slot(*slot);
  EXPECT_EQ(space.meta_groups(), 1u);  // still in the old checkpoint
  space.make_slot_available(*slot);
  EXPECT_EQ(space.meta_groups(), 0u);
  space.claim(*extent);
  EXPECT_TRUE(space.is_owned(*extent));
  space.release(*extent);
  EXPECT_FALSE(space.is_owned(*extent));
  space.make_available(*extent);
  EXPECT_EQ(space.free_groups(), 3u);
  space.check_invariants();
}

TEST(Space, LoadsWhatItStored) {
  Space space = empty_space(200);
  std::vector<std::uint64_t> slots;
  for (int i = 0; i < 100; ++i) slots.push_back(*space.take_slot());
  std::vector<Extent> extents;
  for (std::uint32_t i = 1; i < 100; ++i) {
    extents.push_back(*space.reserve(i, true));
    if (i % 3 != 0) space.claim(extents.back());
  }
  Space copy(200 * kGroupBlocks, {{0, kGroupBlocks}});
  space.take_dirty_chunks([&](std::uint64_t chunk, const Bytes& bits) { copy.load_chunk(chunk, bits); });
  for (std::uint64_t slot : slots) copy.load_slot(slot);
  ASSERT_TRUE(copy.finish_loading());
  copy.check_invariants();
  EXPECT_EQ(copy.persistent_blocks(), space.persistent_blocks());
  EXPECT_EQ(copy.meta_groups(), space.meta_groups());
  EXPECT_EQ(copy.reserved_blocks(), 0u);
}

TEST(Space, RefusesToLoadAContradiction) {
  Space space = empty_space(4);
  const std::uint64_t slot = *space.take_slot();
  Space without_page(4 * kGroupBlocks, {{0, kGroupBlocks}});
  without_page.load_slot(slot);
  EXPECT_EQ(without_page.finish_loading().error().code(), Code::kCorrupt);
  Space with_more(4 * kGroupBlocks, {{0, kGroupBlocks}});
  ASSERT_TRUE(space.take_slot());
  space.take_dirty_chunks([&](std::uint64_t chunk, const Bytes& bits) { with_more.load_chunk(chunk, bits); });
  with_more.load_slot(slot);
  EXPECT_EQ(with_more.finish_loading().error().code(), Code::kCorrupt);
}

TEST(Space, ReplayKeepsLaterClaimsFree) {
  Space space = empty_space(3);
  const Extent later{media::BlockNo(kGroupBlocks + 5), 10};
  space.forbid(later);
  for (std::uint32_t i = 0; i < kSlotsPerGroup; ++i) {
    EXPECT_EQ(*space.take_slot() / kSlotsPerGroup, 2u);  // never the group of the extent
  }
  EXPECT_FALSE(space.take_slot());
  EXPECT_TRUE(space.claimable(later));
  space.replay_claim(later);
  EXPECT_FALSE(space.claimable(later));
  space.replay_release(later);
  space.finish_replay();
  EXPECT_EQ(space.free_groups(), 1u);
  space.check_invariants();
}

/// Random reservations against a set of blocks.
class SpaceModel : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SpaceModel, NeverHandsOutABlockTwice) {
  SCOPED_TRACE(::testing::Message() << "seed " << GetParam());
  std::mt19937_64 random(GetParam());
  Space space = empty_space(12);
  std::vector<Extent> reserved, owned;
  std::vector<std::uint64_t> slots;
  std::set<std::uint64_t> taken;
  const auto take = [&](std::uint64_t first, std::uint32_t blocks) {
    for (std::uint64_t block = first; block < first + blocks; ++block) ASSERT_TRUE(taken.insert(block).second) << block;
  };
  const auto pick = [&](auto& from) {
    const std::size_t index = random() % from.size();
    auto chosen = from[index];
    from[index] = from.back();
    from.pop_back();
    return chosen;
  };
  const auto drop = [&](std::uint64_t first, std::uint32_t blocks) {
    for (std::uint64_t block = first; block < first + blocks; ++block) ASSERT_EQ(taken.erase(block), 1u);
  };
  for (int step = 0; step < 3000; ++step) {
    switch (random() % 6) {
      case 0:
      case 1:
        if (const auto extent = space.reserve(1 + random() % (random() % 4 == 0 ? 256 : 16), true)) {
          take(extent->first.value(), extent->blocks);
          reserved.push_back(*extent);
        }
        break;
      case 2:
        if (reserved.empty()) break;
        if (const Extent extent = pick(reserved); random() % 3 == 0) {
          space.cancel(extent);
          drop(extent.first.value(), extent.blocks);
        } else {
          space.claim(extent);
          owned.push_back(extent);
        }
        break;
      case 3:
        if (owned.empty()) break;
        if (const Extent extent = pick(owned); true) {
          space.release(extent);
          space.make_available(extent);
          drop(extent.first.value(), extent.blocks);
        }
        break;
      case 4:
        if (const auto slot = space.take_slot()) {
          take(*slot * kPageBlocks, kPageBlocks);
          slots.push_back(*slot);
        }
        break;
      default:
        if (slots.empty()) break;
        if (const std::uint64_t slot = pick(slots); true) {
          space.retire_slot(slot);
          space.make_slot_available(slot);
          drop(slot * kPageBlocks, kPageBlocks);
        }
    }
    if (step % 16 == 0) space.check_invariants();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SpaceModel, ::testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace cenote::store
