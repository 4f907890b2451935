#include <gtest/gtest.h>

#include "aligned_buffer.h"
#include "cenote/base/format.h"
#include "cenote/store/store_check.h"
#include "log_format.h"
#include "page_map.h"
#include "store_test_kit.h"
#include "store_workload.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

/// A store that was written, checkpointed, written again and crashed, so that every kind of block is there; one bit of
/// one of them is then flipped. Of a plain and of a sealed store.
class StoreDamage : public ::testing::TestWithParam<bool>, public StoreBench {
 protected:
  StoreDamage() : StoreBench(15, 64) {
    if (GetParam()) encrypt();
  }

  void SetUp() override {
    format_store();
    open();
    work(1, 120);
    ASSERT_TRUE(block_on(store->checkpoint()));
    work(2, 60);
    ASSERT_TRUE(block_on(store->checkpoint()));
    work(3, 30);
    settle();
    crash();
    superblock = newest();
  }

  void work(std::uint64_t seed, std::uint32_t steps) {
    WorkloadOptions workload_options;
    workload_options.seed = seed;
    workload_options.steps = steps;
    workload_options.checkpoint_in = 1u << 30;
    Workload workload(*store, history, workload_options);
    block_on(workload.run());
    ASSERT_EQ(workload.problem(), "");
  }
  /// Waits for the log's writes, then adds two batches so that frames claim the durability of all that is to be
  /// damaged.
  void settle() {
    ASSERT_TRUE(block_on(store->durable(store->status().applied)));
    work(4, 1);
    ASSERT_TRUE(block_on(store->durable(store->status().applied)));
    work(5, 1);
    ASSERT_TRUE(block_on(store->durable(store->status().applied)));
    history.acknowledged = history.effects.size();
  }

  Superblock newest() {
    power_on();
    SuperblockIo superblocks(devices());
    const auto found = block_on(superblocks.read_newest());
    EXPECT_TRUE(found);
    power_off();
    return *found;
  }
  std::size_t newest_place() {
    AlignedBuffer bytes(kSuperblockBytes);
    std::array<std::uint64_t, 2> sequences{};
    for (std::size_t place = 0; place < 2; ++place) {
      for (std::uint32_t i = 0; i < kSuperblockBlocks; ++i) {
        medium->read_block(media::BlockNo(kSuperblockPlaces[place] + i),
                           bytes.span().subspan(i * media::kBlockBytes, media::kBlockBytes));
      }
      const auto decoded = decode_superblock(bytes.span());
      sequences[place] = decoded ? decoded->sequence : 0;
    }
    return sequences[0] > sequences[1] ? 0 : 1;
  }

  void flip(std::uint64_t block, std::size_t byte = 1000) {
    AlignedBuffer bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes.span());
    bytes.data()[byte] ^= std::byte{0x20};
    medium->write_block(media::BlockNo(block), bytes.span());
  }

  /// What opening and reading everything says: "" when all is as it was.
  std::string outcome() {
    History expected = history;
    const auto opened = try_open();
    std::string problem = opened ? block_on(verify_store(*store, expected)) : opened.error().to_string();
    power_off();
    return problem;
  }
  void expect_corrupt(std::string_view named) {
    const std::string problem = outcome();
    EXPECT_TRUE(problem.starts_with("corrupt")) << problem;
    EXPECT_NE(problem.find(named), std::string::npos) << problem;
  }

  /// Blocks of the live slots of written chunks.
  std::vector<std::uint64_t> live_chunk_blocks(bool bitmap) {
    std::vector<std::uint64_t> blocks;
    const Geometry& geometry = superblock.geometry;
    for (std::uint64_t index = 0; index < geometry.table.blocks; ++index) {
      AlignedBuffer table(media::kBlockBytes);
      medium->read_block(media::BlockNo(live_table_block(index)), table.span());
      for (std::uint64_t i = 0; i < kTableEntries && index * kTableEntries + i < geometry.chunks(); ++i) {
        const std::uint64_t chunk = index * kTableEntries + i;
        const auto state = static_cast<std::uint8_t>(table.data()[16 + i]);
        if (state == 0 || (chunk >= geometry.map.blocks) != bitmap) continue;
        const Region& region = bitmap ? geometry.bitmap : geometry.map;
        blocks.push_back(region.first + (state - 1) * region.blocks + (bitmap ? chunk - geometry.map.blocks : chunk));
      }
    }
    return blocks;
  }
  std::uint64_t live_table_block(std::uint64_t index) const {
    return superblock.geometry.table.first + (superblock.table[index].state - 1u) * superblock.geometry.table.blocks +
           index;
  }
  std::vector<std::uint64_t> page_slots() {
    PageMap map(superblock.geometry.page_limit());
    AlignedBuffer bytes(media::kBlockBytes);
    std::uint64_t chunk = 0;
    for (std::uint64_t block : live_chunk_blocks(false)) {
      medium->read_block(media::BlockNo(block), bytes.span());
      map.load_chunk(chunk++, bytes.span());
    }
    std::vector<std::uint64_t> slots;
    map.for_each_image([&](PageId, PageMap::Entry entry) { slots.push_back(entry.slot); });
    return slots;
  }
  /// Positions of the frames of the log, from the checkpoint on.
  std::vector<std::uint64_t> frame_positions() {
    std::vector<std::uint64_t> positions;
    AlignedBuffer bytes(media::kBlockBytes);
    for (std::uint64_t position = superblock.replay_from.position;;) {
      medium->read_block(log_block(position), bytes.span());
      const auto header = read_frame_header(bytes.span());
      if (!header || header->position != position) return positions;
      positions.push_back(position);
      position += frame_bytes(header->payload_bytes);
    }
  }
  media::BlockNo log_block(std::uint64_t position) const {
    return media::BlockNo(superblock.geometry.log.first +
                          position / media::kBlockBytes % superblock.geometry.log.blocks);
  }

  History history;
  Superblock superblock;
};

TEST_P(StoreDamage, NothingIsWrongWithoutDamage) { EXPECT_EQ(outcome(), ""); }

TEST_P(StoreDamage, TheOlderSuperblockIsNotNeeded) {
  flip(kSuperblockPlaces[1 - newest_place()]);
  EXPECT_EQ(outcome(), "");
}

TEST_P(StoreDamage, TheNewestSuperblockIsMissed) {
  for (std::uint32_t block = 0; block < kSuperblockBlocks; ++block) {
    const std::uint64_t at = kSuperblockPlaces[newest_place()] + block;
    flip(at);
    expect_corrupt("superblock");
    flip(at);
  }
}

TEST_P(StoreDamage, WithoutBothSuperblocksThereIsNothingToOpen) {
  flip(kSuperblockPlaces[0]);
  flip(kSuperblockPlaces[1]);
  expect_corrupt("both superblocks");
}

TEST_P(StoreDamage, TheMiddleOfTheLogIsNeverTakenForItsEnd) {
  const auto positions = frame_positions();
  ASSERT_GT(positions.size(), 5u);
  for (std::size_t i = 0; i + 1 < positions.size(); ++i) {
    const std::size_t byte = 8 + i * 37 % 200;  // header or records
    flip(log_block(positions[i]).value(), byte);
    expect_corrupt("log");
    flip(log_block(positions[i]).value(), byte);
  }
  EXPECT_EQ(outcome(), "");
}

TEST_P(StoreDamage, AFrameMissingInTheMiddleOfTheLogIsDamage) {
  const auto positions = frame_positions();
  const auto image = medium->clone();
  for (std::size_t i = 0; i + 1 < positions.size(); i += 3) {
    medium = image->clone();
    medium->erase_block(log_block(positions[i]));
    expect_corrupt("log");
  }
}

TEST_P(StoreDamage, ATornTailOfTheLogIsTheEnd) {
  // Nothing on the media tells that the last frame was acknowledged: it may be one that never was.
  flip(log_block(frame_positions().back()).value(), 90);
  history.acknowledged = 0;
  EXPECT_EQ(outcome(), "");
}

TEST_P(StoreDamage, EveryPageIsCheckedWhenItIsRead) {
  const auto slots = page_slots();
  ASSERT_GE(slots.size(), 10u);
  const auto image = medium->clone();
  for (std::size_t i = 0; i < slots.size(); i += 3) {
    // Each from the same image: a store that opens all the same, and meets the damage later, moves pages when it
    // closes.
    medium = image->clone();
    flip(slots[i] * kPageBlocks + i % kPageBlocks);
    expect_corrupt("page");
  }
}

TEST_P(StoreDamage, AnOlderImageOfAPageIsNotThePage) {
  // A lost write: the slot still holds what was there before, whole and with the right page number.
  const auto slots = page_slots();
  AlignedBuffer page(kPageBytes);
  const auto copy = [&](std::uint64_t from, std::uint64_t to) {
    for (std::uint32_t i = 0; i < kPageBlocks; ++i) {
      medium->read_block(media::BlockNo(from * kPageBlocks + i), page.first(media::kBlockBytes));
      medium->write_block(media::BlockNo(to * kPageBlocks + i), page.first(media::kBlockBytes));
    }
  };
  const auto image = medium->clone();
  for (std::size_t i = 1; i < slots.size(); i += 4) {
    medium = image->clone();
    copy(slots[i - 1], slots[i]);  // another page
    expect_corrupt("page");
  }
}

TEST_P(StoreDamage, ChunksAndTheirTableAreChecked) {
  for (std::uint64_t block : live_chunk_blocks(false)) {
    flip(block, 5);
    expect_corrupt("page map chunk");
    flip(block, 5);
  }
  for (std::uint64_t block : live_chunk_blocks(true)) {
    flip(block, 5);
    expect_corrupt("bitmap chunk");
    flip(block, 5);
  }
  for (std::uint64_t index = 0; index < superblock.table.size(); ++index) {
    flip(live_table_block(index), 20);
    expect_corrupt("chunk table");
    flip(live_table_block(index), 20);
  }
  EXPECT_EQ(outcome(), "");
}

TEST_P(StoreDamage, NothingIsWrittenToADamagedStore) {
  flip(log_block(frame_positions()[1]).value(), 90);
  power_on();
  const auto before = device->counters();
  EXPECT_FALSE(try_open());
  EXPECT_EQ(device->counters().writes, before.writes);
}

TEST_P(StoreDamage, CheckFindsABlockThatIsUsedTwice) {
  open();
  std::vector<Extent> owned = {{media::BlockNo(page_slots().front() * kPageBlocks), 1}};
  const auto checked = block_on(check_store(*store, owned));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code(), Code::kCorrupt);
}

TEST_P(StoreDamage, CheckFindsABlockThatNobodyUses) {
  open();
  const auto checked = block_on(check_store(*store, std::vector<Extent>()));  // the workload's extents are not named
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("nobody uses it"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(PlainAndSealed, StoreDamage, ::testing::Bool());

/// Writes that are acknowledged and never made, or made elsewhere, or made with a flipped bit.
class StoreLies : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(StoreLies, ALyingDeviceIsFoundOutOrHarmless) {
  const std::uint64_t seed = GetParam();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  StoreBench bench(seed, 64);
  if (seed > 30) bench.encrypt();
  bench.format_store();
  History history;
  bench.open();
  std::uint32_t& odds = seed % 3 == 0   ? bench.device->options().lost_write_ppm
                        : seed % 3 == 1 ? bench.device->options().misdirected_write_ppm
                                        : bench.device->options().corrupt_write_ppm;
  odds = 10'000;
  WorkloadOptions options;
  options.seed = seed;
  options.steps = 150;
  options.checkpoint_in = 15;
  Workload workload(*bench.store, history, options);
  bench.block_on(workload.run());
  odds = 0;
  const bool closed = bench.block_on(bench.store->close()).has_value();
  bench.power_off();
  if (!closed) history.acknowledged = 0;  // found out already: what is left is a prefix or is refused
  std::string problem = workload.problem();
  if (problem.empty()) {
    const auto opened = bench.try_open();
    problem = opened ? bench.block_on(verify_store(*bench.store, history)) : opened.error().to_string();
  }
  // Data of extents has no checksum at this level; the layer above keeps it and finds out.
  const bool data = problem.find("extent") != std::string::npos;
  EXPECT_TRUE(problem.empty() || problem.starts_with("corrupt") || data) << problem;
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreLies, ::testing::Range<std::uint64_t>(1, 37));

}  // namespace
}  // namespace cenote::store
