#include "allocator.h"

#include <gtest/gtest.h>

#include "chunk_store.h"
#include "page_map.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kMiB = kGroupBlocks;

Geometry shared_geometry() { return *Geometry::plan({96 * kMiB, 0, 0}, 0, 0, 8u << 20); }

Allocator empty_allocator(const Geometry& geometry, std::uint64_t page_reserve) {
  Allocator allocator(geometry, page_reserve);
  EXPECT_TRUE(allocator.finish_loading());
  return allocator;
}

TEST(Allocator, KeepsTheReserveForPagesAndReclaiming) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 2 * kSlotsPerGroup);
  const std::uint64_t capacity = allocator.meta().slots_capacity();
  while (allocator.reserve(kGroupBlocks, SpaceClass::kForeground)) {
  }
  const std::uint64_t left = allocator.meta().slots_available();
  EXPECT_GE(left, 2 * kSlotsPerGroup);
  EXPECT_LE(left, 2 * kSlotsPerGroup + 2 * kSlotsPerGroup);  // and the share for aggregation
  EXPECT_EQ(allocator.reserve(1, SpaceClass::kForeground).error().code(), Code::kNoSpace);
  EXPECT_TRUE(allocator.reserve(1, SpaceClass::kReclaim));
  while (allocator.reserve(kGroupBlocks, SpaceClass::kReclaim)) {
  }
  EXPECT_GE(allocator.meta().slots_available(), kSlotsPerGroup);
  EXPECT_LT(allocator.meta().slots_available(), capacity);
  allocator.check_invariants();
}

TEST(Allocator, CountsPagesAgainstTheSlotsThereCanBe) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 100);
  using Room = Allocator::PageRoom;
  const std::uint64_t capacity = allocator.meta().slots_capacity();
  allocator.set_live_pages(capacity - 110);
  EXPECT_EQ(allocator.page_room(10, 10, 0, SpaceClass::kForeground), Room::kYes);
  EXPECT_EQ(allocator.page_room(11, 11, 0, SpaceClass::kForeground), Room::kFull);
  EXPECT_EQ(allocator.page_room(11, 11, 0, SpaceClass::kReclaim), Room::kYes);
  EXPECT_EQ(allocator.page_room(61, 61, 0, SpaceClass::kReclaim), Room::kFull);
  EXPECT_EQ(allocator.page_room(0, 11, capacity - 10, SpaceClass::kForeground), Room::kAfterCheckpoint);
  allocator.set_dirty_pages(allocator.meta().slots_available());
  EXPECT_EQ(allocator.reserve(1, SpaceClass::kReclaim).error().code(), Code::kNoSpace);
}

TEST(Allocator, ReusesAReleasedExtentWhenItIsDurableAndUnread) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 64);
  const Extent extent = *allocator.reserve(kGroupBlocks, SpaceClass::kForeground);
  allocator.claim(extent);
  const std::uint64_t before = allocator.open_guard();
  allocator.release(extent, Lsn(100));
  const std::uint64_t after = allocator.open_guard();
  allocator.reclaim(Lsn(99));
  EXPECT_EQ(allocator.pending_releases(), 1u);
  allocator.reclaim(Lsn(100));
  EXPECT_EQ(allocator.pending_releases(), 1u);  // a reader from before is left
  allocator.close_guard(before);
  allocator.reclaim(Lsn(100));
  EXPECT_EQ(allocator.pending_releases(), 0u);  // one that came later cannot have seen it
  allocator.close_guard(after);
  allocator.check_invariants();
}

/// Claims extents of `blocks` until none fits without a whole group that pages want.
std::vector<Extent> fill_holes_and_groups(Allocator& allocator, std::uint32_t blocks) {
  std::vector<Extent> extents;
  while (const auto extent = allocator.reserve(blocks, SpaceClass::kForeground)) {
    allocator.claim(*extent);
    extents.push_back(*extent);
  }
  return extents;
}

TEST(Allocator, WholeGroupsComeOutOfHolesForPages) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 2 * kSlotsPerGroup);
  EXPECT_FALSE(allocator.may_vacate(CompactionNeed::kRefused));
  const std::vector<Extent> extents = fill_holes_and_groups(allocator, 3);
  EXPECT_LT(allocator.spare_groups(), 4u);
  for (std::size_t i = 0; i < extents.size(); i += 2) allocator.release(extents[i], Lsn(1));
  allocator.reclaim(Lsn(1));
  // Nothing that pages could have became free.
  EXPECT_LT(allocator.spare_groups(), 4u);
  ASSERT_TRUE(allocator.may_vacate(CompactionNeed::kAhead));
  const std::uint64_t chosen = allocator.begin_vacating(CompactionNeed::kAhead);
  ASSERT_GE(chosen, 4u);
  EXPECT_LE(chosen, 8u);
  for (std::size_t i = 1; i < extents.size(); i += 2) {
    if (!allocator.is_vacating(extents[i])) continue;
    const auto hole = allocator.reserve_hole(3);
    ASSERT_TRUE(hole);
    ASSERT_EQ(hole->blocks, 3u);
    allocator.claim(*hole);
    allocator.release(extents[i], Lsn(2));
  }
  EXPECT_EQ(allocator.end_vacating(true), chosen);
  EXPECT_EQ(allocator.closed_groups(), chosen);
  allocator.reclaim(Lsn(2));
  EXPECT_EQ(allocator.closed_groups(), 0u);
  EXPECT_GE(allocator.spare_groups(), chosen);
  EXPECT_FALSE(allocator.may_vacate(CompactionNeed::kAhead));
  allocator.check_invariants();
}

TEST(Allocator, NothingIsVacatedAgainBeforeBlocksBecameFree) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 2 * kSlotsPerGroup);
  const std::vector<Extent> extents = fill_holes_and_groups(allocator, 4);
  ASSERT_TRUE(allocator.may_vacate(CompactionNeed::kRefused));
  EXPECT_EQ(allocator.begin_vacating(CompactionNeed::kRefused), 0u);
  EXPECT_FALSE(allocator.may_vacate(CompactionNeed::kRefused));
  for (std::size_t i = 0; i < 64; ++i) allocator.release(extents[i * 4], Lsn(1));
  allocator.reclaim(Lsn(1));
  EXPECT_TRUE(allocator.may_vacate(CompactionNeed::kRefused));
  allocator.check_invariants();
}

TEST(Allocator, AnExtentIsRatherCutThanBreaksOneOfTheLastWholeGroups) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 2 * kSlotsPerGroup);
  std::vector<Extent> extents;
  const auto take = [&] {
    extents.push_back(*allocator.reserve(4, SpaceClass::kForeground));
    allocator.claim(extents.back());
  };
  while (allocator.spare_groups() >= 4) take();
  for (int i = 1; i < 64; ++i) take();  // the group that was broken last
  const std::uint64_t spare = allocator.spare_groups();
  ASSERT_EQ(spare, 3u);
  for (std::size_t i = 0; i < 100; i += 2) allocator.release({extents[i].first, 2}, Lsn(1));
  allocator.reclaim(Lsn(1));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(allocator.reserve(4, SpaceClass::kForeground)->blocks, 2u);
  EXPECT_EQ(allocator.spare_groups(), spare);
  EXPECT_EQ(allocator.reserve(64, SpaceClass::kForeground)->blocks, 64u);
  EXPECT_EQ(allocator.spare_groups(), spare - 1);
  allocator.check_invariants();
}

TEST(Allocator, WhatIsBeingVacatedIsTheLastToBeTaken) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 2 * kSlotsPerGroup);
  const std::vector<Extent> extents = fill_holes_and_groups(allocator, 4);
  for (std::size_t i = 0; i < extents.size(); i += 2) allocator.release(extents[i], Lsn(1));
  allocator.reclaim(Lsn(1));
  ASSERT_GT(allocator.begin_vacating(CompactionNeed::kRefused), 0u);
  const std::uint64_t closed = allocator.closed_groups();
  std::uint64_t blocks = 0;
  for (std::uint64_t before = closed; const auto extent = allocator.reserve(4, SpaceClass::kForeground);) {
    ASSERT_FALSE(before == closed && allocator.is_vacating(*extent));
    blocks += extent->blocks;
    before = allocator.closed_groups();
  }
  EXPECT_LT(allocator.closed_groups(), closed);
  EXPECT_GT(blocks, extents.size());  // all but what is kept for reclaiming
  EXPECT_EQ(allocator.end_vacating(false), 0u);
  allocator.check_invariants();
}

TEST(Allocator, CompactionMayUseAQuarterOfTheReserve) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 100);
  using Room = Allocator::PageRoom;
  allocator.set_live_pages(allocator.meta().slots_capacity() - 100);
  EXPECT_EQ(allocator.page_room(1, 1, 0, SpaceClass::kForeground), Room::kFull);
  EXPECT_EQ(allocator.page_room(25, 25, 0, SpaceClass::kCompaction), Room::kYes);
  EXPECT_EQ(allocator.page_room(26, 26, 0, SpaceClass::kCompaction), Room::kFull);
  EXPECT_EQ(allocator.page_room(50, 50, 0, SpaceClass::kReclaim), Room::kYes);
}

TEST(Allocator, KeepsDevicesApart) {
  const Geometry geometry = *Geometry::plan({64 * kMiB, 0, 32 * kMiB}, 0, 2, 8u << 20);
  Allocator allocator = empty_allocator(geometry, 64);
  const Extent extent = *allocator.reserve(16, SpaceClass::kForeground);
  EXPECT_EQ(extent.first.value(), kGroupBlocks);  // behind the label of the data device
  EXPECT_EQ(allocator.meta().data_groups(), 0u);
  allocator.claim(extent);
  std::vector<std::uint64_t> chunks;
  allocator.take_dirty_chunks([&](std::uint64_t chunk, const Bytes&) { chunks.push_back(chunk); });
  EXPECT_EQ(chunks, std::vector<std::uint64_t>{geometry.meta_bitmap_chunks()});
}

TEST(Allocator, RefusesLogRecordsThatContradictTheBitmap) {
  const Geometry geometry = shared_geometry();
  Allocator allocator = empty_allocator(geometry, 64);
  const Extent extent{media::BlockNo(20 * kMiB + kGroupBlocks * 30), 4};
  EXPECT_EQ(allocator.replay_release(extent).error().code(), Code::kCorrupt);
  EXPECT_TRUE(allocator.replay_claim(extent));
  EXPECT_EQ(allocator.replay_claim(extent).error().code(), Code::kCorrupt);
  EXPECT_EQ(allocator.replay_claim({media::BlockNo(0), 1}).error().code(), Code::kCorrupt);  // the superblock's group
  EXPECT_EQ(allocator.replay_claim({media::BlockNo(1ull << 50), 1}).error().code(), Code::kCorrupt);
  EXPECT_TRUE(allocator.replay_release(extent));
}

TEST(PageMap, NumbersComeBackAfterTheNextCheckpoint) {
  PageMap map(4096);
  const PageId first = map.allocate(), second = map.allocate();
  EXPECT_EQ(first, PageId(1));
  map.freeze({first});
  map.place(first, {77, 0xabc});
  map.thaw();
  map.release(second);  // no checkpoint ever knew it
  EXPECT_EQ(map.allocate(), second);
  map.release(first);
  EXPECT_EQ(map.find(first).slot, 77u);  // the checkpoint on the media has it
  EXPECT_EQ(map.allocate(), PageId(3));
  EXPECT_EQ(map.freeze({}), std::vector<std::uint32_t>{77});
  EXPECT_EQ(map.find(first).slot, 0u);
  EXPECT_EQ(map.allocate(), PageId(4));
  map.check_invariants();
  map.thaw();
  EXPECT_EQ(map.allocate(), first);
  map.check_invariants();
}

TEST(PageMap, APageReleasedWhileItIsWrittenStaysInThatCheckpoint) {
  PageMap map(4096);
  const PageId page = map.allocate();
  map.freeze({page});
  map.release(page);
  EXPECT_NE(map.allocate(), page);
  map.place(page, {5, 6});
  map.thaw();
  EXPECT_EQ(map.find(page).slot, 5u);
  EXPECT_EQ(map.freeze({}), std::vector<std::uint32_t>{5});
  map.thaw();
  EXPECT_EQ(map.allocate(), page);
}

TEST(PageMap, ChunksComeBackAsTheyWere) {
  PageMap map(4096);
  std::vector<PageId> pages;
  for (int i = 0; i < 700; ++i) pages.push_back(map.allocate());
  map.freeze(pages);
  for (PageId page : pages) map.place(page, {static_cast<std::uint32_t>(page.value() + 1000), 7});
  map.thaw();
  PageMap copy(4096);
  int chunks = 0;
  map.take_dirty_chunks([&](std::uint64_t chunk) {
    copy.load_chunk(chunk, map.chunk_bytes(chunk));
    ++chunks;
  });
  EXPECT_EQ(chunks, 2);
  EXPECT_EQ(copy.live(), 700u);
  EXPECT_EQ(copy.find(pages[699]).slot, pages[699].value() + 1000);
  EXPECT_EQ(copy.allocate(), PageId(701));
  copy.check_invariants();
}

}  // namespace
}  // namespace cenote::store
