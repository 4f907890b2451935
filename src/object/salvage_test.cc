#include "cenote/object/salvage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "cenote/store/log_listing.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kMib = 48;
const ObjectId kMap = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const ObjectId kFile = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

/// Some of its blocks cannot be read.
class BadBlocks final : public media::BlockDevice {
 public:
  BadBlocks(media::SimDevice& device, std::set<std::uint64_t> blocks) : device_(device), blocks_(std::move(blocks)) {}
  std::uint64_t block_count() const override { return device_.block_count(); }
  Result<std::uint64_t> measure() override { return device_.measure(); }
  const std::string& name() const override { return device_.name(); }
  bool prefers_durable_writes() const override { return device_.prefers_durable_writes(); }
  void submit(media::IoRequest& request) override {
    const auto bad = blocks_.lower_bound(request.first.value());
    const bool hit = bad != blocks_.end() && *bad < request.first.value() + request.bytes / media::kBlockBytes;
    if (request.kind == media::IoKind::kRead && hit) request.first = media::BlockNo(block_count());  // which fails
    device_.submit(request);
  }
  media::DeviceCounters counters() const override { return device_.counters(); }
  media::DeviceHealth& health() override { return device_.health(); }
  Task<> close() override { return device_.close(); }

 private:
  media::SimDevice& device_;
  std::set<std::uint64_t> blocks_;
};

/// A target with keys and a file; then damage; then what was salvaged takes its place.
class SalvageTest : public testing::Test {
 protected:
  explicit SalvageTest(std::uint64_t seed = 31) : target_(seed, kMib), random_(seed) {}

  void create() {
    target_.create();
    for (std::uint64_t i = 0; i < 60; ++i) put(i, i % 2 == 0 ? 300 : 9000);
    file_ = mixture(5, 600'000);
    write(0, file_);
  }
  static KeyBytes dkey(std::uint64_t i) { return key_of("key-" + std::to_string(i)); }
  void put(std::uint64_t i, std::size_t bytes) {
    const Bytes value = mixture(i + 1000 * ++puts_, bytes);
    ASSERT_TRUE(target_.update(target_.single(kMap, dkey(i), key_of("v"), value), value));
    values_[i] = value;
  }
  void remove(std::uint64_t i) {
    PunchRequest punch{
        .container = target_.container, .object = kMap, .dkey = dkey(i), .akeys = {}, .ranges = {}, .id = {}};
    punch.level = PunchLevel::kDkey;
    ASSERT_TRUE(target_.punch(punch));
    values_.erase(i);
  }
  void write(std::uint64_t first, ByteView data) {
    ASSERT_TRUE(target_.update(target_.array(kFile, key_of(0u), key_of("d"), 1, {{first, data.size()}}, data), data));
  }
  /// "" or what it came to: "absent", "corrupt", "wrong".
  std::string state_of(std::uint64_t i) {
    const auto fetched = target_.fetch(target_.fetch_single(kMap, dkey(i), key_of("v")));
    if (!fetched) return fetched.error() == Code::kCorrupt ? "corrupt" : fetched.error().to_string();
    const bool exists = fetched->reply.akeys[0].exists;
    const auto known = values_.find(i);
    if (known == values_.end()) return exists ? "back again" : "";
    if (!exists) return "absent";
    return joined(*fetched) == known->second ? "" : "wrong";
  }
  Result<Fetched> read_file(std::uint64_t first, std::uint64_t bytes) {
    return target_.fetch(target_.fetch_array(kFile, key_of(0u), key_of("d"), {{first, bytes}}));
  }
  void expect_all() {
    for (std::uint64_t i = 0; i < 70; ++i) EXPECT_EQ(state_of(i), "") << i;
    for (const auto& [i, value] : values_) EXPECT_EQ(state_of(i), "") << i;
    const auto fetched = read_file(0, file_.size());
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    EXPECT_TRUE(joined(*fetched) == file_);
  }

  void read(std::uint64_t block, Bytes& bytes) const { target_.medium->read_block(media::BlockNo(block), bytes); }
  void flip(std::uint64_t block, std::size_t byte = 100) {
    Bytes bytes(media::kBlockBytes);
    read(block, bytes);
    bytes[byte] ^= std::byte{4};
    target_.medium->write_block(media::BlockNo(block), bytes);
  }
  /// Blocks where pages of containers' trees begin, or of others.
  std::vector<std::uint64_t> pages() const {
    std::vector<std::uint64_t> found;
    Bytes bytes(media::kBlockBytes);
    for (std::uint64_t block = store::kGroupBlocks; block < kMib * store::kGroupBlocks; block += 4) {
      read(block, bytes);
      if (load_le<std::uint32_t>(bytes.data() + 4) == 0x67506e43) found.push_back(block);
    }
    return found;
  }
  /// First block of the data of a key's only version.
  std::uint64_t block_of(const ObjectId& object, const KeyBytes& dkey) {
    std::uint64_t block = 0;
    target_.each_entry(target_.container, [&](ByteView key, ByteView value) {
      const auto parsed = parse_key(key);
      const auto entry = decode_entry(value);
      if (parsed->object == object && parsed->level == Level::kAkey && equal(parsed->dkey(), dkey) &&
          entry->holds_data() && !entry->is_inline)
        block = entry->extents()[0].first.value();
    });
    EXPECT_NE(block, 0u);
    return block;
  }

  std::uint64_t count(store::FindingKind kind, store::Severity severity = store::Severity::kDamage) const {
    return static_cast<std::uint64_t>(std::ranges::count_if(findings_, [&](const TargetFinding& found) {
      return found.finding.kind == kind && found.finding.severity == severity;
    }));
  }

  /// The target goes on with what was salvaged of it.
  Result<SalvageReport> salvage(const std::set<std::uint64_t>& bad_blocks = {}) {
    target_.power_off();
    target_.power_on();
    const auto before = target_.medium->clone();
    auto medium = std::make_unique<media::SimMedium>(kMib * store::kGroupBlocks);
    auto fresh = std::make_unique<media::SimDevice>(target_.node, "new", *medium, target_.device_options);
    BadBlocks device(*target_.device, bad_blocks);
    findings_.clear();
    SalvageOptions options{.system = target_.format.system, .target = target_.format.target};
    options.cache_bytes = store::kMinCacheBytes;
    options.key = target_.open_options.key;
    options.found = [this](const TargetFinding& finding) { findings_.push_back(finding); };
    options.progress = [](std::uint64_t done, std::uint64_t total) { EXPECT_LE(done, total); };
    auto report = target_.block_on(
        object::salvage(target_.node, store::Devices::one(device), store::Devices::one(*fresh), std::move(options)));
    EXPECT_TRUE(same(*before, *target_.medium)) << "the old store was written";
    target_.power_off();
    fresh.reset();
    if (!report) return report;
    target_.medium = std::move(medium);
    check_offline();
    target_.open();
    target_.check();
    return report;
  }
  static bool same(const media::SimMedium& a, const media::SimMedium& b) {
    Bytes left(media::kBlockBytes), right(media::kBlockBytes);
    for (std::uint64_t block = 0; block < kMib * store::kGroupBlocks; ++block) {
      a.read_block(media::BlockNo(block), left);
      b.read_block(media::BlockNo(block), right);
      if (left != right) return false;
    }
    return true;
  }
  /// Whole, but for values of which readers are told.
  void check_offline() {
    target_.power_on();
    std::uint64_t damaged = 0;
    TargetCheckOptions options{.system = target_.format.system, .target = target_.format.target};
    options.cache_bytes = store::kMinCacheBytes;
    options.key = target_.open_options.key;
    options.found = [&damaged](const TargetFinding& found) {
      EXPECT_EQ(found.finding.kind, store::FindingKind::kData) << found.finding.message;
      ++damaged;
    };
    const auto checked =
        target_.block_on(check_target(target_.node, store::Devices::one(*target_.device), std::move(options)));
    ASSERT_TRUE(checked) << checked.error().to_string();
    EXPECT_TRUE(checked->recovered);
    EXPECT_EQ(damaged, count(store::FindingKind::kData));
    target_.power_off();
  }

  TestTarget target_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, Bytes> values_;
  Bytes file_;
  std::uint64_t puts_ = 0;
  std::vector<TargetFinding> findings_;
};

TEST_F(SalvageTest, AWholeStoreIsCopiedWhole) {
  create();
  remove(3);
  put(4, 20'000);
  put(5, 10);
  const Usage used = target_.holds(target_.container);
  const std::uint64_t entries = target_.entries();
  const auto report = salvage();
  ASSERT_TRUE(report) << report.error().to_string();
  for (const TargetFinding& found : findings_) ADD_FAILURE() << found.finding.message;
  EXPECT_TRUE(report->recovered);
  ASSERT_EQ(report->containers.size(), 1u);
  EXPECT_EQ(report->containers[0].id, target_.container);
  EXPECT_EQ(report->containers[0].used, used);
  EXPECT_EQ(report->containers[0].entries, entries);
  EXPECT_EQ(target_.entries(), entries);
  expect_all();
  put(61, 5000);
  target_.reopen();
  expect_all();
}

TEST_F(SalvageTest, DamagedDataStaysDamagedAndTheRestIsThere) {
  create();
  const std::uint64_t of_key = block_of(kMap, dkey(7)), of_file = block_of(kFile, key_of(0u));
  target_.power_off();
  flip(of_key + 1);
  flip(of_file + 3);
  const auto report = salvage();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->damages, 2u);
  EXPECT_EQ(report->containers[0].damaged_values, 2u);
  ASSERT_EQ(findings_.size(), 2u);
  EXPECT_EQ(findings_[0].dkey, "key-7");
  EXPECT_EQ(findings_[1].first, 3u * 4096);
  EXPECT_EQ(findings_[1].records, 4096u);
  EXPECT_EQ(state_of(7), "corrupt");
  EXPECT_EQ(code_of(read_file(3 * 4096, 10)), Code::kCorrupt);
  const auto others = read_file(4 * 4096, file_.size() - 4 * 4096);
  ASSERT_TRUE(others);
  EXPECT_TRUE(equal(joined(*others), ByteView(file_).subspan(4 * 4096)));
  put(7, 9000);
  write(3 * 4096, ByteView(file_).subspan(3 * 4096, 4096));
  expect_all();
}

/// An older version must not come to light where a newer one is damaged, nor what was deleted.
TEST_F(SalvageTest, NothingComesBackInPlaceOfWhatIsDamaged) {
  create();
  put(7, 9000);
  std::uint64_t newest = 0;
  target_.each_entry(target_.container, [&](ByteView key, ByteView value) {
    const auto parsed = parse_key(key);
    if (newest == 0 && parsed->level == Level::kAkey && parsed->object == kMap && equal(parsed->dkey(), dkey(7)))
      newest = decode_entry(value)->extents()[0].first.value();
  });
  remove(9);
  target_.power_off();
  flip(newest);
  ASSERT_TRUE(salvage());
  EXPECT_EQ(state_of(7), "corrupt");
  EXPECT_EQ(state_of(9), "");
}

TEST_F(SalvageTest, BlocksThatCannotBeReadAreTold) {
  create();
  const std::uint64_t block = block_of(kFile, key_of(0u));
  const auto report = salvage({block + 2, block + 5});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->damages, 1u);
  EXPECT_EQ(code_of(read_file(2 * 4096, 1)), Code::kCorrupt);
  EXPECT_EQ(code_of(read_file(5 * 4096, 1)), Code::kCorrupt);
  const auto between = read_file(3 * 4096, 2 * 4096);
  ASSERT_TRUE(between);
  EXPECT_TRUE(equal(joined(*between), ByteView(file_).subspan(3 * 4096, 2 * 4096)));
}

/// Without checksums a reader could not tell zeroes from data.
TEST_F(SalvageTest, BlocksWithoutChecksumsThatCannotBeReadAreToldAllTheSame) {
  target_.properties.checksums = false;
  create();
  const std::uint64_t of_file = block_of(kFile, key_of(0u)), of_key = block_of(kMap, dkey(7));
  const auto report = salvage({of_file + 2, of_key});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->damages, 2u);
  EXPECT_EQ(state_of(7), "corrupt");
  EXPECT_EQ(code_of(read_file(2 * 4096, 1)), Code::kCorrupt);
  const auto after = read_file(3 * 4096, 4096);
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_TRUE(equal(joined(*after), ByteView(file_).subspan(3 * 4096, 4096)));
  values_.erase(7);
  for (std::uint64_t i = 10; i < 60; ++i) EXPECT_EQ(state_of(i), "") << i;
}

TEST_F(SalvageTest, PackedAndSealedDataSnapshotsRollbacksAndClonesGoAlong) {
  target_.properties = {.compression = Compression::kLz4, .encrypted = true};
  target_.encrypt();
  create();
  const auto before = values_;
  const Epoch snapshot(target_.objects->now().value() + 1);
  ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, snapshot)));
  for (std::uint64_t i = 0; i < 20; ++i) put(i, 4000);
  ASSERT_TRUE(target_.block_on(target_.objects->roll_back(target_.container, snapshot, Uuid::from_random(1, 1))));
  values_ = before;
  const Uuid original = target_.container, clone = Uuid::from_random(1, 2);
  ASSERT_TRUE(target_.block_on(target_.objects->clone_container(clone, target_.properties, {original, snapshot})));
  target_.container = clone;
  put(1, 7000);
  target_.container = original;
  values_ = before;
  const std::uint64_t block = block_of(kMap, dkey(31));
  target_.power_off();
  flip(block);
  const auto report = salvage();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->damages, 1u);
  EXPECT_EQ(report->containers.size(), 2u);
  for (std::uint64_t i = 0; i < 60; ++i) EXPECT_EQ(state_of(i), i == 31 ? "corrupt" : "") << i;
  const auto at_snapshot = target_.fetch(target_.fetch_single(kMap, dkey(2), key_of("v"), snapshot));
  ASSERT_TRUE(at_snapshot) << at_snapshot.error().to_string();
  EXPECT_EQ(joined(*at_snapshot), before.at(2));
  target_.container = clone;
  EXPECT_EQ(state_of(1), "wrong") << "the clone has its own";
  EXPECT_EQ(state_of(2), "") << "and this through its source";
  EXPECT_EQ(state_of(31), "corrupt");
}

TEST_F(SalvageTest, ALostPageCostsItsEntriesOnly) {
  create();
  for (std::uint64_t i = 100; i < 1500; ++i) put(i, 100);
  target_.power_off();
  std::uint64_t hurt = 0, inner = 0;
  for (const std::uint64_t block : pages()) {
    const auto image = target_.medium->clone();
    flip(block, 2000);
    const auto report = salvage();
    if (report && count(store::FindingKind::kPage) == 1 && report->containers.size() == 1 &&
        findings_[0].container == target_.container) {
      ++hurt;
      std::uint64_t absent = 0;
      for (const auto& [i, value] : values_) {
        const std::string state = state_of(i);
        if (state == "absent") ++absent;
        if (state != "absent") EXPECT_EQ(state, "") << i;
      }
      EXPECT_GT(absent, 0u);
      EXPECT_NE(findings_[0].finding.message.find("lost are the entries from"), std::string::npos);
      EXPECT_LT(absent, values_.size() / 4) << "a leaf is a small part";
      const auto values = values_;
      put(100, 5000);
      EXPECT_EQ(state_of(100), "");
      values_ = values;
    } else if (report && report->damages == 0) {
      // An image that no checkpoint names any more, or a page whose leaves are found without it.
      inner += count(store::FindingKind::kPage, store::Severity::kWarning);
      expect_all();
    }
    target_.power_off();
    target_.medium = image->clone();
    if (hurt == 4 && inner > 0) break;
  }
  EXPECT_GT(hurt, 1u);
  EXPECT_GT(inner, 0u);
}

/// What a crash leaves behind: much in the log that no checkpoint has.
class SalvageLogTest : public SalvageTest {
 protected:
  void note() { history_.emplace_back(target_.store->status().durable.value(), values_); }
  void crash() {
    create();
    for (std::uint64_t i = 100; i < 900; ++i) put(i, 100);
    ASSERT_TRUE(target_.block_on(target_.store->checkpoint()));
    note();
    for (std::uint64_t i = 0; i < 30; ++i) {
      put(i, i % 3 == 0 ? 200 : 5000);
      note();
      if (i % 4 == 0) remove(30 + i);
      note();
    }
    auto image = target_.device->crash_image({});
    target_.power_off();
    target_.medium = std::move(image);
  }
  std::vector<store::LogGroup> log_groups() {
    target_.power_on();
    std::vector<store::LogGroup> groups;
    store::LogListingOptions options;
    options.key = target_.open_options.key;
    options.group = [&groups](const store::LogGroup& group) { groups.push_back(group); };
    EXPECT_TRUE(
        target_.block_on(store::list_log(target_.node, store::Devices::one(*target_.device), std::move(options))));
    target_.power_off();
    return groups;
  }

  std::vector<std::pair<std::uint64_t, std::map<std::uint64_t, Bytes>>> history_;
};

TEST_F(SalvageLogTest, WhatTheLogSaysIsReplayed) {
  crash();
  const auto report = salvage();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->recovered);
  EXPECT_EQ(report->damages, 0u);
  expect_all();
}

TEST_F(SalvageLogTest, UpToDamageInItsMiddle) {
  crash();
  const auto groups = log_groups();
  ASSERT_GT(groups.size(), 20u);
  const store::LogGroup& hurt = groups[groups.size() / 2];
  flip(hurt.block);
  for (const auto& [durable, values] : history_)
    if (durable <= hurt.position) values_ = values;
  ASSERT_NE(values_, history_.back().second);
  ASSERT_NE(values_, history_.front().second);
  const auto report = salvage();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->recovered);
  EXPECT_EQ(report->log_position, hurt.position);
  EXPECT_GT(report->log_batches, 5u);
  EXPECT_EQ(count(store::FindingKind::kData), 0u);
  EXPECT_GE(count(store::FindingKind::kLog), 1u);
  expect_all();
}

/// Recovery needs the page and stops; the log is logical and goes to the new store all the same.
TEST_F(SalvageLogTest, PastAPageThatIsLost) {
  crash();
  std::uint64_t hurt = 0;
  for (const std::uint64_t block : pages()) {
    const auto image = target_.medium->clone();
    flip(block, 2000);
    const auto report = salvage();
    if (report && !report->recovered && count(store::FindingKind::kPage) > 0 &&
        count(store::FindingKind::kLog, store::Severity::kWarning) == 1 && report->containers.size() == 1) {
      ++hurt;
      for (std::uint64_t i = 0; i < 30; ++i) EXPECT_EQ(state_of(i), "") << i << ": the log has it";
    }
    target_.power_off();
    target_.medium = image->clone();
    if (hurt == 3) break;
  }
  EXPECT_GT(hurt, 0u);
}

/// Whatever is hit: what comes of it is a whole target, and nothing is wrong in it without a word.
class SalvageRandomTest : public SalvageTest, public testing::WithParamInterface<std::uint64_t> {
 protected:
  SalvageRandomTest() : SalvageTest(GetParam()) {
    if (GetParam() % 3 == 0) target_.encrypt();
    target_.properties.compression = GetParam() % 2 == 0 ? Compression::kLz4 : Compression::kNone;
    target_.properties.encrypted = GetParam() % 3 == 0;
  }
  std::uint64_t below(std::uint64_t end) { return random_() % end; }

  void work() {
    create();
    for (int i = 0; i < 1200; ++i) {
      const std::uint64_t key = below(300);
      if (below(5) == 0 && values_.contains(key)) {
        remove(key);
      } else {
        put(key, below(4) == 0 ? 2000 + below(20'000) : below(200));
      }
      if (below(200) == 0) ASSERT_TRUE(target_.block_on(target_.store->checkpoint()));
      if (below(200) == 0) ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
    }
    // Damage of the log's last frame cannot be told from its end: what is in it may be lost.
    put(1000, 10);
    values_.erase(1000);
    auto image = target_.device->crash_image({});
    target_.power_off();
    if (below(2) == 0) target_.medium = std::move(image);
  }
  void hurt(std::uint64_t blocks) {
    std::vector<std::uint64_t> written;
    Bytes bytes(media::kBlockBytes);
    for (std::uint64_t block = 0; block < kMib * store::kGroupBlocks; ++block) {
      read(block, bytes);
      if (std::ranges::any_of(bytes, [](std::byte byte) { return byte != std::byte{0}; })) written.push_back(block);
    }
    for (; blocks > 0; --blocks) flip(written[below(written.size())], below(media::kBlockBytes));
  }
};

TEST_P(SalvageRandomTest, NothingIsWrongWithoutAWord) {
  work();
  std::uint64_t done = 0;
  for (int round = 0; round < 3; ++round) {
    const auto image = target_.medium->clone();
    hurt(1 + below(12));
    const auto report = salvage();
    if (report) {
      ++done;
      const bool data_only = report->damages == count(store::FindingKind::kData);
      for (std::uint64_t i = 0; i < 300; ++i) {
        const std::string state = state_of(i);
        if (data_only) EXPECT_TRUE(state.empty() || state == "corrupt") << i << ": " << state;
      }
      if (report->damages == 0) expect_all();
    } else {
      EXPECT_EQ(report.error(), Code::kCorrupt) << report.error().to_string();
    }
    target_.power_off();
    target_.medium = image->clone();
  }
  EXPECT_GT(done, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SalvageRandomTest, testing::Range<std::uint64_t>(1, 7));

TEST_F(SalvageTest, WithoutAnySuperblockThereIsNothingToStartFrom) {
  create();
  target_.power_off();
  flip(0);
  flip(4096);
  const auto report = salvage();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error(), Code::kCorrupt);
}

}  // namespace
}  // namespace cenote::object
