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

class PackedDataTest : public testing::TestWithParam<Compression> {
 protected:
  PackedDataTest() : target_(41, 64) {
    target_.properties.compression = GetParam();
    target_.create();
  }

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
    options.cache_bytes = target_.open_options.cache_bytes;
    options.found = [&found](const TargetFinding& finding) { found.push_back(finding); };
    EXPECT_TRUE(target_.block_on(check_target(target_.node, store::Devices::one(*target_.device), std::move(options))));
    return found;
  }

  TestTarget target_;
};
INSTANTIATE_TEST_SUITE_P(Codecs, PackedDataTest, testing::Values(Compression::kLz4, Compression::kZstd));

TEST_P(PackedDataTest, TakesLessSpaceAndComesBackWhateverPartIsRead) {
  const std::uint64_t before = free_blocks();
  const Bytes data = mixture(7, kArrayWindowBytes);
  write(0, data);
  const std::uint64_t used = before - free_blocks();
  EXPECT_LT(used, chunk_count(data.size()) * 3 / 4);
  EXPECT_GT(target_.objects->counters().packed_stored_bytes, 0u);
  EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->logical_bytes, data.size());
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
  EXPECT_EQ(target_.objects->counters().packed_bytes, 0u);
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

TEST_P(PackedDataTest, AnOldBuildRefusesTheContainer) {
  const auto version = target_.block_on(target_.store->run([this](store::View& view) -> Result<std::byte> {
    const store::TreeId system = *target_.store->find_tree(kSystemTreeName);
    TRY(const auto value, view.get(system, container_key(RecordKind::kContainer, target_.container)));
    return (*value)[0];
  }));
  EXPECT_EQ(*version, std::byte{4});
  target_.reopen();
  EXPECT_EQ(target_.block_on(target_.objects->container_properties(target_.container))->compression, GetParam());
}

}  // namespace
}  // namespace cenote::object
