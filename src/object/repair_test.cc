// Damaged data is replaced by a copy of the same entry, also when the power goes at any device write.
#include "cenote/object/examine.h"
#include "cenote/object/scrubber.h"
#include "history_page.h"
#include "history_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kFile = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
const ObjectId kMap = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 1, 2);

struct Kind {
  const char* name;
  Compression compression;
  bool encrypted;
};

struct Stored {
  Bytes key;
  EntryDescription entry;
};

/// Two targets with the same container, each of which stores it in its own way.
class RepairTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    whole_.properties.compression = GetParam().compression;
    whole_.properties.encrypted = GetParam().encrypted;
    if (GetParam().encrypted) whole_.encrypt();
    whole_.create();
    put_data(whole_);
    if (HasFailure()) return;
    prepare_copy(whole_, damaged_);
    copy_history(whole_, damaged_);
    ASSERT_TRUE(damaged_.block_on(damaged_.objects->end_history(damaged_.container)));
    damaged_.reopen();
  }

  static void put_data(TestTarget& into) {
    for (std::uint64_t i = 0; i < 12; ++i) {
      const Bytes value = mixture(i, 5000 + 700 * i);
      ASSERT_TRUE(into.update(into.single(kMap, key_of("key-" + std::to_string(i)), key_of("value"), value), value));
    }
    const Bytes data = mixture(99, 3u << 19);
    ASSERT_TRUE(into.update(into.array(kFile, key_of(3u), key_of("data"), 1, {{0, data.size()}}, data), data));
    const Epoch snapshot(into.objects->now().value() + 1);
    ASSERT_TRUE(into.block_on(into.objects->add_snapshot(into.container, snapshot)));
    const Bytes over = mixture(98, 20'000);
    ASSERT_TRUE(into.update(into.array(kFile, key_of(3u), key_of("data"), 1, {{8192, over.size()}}, over), over));
  }

  static std::vector<Stored> stored_in(TestTarget& target) {
    std::vector<Stored> stored;
    target.each_entry(target.container, [&stored](ByteView key, ByteView value) {
      auto entry = describe_entry(key, value);
      ASSERT_TRUE(entry);
      if (!entry->extents.empty()) stored.push_back({to_bytes(key), *std::move(entry)});
    });
    return stored;
  }
  static void flip(const TestTarget& target, std::uint64_t block) {
    Bytes bytes(media::kBlockBytes);
    target.medium->read_block(media::BlockNo(block), bytes);
    bytes[20] ^= std::byte{4};
    target.medium->write_block(media::BlockNo(block), bytes);
  }
  static std::uint64_t block_of(const Stored& stored) { return stored.entry.extents[0].first.value(); }
  Result<std::vector<DamagedEntry>> damage_at(const Stored& stored) {
    const auto key = parse_key(stored.key);
    return damaged_.block_on(
        damaged_.objects->find_damaged(damaged_.container, key->object, to_bytes(key->dkey()), Until::forever()));
  }
  Result<Bytes> copy_of(const Bytes& key) {
    return whole_.block_on(whole_.objects->read_entry(whole_.container, key, Until::forever()));
  }
  Result<bool> replace(TestTarget& target, const Bytes& copy) {
    return target.block_on(target.objects->replace_damaged(target.container, copy, Until::forever()));
  }
  static std::uint64_t findings_in(TestTarget& target) {
    std::uint64_t count = 0;
    ScrubOptions options;
    options.bytes_per_second = 0;
    options.found = [&count](const TargetFinding&) { ++count; };
    const auto report = target.block_on(scrub_container(*target.store, target.container, options));
    EXPECT_TRUE(report);
    return count;
  }
  void expect_same(TestTarget& other) {
    std::vector<AkeyPlace> places{{kFile, key_of(3u), key_of("data")}};
    for (std::uint64_t i = 0; i < 12; ++i)
      places.push_back({kMap, key_of("key-" + std::to_string(i)), key_of("value")});
    SameAnswers(whole_, other).check(places, kEpochLatest);
  }

  TestTarget whole_{31}, damaged_{32};
};

TEST_P(RepairTest, DamageIsFoundAndReplacedFromACopy) {
  std::uint64_t number = 0;
  for (const Stored& stored : stored_in(damaged_)) {
    SCOPED_TRACE(++number);
    flip(damaged_, block_of(stored));
    const auto damage = damage_at(stored);
    ASSERT_TRUE(damage) << damage.error().to_string();
    ASSERT_EQ(damage->size(), 1u);
    EXPECT_EQ(damage->front().key, stored.key);
    EXPECT_EQ(damage->front().entry.epoch, stored.entry.epoch);
    const auto copy = copy_of(stored.key);
    ASSERT_TRUE(copy) << copy.error().to_string();
    const auto replaced = replace(damaged_, *copy);
    ASSERT_TRUE(replaced) << replaced.error().to_string();
    EXPECT_TRUE(*replaced);
    // What is whole stays where it is.
    EXPECT_EQ(replace(damaged_, *copy), false);
    ASSERT_TRUE(damage_at(stored)->empty());
  }
  EXPECT_GT(number, 5u);
  EXPECT_EQ(findings_in(damaged_), 0u);
  damaged_.check();
  damaged_.reopen();
  damaged_.check();
  EXPECT_EQ(findings_in(damaged_), 0u);
  expect_same(damaged_);
}

TEST_P(RepairTest, WhatIsNoCopyIsRefused) {
  const std::vector<Stored> stored = stored_in(damaged_);
  ASSERT_GT(stored.size(), 2u);
  flip(damaged_, block_of(stored[0]));
  auto copy = copy_of(stored[0].key);
  ASSERT_TRUE(copy);
  Bytes wrong = *copy;
  wrong.back() ^= std::byte{1};
  EXPECT_FALSE(replace(damaged_, wrong));
  for (std::size_t length = 0; length < std::min<std::size_t>(copy->size(), 200); ++length)
    EXPECT_FALSE(replace(damaged_, Bytes(copy->begin(), copy->begin() + static_cast<std::ptrdiff_t>(length))));
  ASSERT_EQ(damage_at(stored[0])->size(), 1u);
  EXPECT_EQ(copy_of(Bytes{std::byte{1}}).error().code(), Code::kMalformed);
  Bytes other = stored[0].key;
  other.back() ^= std::byte{1};
  EXPECT_EQ(copy_of(other).error().code(), Code::kNotFound);
  // A copy that is damaged itself is never given.
  flip(whole_, block_of(stored_in(whole_)[0]));
  const auto unreadable = copy_of(stored_in(whole_)[0].key);
  ASSERT_FALSE(unreadable);
  EXPECT_EQ(unreadable.error().code(), Code::kCorrupt);
  EXPECT_EQ(replace(damaged_, *copy), true);
  damaged_.check();
}

TEST_P(RepairTest, WhatWasPunchedAndMergedMeanwhileIsLeftAlone) {
  const std::vector<Stored> stored = stored_in(damaged_);
  const auto single = std::ranges::find_if(stored, [](const Stored& s) { return s.entry.object == kMap; });
  ASSERT_TRUE(single != stored.end());
  const auto copy = copy_of(single->key);
  ASSERT_TRUE(copy);
  flip(damaged_, block_of(*single));
  ASSERT_TRUE(damaged_.block_on(damaged_.objects->destroy_container(damaged_.container)));
  const auto gone = replace(damaged_, *copy);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code(), Code::kContainerNotFound);
}

TEST_P(RepairTest, ACutAtAnyDeviceWriteLeavesTheOldOrTheNew) {
  const std::vector<Stored> stored = stored_in(damaged_);
  std::vector<Bytes> copies;
  for (std::size_t i = 0; i < 3; ++i) {
    flip(damaged_, block_of(stored[i * stored.size() / 3]));
    const auto copy = copy_of(stored[i * stored.size() / 3].key);
    ASSERT_TRUE(copy);
    copies.push_back(*copy);
  }
  std::vector<std::unique_ptr<media::SimMedium>> images;
  damaged_.device->set_write_hook(
      [&](std::uint64_t, const media::IoRequest&) { images.push_back(damaged_.device->crash_image({})); });
  for (const Bytes& copy : copies) ASSERT_EQ(replace(damaged_, copy), true);
  ASSERT_TRUE(damaged_.block_on(damaged_.store->checkpoint()));
  damaged_.device->set_write_hook(nullptr);
  ASSERT_GT(images.size(), 5u);
  for (std::size_t cut = 0; cut < images.size() && !HasFailure(); ++cut) {
    SCOPED_TRACE(testing::Message() << "cut before device write " << cut + 1);
    TestTarget target(32);
    target.container = damaged_.container;
    target.properties = damaged_.properties;
    if (GetParam().encrypted) target.encrypt();
    target.medium = std::move(images[cut]);
    ASSERT_NO_FATAL_FAILURE(target.open());
    target.check();
    // Whatever was not replaced is as damaged as before, and can be.
    for (const Bytes& copy : copies) {
      const auto replaced = replace(target, copy);
      ASSERT_TRUE(replaced) << replaced.error().to_string();
    }
    EXPECT_EQ(findings_in(target), 0u);
    if (cut % 4 == 0) expect_same(target);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, RepairTest,
                         testing::Values(Kind{"Plain", Compression::kNone, false},
                                         Kind{"Packed", Compression::kLz4, false},
                                         Kind{"Sealed", Compression::kZstd, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace cenote::object
