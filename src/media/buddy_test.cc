#include "buddy.h"

#include <gtest/gtest.h>

#include <set>

#include "cenote/runtime/random.h"

namespace cenote::media {
namespace {

TEST(BuddyTest, HandsOutEveryBlockOfAShortRegionOnce) {
  BuddyAllocator buddy;
  EXPECT_EQ(buddy.add_region(13), 0u);
  std::set<std::uint32_t> blocks;
  while (auto block = buddy.allocate(0)) EXPECT_TRUE(blocks.insert(*block).second);
  EXPECT_EQ(blocks.size(), 13u);
  EXPECT_EQ(*blocks.rbegin(), 12u);
}

TEST(BuddyTest, FreedNeighboursJoin) {
  BuddyAllocator buddy;
  buddy.add_region(BuddyAllocator::kRunBlocksMax);
  std::vector<std::uint32_t> blocks;
  while (auto block = buddy.allocate(0)) blocks.push_back(*block);
  EXPECT_EQ(blocks.size(), BuddyAllocator::kRunBlocksMax);
  for (std::uint32_t block : blocks) buddy.free(block, 0);
  EXPECT_EQ(buddy.allocate(BuddyAllocator::kMaxOrder), 0u);
}

TEST(BuddyTest, RandomRunsNeverOverlap) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  BuddyAllocator buddy;
  struct Run {
    std::uint32_t first;
    unsigned order;
  };
  std::vector<Run> runs;
  std::set<std::uint32_t> taken;
  buddy.add_region(BuddyAllocator::kRunBlocksMax);
  EXPECT_EQ(buddy.add_region(300), BuddyAllocator::kRunBlocksMax);
  for (int step = 0; step < 2000; ++step) {
    if (random.chance(1, 2)) {
      const auto order = static_cast<unsigned>(random.below(BuddyAllocator::kMaxOrder));
      const auto first = buddy.allocate(order);
      if (!first) continue;
      for (std::uint32_t i = 0; i < 1u << order; ++i) ASSERT_TRUE(taken.insert(*first + i).second);
      runs.push_back({*first, order});
    } else if (!runs.empty()) {
      std::swap(runs[random.below(runs.size())], runs.back());
      for (std::uint32_t i = 0; i < 1u << runs.back().order; ++i) taken.erase(runs.back().first + i);
      buddy.free(runs.back().first, runs.back().order);
      runs.pop_back();
    }
    buddy.check_invariants();
    ASSERT_EQ(buddy.free_blocks(), BuddyAllocator::kRunBlocksMax + 300 - taken.size());
  }
}

TEST(BuddyDeathTest, DoubleFreeAndWrongSizeAreNoticed) {
  BuddyAllocator buddy;
  buddy.add_region(8);
  const std::uint32_t first = *buddy.allocate(1);
  EXPECT_DEATH(buddy.free(first, 0), "kAllocated");
  EXPECT_DEATH(buddy.free(first + 1, 0), "kAllocated");
  buddy.free(first, 1);
  EXPECT_DEATH(buddy.free(first, 1), "kAllocated");
}

}  // namespace
}  // namespace cenote::media
