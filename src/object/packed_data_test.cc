#include "cenote/object/examine.h"
#include "records.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

Bytes repeated(std::size_t bytes, std::size_t period) {
  Bytes out = pattern(period, bytes);
  for (std::size_t i = period; i < bytes; ++i) out[i] = out[i - period];
  return out;
}

struct Packed {
  Compression compression;
  bool encrypted;
};

class PackedDataTest : public testing::TestWithParam<Packed> {
 protected:
  PackedDataTest() : target_(41, 64) {
    target_.properties = {.compression = GetParam().compression, .encrypted = GetParam().encrypted};
    if (GetParam().encrypted) target_.encrypt();
    target_.create();
  }
  bool compressed() const { return GetParam().compression != Compression::kNone; }

  void write(std::uint64_t first, ByteView data, std::string_view akey = "a") {
    const auto put =
        target_.update(target_.array(kObject, key_of("d"), key_of(akey), 1, {{first, data.size()}}, data), data);
    ASSERT_TRUE(put) << put.error().to_string();
  }
  Result<Fetched> read(std::uint64_t first, std::uint64_t bytes, std::string_view akey = "a") {
    auto request = target_.fetch_array(kObject, key_of("d"), key_of(akey), {{first, bytes}});
    request.akeys[0].max_bytes = bytes;
    return target_.fetch(request);
  }
  void expect(ByteView all, std::uint64_t first, std::uint64_t bytes) {
    const auto fetched = read(first, bytes);
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    ASSERT_TRUE(equal(joined(*fetched), all.subspan(first, bytes))) << first << " + " << bytes;
    Checksums checksums;
    append_checksums(all.subspan(first, bytes), checksums);
    ASSERT_EQ(fetched->reply.akeys[0].checksums, checksums);
  }
  std::uint64_t free_blocks() { return target_.store->status().data_blocks_free; }
  std::vector<TargetFinding> findings() {
    target_.power_off();
    target_.power_on();
    std::vector<TargetFinding> found;
    TargetCheckOptions options;
    options.key = target_.open_options.key;
    options.cache_bytes = target_.open_options.cache_bytes;
    options.found = [&found](const TargetFinding& finding) { found.push_back(finding); };
    EXPECT_TRUE(target_.block_on(check_target(target_.node, store::Devices::one(*target_.device), std::move(options))));
    return found;
  }

  TestTarget target_;
};
INSTANTIATE_TEST_SUITE_P(Codecs, PackedDataTest,
                         testing::Values(Packed{Compression::kLz4, false}, Packed{Compression::kZstd, false},
                                         Packed{Compression::kNone, true}, Packed{Compression::kLz4, true}));

TEST_P(PackedDataTest, TakesLessSpaceAndComesBackWhateverPartIsRead) {
  const std::uint64_t before = free_blocks();
  const Bytes data = mixture(7, kArrayWindowBytes);
  write(0, data);
  const std::uint64_t used = before - free_blocks();
  EXPECT_LE(used, compressed() ? chunk_count(data.size()) * 3 / 4 : chunk_count(data.size()));
  EXPECT_EQ(target_.objects->counters().packed_stored_bytes > 0, compressed());
  EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->bytes, data.size());
  std::mt19937_64 random(3);
  expect(data, 0, data.size());
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t first = random() % (data.size() - 1);
    ASSERT_NO_FATAL_FAILURE(expect(data, first, 1 + random() % std::min<std::uint64_t>(data.size() - first, 70'000)));
  }
  target_.reopen();
  expect(data, 100'000, 4096);
  target_.check();
  EXPECT_TRUE(findings().empty());
}

TEST_P(PackedDataTest, WhatBecomesShortEnoughLiesInTheEntry) {
  if (!compressed()) return;
  const std::uint64_t before = free_blocks();
  const Bytes data = repeated(4096, 8);
  write(0, data);
  EXPECT_EQ(free_blocks(), before);
  expect(data, 0, 4096);
  expect(data, 1000, 96);
  target_.reopen();
  expect(data, 0, 4096);
  EXPECT_TRUE(findings().empty());
}

TEST_P(PackedDataTest, WhatDoesNotBecomeSmallerIsStoredAsItIs) {
  const Bytes data = pattern(9, 300'000);
  const std::uint64_t before = free_blocks();
  write(0, data);
  EXPECT_EQ(before - free_blocks(), chunk_count(data.size()));
  if (!GetParam().encrypted) EXPECT_EQ(target_.objects->counters().packed_bytes, 0u);
  expect(data, 12'345, 100'000);
}

TEST_P(PackedDataTest, SeveralPiecesOfOneUpdateArePackedEachForItself) {
  Bytes data = repeated(500'000, 50);
  const Bytes noise = pattern(4, 300'000);
  data.insert(data.end(), noise.begin(), noise.end());
  const Bytes more = repeated(700'001, 70);
  data.insert(data.end(), more.begin(), more.end());
  // Two windows, and an odd place.
  const std::uint64_t first = kArrayWindowBytes - 400'001;
  write(first, data);
  const auto fetched = read(first, data.size());
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_TRUE(joined(*fetched) == data);
  target_.check();
}

TEST_P(PackedDataTest, AggregationGivesBackTheUnitsThatNobodySees) {
  Bytes data = repeated(kArrayWindowBytes, 5000);
  write(0, data);
  const std::uint64_t after_first = free_blocks();
  const Bytes noise = pattern(6, 600'000);
  write(100'000, noise);
  std::ranges::copy(noise, data.begin() + 100'000);
  const std::uint64_t before = free_blocks();
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  EXPECT_GT(target_.objects->counters().reclaimed_blocks, 20u);
  ASSERT_TRUE(target_.block_on(target_.store->checkpoint()));
  EXPECT_GT(free_blocks(), before);
  EXPECT_LT(free_blocks(), after_first);
  target_.check();
  expect(data, 0, data.size());
  expect(data, 90'000, 20'000);
  expect(data, 699'000, 100'000);
  target_.reopen();
  expect(data, 0, data.size());
  EXPECT_TRUE(findings().empty());
}

TEST_P(PackedDataTest, DamageIsNamedByReadersAndByTheCheck) {
  const Bytes data = repeated(kArrayWindowBytes, 9000);
  write(0, data);
  write(0, data, "whole");
  ASSERT_TRUE(target_.block_on(target_.store->checkpoint()));
  const auto owned = target_.block_on(target_.objects->owned_extents());
  ASSERT_TRUE(owned);
  const store::Extent victim = owned->front();
  target_.power_off();
  std::array<std::byte, media::kBlockBytes> block{};
  target_.medium->read_block(victim.first, block);
  block[100] ^= std::byte{1};
  target_.medium->write_block(victim.first, block);
  target_.open();
  int damaged = 0;
  for (const std::string_view akey : {"a", "whole"}) {
    const auto all = read(0, data.size(), akey);
    if (all) {
      EXPECT_TRUE(joined(*all) == data);
      continue;
    }
    ++damaged;
    EXPECT_EQ(all.error(), Code::kCorrupt);
    EXPECT_NE(all.error().message().find(akey), std::string::npos) << all.error().message();
    // What other units hold is readable.
    EXPECT_TRUE(read(data.size() - 4096, 4096, akey));
  }
  EXPECT_EQ(damaged, 1);
  const auto found = findings();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].finding.kind, store::FindingKind::kData);
  EXPECT_EQ(found[0].finding.block, victim.first.value());
  EXPECT_TRUE(found[0].first);
}

TEST(EncryptedData, IsNowhereOnTheMediumAndOpensWithItsKeyOnly) {
  TestTarget target(43, 64);
  target.encrypt();
  target.properties.encrypted = true;
  target.create();
  // Large enough for blocks of its own, and small enough for the entry.
  Bytes large;
  const std::string line = "a sentence that nobody else may read; ";
  while (large.size() < 200'000) large.insert(large.end(), as_bytes(line).begin(), as_bytes(line).end());
  const Bytes small = to_bytes(as_bytes(line));
  ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("large"), large), large));
  ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("small"), small), small));
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
  target.power_off();
  std::array<std::byte, media::kBlockBytes> block{};
  const std::string_view secret = "nobody else may read";
  for (std::uint64_t i = 0; i < target.medium->block_count(); ++i) {
    target.medium->read_block(media::BlockNo(i), block);
    ASSERT_EQ(to_text(block).find(secret), std::string::npos) << "block " << i;
  }
  target.open();
  {
    const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("large")));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    EXPECT_TRUE(joined(*fetched) == large);
  }
  target.power_off();
  target.open_options.key.reset();
  EXPECT_EQ(code_of(target.try_open()), Code::kKeyNeeded);
}

TEST(EncryptedData, TwoContainersAndTwoWritesShareNothing) {
  TestTarget target(44, 64);
  target.encrypt();
  target.properties.encrypted = true;
  target.create();
  const Bytes data = pattern(3, 8192);
  const auto stored = [&](std::string_view akey) {
    EXPECT_TRUE(target.update(target.single(kObject, key_of("d"), key_of(akey), data), data));
    const auto owned = target.block_on(target.objects->owned_extents());
    Bytes all;
    for (const store::Extent& extent : *owned) {
      for (std::uint64_t i = 0; i < extent.blocks; ++i) {
        Bytes block(media::kBlockBytes);
        target.medium->read_block(media::BlockNo(extent.first.value() + i), block);
        all.insert(all.end(), block.begin(), block.end());
      }
    }
    return all;
  };
  stored("first");
  const Bytes all = stored("second");
  ASSERT_EQ(all.size(), 2 * data.size());
  for (std::size_t a = 0; a < all.size(); a += media::kBlockBytes)
    for (std::size_t b = 0; b < a; b += media::kBlockBytes)
      EXPECT_FALSE(equal(ByteView(all).subspan(a, 64), ByteView(all).subspan(b, 64)));
}

TEST(EncryptedData, NeedsAStoreThatIs) {
  TestTarget target(45, 64);
  target.create();
  EXPECT_EQ(code_of(target.block_on(target.objects->create_container(Uuid::from_random(1, 2), {.encrypted = true}))),
            Code::kKeyNeeded);
}

TEST_P(PackedDataTest, AnOldBuildRefusesTheContainer) {
  const auto version = target_.block_on(target_.store->run([this](store::View& view) -> Result<std::byte> {
    const store::TreeId system = *target_.store->find_tree(kSystemTreeName);
    TRY(const auto value, view.get(system, container_key(RecordKind::kContainer, target_.container)));
    return (*value)[0];
  }));
  EXPECT_EQ(*version, std::byte{4});
  target_.reopen();
  EXPECT_EQ(target_.block_on(target_.objects->container_properties(target_.container))->compression,
            GetParam().compression);
}

}  // namespace
}  // namespace cenote::object
