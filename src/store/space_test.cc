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

TEST(GroupBits, FindsTheTightestRun) {
  GroupBits bits;
  bits.set_run(0, kGroupBlocks);
  bits.clear_run(10, 20);
  bits.clear_run(50, 3);
  bits.clear_run(60, 4);
  EXPECT_EQ(bits.tightest_run(1).first, 50u);
  EXPECT_EQ(bits.tightest_run(4).first, 60u);
  EXPECT_EQ(bits.tightest_run(5).first, 10u);
  EXPECT_EQ(bits.tightest_run(5).blocks, 20u);
  EXPECT_EQ(bits.tightest_run(21).first, 10u);
}

/// Fills `groups` groups with owned extents of `blocks`.
std::vector<Extent> fill(Space& space, std::uint64_t groups, std::uint32_t blocks) {
  std::vector<Extent> extents;
  for (std::uint64_t i = 0; i < groups * (kGroupBlocks / blocks); ++i) {
    extents.push_back(*space.reserve(blocks, true));
    space.claim(extents.back());
  }
  return extents;
}
void drop(Space& space, Extent extent) {
  space.release(extent);
  space.make_available(extent);
}

TEST(Space, AShortExtentFindsAHoleOfItsSize) {
  Space space = empty_space(8);
  const std::vector<Extent> extents = fill(space, 3, 4);
  EXPECT_EQ(space.data_groups(), 3u);
  // Holes of two blocks come first, then some of three, then one of many.
  drop(space, {extents[10].first, 2});
  drop(space, {extents[70].first, 2});
  drop(space, {extents[74].first, 3});
  for (std::size_t i = 130; i < 150; ++i) drop(space, extents[i]);
  EXPECT_EQ(space.reserve(3, true)->first, extents[74].first);
  EXPECT_EQ(space.reserve_hole(2)->first, extents[10].first);
  EXPECT_EQ(space.reserve_hole(2)->first, extents[70].first);
  EXPECT_EQ(space.reserve_hole(200)->blocks, 80u);
  EXPECT_FALSE(space.reserve_hole(1));
  EXPECT_EQ(space.free_groups(), 4u);
  space.check_invariants();
}

TEST(Space, GroupsAreVacatedWhileTheirExtentsFitIntoHolesOfOthers) {
  Space space = empty_space(12);
  std::vector<Extent> extents = fill(space, 8, 4);
  space.cancel(*space.reserve(1, true));  // the sequential writer is elsewhere
  const std::uint64_t free_before = space.free_groups();
  for (std::size_t i = 0; i < extents.size(); i += 2) drop(space, extents[i]);
  const std::uint64_t chosen = space.begin_vacating(100, 1);
  EXPECT_EQ(chosen, 4u);
  EXPECT_EQ(space.closed_groups(), 4u);
  EXPECT_EQ(space.vacating_left(), 4u * kGroupBlocks / 2);
  space.check_invariants();
  for (std::size_t i = 1; i < extents.size(); i += 2) {
    if (!space.is_closed(extents[i])) continue;
    const auto hole = space.reserve_hole(4);
    ASSERT_TRUE(hole);
    EXPECT_EQ(hole->blocks, 4u);
    EXPECT_FALSE(space.is_closed(*hole));
    space.claim(*hole);
    space.release(extents[i]);
    if (i % 4 == 1) space.make_available(extents[i]);
  }
  EXPECT_FALSE(space.reserve(1, false));
  EXPECT_EQ(space.vacating_left(), 0u);
  EXPECT_EQ(space.end_vacating(true), 4u);
  EXPECT_EQ(space.closed_groups(), 4u);  // until what was released is reusable
  for (std::size_t i = 3; i < extents.size(); i += 4)
    if (space.is_closed(extents[i])) space.make_available(extents[i]);
  EXPECT_EQ(space.closed_groups(), 0u);
  EXPECT_EQ(space.free_groups(), free_before + 4);
  EXPECT_EQ(space.begin_vacating(100, 1), 0u);
  space.check_invariants();
}

TEST(Space, WhatCannotBeMovedIsNotTriedAgainBeforeSomethingChanges) {
  Space space = empty_space(8);
  std::vector<Extent> extents = fill(space, 2, 4);
  static_cast<void>(space.reserve(1, true));
  for (std::size_t i = 0; i < extents.size(); i += 2) drop(space, extents[i]);
  for (std::size_t i = 1; i < 9; i += 2) drop(space, extents[i]);  // so the first group comes first
  ASSERT_EQ(space.begin_vacating(1, 1), 1u);
  ASSERT_TRUE(space.is_closed(extents[11]));
  EXPECT_EQ(space.end_vacating(true), 0u);
  EXPECT_EQ(space.closed_groups(), 0u);
  ASSERT_EQ(space.begin_vacating(1, 1), 1u);
  EXPECT_TRUE(space.is_closed(extents[100]));
  EXPECT_EQ(space.end_vacating(true), 0u);
  EXPECT_EQ(space.begin_vacating(1, 1), 0u);
  // What comes there is nothing to hope for, what goes is.
  space.claim(*space.reserve_hole(2));
  EXPECT_EQ(space.begin_vacating(1, 1), 0u);
  drop(space, extents[11]);
  ASSERT_EQ(space.begin_vacating(1, 1), 1u);
  EXPECT_TRUE(space.is_closed(extents[13]));
  // Whoever needs the holes gets them.
  EXPECT_TRUE(space.reopen_one());
  EXPECT_FALSE(space.reopen_one());
  EXPECT_EQ(space.vacating_left(), 0u);
  EXPECT_EQ(space.end_vacating(false), 0u);
  EXPECT_EQ(space.begin_vacating(1, 1), 1u);
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
    switch (random() % 7) {
      case 6:
        if (random() % 2 == 0) {
          static_cast<void>(space.begin_vacating(1 + random() % 4, 1));
        } else if (random() % 2 == 0) {
          static_cast<void>(space.end_vacating(random() % 2 == 0));
        } else if (const auto extent = space.reserve_hole(1 + random() % 16)) {
          ASSERT_FALSE(space.is_closed(*extent));
          take(extent->first.value(), extent->blocks);
          reserved.push_back(*extent);
        }
        break;
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
