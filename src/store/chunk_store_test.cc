#include "chunk_store.h"

#include <gtest/gtest.h>

#include <cstring>

#include "cenote/media/sim_device.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

/// Chunks and superblocks on one simulated device.
class ChunkStoreTest : public ::testing::Test {
 protected:
  ~ChunkStoreTest() override { world.block_on(node, device.close()); }

  template <typename T>
  T block_on(Task<T> task) {
    return world.block_on(node, std::move(task));
  }
  static AlignedBuffer filled(int with) {
    AlignedBuffer block(media::kBlockBytes);
    std::memset(block.data(), with, block.size());
    return block;
  }
  Result<int> first_byte(ChunkStore& chunks, std::uint64_t chunk) {
    AlignedBuffer block(media::kBlockBytes);
    CHECK_OK(block_on(chunks.read(chunk, block.span())));
    return static_cast<int>(block.data()[0]);
  }

  SimWorld world{9};
  SimReactor& node = world.add_node("node");
  media::SimMedium medium{2048 * kGroupBlocks};
  media::SimDevice device{node, "meta", medium};
  Geometry geometry = *Geometry::plan({2048 * kGroupBlocks, 0, 0}, 0, 0, 8u << 20);
  std::vector<LiveSlot> empty = std::vector<LiveSlot>(geometry.table.blocks);
};

TEST_F(ChunkStoreTest, AChunkNeverWrittenIsSaidSo) {
  ChunkStore chunks(device, geometry, empty);
  EXPECT_TRUE(block_on(chunks.load()));
  EXPECT_FALSE(chunks.written(0));
  EXPECT_EQ(chunks.chunks(), geometry.map.blocks + geometry.bitmap.blocks);
}

TEST_F(ChunkStoreTest, OldRootsFindOldContentsUntilTheyAreWrittenTwice) {
  ChunkStore chunks(device, geometry, empty);
  const std::uint64_t last = chunks.chunks() - 1;
  std::vector<std::vector<LiveSlot>> roots;
  for (int round = 1; round <= 3; ++round) {
    const AlignedBuffer block = filled(round);
    ASSERT_TRUE(block_on(chunks.write(0, block.span())));
    ASSERT_TRUE(block_on(chunks.write(last, block.span())));
    ASSERT_TRUE(block_on(chunks.write_tables()));
    roots.push_back(chunks.roots());
  }
  const auto read_by = [&](const std::vector<LiveSlot>& by, std::uint64_t chunk) -> Result<int> {
    ChunkStore old(device, geometry, by);
    CHECK_OK(block_on(old.load()));
    return first_byte(old, chunk);
  };
  for (std::uint64_t chunk : {std::uint64_t{0}, last}) {
    EXPECT_EQ(*read_by(roots[2], chunk), 3);
    EXPECT_EQ(*read_by(roots[1], chunk), 2);
    EXPECT_EQ(read_by(roots[0], chunk).error().code(), Code::kCorrupt);  // its table was written over, and that shows
  }
}

TEST_F(ChunkStoreTest, SuperblocksTakeTurns) {
  Superblock superblock;
  superblock.geometry = geometry;
  superblock.table = empty;
  superblock.incarnation = 5;
  SuperblockIo superblocks(Devices::one(device));
  EXPECT_EQ(block_on(superblocks.read_newest()).error().code(), Code::kNotFound);
  for (superblock.sequence = 1; superblock.sequence <= 4; ++superblock.sequence) {
    ASSERT_TRUE(block_on(superblocks.write(superblock)));
    SuperblockIo fresh(Devices::one(device));
    EXPECT_EQ(block_on(fresh.read_newest())->sequence, superblock.sequence);
    // One that starts anew goes on with the other place.
    superblocks = SuperblockIo(Devices::one(device));
    ASSERT_TRUE(block_on(superblocks.read_newest()));
  }
}

TEST_F(ChunkStoreTest, ALostSuperblockIsNoticedAtOnce) {
  Superblock superblock;
  superblock.geometry = geometry;
  superblock.table = empty;
  SuperblockIo superblocks(Devices::one(device));
  ASSERT_TRUE(block_on(superblocks.write(superblock)));
  device.options().lost_write_ppm = 1'000'000;
  ++superblock.sequence;
  EXPECT_EQ(block_on(superblocks.write(superblock)).error().code(), Code::kIoError);
}

TEST_F(ChunkStoreTest, SuperblocksOfTwoStoresAreNoStore) {
  Superblock superblock;
  superblock.geometry = geometry;
  superblock.table = empty;
  SuperblockIo superblocks(Devices::one(device));
  ASSERT_TRUE(block_on(superblocks.write(superblock)));
  superblock.incarnation = 99;
  ASSERT_TRUE(block_on(superblocks.write(superblock)));
  EXPECT_EQ(block_on(superblocks.read_newest()).error().code(), Code::kCorrupt);
  ASSERT_TRUE(block_on(superblocks.wipe()));
  EXPECT_EQ(block_on(superblocks.read_newest()).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace cenote::store
