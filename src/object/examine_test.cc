#include "cenote/object/examine.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/store/log_listing.h"
#include "keys.h"
#include "target_test_kit.h"
#include "values.h"

namespace cenote::object {
namespace {

const ObjectId kFile = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
const ObjectId kMap = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 1, 2);

/// A target with inline and stored single values, an array with overwrites, punches and a second container, closed in
/// good order; tests then damage the medium and check it.
class ExamineTarget : public ::testing::Test, public TestTarget {
 protected:
  ExamineTarget() : TestTarget(21, 64) {}

  void SetUp() override {
    create();
    for (std::uint64_t i = 0; i < 40; ++i) {
      const Bytes value = pattern(i, i % 2 == 0 ? 300 : 9000);
      ASSERT_TRUE(update(single(kMap, key_of("key-" + std::to_string(i)), key_of("value"), value), value));
    }
    const Bytes data = pattern(99, 3u << 19);
    ASSERT_TRUE(update(array(kFile, key_of(3u), key_of("data"), 1, {{0, data.size()}}, data), data));
    ASSERT_TRUE(update(array(kFile, key_of(3u), key_of("data"), 1, {{8192, 20'000}}, ByteView(data).first(20'000)),
                       ByteView(data).first(20'000)));
    PunchRequest gone{.container = container,
                      .object = kMap,
                      .level = PunchLevel::kDkey,
                      .dkey = key_of("key-1"),
                      .akeys = {},
                      .id = {}};
    ASSERT_TRUE(punch(gone));
    power_off();
  }

  void read(std::uint64_t block, Bytes& bytes) const { medium->read_block(media::BlockNo(block), bytes); }
  void flip(std::uint64_t block, std::size_t byte = 100) {
    Bytes bytes(media::kBlockBytes);
    read(block, bytes);
    bytes[byte] ^= std::byte{4};
    medium->write_block(media::BlockNo(block), bytes);
  }
  std::uint32_t digest() const {
    Bytes bytes(media::kBlockBytes);
    std::uint32_t crc = 0;
    for (std::uint64_t block = 0; block < 64 * store::kGroupBlocks; ++block) {
      read(block, bytes);
      crc = crc32c(bytes, crc);
    }
    return crc;
  }

  struct Outcome {
    std::vector<TargetFinding> findings;
    Result<TargetCheckReport> report;

    std::uint64_t count(store::FindingKind kind) const {
      return static_cast<std::uint64_t>(
          std::ranges::count_if(findings, [&](const TargetFinding& found) { return found.finding.kind == kind; }));
    }
  };
  Outcome check(bool data = true) {
    const std::uint32_t before = digest();
    Outcome outcome;
    TargetCheckOptions check_options;
    check_options.cache_bytes = store::kMinCacheBytes;
    check_options.data = data;
    check_options.found = [&outcome](const TargetFinding& found) { outcome.findings.push_back(found); };
    check_options.progress = [this](std::uint64_t done, std::uint64_t total) {
      EXPECT_LE(done, total);
      progress = done;
    };
    power_on();
    outcome.report = block_on(check_target(node, store::Devices::one(*device), std::move(check_options)));
    power_off();
    EXPECT_EQ(digest(), before) << "the check wrote";
    return outcome;
  }
  /// Changes the container's tree by a batch of the store's own, as a defect of the layer above would.
  void change(const std::function<void(store::TreeId, store::Batch&)>& edit) {
    open();
    store::Batch batch;
    edit(container_tree(), batch);
    ASSERT_TRUE(block_on(store->commit(std::move(batch))));
    power_off();
  }
  store::TreeId container_tree() {
    const auto found = block_on(store->run([this](store::View& view) -> Result<store::TreeId> {
      TRY(const auto value,
          view.get(*store->find_tree(kSystemTreeName), container_key(RecordKind::kContainer, container)));
      TRY(const ContainerRecord record, decode_container(*value));
      return record.tree;
    }));
    EXPECT_TRUE(found);
    return found.value_or(store::TreeId{});
  }
  /// The extents of an akey's versions, from what the store shows of it.
  std::vector<StoredVersion> versions(const ObjectId& object, std::optional<std::string> dkey = std::nullopt) {
    std::vector<StoredVersion> shown;
    power_on();
    shown_ = block_on(show(this, object, std::move(dkey), &shown));
    power_off();
    return shown;
  }
  static Task<Result<>> show(ExamineTarget* self, ObjectId object, std::optional<std::string> dkey,
                             std::vector<StoredVersion>* shown) {
    store::ExamineOptions examine;
    examine.cache_bytes = store::kMinCacheBytes;
    CO_TRY(const auto examination,
           co_await store::Examination::open(self->node, store::Devices::one(*self->device), std::move(examine)));
    ShowObjectOptions options;
    options.container = self->container;
    options.object = object;
    options.dkey = std::move(dkey);
    options.found = [shown](const StoredVersion& version) { shown->push_back(version); };
    auto outcome = co_await show_object(*examination, std::move(options));
    co_await examination->close();
    co_return outcome;
  }

  std::uint64_t progress = 0;
  Result<> shown_;
};

TEST_F(ExamineTarget, FindsNothingInAWholeTarget) {
  const Outcome outcome = check();
  ASSERT_TRUE(outcome.report) << outcome.report.error().to_string();
  for (const TargetFinding& found : outcome.findings) ADD_FAILURE() << found.finding.message;
  EXPECT_TRUE(outcome.report->recovered);
  EXPECT_EQ(outcome.report->containers, 1u);
  EXPECT_EQ(outcome.report->objects, 2u);
  EXPECT_EQ(outcome.report->dkeys, 41u);
  EXPECT_EQ(outcome.report->verified_bytes, outcome.report->inline_bytes + outcome.report->stored_bytes);
  EXPECT_EQ(outcome.report->inline_bytes, 20u * 300);
  EXPECT_EQ(outcome.report->stored_bytes, 20u * 9000 + (3u << 19) + 20'000);
  EXPECT_EQ(progress, outcome.report->store.images * 16384 + outcome.report->store.extent_blocks * 4096);
}

TEST_F(ExamineTarget, AFlippedBitInStoredDataNamesWhoseItIs) {
  const auto versions_before = versions(kFile);
  const auto whole = std::ranges::find_if(versions_before, [](const StoredVersion& version) {
    return version.entry.type == "extent" && version.entry.first == 0u;
  });
  ASSERT_NE(whole, versions_before.end());
  const std::uint64_t block = whole->entry.extents.at(0).first.value() + 2;
  flip(block);
  const Outcome outcome = check();
  ASSERT_EQ(outcome.findings.size(), 1u);
  const TargetFinding& found = outcome.findings[0];
  EXPECT_EQ(found.finding.kind, store::FindingKind::kData);
  EXPECT_EQ(found.container, container);
  EXPECT_EQ(found.object, kFile);
  EXPECT_EQ(found.dkey, "3");
  EXPECT_EQ(found.akey, "data");
  EXPECT_EQ(found.first, 8192u);
  EXPECT_EQ(found.records, 4096u);
  EXPECT_EQ(found.finding.block, block);
  EXPECT_EQ(outcome.report->damages, 1u);
  EXPECT_TRUE(check(false).findings.empty()) << "nobody asked for data";
  const auto after = versions(kFile);
  EXPECT_EQ(std::ranges::count_if(after, [](const StoredVersion& v) { return v.data.starts_with("damaged"); }), 1);
}

TEST_F(ExamineTarget, AnInlineValueThatIsNotWhatItsChecksumSays) {
  change([](store::TreeId tree, store::Batch& batch) {
    const Bytes value = pattern(1, 50);
    const std::uint32_t wrong[] = {12345};
    ValueBytes encoded;
    append_inline({.type = EntryType::kSingle, .bytes = 50, .checksums = wrong}, value, encoded);
    KeyPath path(kMap, as_bytes("odd"));
    path.set_akey(as_bytes("value"));
    batch.put(tree, path.single(Epoch(77)), encoded.view());
  });
  const Outcome outcome = check(false);
  ASSERT_EQ(outcome.count(store::FindingKind::kData), 1u);
  EXPECT_EQ(outcome.findings[0].dkey, "odd");
  EXPECT_EQ(outcome.findings[0].epoch, Epoch(77));
  // The container's count of bytes does not know of it.
  EXPECT_EQ(outcome.report->warnings, 1u);
}

TEST_F(ExamineTarget, TwoValuesInOneBlockAreBothNamed) {
  const auto shown = versions(kMap, "key-3");
  ASSERT_EQ(shown.size(), 1u);
  const store::Extent taken = shown[0].entry.extents.at(0);
  change([&](store::TreeId tree, store::Batch& batch) {
    ValueBytes encoded;
    const store::Extent extents[] = {{taken.first, 1}};
    append_stored({.type = EntryType::kSingle, .bytes = 4000, .checksums = {}}, extents, encoded);
    KeyPath path(kMap, as_bytes("thief"));
    path.set_akey(as_bytes("value"));
    batch.put(tree, path.single(Epoch(78)), encoded.view());
  });
  const Outcome outcome = check();
  std::vector<std::string> named;
  for (const TargetFinding& found : outcome.findings) {
    if (found.finding.kind == store::FindingKind::kBlock) named.push_back(*found.dkey);
  }
  EXPECT_EQ(named, (std::vector<std::string>{"key-3", "thief"}));
  EXPECT_EQ(outcome.report->store.disputed_blocks, 1u);
}

TEST_F(ExamineTarget, ABlockThatNobodyNamesIsLost) {
  open();
  const auto extent = store->reserve(5, store::SpaceClass::kForeground);
  ASSERT_TRUE(extent);
  store::Batch batch;
  batch.claim(*extent);
  ASSERT_TRUE(block_on(store->commit(std::move(batch))));
  power_off();
  const Outcome outcome = check();
  ASSERT_EQ(outcome.findings.size(), 1u);
  EXPECT_EQ(outcome.findings[0].finding.kind, store::FindingKind::kLostSpace);
  EXPECT_EQ(outcome.findings[0].finding.block, extent->first.value());
  EXPECT_EQ(outcome.report->store.lost_blocks, extent->blocks);
}

TEST_F(ExamineTarget, EntriesThatAreNoneAreNamedAndTheRestGoesOn) {
  change([](store::TreeId tree, store::Batch& batch) {
    batch.put(tree, as_bytes("no key"), as_bytes("no value"));
    KeyPath path(kMap, as_bytes("bent"));
    path.set_akey(as_bytes("value"));
    ValueBytes hole;
    append_hole(5, hole);
    batch.put(tree, path.single(Epoch(79)), hole.view());  // a hole where a single value has to be
  });
  const Outcome outcome = check();
  EXPECT_EQ(outcome.count(store::FindingKind::kEntry), 2u);
  EXPECT_EQ(outcome.findings.size(), 2u);
  EXPECT_EQ(outcome.report->dkeys, 41u);
}

TEST_F(ExamineTarget, ADamagedPageNamesTheEntriesThatAreLost) {
  const Outcome whole = check();
  const auto image = medium->clone();
  std::uint64_t hurt = 0;
  for (std::uint64_t block = store::kGroupBlocks; block < 64 * store::kGroupBlocks && hurt < 3; block += 4) {
    Bytes bytes(media::kBlockBytes);
    read(block, bytes);
    if (load_le<std::uint32_t>(bytes.data() + 4) != 0x67506e43) continue;
    flip(block);
    const Outcome outcome = check();
    for (const TargetFinding& found : outcome.findings) {
      if (!found.finding.lost || !is_container_tree(found.finding.tree_name)) continue;
      ++hurt;
      EXPECT_EQ(found.container, container);
      EXPECT_NE(found.finding.message.find("lost are the entries from"), std::string::npos) << found.finding.message;
      EXPECT_LT(outcome.report->entries, whole.report->entries);
    }
    // What the lost entries used is no leak to be given back.
    for (const TargetFinding& found : outcome.findings) {
      if (found.finding.kind == store::FindingKind::kLostSpace)
        EXPECT_EQ(found.finding.severity, store::Severity::kWarning);
    }
    medium = image->clone();
  }
  EXPECT_GE(hurt, 1u);
}

TEST_F(ExamineTarget, WithADamagedLogDataThatMayBeNewerIsNotJudged) {
  const auto shown = versions(kMap, "key-3");
  ASSERT_EQ(shown.size(), 1u);
  open();
  for (std::uint64_t i = 0; i < 8; ++i) {
    const Bytes value = pattern(i, 100);
    ASSERT_TRUE(update(single(kMap, key_of("late-" + std::to_string(i)), key_of("value"), value), value));
  }
  device->crash({});
  power_off();
  std::vector<std::uint64_t> blocks;
  store::LogListingOptions listing;
  listing.group = [&blocks](const store::LogGroup& group) { blocks.push_back(group.block); };
  power_on();
  ASSERT_TRUE(block_on(store::list_log(node, store::Devices::one(*device), std::move(listing))));
  power_off();
  ASSERT_GT(blocks.size(), 5u);
  flip(blocks[1], 90);
  flip(shown[0].entry.extents.at(0).first.value());
  const Outcome outcome = check();
  EXPECT_FALSE(outcome.report->recovered);
  EXPECT_EQ(outcome.count(store::FindingKind::kLog), 1u);
  EXPECT_EQ(outcome.count(store::FindingKind::kData), 0u);
  EXPECT_EQ(outcome.report->skipped_bytes, 4096u);
  EXPECT_EQ(outcome.report->verified_bytes + 4096, outcome.report->inline_bytes + outcome.report->stored_bytes);
}

TEST_F(ExamineTarget, WhateverIsDamagedTheCheckEnds) {
  std::vector<std::uint64_t> written;
  Bytes bytes(media::kBlockBytes);
  for (std::uint64_t block = 0; block < 64 * store::kGroupBlocks; ++block) {
    read(block, bytes);
    if (std::ranges::any_of(bytes, [](std::byte byte) { return byte != std::byte{0}; })) written.push_back(block);
  }
  const auto image = medium->clone();
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const auto any = [&] { return written[random() % written.size()]; };
    for (std::uint64_t i = 0; i < seed * 4; ++i) {
      const std::uint64_t block = any();
      if (i % 2 == 0) {
        flip(block, random() % media::kBlockBytes);
      } else {
        read(any(), bytes);
        medium->write_block(media::BlockNo(block), bytes);
      }
    }
    const Outcome outcome = check();
    EXPECT_TRUE(!outcome.report || outcome.report->damages + outcome.report->warnings == outcome.findings.size());
    medium = image->clone();
  }
}

TEST_F(ExamineTarget, AContainerWithoutItsTreeIsLost) {
  change([](store::TreeId tree, store::Batch& batch) { batch.drop_tree(tree); });
  const Outcome outcome = check();
  EXPECT_EQ(outcome.count(store::FindingKind::kTree), 1u);
  EXPECT_GT(outcome.count(store::FindingKind::kLostSpace), 0u);
}

TEST_F(ExamineTarget, ADestroyedContainerIsNobodysLoss) {
  open();
  ASSERT_TRUE(block_on(objects->destroy_container(container)));
  power_off();
  const Outcome outcome = check();
  for (const TargetFinding& found : outcome.findings) ADD_FAILURE() << found.finding.message;
  EXPECT_EQ(outcome.report->containers, 0u);
}

TEST_F(ExamineTarget, ShowsEveryVersionOfAnObject) {
  const auto punched = versions(kMap, "key-1");
  ASSERT_TRUE(shown_);
  ASSERT_EQ(punched.size(), 2u);
  EXPECT_EQ(punched[0].entry.type, "punch");
  EXPECT_EQ(punched[1].entry.type, "single");
  EXPECT_EQ(punched[1].data, "ok");
  EXPECT_GT(punched[0].entry.epoch, punched[1].entry.epoch);
  EXPECT_EQ(versions(ObjectId(1, 1)).size(), 0u);
  EXPECT_EQ(shown_.error(), Code::kNotFound);
}

TEST(DescribeKey, SaysWhatACutKeyStillTells) {
  KeyPath path(kMap, as_bytes("some"));
  path.set_akey(as_bytes("thing"));
  const Bytes key = to_bytes(path.single(Epoch(5)));
  EXPECT_EQ(describe_key_prefix(key), "object " + kMap.to_string() + ", dkey 'some', akey 'thing'");
  EXPECT_EQ(describe_key_prefix(ByteView(key).first(16)), "object " + kMap.to_string());
  EXPECT_EQ(describe_key_prefix({}), "the beginning");
}

}  // namespace
}  // namespace cenote::object
