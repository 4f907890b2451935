#include "cenote/object/scrubber.h"

#include <algorithm>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kMap = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);
constexpr Duration kWeek = std::chrono::hours(7 * 24);
constexpr Duration kDelay = std::chrono::minutes(10);

/// A target with some containers of stored values, and a scrubber that is started anew with the store.
class ScrubberTest : public ::testing::Test, public TestTarget {
 public:
  ScrubberTest() : TestTarget(51, 64) {}

  void SetUp() override {
    create();
    for (std::uint64_t i = 0; i < 3; ++i) {
      containers.push_back(Uuid::from_random(9, 100 + i));
      ASSERT_TRUE(block_on(objects->create_container(containers.back(), properties)));
      for (std::uint64_t key = 0; key < 30; ++key) {
        const Bytes value = pattern(key, 9000);
        UpdateRequest request = single(kMap, key_of("key-" + std::to_string(key)), key_of("value"), value);
        request.container = containers.back();
        ASSERT_TRUE(update(request, value));
      }
    }
    std::ranges::sort(containers);
    reopen();
  }
  void TearDown() override { stop(); }

  void start() {
    ScrubberOptions wanted;
    wanted.bytes_per_second = rate;
    wanted.found = [this](const TargetFinding& finding) { told.push_back(finding); };
    scrubber = std::make_unique<Scrubber>(*store, *objects, std::move(wanted));
    scrubber->start();
  }
  void stop() {
    if (scrubber) block_on(scrubber->stop());
    scrubber.reset();
  }
  void restart() {
    stop();
    reopen();
    start();
  }
  static Task<> wait(Reactor* reactor, Duration time) { co_await reactor->sleep_for(time); }
  /// In pieces, since a simulation takes what lasts a day for stuck.
  void pass_time(Duration time) {
    for (; time > Duration::zero(); time -= std::chrono::hours(6))
      block_on(wait(&node, std::min<Duration>(time, std::chrono::hours(6))));
  }
  /// Steps until `done`, at most for a week.
  template <typename Done>
  void pass_time_until(Done done) {
    for (Duration passed{}; !done() && passed < kWeek; passed += std::chrono::seconds(1))
      pass_time(std::chrono::seconds(1));
    ASSERT_TRUE(done());
  }
  /// Damages the first data block of a container.
  std::uint64_t damage() {
    const auto owned = *block_on(objects->owned_extents());
    const std::uint64_t block = owned.front().first.value();
    Bytes bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes);
    bytes[7] ^= std::byte{1};
    medium->write_block(media::BlockNo(block), bytes);
    return block;
  }

  void repair(std::uint64_t block) const {
    Bytes bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes);
    bytes[7] ^= std::byte{1};
    medium->write_block(media::BlockNo(block), bytes);
  }
  /// Damages every image of a page that the medium has.
  void damage_pages() const {
    Bytes bytes(media::kBlockBytes);
    for (std::uint64_t block = 0; block < medium->block_count(); block += 4) {
      medium->read_block(media::BlockNo(block), bytes);
      if (load_le<std::uint32_t>(bytes.data() + 4) != 0x67506e43) continue;  // docs/formats/page.md
      bytes[1000] ^= std::byte{1};
      medium->write_block(media::BlockNo(block), bytes);
    }
  }

  std::uint64_t rate = 32u << 20;
  std::vector<Uuid> containers;
  std::vector<TargetFinding> told;
  std::unique_ptr<Scrubber> scrubber;
};

TEST_F(ScrubberTest, ScrubsEverythingOncePerPeriod) {
  start();
  pass_time(kDelay - std::chrono::seconds(1));
  EXPECT_EQ(scrubber->status().read_bytes, 0u);
  pass_time(std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 1u);
  EXPECT_FALSE(scrubber->status().running);
  EXPECT_GT(scrubber->status().read_bytes, 90u * 9000);
  EXPECT_GE(scrubber->status().entries, 90u);
  const std::uint64_t once = scrubber->status().read_bytes;
  pass_time(kWeek - std::chrono::minutes(5));
  EXPECT_EQ(scrubber->status().passes, 1u);
  EXPECT_EQ(scrubber->status().read_bytes, once);
  pass_time(std::chrono::hours(1));
  EXPECT_EQ(scrubber->status().passes, 2u);
  EXPECT_TRUE(told.empty());
}

TEST_F(ScrubberTest, TellsAndKeepsAndCountsWhatItFinds) {
  const std::uint64_t block = damage();
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].finding.block, block);
  EXPECT_TRUE(std::ranges::binary_search(containers, *told[0].container));
  EXPECT_EQ(scrubber->findings().size(), 1u);
  EXPECT_EQ(scrubber->status().bad_data, 1u);
  EXPECT_EQ(scrubber->status().bad_pages + scrubber->status().bad_entries, 0u);
  // Each pass tells it again.
  pass_time(kWeek);
  EXPECT_EQ(scrubber->status().passes, 2u);
  EXPECT_EQ(told.size(), 2u);
  EXPECT_EQ(scrubber->findings().size(), 1u);
}

TEST_F(ScrubberTest, KnowsItsFindingsAfterARestartAndUntilTheyAreWhole) {
  const std::uint64_t block = damage();
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  ASSERT_EQ(scrubber->findings().size(), 1u);
  const KeptFinding before = scrubber->findings()[0];
  EXPECT_EQ(scrubber->status().findings, 1u);
  restart();
  pass_time(std::chrono::seconds(1));
  ASSERT_EQ(scrubber->findings().size(), 1u);
  const KeptFinding after = scrubber->findings()[0];
  EXPECT_EQ(after.finding.finding.message, before.finding.finding.message);
  EXPECT_EQ(after.finding.container, before.finding.container);
  EXPECT_EQ(after.finding.dkey, before.finding.dkey);
  EXPECT_EQ(after.found, before.found);
  EXPECT_EQ(told.size(), 1u) << "only passes tell";
  // The next pass finds it again, and one after it was made good does not.
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_EQ(told.size(), 2u);
  ASSERT_EQ(scrubber->findings().size(), 1u);
  EXPECT_EQ(scrubber->findings()[0].found, before.found);
  EXPECT_GT(scrubber->findings()[0].seen, before.seen);
  repair(block);
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_TRUE(scrubber->findings().empty());
  restart();
  pass_time(std::chrono::seconds(1));
  EXPECT_TRUE(scrubber->findings().empty());
}

TEST_F(ScrubberTest, BeginsWhenItIsToldTo) {
  start();
  pass_time(std::chrono::seconds(1));
  EXPECT_EQ(scrubber->status().read_bytes, 0u);
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 1u);
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 2u);
  pass_time(std::chrono::hours(1));
  EXPECT_EQ(scrubber->status().passes, 2u);
  EXPECT_FALSE(scrubber->status().left);
}

TEST_F(ScrubberTest, ReadsNothingWhileItIsPaused) {
  rate = 40'000;
  start();
  scrubber->begin_pass();
  pass_time_until([this] { return scrubber->status().read_bytes > 800'000; });
  EXPECT_GT(scrubber->status().left.value_or(Duration::zero()), std::chrono::seconds(5));
  scrubber->begin_pass();  // it runs already
  scrubber->pause();
  pass_time(std::chrono::seconds(10));
  const std::uint64_t before = scrubber->status().read_bytes;
  const WallTime began = scrubber->status().began;
  EXPECT_TRUE(scrubber->status().paused);
  EXPECT_TRUE(scrubber->status().running);
  pass_time(std::chrono::hours(24));
  EXPECT_EQ(scrubber->status().read_bytes, before);
  scrubber->resume();
  pass_time_until([this] { return scrubber->status().passes == 1; });
  EXPECT_EQ(scrubber->status().began, began);
  EXPECT_FALSE(scrubber->status().paused);
  const std::uint64_t first = scrubber->status().pass_bytes;
  // A new one is wanted by whoever begins it, paused or not.
  scrubber->pause();
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(5));
  EXPECT_EQ(scrubber->status().passes, 2u);
  EXPECT_LT(first, scrubber->status().pass_bytes + before / 2) << "it did not go on where it was";
}

TEST_F(ScrubberTest, MakesPagesGoodThatMemoryHasWhole) {
  ASSERT_TRUE(block_on(store->checkpoint()));
  ASSERT_TRUE(block_on(objects->owned_extents()));  // reads every page in
  damage_pages();
  start();
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 1u);
  EXPECT_GT(scrubber->status().repaired, 3u);
  EXPECT_EQ(scrubber->status().repaired, told.size());
  for (const TargetFinding& finding : told) EXPECT_TRUE(finding.finding.repaired) << finding.finding.message;
  EXPECT_TRUE(scrubber->findings().empty()) << "what is repaired is no damage any more";
  told.clear();
  restart();
  scrubber->begin_pass();
  pass_time(std::chrono::minutes(1));
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(scrubber->status().repaired, 0u);
}

TEST_F(ScrubberTest, GoesOnAfterARestart) {
  rate = 40'000;  // some tens of seconds
  start();
  pass_time(kDelay);
  pass_time_until([this] { return scrubber->status().read_bytes > 500'000; });
  ASSERT_TRUE(scrubber->status().running);
  const WallTime began = scrubber->status().began;
  const std::uint64_t before = scrubber->status().read_bytes;
  restart();
  pass_time(kDelay);
  pass_time_until([this] { return !scrubber->status().running && scrubber->status().passes == 1; });
  EXPECT_EQ(scrubber->status().began, began);
  const std::uint64_t after = scrubber->status().read_bytes;
  rate = 32u << 20;
  restart();
  pass_time(kWeek + kDelay);
  EXPECT_EQ(scrubber->status().passes, 1u);
  // Together they read what one pass reads, and little of it twice.
  EXPECT_GE(before + after, scrubber->status().read_bytes);
  EXPECT_LT(after, scrubber->status().read_bytes * 3 / 4);
}

TEST_F(ScrubberTest, DoesNotBeginAnewAfterARestart) {
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 1u);
  restart();
  pass_time(std::chrono::hours(24));
  EXPECT_EQ(scrubber->status().passes, 0u);
  EXPECT_NE(scrubber->status().ended, WallTime());
}

TEST_F(ScrubberTest, BeginsAnewWhereItsPlaceIsNoRecord) {
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  stop();
  store::Batch batch;
  batch.put(*store->find_tree("object.scrub"), Bytes{std::byte{1}}, Bytes(5, std::byte{9}));
  ASSERT_TRUE(block_on(store->commit(std::move(batch))));
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  EXPECT_EQ(scrubber->status().passes, 1u);
}

TEST_F(ScrubberTest, LeavesTheContainersThatGoWhileItRuns) {
  rate = 40'000;
  start();
  pass_time(kDelay);
  pass_time_until([this] { return scrubber->status().entries > 90; });
  for (const Uuid& gone : containers) ASSERT_TRUE(block_on(objects->destroy_container(gone)));
  ASSERT_TRUE(block_on(objects->aggregate(objects->now())));
  pass_time_until([this] { return scrubber->status().passes == 1; });
  EXPECT_TRUE(told.empty());
}

/// Power is cut at every write that the scrubber causes: what is left opens, is whole, and is scrubbed to its end.
TEST_F(ScrubberTest, KeepsItsPlaceThroughACrashAtEveryWrite) {
  rate = 40'000;
  start();
  std::vector<std::unique_ptr<media::SimMedium>> images;
  device->set_write_hook([this, &images](std::uint64_t, const media::IoRequest&) {
    images.push_back(device->crash_image({.keep_random = images.size() % 2 == 0}));
  });
  pass_time(kDelay);
  pass_time_until([this] { return scrubber->status().passes == 1; });
  device->set_write_hook({});
  stop();
  ASSERT_GT(images.size(), 2u);
  rate = 32u << 20;
  for (auto& image : images) {
    power_off();
    medium = std::move(image);
    open();
    start();
    pass_time(kDelay);
    pass_time_until([this] { return scrubber->status().ended != WallTime(); });
    EXPECT_TRUE(told.empty());
    check();
    stop();
    if (HasFailure()) return;
  }
}

/// The same with damage: a place behind it is never there without it, so no crash makes a pass forget it.
TEST_F(ScrubberTest, ForgetsNoFindingThroughACrashAtEveryWrite) {
  rate = 40'000;
  damage();
  start();
  std::vector<std::unique_ptr<media::SimMedium>> images;
  device->set_write_hook([this, &images](std::uint64_t, const media::IoRequest&) {
    images.push_back(device->crash_image({.keep_random = images.size() % 2 == 0}));
  });
  pass_time(kDelay);
  pass_time_until([this] { return scrubber->status().passes == 1; });
  scrubber->begin_pass();
  pass_time_until([this] { return scrubber->status().passes == 2; });
  device->set_write_hook({});
  stop();
  ASSERT_GT(images.size(), 2u);
  std::size_t known = 0;
  for (auto& image : images) {
    power_off();
    medium = std::move(image);
    open();
    start();
    pass_time(std::chrono::seconds(1));
    known += scrubber->findings().size();
    if (scrubber->status().ended != WallTime()) EXPECT_EQ(scrubber->findings().size(), 1u);
    // What is left of the pass, or a whole one.
    pass_time(kDelay);
    pass_time_until([this] { return scrubber->status().ended != WallTime(); });
    EXPECT_EQ(scrubber->findings().size(), 1u);
    check();
    stop();
    if (HasFailure()) return;
  }
  EXPECT_GT(known, 0u);
}

TEST_F(ScrubberTest, LeavesAStoreThatIsWholeForAnExamination) {
  start();
  pass_time(kDelay + std::chrono::minutes(1));
  stop();
  power_off();
  power_on();
  TargetCheckOptions wanted;
  wanted.cache_bytes = store::kMinCacheBytes;
  const auto report = block_on(check_target(node, store::Devices::one(*device), std::move(wanted)));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->damages + report->warnings, 0u);
}

}  // namespace
}  // namespace cenote::object
