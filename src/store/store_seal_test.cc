#include "store_seal.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "aligned_buffer.h"
#include "cenote/base/checksum.h"
#include "cenote/store/examine.h"
#include "cenote/store/inspect.h"
#include "cenote/store/log_listing.h"
#include "store_test_kit.h"
#include "store_workload.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

/// A store that somebody reads who is not to.
class SealedStore : public ::testing::Test, public StoreBench {
 protected:
  SealedStore() : StoreBench(77, 64) {}

  void make(bool sealed) {
    if (sealed) encrypt();
    format_store();
    open();
    tree = make_tree("tree-with-a-telling-name");
  }
  void put(std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t number = from; number < to; ++number) {
      Batch batch;
      batch.put(tree, as_bytes(key(number)), as_bytes(value(number)));
      ASSERT_TRUE(commit(std::move(batch)));
    }
  }
  void expect_holds(std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t number = from; number < to; ++number) EXPECT_EQ(get(tree, key(number)), value(number));
  }
  static std::string key(std::uint32_t number) { return "telling-key-" + std::to_string(number); }
  static std::string value(std::uint32_t number) { return "telling-value-" + std::to_string(number); }

  /// How many blocks of the medium hold the text.
  std::uint64_t found(std::string_view text) const {
    std::uint64_t count = 0;
    AlignedBuffer block(media::kBlockBytes);
    const media::BlockNo end(medium->block_count());
    for (media::BlockNo at = medium->next_written(media::BlockNo(0), end); at < end;
         at = medium->next_written(media::BlockNo(at.value() + 1), end)) {
      medium->read_block(at, block.span());
      count += as_text(block.span()).find(text) != std::string_view::npos ? 1 : 0;
    }
    return count;
  }
  std::uint64_t found_any() const { return found("telling-key") + found("telling-value") + found("telling-name"); }

  Code open_with(std::optional<SecretKey> key) {
    power_off();
    options.key = key;
    const auto opened = try_open();
    const Code code = opened ? Code::kOk : opened.error().code();
    power_off();
    return code;
  }
  /// Changes both superblocks and makes their checksums right.
  void change_superblocks(const std::function<void(MutableBytes)>& change) {
    AlignedBuffer bytes(kSuperblockBytes);
    const auto block = [&](std::uint32_t i) {
      return bytes.span().subspan(i * media::kBlockBytes, media::kBlockBytes);
    };
    for (const std::uint64_t place : kSuperblockPlaces) {
      for (std::uint32_t i = 0; i < kSuperblockBlocks; ++i) medium->read_block(media::BlockNo(place + i), block(i));
      change(bytes.span());
      store_le<std::uint32_t>(bytes.data() + 8, 0);
      store_le<std::uint32_t>(bytes.data() + 8, crc32c(bytes.span()));
      for (std::uint32_t i = 0; i < kSuperblockBlocks; ++i) medium->write_block(media::BlockNo(place + i), block(i));
    }
  }

  TreeId tree{};
};

TEST_F(SealedStore, NothingOnTheMediaTellsWhatItHolds) {
  make(true);
  put(0, 300);
  ASSERT_TRUE(block_on(store->checkpoint()));
  put(300, 400);
  Batch drop;
  drop.drop_tree(tree);
  ASSERT_TRUE(commit(std::move(drop)));
  ASSERT_TRUE(block_on(store->checkpoint()));
  crash();
  EXPECT_EQ(found_any(), 0u);
}

TEST_F(SealedStore, APlainOneTells) {  // what the search above would find
  make(false);
  put(0, 300);
  ASSERT_TRUE(block_on(store->checkpoint()));
  power_off();
  EXPECT_GT(found("telling-key"), 0u);
  EXPECT_GT(found("telling-value"), 0u);
  EXPECT_GT(found("telling-name"), 0u);
}

TEST_F(SealedStore, OpensWithItsOwnKeyOnly) {
  make(true);
  put(0, 50);
  EXPECT_TRUE(store->sealed());
  EXPECT_TRUE(store->status().sealed);
  crash();
  power_on();
  const auto writes = device->counters().writes;
  options.key.reset();
  const auto without = try_open();
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error(), Code::kKeyNeeded);
  EXPECT_NE(without.error().message().find("--encryption-key-file"), std::string::npos);
  options.key = test_key(2);
  const auto wrong = try_open();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error(), Code::kWrongKey);
  EXPECT_NE(wrong.error().message().find(to_hex(test_key(1).fingerprint())), std::string::npos);
  EXPECT_EQ(wrong.error().message().find("0101"), std::string::npos) << "a key in an error";
  EXPECT_EQ(device->counters().writes, writes);
  options.key = test_key(1);
  open();
  expect_holds(0, 50);
}

TEST_F(SealedStore, AnotherStoreUnderTheSameMasterKeyHasAnotherKey) {
  make(true);
  put(0, 10);
  const SecretKey own = store->derive_key("purpose");
  EXPECT_EQ(own, store->derive_key("purpose"));
  EXPECT_FALSE(own == store->derive_key("another purpose"));
  power_off();
  open();
  EXPECT_EQ(own, store->derive_key("purpose"));
  power_off();
  StoreBench other(78, 64);
  other.encrypt();
  other.format_store();
  other.open();
  EXPECT_FALSE(own == other.store->derive_key("purpose"));
  // Its wrapped key in this store's superblocks, as whoever holds both devices could put it there.
  other.power_off();
  other.power_on();
  SuperblockIo superblocks(other.devices());
  const auto theirs = other.block_on(superblocks.read_newest());
  ASSERT_TRUE(theirs);
  change_superblocks([&](MutableBytes bytes) {
    copy_bytes(theirs->sealing->envelope, bytes.subspan(272));
    copy_bytes(theirs->sealing->key, bytes.subspan(312));
  });
  EXPECT_EQ(open_with(test_key(1)), Code::kCorrupt);
}

TEST_F(SealedStore, ADamagedWrappedKeyIsNotAWrongKey) {
  make(true);
  power_off();
  const auto image = medium->clone();
  for (const std::size_t at : {272u, 290u, 300u, 312u, 343u}) {
    medium = image->clone();
    change_superblocks([at](MutableBytes bytes) { std::ranges::fill(bytes.subspan(at, 344 - at), std::byte{0}); });
    EXPECT_EQ(open_with(test_key(1)), Code::kCorrupt) << "cut at " << at;
    EXPECT_EQ(open_with(test_key(2)), Code::kWrongKey);
  }
}

TEST_F(SealedStore, APlainStoreBecomesSealedWhenItIsOpenedWithAKey) {
  make(false);
  put(0, 100);
  power_off();
  // Looking does not change it.
  options.key = test_key(1);
  options.read_only = true;
  open();
  EXPECT_FALSE(store->sealed());
  power_off();
  options.read_only = false;
  open();
  EXPECT_TRUE(store->sealed());
  expect_holds(0, 100);
  const std::uint64_t before = found("telling-value-1");
  put(1000, 1100);
  ASSERT_TRUE(block_on(store->checkpoint()));
  crash();
  EXPECT_LE(found("telling-value-1"), before) << "something new was written plainly";
  EXPECT_EQ(found("telling-value-1050"), 0u);
  EXPECT_EQ(open_with(std::nullopt), Code::kKeyNeeded);
  EXPECT_EQ(open_with(test_key(2)), Code::kWrongKey);
  options.key = test_key(1);
  open();
  expect_holds(0, 100);
  expect_holds(1000, 1100);
}

/// Both superblocks hold the key before anything needs it, wherever the opening that draws it is cut.
TEST_F(SealedStore, ACrashWhileItBecomesSealedLosesNothing) {
  make(false);
  put(0, 60);
  crash();
  options.key = test_key(1);
  power_on();
  std::vector<BenchMedia> images;
  std::mt19937_64 random(3);
  on_each_write([&](std::uint64_t) {
    for (int i = 0; i < 3; ++i) images.push_back(crash_images(random));
  });
  open();
  put(60, 70);
  ASSERT_TRUE(block_on(store->checkpoint()));
  power_off();
  ASSERT_GT(images.size(), 20u);
  for (std::size_t cut = 0; cut < images.size(); ++cut) {
    StoreBench after(1000 + cut, 64);
    after.mediums[0] = images[cut][0]->clone();
    after.options.key = test_key(1);
    after.format = format;
    const auto opened = after.try_open();
    ASSERT_TRUE(opened) << "cut " << cut << ": " << opened.error().to_string();
    for (std::uint32_t number = 0; number < 60; ++number) EXPECT_EQ(after.get(tree, key(number)), value(number));
    after.reopen();
    for (std::uint32_t number = 0; number < 60; ++number) EXPECT_EQ(after.get(tree, key(number)), value(number));
  }
}

TEST_F(SealedStore, AFrameOrPageThatIsNotSealedIsRefusedWhereAllAre) {
  // The bit that allows plain parts cannot be set by one who does not have the key.
  make(true);
  put(0, 20);
  crash();
  change_superblocks([](MutableBytes bytes) { bytes[252] = std::byte{1}; });
  EXPECT_EQ(open_with(test_key(1)), Code::kCorrupt);
}

TEST_F(SealedStore, TheMasterKeyCanBeReplaced) {
  make(true);
  put(0, 100);
  const SecretKey own = store->derive_key("purpose");
  crash();
  power_on();
  const RekeyOptions change{.from = test_key(1), .to = test_key(2)};
  const auto wrong = block_on(Store::rekey(node, devices(), {.from = test_key(3), .to = test_key(2)}));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error(), Code::kWrongKey);
  ASSERT_TRUE(block_on(Store::rekey(node, devices(), change)));
  ASSERT_TRUE(block_on(Store::rekey(node, devices(), change))) << "a second time";
  EXPECT_EQ(open_with(test_key(1)), Code::kWrongKey);
  EXPECT_EQ(found_any(), 0u);
  options.key = test_key(2);
  open();
  expect_holds(0, 100);
  EXPECT_EQ(own, store->derive_key("purpose"));
  power_off();
  // Neither copy of the superblock opens with the old key any more.
  power_on();
  for (const SuperblockReport& report : block_on(read_superblocks(*device)))
    EXPECT_EQ(report.key, test_key(2).fingerprint());
  StoreBench plain(5, 64);
  plain.format_store();
  EXPECT_EQ(plain.block_on(Store::rekey(plain.node, plain.devices(), change)).error(), Code::kInvalidArgument);
}

TEST_F(SealedStore, ACrashWhileTheMasterKeyIsReplacedLeavesOneOfTheTwo) {
  make(true);
  put(0, 30);
  crash();
  power_on();
  const RekeyOptions change{.from = test_key(1), .to = test_key(2)};
  std::vector<BenchMedia> images;
  std::mt19937_64 random(4);
  on_each_write([&](std::uint64_t) {
    for (int i = 0; i < 4; ++i) images.push_back(crash_images(random));
  });
  ASSERT_TRUE(block_on(Store::rekey(node, devices(), change)));
  power_off();
  ASSERT_GE(images.size(), 8u);
  for (const BenchMedia& image : images) {
    StoreBench after(9, 64);
    after.mediums[0] = image[0]->clone();
    after.power_on();
    ASSERT_TRUE(after.block_on(Store::rekey(after.node, after.devices(), change)));
    after.options.key = test_key(2);
    after.open();
    for (std::uint32_t number = 0; number < 30; ++number) EXPECT_EQ(after.get(tree, key(number)), value(number));
  }
}

TEST_F(SealedStore, IsExaminedAndListedWithItsKey) {
  make(true);
  put(0, 200);
  ASSERT_TRUE(block_on(store->checkpoint()));
  put(200, 230);
  crash();
  power_on();
  const auto superblocks = block_on(read_superblocks(*device));
  for (const SuperblockReport& report : superblocks) EXPECT_EQ(report.key, test_key(1).fingerprint());
  EXPECT_EQ(block_on(Examination::open(node, devices(), {})).error(), Code::kKeyNeeded);
  EXPECT_EQ(block_on(list_log(node, devices(), {})).error(), Code::kKeyNeeded);

  std::uint64_t puts = 0;
  LogListingOptions listing{.key = test_key(1)};
  listing.operation = [&](const LogOperation& operation) { puts += operation.kind == "put" ? 1 : 0; };
  const auto listed = block_on(list_log(node, devices(), listing));
  ASSERT_TRUE(listed && !listed->flaw);
  EXPECT_EQ(puts, 30u);

  std::vector<std::string> findings;
  ExamineOptions examine{.key = test_key(1)};
  examine.found = [&](const Finding& finding) { findings.push_back(finding.message); };
  auto examination = block_on(Examination::open(node, devices(), examine));
  ASSERT_TRUE(examination);
  ASSERT_TRUE((*examination)->find_tree("tree-with-a-telling-name"));
  block_on((*examination)->check_rest());
  EXPECT_FALSE((*examination)->settle_space(true));
  EXPECT_EQ(findings, std::vector<std::string>());
  block_on((*examination)->close());
}

TEST_F(SealedStore, IsExaminedAroundDamage) {
  make(true);
  put(0, 2000);
  power_off();
  open();
  put(2000, 2010);
  ASSERT_TRUE(block_on(store->durable(store->status().applied)));
  put(2010, 2012);
  crash();
  power_on();
  SuperblockIo superblocks(devices());
  const auto superblock = block_on(superblocks.read_newest());
  ASSERT_TRUE(superblock);
  // The first frame after the checkpoint: recovery refuses, the checkpoint can still be looked at.
  const Region& log = superblock->geometry.log;
  const media::BlockNo frame(log.first + superblock->replay_from.position / media::kBlockBytes % log.blocks);
  AlignedBuffer block(media::kBlockBytes);
  medium->read_block(frame, block.span());
  block.data()[100] ^= std::byte{1};
  medium->write_block(frame, block.span());
  ExamineOptions examine{.key = test_key(1)};
  auto examination = block_on(Examination::open(node, devices(), examine));
  ASSERT_TRUE(examination) << examination.error().to_string();
  EXPECT_FALSE((*examination)->recovered());
  std::uint64_t entries = 0;
  const auto walk = [&](Examination& store_examined) -> Task<> {
    TreeWalk leaves(store_examined, tree, TreeWalk::Purpose::kCheck);
    while (co_await leaves.next()) entries += leaves.count();
  };
  block_on(walk(**examination));
  EXPECT_EQ(entries, 2000u);
  block_on((*examination)->close());
}

TEST_F(SealedStore, SuperblocksKeepTheWrappedKey) {
  Superblock superblock;
  superblock.geometry = *Geometry::plan({64 * kGroupBlocks, 0, 0}, 0, 0, 4u << 20);
  superblock.table.resize(superblock.geometry.table.blocks);
  ASSERT_TRUE(StoreSeal::begin(node, superblock, test_key(1), true));
  AlignedBuffer bytes(kSuperblockBytes);
  encode_superblock(superblock, bytes.span());
  const auto decoded = decode_superblock(bytes.span());
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, superblock);
  EXPECT_TRUE(decoded->sealing->mixed);
  EXPECT_TRUE(StoreSeal::unlock(node, *decoded, test_key(1)));
}

}  // namespace
}  // namespace cenote::store
