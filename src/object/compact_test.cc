/// Targets whose free space lies in holes between values that stay.
#include <map>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kUint64, 1, 1);
constexpr std::uint64_t kAtOnce = 16;

/// Values of several sizes under one object, sixteen to a dkey, and what they are to be.
class Values {
 public:
  explicit Values(std::uint64_t seed, std::uint64_t mib = 40) : target(seed, mib), random(seed) {
    target.options.aggregation = true;
  }

  std::uint64_t count() const { return kept_.size(); }
  double free() const {
    const store::StoreStatus status = target.store->status();
    return static_cast<double>(status.data_blocks_free) / static_cast<double>(status.data_blocks_total);
  }

  /// Sixteen values under the next dkey, of one of the sizes each.
  Code put(std::span<const std::size_t> sizes) {
    UpdateRequest request{
        .container = target.container, .object = kObject, .dkey = key_of(next_), .akeys = {}, .id = {}};
    Bytes payload;
    for (std::uint64_t i = 0; i < kAtOnce; ++i) {
      const Bytes value = value_of({next_, i}, sizes[random() % sizes.size()]);
      request.akeys.push_back(target.single(kObject, {}, key_of(i), value).akeys[0]);
      payload.insert(payload.end(), value.begin(), value.end());
    }
    const auto updated = target.update(request, payload);
    if (!updated) return updated.error().code();
    for (std::uint64_t i = 0; i < kAtOnce; ++i) kept_[{next_, i}] = request.akeys[i].bytes;
    ++next_;
    return Code::kOk;
  }
  /// Until nothing fits; returns how many.
  std::uint64_t fill(std::span<const std::size_t> sizes) {
    const std::uint64_t before = count();
    Code code = Code::kOk;
    while (code == Code::kOk) code = put(sizes);
    EXPECT_EQ(code, Code::kNoSpace);
    return count() - before;
  }
  /// Deletes those that `goes` names by number and size, for good.
  template <typename Goes>
  void erase(Goes goes) {
    for (std::uint64_t dkey = 0; dkey < next_; ++dkey) {
      PunchRequest request{.container = target.container,
                           .object = kObject,
                           .level = PunchLevel::kAkey,
                           .dkey = key_of(dkey),
                           .akeys = {},
                           .ranges = {},
                           .id = {}};
      for (std::uint64_t i = 0; i < kAtOnce; ++i)
        if (const auto kept = kept_.find({dkey, i}); kept != kept_.end() && goes(i, kept->second)) {
          request.akeys.push_back(key_of(i));
          kept_.erase(kept);
        }
      if (!request.akeys.empty()) ASSERT_TRUE(target.punch(request));
    }
    ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    target.world.run_until([] { return false; }, std::chrono::milliseconds(10));  // so that it is durable
  }

  void verify() {
    for (const auto& [key, bytes] : kept_) {
      const auto fetched = target.fetch(target.fetch_single(kObject, key_of(key.first), key_of(key.second)));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      ASSERT_TRUE(joined(*fetched) == value_of(key, bytes)) << key.first << '/' << key.second;
    }
    target.check();
  }

  TestTarget target;
  std::mt19937_64 random;

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  static Bytes value_of(const Key& key, std::size_t bytes) { return pattern(key.first * 100 + key.second, bytes); }

  std::uint64_t next_ = 0;
  std::map<Key, std::size_t> kept_;
};

struct Sizes {
  const char* name;
  std::vector<std::size_t> sizes;
  bool every_second = false;
};

class FullOfHoles : public testing::TestWithParam<Sizes> {};

INSTANTIATE_TEST_SUITE_P(Values, FullOfHoles,
                         testing::Values(Sizes{"OfThreeBlocksEverySecondDeleted", {9000}, true},
                                         Sizes{"OfOneToFiveBlocksSomeDeleted", {4000, 8000, 9000, 20'000}},
                                         Sizes{"OfOneBlock", {4000}}),
                         [](const auto& info) { return info.param.name; });

TEST_P(FullOfHoles, TakesSmallValuesUntilTheFreeSpaceIsUsed) {
  Values values(31);
  values.target.create();
  values.fill(GetParam().sizes);
  const double full = values.free();
  values.erase(
      [&](std::uint64_t i, std::size_t) { return GetParam().every_second ? i % 2 == 0 : values.random() % 2 == 0; });
  const double holes = values.free();
  ASSERT_GT(holes, 0.3);
  // Inline: they need pages only.
  const std::size_t small[] = {1900};
  const std::uint64_t count = values.fill(small);
  EXPECT_GT(values.target.objects->counters().compacted_groups, 2u);
  EXPECT_EQ(values.target.objects->counters().background_failures, 0u);
  EXPECT_LT(values.free(), full + 0.01) << count << " small values";
  values.verify();
  // What makes room on a full target still works: deletes, and writing again.
  values.erase([](std::uint64_t i, std::size_t) { return i % 4 == 0; });
  EXPECT_EQ(values.put(small), Code::kOk);
  values.target.reopen();
  values.verify();
}

TEST_P(FullOfHoles, TakesAsManyValuesAgainAsWereDeleted) {
  Values values(32);
  values.target.create();
  const std::uint64_t count = values.fill(GetParam().sizes);
  values.erase(
      [&](std::uint64_t i, std::size_t) { return GetParam().every_second ? i % 2 == 0 : values.random() % 2 == 0; });
  values.fill(GetParam().sizes);
  EXPECT_GE(values.count(), count * 95 / 100);
  values.verify();
}

TEST(Compaction, MakesNothingWorseWhereNothingIsToBeGained) {
  Values values(33);
  values.target.create();
  const std::size_t sizes[] = {9000};
  values.fill(sizes);
  const std::uint64_t compacted = values.target.objects->counters().compacted_blocks;
  // Each of these is refused at once: compaction knows that nothing has changed.
  const Instant begun = values.target.node.now();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(values.put(sizes), Code::kNoSpace);
  EXPECT_LT(values.target.node.now() - begun, std::chrono::seconds(1));
  EXPECT_LE(values.target.objects->counters().compacted_blocks, compacted + 1000);
  values.verify();
}

/// Some groups half full, with a device that can be spoilt.
void make_holes(Values& values, std::uint64_t dkeys, std::span<const std::size_t> sizes) {
  for (std::uint64_t i = 0; i < dkeys; ++i) ASSERT_EQ(values.put(sizes), Code::kOk);
  values.erase([](std::uint64_t i, std::size_t) { return i % 2 == 0; });
}

TEST(Compaction, WhatIsDamagedStaysWhereItIs) {
  Values values(34);
  values.target.options.aggregation = false;
  values.target.create();
  const std::size_t sizes[] = {9000};
  ASSERT_NO_FATAL_FAILURE(make_holes(values, 60, sizes));
  const auto owned = values.target.block_on(values.target.objects->owned_extents());
  ASSERT_TRUE(owned);
  // One in every group, so that none can be vacated: nothing else is moved for ever.
  Bytes block(media::kBlockBytes, std::byte{1});
  std::uint64_t group = 0, damaged = 0;
  for (const store::Extent& extent : *owned) {
    if (extent.first.value() / store::kGroupBlocks == group) continue;
    group = extent.first.value() / store::kGroupBlocks;
    values.target.medium->write_block(extent.first, block);
    ++damaged;
  }
  ASSERT_GT(damaged, 3u);
  ASSERT_TRUE(values.target.block_on(values.target.objects->compact()));
  const ObjectStoreCounters counters = values.target.objects->counters();
  EXPECT_EQ(counters.compacted_groups, 0u);
  EXPECT_GT(counters.compacted_blocks, 0u);
  const auto left = values.target.block_on(values.target.objects->owned_extents());
  ASSERT_TRUE(left);
  std::uint64_t corrupt = 0;
  for (std::uint64_t dkey = 0; dkey < 60; ++dkey)
    for (std::uint64_t i = 1; i < kAtOnce; i += 2) {
      const auto fetched = values.target.fetch(values.target.fetch_single(kObject, key_of(dkey), key_of(i)));
      if (fetched) continue;
      EXPECT_EQ(code_of(fetched), Code::kCorrupt);
      ++corrupt;
    }
  EXPECT_EQ(corrupt, damaged);
  values.target.check();
  ASSERT_TRUE(values.target.block_on(values.target.objects->compact()));
  EXPECT_EQ(values.target.objects->counters().compacted_blocks, counters.compacted_blocks);
}

TEST(Compaction, LongDataIsNotCutIntoManyPieces) {
  Values values(35);
  values.target.options.aggregation = false;
  values.target.create();
  const std::size_t sizes[] = {4000, 80'000, 80'000};
  for (int i = 0; i < 12; ++i) ASSERT_EQ(values.put(sizes), Code::kOk);
  // Holes of one block between twenty that stay.
  values.erase([](std::uint64_t, std::size_t bytes) { return bytes == 4000; });
  ASSERT_TRUE(values.target.block_on(values.target.objects->compact()));
  values.target.each_entry(values.target.container, [](ByteView, ByteView value) {
    const auto entry = decode_entry(value);
    if (entry->holds_data()) EXPECT_LE(entry->extent_count, std::max<std::uint64_t>(4, entry->blocks() / 2));
  });
  values.verify();
}

TEST(Compaction, WhatIsPreparedStaysAndIsCommitted) {
  Values values(36);
  TestTarget& target = values.target;
  target.options.aggregation = false;
  target.create();
  const std::size_t sizes[] = {9000};
  ASSERT_NO_FATAL_FAILURE(make_holes(values, 30, sizes));
  const auto epoch = target.block_on(target.objects->draw_epoch(Until::forever()));
  ASSERT_TRUE(epoch);
  const EntryName name{.leader = 1, .epoch = *epoch};
  const Bytes data = pattern(77, 30'000);
  CommitRequest request;
  request.container = target.container;
  request.updates.push_back(target.single(kObject, key_of(1000u), key_of(1u), data));
  const auto prepared = target.block_on(
      target.objects->prepare(request, name, {}, target.buffer_of(data), data.size(), Until::forever()));
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  ASSERT_TRUE(target.block_on(target.objects->compact()));
  EXPECT_GT(target.objects->counters().compacted_groups, 0u);
  target.check();
  target.reopen();
  ASSERT_TRUE(target.block_on(target.objects->change_entry(name, EntryEvent::kCommit)));
  ASSERT_TRUE(target.block_on(target.objects->compact()));
  const auto fetched = target.fetch(target.fetch_single(kObject, key_of(1000u), key_of(1u)));
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_TRUE(joined(*fetched) == data);
  values.verify();
}

/// Single values and arrays, old versions that a snapshot keeps, and what a clone shows of its source, packed or not.
class EveryKind : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Packed, EveryKind, testing::Range<std::uint64_t>(0, 4));

TEST_P(EveryKind, IsMovedUnseen) {
  TestTarget target(40 + GetParam());
  target.options.inline_bytes = 100;
  target.properties.compression = static_cast<Compression>(GetParam() % 3);
  target.properties.encrypted = GetParam() >= 2;
  target.properties.checksums = GetParam() != 3;
  if (target.properties.encrypted) target.encrypt();
  target.create();
  const Uuid source = target.container, clone = Uuid::from_random(5, GetParam());
  const auto write = [&](std::uint64_t version, std::uint64_t keys) {
    for (std::uint64_t key = 0; key < keys; ++key) {
      const Bytes value = mixture(version * 1000 + key, 3000 + key % 40 * 2000);
      ASSERT_TRUE(target.update(target.single(kObject, key_of(key), key_of(1u), value), value));
      const Bytes records = mixture(version * 2000 + key, 40'000);
      ASSERT_TRUE(target.update(
          target.array(kObject, key_of(key), key_of(2u), 8, {{kArrayWindowBytes / 8 - 1000 - version, 5000}}, records),
          records));
    }
  };
  ASSERT_NO_FATAL_FAILURE(write(1, 80));
  const Epoch kept(target.objects->now().value() + 2);
  ASSERT_TRUE(target.block_on(target.objects->add_snapshot(source, kept)));
  ASSERT_TRUE(target.block_on(target.objects->clone_container(clone, target.properties, {source, kept})));
  ASSERT_NO_FATAL_FAILURE(write(2, 80));
  target.container = clone;
  ASSERT_NO_FATAL_FAILURE(write(3, 10));
  target.container = source;
  ASSERT_NO_FATAL_FAILURE(write(4, 50));
  const auto shown = [&] {
    std::vector<Bytes> all;
    for (const auto& [container, epoch] : {std::pair(source, kEpochLatest), {source, kept}, {clone, kEpochLatest}})
      for (std::uint64_t key = 0; key < 80; ++key) {
        target.container = container;
        const auto single = target.fetch(target.fetch_single(kObject, key_of(key), key_of(1u), epoch));
        EXPECT_TRUE(single) << single.error().to_string();
        auto request =
            target.fetch_array(kObject, key_of(key), key_of(2u), {{kArrayWindowBytes / 8 - 2000, 8000}}, epoch);
        const auto array = target.fetch(request);
        EXPECT_TRUE(array) << array.error().to_string();
        if (!single || !array) continue;
        all.push_back(joined(*single));
        all.push_back(joined(*array));
      }
    return all;
  };
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  const std::vector<Bytes> before = shown();
  ASSERT_TRUE(target.block_on(target.objects->compact()));
  EXPECT_GT(target.objects->counters().compacted_groups, 0u);
  target.check();
  EXPECT_TRUE(shown() == before);
  target.reopen();
  EXPECT_TRUE(shown() == before);
  ASSERT_TRUE(target.block_on(target.objects->flatten(clone)));
  ASSERT_TRUE(target.block_on(target.objects->compact()));
  EXPECT_TRUE(shown() == before);
  target.check();
}

}  // namespace
}  // namespace cenote::object
