#include "cenote/object/scrub.h"

#include <algorithm>

#include "cenote/runtime/scope.h"
#include "keys.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kFile = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
const ObjectId kMap = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 1, 2);

struct Kind {
  const char* name;
  Compression compression;
  bool encrypted;
};

/// An open target whose container has inline and stored values, an array with overwrites and what a snapshot keeps; its
/// pages are on the device, and none in memory. Of containers that store data as it is, packed and sealed.
class ScrubbedTarget : public ::testing::TestWithParam<Kind>, public TestTarget {
 public:
  ScrubbedTarget() : TestTarget(41, 64) {
    options.inline_bytes = 512;
    properties.compression = GetParam().compression;
    properties.encrypted = GetParam().encrypted;
    if (GetParam().encrypted) encrypt();
  }

  void SetUp() override {
    create();
    for (std::uint64_t i = 0; i < 40; ++i) put(i, i);
    const Bytes data = mixture(99, 3u << 19);
    ASSERT_TRUE(update(array(kFile, key_of(3u), key_of("data"), 1, {{0, data.size()}}, data), data));
    ASSERT_TRUE(block_on(objects->add_snapshot(container, Epoch(objects->now().value() + 1))));
    const Bytes over = mixture(98, 20'000);
    ASSERT_TRUE(update(array(kFile, key_of(3u), key_of("data"), 1, {{8192, over.size()}}, over), over));
    for (std::uint64_t i = 0; i < 10; ++i) put(i, 100 + i);
    for (std::uint64_t i = 0; i < 200; ++i) put(1000 + 2 * i, i);  // some leaves
    reopen();
  }

  void put(std::uint64_t number, std::uint64_t seed) {
    const Bytes value = mixture(seed, number % 2 == 0 ? 300 : 9000);
    ASSERT_TRUE(update(single(kMap, key_of("key-" + std::to_string(number)), key_of("value"), value), value));
  }
  void flip(std::uint64_t block) const {
    Bytes bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes);
    bytes[20] ^= std::byte{4};  // within every block, however little of it is used
    medium->write_block(media::BlockNo(block), bytes);
  }

  struct Outcome {
    std::vector<TargetFinding> findings;
    Result<ScrubReport> report;
  };
  ScrubOptions options_for(Outcome& outcome) const {
    ScrubOptions options;
    options.bytes_per_second = 0;
    options.found = [&outcome](const TargetFinding& found) { outcome.findings.push_back(found); };
    return options;
  }
  Outcome scrub() {
    Outcome outcome;
    outcome.report = block_on(scrub_container(*store, container, options_for(outcome)));
    return outcome;
  }
  Outcome scrub_rest() {
    Outcome outcome;
    outcome.report = block_on(scrub_records(*store, options_for(outcome)));
    return outcome;
  }

  /// Updates, punches, snapshots, aggregation and checkpoints at random, so that entries come, are cut and go, and
  /// their blocks are given to others.
  static Task<> disturb(ScrubbedTarget* self, std::uint64_t seed, const bool* stop) {
    std::mt19937_64 random(seed);
    std::vector<Epoch> snapshots;
    while (!*stop) {
      const std::uint64_t what = random() % 16;
      if (what < 6) {
        const Bytes value = mixture(random(), 1 + random() % 12'000);
        auto request = self->single(kMap, key_of("key-" + std::to_string(random() % 40)), key_of("value"), value);
        const auto done =
            co_await self->objects->update(request, self->buffer_of(value), value.size(), Until::forever());
        EXPECT_TRUE(done || done.error() == Code::kNoSpace) << done.error().to_string();
      } else if (what < 11) {
        const Bytes data = mixture(random(), 1 + random() % 60'000);
        auto request = self->array(kFile, key_of(3u), key_of("data"), 1, {{random() % (1u << 20), data.size()}}, data);
        const auto done = co_await self->objects->update(request, self->buffer_of(data), data.size(), Until::forever());
        EXPECT_TRUE(done || done.error() == Code::kNoSpace) << done.error().to_string();
      } else if (what == 11) {
        PunchRequest gone{.container = self->container,
                          .object = kMap,
                          .level = PunchLevel::kDkey,
                          .dkey = key_of("key-" + std::to_string(random() % 40)),
                          .akeys = {},
                          .id = {}};
        EXPECT_TRUE(co_await self->objects->punch(std::move(gone), Until::forever()));
      } else if (what == 12 && snapshots.size() < 2) {
        snapshots.emplace_back(self->objects->now().value() + 1);
        EXPECT_TRUE(co_await self->objects->add_snapshot(self->container, snapshots.back()));
      } else if (what == 13 && !snapshots.empty()) {
        EXPECT_TRUE(co_await self->objects->remove_snapshot(self->container, snapshots.back()));
        snapshots.pop_back();
      } else if (what == 14) {
        EXPECT_TRUE(co_await self->objects->aggregate(self->objects->now()));
      } else if (what == 15) {
        EXPECT_TRUE(co_await self->store->checkpoint());
      }
    }
    for (const Epoch snapshot : snapshots)
      EXPECT_TRUE(co_await self->objects->remove_snapshot(self->container, snapshot));
  }
  /// Destroys the container, gives its space back and writes something else there.
  static Task<> destroy_and_reuse(ScrubbedTarget* self) {
    EXPECT_TRUE(co_await self->objects->destroy_container(self->container));
    EXPECT_TRUE(co_await self->objects->aggregate(self->objects->now()));
    for (std::uint64_t i = 0; i < 40; ++i) {
      const auto extent = self->store->reserve(store::kGroupBlocks / 2, store::SpaceClass::kForeground);
      if (!extent) break;
      const media::Buffer buffer = self->buffer_of(pattern(i, std::size_t{extent->blocks} * media::kBlockBytes));
      EXPECT_TRUE(co_await self->store->data_device().write(extent->first, buffer.span(), media::Durability::kCached));
      self->store->cancel(*extent);
    }
  }

  store::TreeId tree() {
    const auto found = block_on(store->run([this](store::View& view) -> Result<store::TreeId> {
      TRY(const auto value,
          view.get(*store->find_tree(kSystemTreeName), container_key(RecordKind::kContainer, container)));
      TRY(const ContainerRecord record, decode_container(*value));
      return record.tree;
    }));
    EXPECT_TRUE(found);
    return found.value_or(store::TreeId{});
  }
  /// Every entry of the container that has blocks, in words.
  std::vector<EntryDescription> stored() {
    std::vector<EntryDescription> stored;
    const auto read = block_on(store->run([this, &stored](store::View& view) -> Result<> {
      stored.clear();
      TRY(const auto value,
          view.get(*store->find_tree(kSystemTreeName), container_key(RecordKind::kContainer, container)));
      TRY(const ContainerRecord record, decode_container(*value));
      store::Cursor cursor(view, record.tree);
      TRY(bool more, cursor.seek({}));
      while (more) {
        TRY(auto entry, describe_entry(cursor.key(), cursor.value()));
        if (!entry.extents.empty()) stored.push_back(std::move(entry));
        TRY(more, cursor.next());
      }
      return {};
    }));
    EXPECT_TRUE(read);
    return stored;
  }
};

TEST_P(ScrubbedTarget, IsWhole) {
  const Outcome outcome = scrub();
  ASSERT_TRUE(outcome.report);
  EXPECT_TRUE(outcome.findings.empty());
  EXPECT_EQ(outcome.report->damages, 0u);
  EXPECT_EQ(outcome.report->entries, entries());
  EXPECT_GT(outcome.report->images, 1u);
  // What the snapshot keeps is read, too.
  const std::uint64_t bytes = (3u << 19) + 20'000 + 20 * 300 + 20 * 9000 + 5 * 300 + 5 * 9000 + 200 * 300;
  EXPECT_EQ(outcome.report->verified_bytes, bytes);
  EXPECT_EQ(outcome.report->unprotected_bytes, 0u);
  const Outcome rest = scrub_rest();
  ASSERT_TRUE(rest.report);
  EXPECT_TRUE(rest.findings.empty());
  EXPECT_GT(rest.report->entries, 3u);
}

TEST_P(ScrubbedTarget, GivesWayToRequestsWhereItHasNoRate) {
  const auto time_with = [this](std::uint64_t requests) {
    Outcome outcome;
    ScrubOptions wanted = options_for(outcome);
    std::uint64_t served = 0;
    wanted.requests = [&served, requests] { return served += requests; };
    const Instant before = node.now();
    EXPECT_TRUE(block_on(scrub_container(*store, container, std::move(wanted))));
    return node.now() - before;
  };
  const Duration alone = time_with(0);
  EXPECT_GT(time_with(1), 2 * alone);
  EXPECT_LT(time_with(0), 2 * alone);
}

TEST_P(ScrubbedTarget, NamesDamagedDataAndNothingElse) {
  std::uint64_t number = 0;
  for (const EntryDescription& entry : stored()) {
    for (const store::Extent& extent : entry.extents) {
      // A block here and there, so that each kind of entry gets its turn.
      const std::uint64_t block = extent.first.value() + (number++ % extent.blocks);
      flip(block);
      const Outcome outcome = scrub();
      flip(block);
      ASSERT_TRUE(outcome.report);
      ASSERT_EQ(outcome.findings.size(), 1u) << block;
      const TargetFinding& found = outcome.findings[0];
      EXPECT_EQ(found.finding.kind, store::FindingKind::kData);
      EXPECT_EQ(found.finding.device, "disk");
      ASSERT_TRUE(found.finding.block);
      if (GetParam().compression == Compression::kNone && !GetParam().encrypted) {
        EXPECT_EQ(*found.finding.block, block);
      } else {
        EXPECT_LE(*found.finding.block, block);  // the unit's first block
      }
      EXPECT_EQ(found.container, container);
      EXPECT_EQ(found.object, entry.object);
      EXPECT_EQ(found.dkey, entry.dkey);
      EXPECT_EQ(found.akey, entry.akey);
      EXPECT_EQ(found.epoch, entry.epoch);
      if (entry.first) {
        ASSERT_TRUE(found.first && found.records);
        EXPECT_GE(*found.first, *entry.first);
        EXPECT_LE(*found.first + *found.records, *entry.first + *entry.records);
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(number, 5u);
}

TEST_P(ScrubbedTarget, NamesWhatACloneShowsOfItsSource) {
  const Epoch cloned(objects->now().value() + 1);
  ASSERT_TRUE(block_on(objects->add_snapshot(container, cloned)));
  const Uuid clone = Uuid::from_random(5, 5);
  ASSERT_TRUE(block_on(objects->clone_container(clone, properties, {container, cloned})));
  for (std::uint64_t i = 0; i < 6; ++i) put(2001 + 2 * i, i);  // which the clone does not show
  reopen();
  const auto entries = stored();
  const auto shown = std::ranges::find_if(entries, [&](const EntryDescription& e) { return e.epoch <= cloned; });
  const auto later = std::ranges::find_if(entries, [&](const EntryDescription& e) { return e.epoch > cloned; });
  ASSERT_TRUE(shown != entries.end() && later != entries.end());
  flip(shown->extents[0].first.value());
  flip(later->extents[0].first.value());
  const auto findings = [&](bool inherited) {
    Outcome outcome;
    ScrubOptions scrubbing = options_for(outcome);
    scrubbing.inherited = inherited;
    outcome.report = block_on(scrub_container(*store, clone, std::move(scrubbing)));
    EXPECT_TRUE(outcome.report) << outcome.report.error().to_string();
    return outcome.findings;
  };
  EXPECT_TRUE(findings(false).empty());
  const auto found = findings(true);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].container, container);
  EXPECT_EQ(found[0].epoch, shown->epoch);
  EXPECT_NE(found[0].finding.message.find("of which this is a clone"), std::string::npos);
}

TEST_P(ScrubbedTarget, SeesTheDeviceAndNotTheMemory) {
  ASSERT_TRUE(scrub().findings.empty());
  const auto entry = stored().front();
  ASSERT_TRUE(fetch(fetch_array(kFile, key_of(3u), key_of("data"), {{0, 1u << 20}})));
  flip(entry.extents[0].first.value());
  EXPECT_EQ(scrub().findings.size(), 1u);
}

TEST_P(ScrubbedTarget, NamesWhatADamagedPageHolds) {
  std::uint64_t pages = 0;
  for (std::uint64_t block = 0; block < 64 * store::kGroupBlocks; block += 4) {
    Bytes bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes);
    const bool is_page = load_le<std::uint32_t>(bytes.data() + 4) == 0x67506e43;
    if (!is_page || load_le<std::uint32_t>(bytes.data() + 12) != tree().value()) continue;
    reopen();  // so that memory has none of them
    flip(block);
    const Outcome outcome = scrub();
    flip(block);
    ASSERT_TRUE(outcome.report);
    if (outcome.findings.empty()) continue;  // an image that was replaced
    ++pages;
    ASSERT_EQ(outcome.findings.size(), 1u);
    EXPECT_EQ(outcome.findings[0].finding.kind, store::FindingKind::kPage);
    EXPECT_EQ(outcome.findings[0].finding.block, block);
    EXPECT_EQ(outcome.findings[0].container, container);
    EXPECT_NE(outcome.findings[0].finding.message.find("lost are the entries from"), std::string::npos);
  }
  EXPECT_GT(pages, 2u);
}

TEST_P(ScrubbedTarget, NamesAnEntryThatIsNone) {
  store::Batch batch;
  batch.put(tree(), pattern(1, 9), pattern(2, 30));
  ASSERT_TRUE(block_on(store->commit(std::move(batch))));
  const Outcome outcome = scrub();
  ASSERT_EQ(outcome.findings.size(), 1u);
  EXPECT_EQ(outcome.findings[0].finding.kind, store::FindingKind::kEntry);
  EXPECT_EQ(outcome.findings[0].container, container);
}

TEST_P(ScrubbedTarget, NamesRecordsWhoseValuesAreNone) {
  const store::TreeId system = *store->find_tree(kSystemTreeName);
  const store::TreeId requests = *store->find_tree(kRequestTreeName);
  const Uuid other = Uuid::from_random(5, 5);
  store::Batch batch;
  batch.put(system, container_key(RecordKind::kUsage, other), Bytes(3));
  batch.put(system, container_key(RecordKind::kBound, other), Bytes(20, std::byte{1}));
  batch.put(system, snapshot_key(other, Epoch(4)), Bytes(4, std::byte{9}));
  batch.put(system, container_key(RecordKind::kRollback, other), Bytes(1, std::byte{1}));
  batch.put(requests, request_key(4, 5), Bytes(7, std::byte{1}));
  ASSERT_TRUE(block_on(store->commit(std::move(batch))));
  const Outcome outcome = scrub_rest();
  ASSERT_TRUE(outcome.report);
  EXPECT_EQ(outcome.findings.size(), 5u);
  EXPECT_EQ(outcome.report->damages, 5u);
  for (const TargetFinding& found : outcome.findings)
    EXPECT_EQ(found.finding.kind, store::FindingKind::kEntry) << found.finding.message;
}

TEST_P(ScrubbedTarget, KeepsToItsRate) {
  Outcome outcome;
  ScrubOptions paced = options_for(outcome);
  paced.bytes_per_second = 1u << 20;
  const Instant began = node.now();
  const auto report = block_on(scrub_container(*store, container, std::move(paced)));
  ASSERT_TRUE(report);
  const double seconds = std::chrono::duration<double>(node.now() - began).count();
  EXPECT_GE(seconds, static_cast<double>(report->read_bytes) / (1u << 20) * 0.99);
}

TEST_P(ScrubbedTarget, EndsWhenItIsTold) {
  Outcome outcome;
  CancelSource cancel;
  ScrubOptions stopped = options_for(outcome);
  stopped.cancel = &cancel;
  stopped.progress = [&cancel](const ScrubReport&, ByteView) { cancel.cancel(); };
  EXPECT_EQ(code_of(block_on(scrub_container(*store, container, std::move(stopped)))), Code::kCancelled);
}

/// Within a leaf and between two.
TEST_P(ScrubbedTarget, GoesOnWhereItWas) {
  for (const std::uint64_t cut : {1, 2, 5, 20}) {
    Outcome outcome;
    CancelSource cancel;
    ScrubOptions half = options_for(outcome);
    Bytes position;
    std::uint64_t entries_before = 0, parts = 0;
    half.cancel = &cancel;
    half.progress = [&](const ScrubReport& report, ByteView at) {
      if (++parts != cut) return;
      position = to_bytes(at);
      entries_before = report.entries;
      cancel.cancel();
    };
    EXPECT_EQ(code_of(block_on(scrub_container(*store, container, std::move(half)))), Code::kCancelled);
    reopen();
    ScrubOptions rest = options_for(outcome);
    rest.from = position;
    const auto report = block_on(scrub_container(*store, container, std::move(rest)));
    ASSERT_TRUE(report);
    EXPECT_GT(entries_before, 0u);
    EXPECT_EQ(entries_before + report->entries, entries()) << cut;
  }
}

TEST_P(ScrubbedTarget, SaysThatTheContainerIsGone) {
  ASSERT_TRUE(block_on(objects->destroy_container(container)));
  EXPECT_EQ(code_of(scrub().report), Code::kContainerNotFound);
}

TEST_P(ScrubbedTarget, RaisesNoAlarmAboutAContainerThatGoes) {
  Outcome outcome;
  const auto run = [](ScrubbedTarget* self, Outcome* out) -> Task<> {
    ScrubOptions destroying = self->options_for(*out);
    bool begun = false;
    Scope scope(self->node);
    destroying.progress = [&](const ScrubReport&, ByteView) {
      if (std::exchange(begun, true)) return;
      scope.spawn(destroy_and_reuse(self));
    };
    out->report = co_await scrub_container(*self->store, self->container, std::move(destroying));
    co_await scope.drain();
  };
  block_on(run(this, &outcome));
  EXPECT_TRUE(outcome.findings.empty());
  EXPECT_EQ(code_of(outcome.report), Code::kContainerNotFound);
}

TEST_P(ScrubbedTarget, RaisesNoFalseAlarmWhileEverythingChanges) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    Outcome outcome;
    const auto run = [](ScrubbedTarget* self, Outcome* out, std::uint64_t number) -> Task<> {
      bool stop = false;
      Scope scope(self->node);
      for (std::uint64_t i = 0; i < 3; ++i) scope.spawn(disturb(self, number * 10 + i, &stop));
      for (int pass = 0; pass < 2; ++pass) {
        out->report = co_await scrub_container(*self->store, self->container, self->options_for(*out));
        EXPECT_TRUE(out->report);
      }
      stop = true;
      co_await scope.drain();
    };
    block_on(run(this, &outcome, seed));
    EXPECT_TRUE(outcome.findings.empty()) << "seed " << seed << ": " << outcome.findings[0].finding.message;
    EXPECT_GT(outcome.report->verified_bytes, 0u);
    ASSERT_TRUE(block_on(objects->aggregate(objects->now())));
    check();
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Containers, ScrubbedTarget,
                         ::testing::Values(Kind{"Plain", Compression::kNone, false},
                                           Kind{"Packed", Compression::kLz4, false},
                                           Kind{"Sealed", Compression::kNone, true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace cenote::object
