#include "superblock.h"

#include <gtest/gtest.h>

#include "aligned_buffer.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kMiB = kGroupBlocks;  // in blocks

Superblock example() {
  Superblock superblock;
  superblock.system = Uuid::from_random(1, 2);
  superblock.target = Uuid::from_random(3, 4);
  superblock.incarnation = 0x1122334455667788;
  superblock.sequence = 9;
  superblock.geometry = *Geometry::plan({256 * kMiB, 0, 512 * kMiB}, 0, 2, 16u << 20);
  superblock.replay_from = {81920, 77, 0xdeadbeef};
  superblock.records_done = 3;
  superblock.checkpoint = Lsn(81999);
  superblock.generation = 4;
  superblock.generation_start = 40960;
  superblock.catalog_root = PageId(12);
  superblock.next_tree = TreeId(5);
  superblock.table.assign(superblock.geometry.table.blocks, {2, 0x1234});
  return superblock;
}

AlignedBuffer encoded(const Superblock& superblock) {
  AlignedBuffer buffer(kSuperblockBytes);
  encode_superblock(superblock, buffer.span());
  return buffer;
}

TEST(Superblock, ComesBackAsItWas) {
  const Superblock superblock = example();
  const auto decoded = decode_superblock(encoded(superblock).span());
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, superblock);
}

TEST(Superblock, EveryFlippedBitIsNoticed) {
  AlignedBuffer buffer = encoded(example());
  for (std::size_t byte = 0; byte < kSuperblockBytes; byte += byte < 1100 ? 1 : 97) {
    buffer.data()[byte] ^= std::byte{0x10};
    EXPECT_FALSE(decode_superblock(buffer.span())) << byte;
    buffer.data()[byte] ^= std::byte{0x10};
  }
  EXPECT_TRUE(decode_superblock(buffer.span()));
}

TEST(Superblock, TellsNothingHereFromDamageFromNewer) {
  AlignedBuffer nothing(kSuperblockBytes);
  EXPECT_EQ(decode_superblock(nothing.span()).error().code(), Code::kNotFound);
  Superblock superblock = example();
  superblock.incompatible = 4;
  EXPECT_EQ(decode_superblock(encoded(superblock).span()).error().code(), Code::kNewerFormat);
  AlignedBuffer damaged = encoded(example());
  damaged.data()[100] ^= std::byte{1};
  EXPECT_EQ(decode_superblock(damaged.span()).error().code(), Code::kCorrupt);
}

TEST(Superblock, MapsElsewhereNeedTheirFeature) {
  Superblock superblock = example();
  superblock.incompatible = kMovedMaps;
  EXPECT_TRUE(decode_superblock(encoded(superblock).span())) << "moved back to where they were";
  superblock.geometry.place_maps(kGroupBlocks);
  ASSERT_TRUE(superblock.geometry.validate());
  const auto moved = decode_superblock(encoded(superblock).span());
  ASSERT_TRUE(moved) << moved.error().to_string();
  EXPECT_EQ(*moved, superblock);
  superblock.incompatible = 0;
  EXPECT_EQ(decode_superblock(encoded(superblock).span()).error().code(), Code::kCorrupt);
}

TEST(Label, ComesBackAndNoticesDamage) {
  Label label{Uuid::from_random(1, 2), Uuid::from_random(3, 4), 55, 1, true, false, 4096, 7};
  AlignedBuffer buffer(media::kBlockBytes);
  encode_label(label, buffer.span());
  EXPECT_EQ(*decode_label(buffer.span()), label);
  for (std::size_t byte = 0; byte < media::kBlockBytes; ++byte) {
    buffer.data()[byte] ^= std::byte{1};
    EXPECT_FALSE(decode_label(buffer.span())) << byte;
    buffer.data()[byte] ^= std::byte{1};
  }
}

TEST(Geometry, PlansEveryMixOfDevices) {
  const auto one = Geometry::plan({128 * kMiB, 0, 0}, 0, 0, 8u << 20);
  ASSERT_TRUE(one) << one.error().to_string();
  EXPECT_EQ(one->log_bytes(), 8u << 20);
  EXPECT_GE(one->log.first, one->bitmap.first + 2 * one->bitmap.blocks);
  EXPECT_TRUE(one->validate());
  const auto three = Geometry::plan({128 * kMiB, 32 * kMiB, 64 * kMiB}, 1, 2, 8u << 20);
  ASSERT_TRUE(three) << three.error().to_string();
  EXPECT_EQ(three->log.first, kGroupBlocks);
  EXPECT_TRUE(three->separate_data());
  const auto fast_and_large = Geometry::plan({128 * kMiB, 64 * kMiB, 0}, 1, 1, 8u << 20);
  ASSERT_TRUE(fast_and_large);
  EXPECT_EQ(fast_and_large->fixed_regions(1).size(), 2u);  // label and log; data uses the rest
}

TEST(Geometry, RefusesWhatCannotWork) {
  EXPECT_EQ(Geometry::plan({40 * kMiB, 0, 0}, 0, 0, 8u << 20).error().code(), Code::kOutOfRange);   // too small
  EXPECT_EQ(Geometry::plan({128 * kMiB, 0, 0}, 0, 0, 1u << 20).error().code(), Code::kOutOfRange);  // log too small
  EXPECT_EQ(Geometry::plan({128 * kMiB, 4 * kMiB, 0}, 1, 0, 8u << 20).error().code(), Code::kOutOfRange);
  EXPECT_EQ(Geometry::plan({1ull << 36, 0, 0}, 0, 0, 8u << 20).error().code(), Code::kOutOfRange);  // 256 TiB
  EXPECT_TRUE(Geometry::plan({1ull << 32, 0, 0}, 0, 0, 1ull << 30));                                // 16 TiB
}

TEST(Geometry, NoticesRegionsThatContradictEachOther) {
  Geometry geometry = *Geometry::plan({128 * kMiB, 0, 0}, 0, 0, 8u << 20);
  Geometry moved = geometry;
  moved.log.first -= kGroupBlocks;
  EXPECT_EQ(moved.validate().error().code(), Code::kCorrupt);
  Geometry short_bitmap = geometry;
  short_bitmap.bitmap.blocks = 0;
  EXPECT_FALSE(short_bitmap.validate());
  Geometry huge = geometry;
  huge.map.blocks = 1ull << 62;
  EXPECT_FALSE(huge.validate());
}

}  // namespace
}  // namespace cenote::store
