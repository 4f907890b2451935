#include "cenote/store/examine.h"

#include <algorithm>
#include <cstring>

#include "aligned_buffer.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/store/log_listing.h"
#include "log_format.h"
#include "page_map.h"
#include "store_test_kit.h"
#include "superblock.h"

namespace cenote::store {
namespace {

/// A store with two trees and some extents, checkpointed twice and written on after that, then closed without its last
/// checkpoint; tests then damage the medium and examine it.
class Examine : public ::testing::Test, public StoreBench {
 protected:
  Examine() : StoreBench(7, 64) {}

  void SetUp() override {
    format_store();
    open();
    numbers = make_tree("numbers");
    words = make_tree("words");
    for (std::uint32_t i = 0; i < 3000; i += 100) put_numbers(i, i + 100);
    for (int i = 0; i < 4; ++i) extents.push_back(claim(8));
    ASSERT_TRUE(block_on(store->checkpoint()));
    put_numbers(3000, 3100);
    extents.push_back(claim(3));
    ASSERT_TRUE(block_on(store->durable(store->status().applied)));
    crash();
  }

  static Bytes key_of(std::uint32_t number) {
    Bytes key(4);
    store_be(key.data(), number);
    return key;
  }
  void put_numbers(std::uint32_t from, std::uint32_t to) {
    Batch batch;
    for (std::uint32_t i = from; i < to; ++i) batch.put(numbers, key_of(i), Bytes(200, std::byte{7}));
    ASSERT_TRUE(commit(std::move(batch)));
  }
  Extent claim(std::uint32_t blocks) {
    const auto extent = store->reserve(blocks, SpaceClass::kForeground);
    EXPECT_TRUE(extent);
    Batch batch;
    batch.claim(*extent);
    EXPECT_TRUE(commit(std::move(batch)));
    return *extent;
  }

  void read(std::uint64_t block, AlignedBuffer& bytes) const {
    medium->read_block(media::BlockNo(block), bytes.span());
  }
  void flip(std::uint64_t block, std::size_t byte = 1000) {
    AlignedBuffer bytes(media::kBlockBytes);
    read(block, bytes);
    bytes.data()[byte] ^= std::byte{0x20};
    medium->write_block(media::BlockNo(block), bytes.span());
  }
  std::uint32_t digest() const {
    AlignedBuffer bytes(media::kBlockBytes);
    std::uint32_t crc = 0;
    for (std::uint64_t block = 0; block < 64 * kGroupBlocks; ++block) {
      read(block, bytes);
      crc = crc32c(bytes.span(), crc);
    }
    return crc;
  }
  Superblock newest() const {
    std::optional<Superblock> best;
    AlignedBuffer bytes(kSuperblockBytes);
    for (const std::uint64_t place : kSuperblockPlaces) {
      for (std::uint32_t i = 0; i < kSuperblockBlocks; ++i)
        medium->read_block(media::BlockNo(place + i), bytes.span().subspan(i * media::kBlockBytes, media::kBlockBytes));
      const auto found = decode_superblock(bytes.span());
      if (found && (!best || found->sequence > best->sequence)) best = *found;
    }
    return *best;
  }
  std::uint64_t table_block(const Superblock& superblock) const {
    return superblock.geometry.table.first + (superblock.table[0].state - 1u) * superblock.geometry.table.blocks;
  }
  /// Block of the live slot of a chunk of the first table block.
  std::uint64_t chunk_block(const Superblock& superblock, std::uint64_t chunk) const {
    AlignedBuffer table(media::kBlockBytes);
    read(table_block(superblock), table);
    const auto state = static_cast<std::uint8_t>(table.data()[16 + chunk]);
    const Geometry& geometry = superblock.geometry;
    const bool bitmap = chunk >= geometry.map.blocks;
    const Region& region = bitmap ? geometry.bitmap : geometry.map;
    return region.first + (state - 1u) * region.blocks + (bitmap ? chunk - geometry.map.blocks : chunk);
  }
  /// Changes a chunk and everything above it that has its checksum, as a defect of the writer would.
  void rewrite_chunk(std::uint64_t chunk, const std::function<void(std::byte*)>& change) {
    Superblock superblock = newest();
    AlignedBuffer bytes(media::kBlockBytes);
    const std::uint64_t block = chunk_block(superblock, chunk);
    read(block, bytes);
    change(bytes.data());
    medium->write_block(media::BlockNo(block), bytes.span());
    AlignedBuffer table(media::kBlockBytes);
    read(table_block(superblock), table);
    store_le(table.data() + 16 + kTableEntries + chunk * 4, crc32c(bytes.span()));
    medium->write_block(media::BlockNo(table_block(superblock)), table.span());
    superblock.table[0].crc = crc32c(table.span());
    AlignedBuffer encoded(kSuperblockBytes);
    encode_superblock(superblock, encoded.span());
    for (const std::uint64_t place : kSuperblockPlaces) {
      for (std::uint32_t i = 0; i < kSuperblockBlocks; ++i)
        medium->write_block(media::BlockNo(place + i),
                            encoded.span().subspan(i * media::kBlockBytes, media::kBlockBytes));
    }
  }
  void set_marked(std::uint64_t block, bool marked) {
    rewrite_chunk(newest().geometry.map.blocks, [&](std::byte* bits) {
      const std::byte mask{static_cast<std::uint8_t>(1u << (block % 8))};
      bits[block / 8] = marked ? bits[block / 8] | mask : bits[block / 8] & ~mask;
    });
  }
  /// Number and first block of each page image.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> images() const {
    const Superblock superblock = newest();
    AlignedBuffer bytes(media::kBlockBytes);
    read(chunk_block(superblock, 0), bytes);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    for (std::uint64_t page = 1; page < kMapEntriesPerChunk; ++page) {
      if (const auto slot = load_le<std::uint32_t>(bytes.data() + page * 8))
        found.emplace_back(page, slot * kPageBlocks);
    }
    return found;
  }

  struct Outcome {
    std::vector<Finding> findings;
    ExamineTotals totals;
    bool recovered = false;
    std::optional<Error> error;
    std::uint64_t numbers = 0;  // entries of that tree
    bool disputed = false;

    std::uint64_t count(FindingKind kind, Severity severity = Severity::kDamage) const {
      return static_cast<std::uint64_t>(std::ranges::count_if(
          findings, [&](const Finding& finding) { return finding.kind == kind && finding.severity == severity; }));
    }
  };
  Task<> examine(Outcome* outcome) {
    ExamineOptions examine_options;
    examine_options.cache_bytes = kMinCacheBytes;
    examine_options.found = [outcome](Finding finding) { outcome->findings.push_back(std::move(finding)); };
    auto opened = co_await Examination::open(node, devices(), std::move(examine_options));
    if (!opened) {
      outcome->error = opened.error();
      co_return;
    }
    Examination& examination = **opened;
    outcome->recovered = examination.recovered();
    {
      TreeWalk walk(examination, numbers, TreeWalk::Purpose::kCheck);
      while (co_await walk.next()) outcome->numbers += walk.count();
    }
    for (const Extent& extent : extents) {
      std::string why;
      // The last one is in the log only.
      if (outcome->recovered || extent != extents.back()) EXPECT_TRUE(examination.refer(extent, &why)) << why;
    }
    co_await examination.check_rest();
    outcome->disputed = examination.settle_space(true);
    for (const Extent& extent : extents) outcome->disputed = outcome->disputed || !examination.dispute(extent).empty();
    outcome->totals = examination.totals();
    co_await examination.close();
  }
  Outcome look() {
    const std::uint32_t before = digest();
    power_on();
    const auto writes = device->counters().writes;
    Outcome outcome;
    block_on(examine(&outcome));
    EXPECT_EQ(device->counters().writes, writes);
    power_off();
    EXPECT_EQ(digest(), before) << "the examination wrote";
    return outcome;
  }

  static Task<> refuse(Examine* self, Outcome* into) {
    ExamineOptions examine_options;
    examine_options.cache_bytes = kMinCacheBytes;
    auto opened = co_await Examination::open(self->node, self->devices(), std::move(examine_options));
    if (!opened) co_return;
    std::string why;
    into->recovered = !(*opened)->refer({media::BlockNo(1), 1}, &why) &&
                      !(*opened)->refer({media::BlockNo(64 * kGroupBlocks), 1}, &why) &&
                      !(*opened)->refer({media::BlockNo(40 * kGroupBlocks + 255), 2}, &why);
    co_await (*opened)->close();
  }
  static Task<> measure(Examine* self, std::vector<SpaceReport>* into) {
    ExamineOptions examine_options;
    examine_options.cache_bytes = kMinCacheBytes;
    auto opened = co_await Examination::open(self->node, self->devices(), std::move(examine_options));
    if (!opened) co_return;
    *into = (*opened)->space();
    co_await (*opened)->close();
  }
  static Task<> walk_from(Examine* self, std::vector<std::uint32_t>* into) {
    ExamineOptions examine_options;
    examine_options.cache_bytes = kMinCacheBytes;
    auto opened = co_await Examination::open(self->node, self->devices(), std::move(examine_options));
    if (!opened) co_return;
    {
      TreeWalk walk(**opened, self->numbers, TreeWalk::Purpose::kShow, key_of(1234));
      while (co_await walk.next()) {
        for (std::uint32_t i = 0; i < walk.count(); ++i) into->push_back(load_be<std::uint32_t>(walk.key(i).data()));
      }
    }
    co_await (*opened)->close();
  }

  TreeId numbers{}, words{};
  std::vector<Extent> extents;
};

TEST_F(Examine, FindsNothingInAWholeStore) {
  const Outcome outcome = look();
  EXPECT_TRUE(outcome.recovered);
  for (const Finding& finding : outcome.findings) ADD_FAILURE() << finding.message;
  EXPECT_EQ(outcome.numbers, 3100u);
  EXPECT_EQ(outcome.totals.trees, 3u);
  EXPECT_EQ(outcome.totals.extent_blocks, 35u);
  EXPECT_GE(outcome.totals.images, images().size());
}

TEST_F(Examine, OneLostSuperblockIsAWarning) {
  std::size_t warned = 0;
  for (const std::uint64_t place : kSuperblockPlaces) {
    const auto image = medium->clone();
    flip(place);
    const Outcome outcome = look();
    // The newest one is missed by the log; without the older one all is well.
    warned += outcome.recovered ? 1 : 0;
    EXPECT_EQ(outcome.count(FindingKind::kSuperblock, Severity::kWarning), 1u);
    if (outcome.recovered) EXPECT_EQ(outcome.findings.size(), 1u);
    medium = image->clone();
  }
  EXPECT_EQ(warned, 1u);
}

TEST_F(Examine, WithoutSuperblocksThereIsNothingToLookAt) {
  for (const std::uint64_t place : kSuperblockPlaces) flip(place);
  const Outcome outcome = look();
  EXPECT_EQ(outcome.count(FindingKind::kSuperblock), 2u);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(*outcome.error, Code::kCorrupt);
}

TEST_F(Examine, EveryDamagedPageIsNamedWithWhatIsLost) {
  const auto image = medium->clone();
  const auto all = images();
  for (std::size_t i = 0; i < all.size(); i += 13) {
    const std::uint64_t page = all[i].first, block = all[i].second;
    flip(block + i % kPageBlocks);
    const Outcome outcome = look();
    const bool named = std::ranges::any_of(outcome.findings, [&](const Finding& finding) {
      return finding.kind == FindingKind::kPage && finding.page == page && finding.block == block;
    });
    EXPECT_TRUE(named) << "page " << page;
    EXPECT_TRUE(outcome.error || outcome.count(FindingKind::kPage) == 1) << "page " << page;
    medium = image->clone();
  }
}

TEST_F(Examine, PagesThatNoTreeLedToAreOfNoTree) {
  for (const auto& image : images()) flip(image.second);
  const Outcome outcome = look();
  EXPECT_EQ(outcome.count(FindingKind::kPage), images().size());
  EXPECT_EQ(std::ranges::count(outcome.findings, "catalog", &Finding::tree_name), 1);
}

TEST_F(Examine, ADamagedLeafCostsItsOwnEntriesOnly) {
  // Not the leaf that the log changes: then the store would not open.
  const auto all = images();
  std::uint64_t looked_at = 0;
  const auto image = medium->clone();
  for (std::size_t i = 5; i < all.size(); i += 13) {
    flip(all[i].second);
    const Outcome outcome = look();
    if (outcome.recovered && outcome.numbers > 0 && outcome.numbers < 3100) {
      ++looked_at;
      EXPECT_GT(outcome.numbers, 2900u);
      const auto found =
          std::ranges::find_if(outcome.findings, [](const Finding& finding) { return finding.lost.has_value(); });
      ASSERT_NE(found, outcome.findings.end());
      EXPECT_EQ(found->tree_name, "numbers");
      const std::uint32_t from = found->lost->lower.empty() ? 0 : load_be<std::uint32_t>(found->lost->lower.data());
      ASSERT_TRUE(found->lost->upper);
      EXPECT_EQ(load_be<std::uint32_t>(found->lost->upper->data()) - from, 3100 - outcome.numbers);
    }
    medium = image->clone();
  }
  EXPECT_GT(looked_at, 1u);
}

TEST_F(Examine, DamageInTheLogLeavesTheCheckpointToLookAt) {
  flip(newest().geometry.log.first + newest().replay_from.position / media::kBlockBytes, 90);
  const Outcome outcome = look();
  EXPECT_FALSE(outcome.recovered);
  EXPECT_EQ(outcome.count(FindingKind::kLog), 1u);
  EXPECT_EQ(outcome.count(FindingKind::kStore), 1u);
  EXPECT_EQ(outcome.findings.size(), 2u);
  EXPECT_EQ(outcome.numbers, 3000u);
}

TEST_F(Examine, DamagedMapsAreNamedAndTheRestGoesOn) {
  const Superblock superblock = newest();
  const auto image = medium->clone();
  flip(chunk_block(superblock, 0), 5);
  Outcome outcome = look();
  EXPECT_EQ(outcome.count(FindingKind::kChunk), 1u);
  EXPECT_EQ(outcome.count(FindingKind::kLostSpace), 0u);

  medium = image->clone();
  flip(chunk_block(superblock, superblock.geometry.map.blocks), 5);
  outcome = look();
  EXPECT_EQ(outcome.count(FindingKind::kChunk), 1u);
  EXPECT_EQ(outcome.findings.size(), 2u);  // and that the store does not open
  EXPECT_EQ(outcome.numbers, 3000u);

  medium = image->clone();
  flip(table_block(superblock), 20);
  outcome = look();
  EXPECT_GE(outcome.count(FindingKind::kChunk), 2u);
}

TEST_F(Examine, ALeakedBlockIsLostSpace) {
  set_marked(extents[0].first.value() + 100, true);
  const Outcome outcome = look();
  ASSERT_EQ(outcome.findings.size(), 1u);
  EXPECT_EQ(outcome.findings[0].kind, FindingKind::kLostSpace);
  EXPECT_EQ(outcome.findings[0].block, extents[0].first.value() + 100);
  EXPECT_EQ(outcome.totals.lost_blocks, 1u);
}

TEST_F(Examine, ABlockInUseThatCountsAsFreeIsInDispute) {
  set_marked(extents[1].first.value() + 2, false);
  const Outcome outcome = look();
  EXPECT_TRUE(outcome.disputed);
  EXPECT_EQ(outcome.totals.disputed_blocks, 1u);
  EXPECT_EQ(outcome.totals.lost_blocks, 0u);
}

TEST_F(Examine, ABlockThatIsUsedTwiceIsInDispute) {
  extents.push_back(extents[0]);
  std::swap(extents.back(), extents[4]);
  const Outcome outcome = look();
  EXPECT_TRUE(outcome.disputed);
  EXPECT_EQ(outcome.totals.disputed_blocks, 8u);
}

TEST_F(Examine, AnExtentOverAPageNamesThePage) {
  const auto [page, block] = images().front();
  extents.insert(extents.begin(), Extent{media::BlockNo(block), 1});
  const Outcome outcome = look();
  EXPECT_TRUE(outcome.disputed);
  ASSERT_EQ(outcome.count(FindingKind::kBlock), 1u);
  EXPECT_EQ(outcome.findings[0].page, page);
}

TEST_F(Examine, TwoPagesInOnePlaceAreNamed) {
  const auto all = images();
  rewrite_chunk(0, [&](std::byte* entries) {
    std::memcpy(entries + all[1].first * 8, entries + all[0].first * 8, 4);  // the place, not the checksum
  });
  const Outcome outcome = look();
  EXPECT_FALSE(outcome.recovered);
  EXPECT_GE(outcome.count(FindingKind::kBlock), 2u);
}

TEST_F(Examine, ExtentsWhereNoneCanBeAreRefused) {
  power_on();
  Outcome outcome;
  block_on(refuse(this, &outcome));
  EXPECT_TRUE(outcome.recovered);
  power_off();
}

/// Maps with right checksums and wrong contents, as a defect would write them: whatever they say, looking ends.
TEST_F(Examine, MapsThatSayAnythingEndInFindings) {
  const auto image = medium->clone();
  const std::uint64_t bitmap = newest().geometry.map.blocks;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    rewrite_chunk(seed % 2 == 0 ? 0 : bitmap, [&](std::byte* bytes) {
      for (int i = 0; i < 200; ++i) {
        // Page map entries that are there, with other slots; any bit of the bitmap.
        const std::size_t at = seed % 2 == 0 ? random() % 80 * 8 : random() % 2048;
        bytes[at] = static_cast<std::byte>(random());
        if (seed % 4 == 0) bytes[at + 3] = static_cast<std::byte>(random());
      }
    });
    const Outcome outcome = look();
    EXPECT_FALSE(outcome.findings.empty());
    medium = image->clone();
  }
}

TEST_F(Examine, SpaceIsCountedByWhatTakesIt) {
  power_on();
  std::vector<SpaceReport> reports;
  block_on(measure(this, &reports));
  power_off();
  ASSERT_EQ(reports.size(), 1u);
  const SpaceReport& report = reports[0];
  EXPECT_EQ(report.extent_blocks, 35u);
  EXPECT_EQ(report.page_blocks, images().size() * kPageBlocks);
  EXPECT_EQ(report.log_blocks, format.log_bytes / media::kBlockBytes);
  EXPECT_EQ(report.fixed_blocks + report.page_blocks + report.extent_blocks + report.free_blocks, report.blocks);
  EXPECT_EQ(report.runs[8], report.free_groups);
  EXPECT_GE(report.largest_run, 2u * kGroupBlocks);
}

TEST_F(Examine, TheLogIsListedAsRecoveryWouldReplayIt) {
  power_on();
  std::vector<LogGroup> groups;
  std::vector<std::string> kinds;
  LogListingOptions listing;
  listing.group = [&groups](const LogGroup& group) { groups.push_back(group); };
  listing.operation = [&kinds](const LogOperation& operation) { kinds.emplace_back(operation.kind); };
  const auto listed = block_on(list_log(node, devices(), listing));
  ASSERT_TRUE(listed);
  EXPECT_FALSE(listed->flaw);
  EXPECT_TRUE(listed->complete);
  std::uint64_t position = listed->checkpoint_position, operations = 0;
  for (const LogGroup& group : groups) {
    EXPECT_EQ(group.position, position);
    EXPECT_TRUE(group.whole);
    position += group.bytes;
    operations += group.operations;
  }
  EXPECT_EQ(position, listed->end_position);
  EXPECT_EQ(operations, kinds.size());
  EXPECT_EQ(std::ranges::count(kinds, "put"), 100);
  EXPECT_EQ(std::ranges::count(kinds, "claim"), 1);

  listing.limit = 1;
  groups.clear();
  EXPECT_FALSE(block_on(list_log(node, devices(), listing))->complete);
  EXPECT_EQ(groups.size(), 1u);
  power_off();
}

TEST_F(Examine, AWalkBeginsWhereItIsAskedTo) {
  power_on();
  std::vector<std::uint32_t> firsts;
  block_on(walk_from(this, &firsts));
  power_off();
  ASSERT_EQ(firsts.size(), 3100u - 1234u);
  EXPECT_EQ(firsts.front(), 1234u);
  EXPECT_TRUE(std::ranges::is_sorted(firsts));
}

}  // namespace
}  // namespace cenote::store
