#include "records.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

TEST(RolledBack, IsFoundByItsEpochs) {
  const std::vector<RolledBack> ranges{{Epoch(10), Epoch(20)}, {Epoch(20), Epoch(30)}, {Epoch(40), Epoch(50)}};
  for (const std::uint64_t there : {1, 10, 31, 40, 51}) EXPECT_EQ(find_rolled_back(ranges, Epoch(there)), nullptr);
  EXPECT_EQ(find_rolled_back(ranges, Epoch(11)), &ranges[0]);
  EXPECT_EQ(find_rolled_back(ranges, Epoch(20)), &ranges[0]);
  EXPECT_EQ(find_rolled_back(ranges, Epoch(21)), &ranges[1]);
  EXPECT_EQ(find_rolled_back(ranges, Epoch(50)), &ranges[2]);
}

TEST(RolledBack, RecordKeepsItsRanges) {
  const RollbackRecord record{Uuid::from_random(1, 2), {{Epoch(10), Epoch(20)}, {Epoch(40), Epoch(50)}}};
  const auto decoded = decode_rollback(encode_rollback(record));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->request, record.request);
  EXPECT_EQ(decoded->ranges, record.ranges);
  const RollbackRecord overlapping{record.request, {{Epoch(10), Epoch(20)}, {Epoch(15), Epoch(50)}}};
  EXPECT_EQ(code_of(decode_rollback(encode_rollback(overlapping))), Code::kCorrupt);
  EXPECT_EQ(code_of(decode_rollback(encode_rollback({}))), Code::kCorrupt);
  const Bytes whole = encode_rollback(record);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_EQ(code_of(decode_rollback(ByteView(whole).first(bytes))), Code::kCorrupt);
}

class RollbackTest : public testing::Test {
 protected:
  explicit RollbackTest() : target_(22) { target_.create(); }

  static Bytes value_of(std::uint64_t number) { return pattern(number, 100'000); }
  void put(std::uint64_t number, std::string_view akey = "a") {
    const Bytes value = value_of(number);
    const auto updated = target_.update(target_.single(kObject, key_of("d"), key_of(akey), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  void punch() {
    ASSERT_TRUE(target_.punch(
        {.container = target_.container, .object = kObject, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  }
  Result<> roll_back(Epoch to, const Uuid& request) {
    return target_.block_on(target_.objects->roll_back(target_.container, to, request));
  }
  Result<> roll_back(Epoch to) { return roll_back(to, Uuid::from_random(7, ++requests_)); }
  Result<> add_snapshot(Epoch epoch) {
    return target_.block_on(target_.objects->add_snapshot(target_.container, epoch));
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }
  Epoch now() { return target_.objects->now(); }
  Code read_code(Epoch epoch) {
    return code_of(target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of("a"), epoch)));
  }
  bool shows(std::uint64_t number, Epoch epoch = kEpochLatest, std::string_view akey = "a") {
    const auto fetched = target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of(akey), epoch));
    return fetched && joined(*fetched) == value_of(number);
  }
  bool exists(std::string_view akey) {
    return target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of(akey)))->reply.akeys[0].exists;
  }
  std::uint64_t used() { return target_.block_on(target_.objects->container_usage(target_.container))->bytes; }

  TestTarget target_;
  std::uint64_t requests_ = 0;
};

TEST_F(RollbackTest, TakesBackUpdatesAndPunchesAtOnce) {
  put(1);
  const Epoch then = now();
  put(2);
  put(3, "born later");
  punch();
  put(4);
  ASSERT_TRUE(roll_back(then));
  EXPECT_TRUE(shows(1));
  EXPECT_FALSE(exists("born later"));
  EXPECT_EQ(read_code(then), Code::kEpochTooOld);
  put(5);
  EXPECT_TRUE(shows(5));
  EXPECT_EQ(used(), 500'000u);

  target_.reopen();
  EXPECT_TRUE(shows(5));
  aggregate();
  EXPECT_TRUE(shows(5));
  EXPECT_FALSE(exists("born later"));
  EXPECT_EQ(used(), 100'000u);
  target_.check();
}

TEST_F(RollbackTest, ShowsASnapshotThatAggregationLeftAlone) {
  put(1);
  const Epoch snapshot(now().value() + 1);
  ASSERT_TRUE(add_snapshot(snapshot));
  put(2);
  punch();
  put(3);
  aggregate();
  ASSERT_TRUE(roll_back(snapshot));
  EXPECT_TRUE(shows(1));
  EXPECT_TRUE(shows(1, snapshot));
  aggregate();
  EXPECT_TRUE(shows(1));
  EXPECT_EQ(used(), 100'000u);
  target_.reopen();
  EXPECT_TRUE(shows(1, snapshot));
}

TEST_F(RollbackTest, TakesEffectOnceForARequest) {
  put(1);
  const Epoch then = now();
  put(2);
  const Uuid request = Uuid::from_random(3, 3);
  ASSERT_TRUE(roll_back(then, request));
  put(3);
  ASSERT_TRUE(roll_back(then, request));
  EXPECT_TRUE(shows(3));
  aggregate();
  target_.reopen();
  ASSERT_TRUE(roll_back(then, request));
  EXPECT_TRUE(shows(3));
}

TEST_F(RollbackTest, GoesBackStepByStepAndOverEarlierOnes) {
  std::vector<Epoch> after;
  for (std::uint64_t number = 0; number < 6; ++number) {
    put(number);
    after.push_back(now());
  }
  ASSERT_TRUE(add_snapshot(Epoch(after[0].value() + 1)) || true);
  ASSERT_TRUE(roll_back(after[4]));
  EXPECT_TRUE(shows(4));
  const Epoch rolled_back = now();
  put(7);
  ASSERT_TRUE(roll_back(rolled_back));
  EXPECT_TRUE(shows(4));
  // Readers in what was taken back have no answer; so there is no way back to it either.
  EXPECT_EQ(code_of(roll_back(after[2])), Code::kEpochTooOld);
  target_.objects->check_invariants();
  aggregate();
  EXPECT_TRUE(shows(4));
  EXPECT_EQ(used(), 100'000u + (shows(0, Epoch(after[0].value() + 1)) ? 100'000u : 0u));
  target_.check();
}

TEST_F(RollbackTest, WhatCannotBeRolledBackToIsRefused) {
  put(1);
  const Epoch old = now();
  put(2);
  aggregate();
  EXPECT_EQ(code_of(roll_back(old)), Code::kEpochTooOld);
  EXPECT_EQ(code_of(roll_back(kEpochZero)), Code::kEpochTooOld);
  EXPECT_EQ(code_of(roll_back(Epoch(now().value() + 1))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(roll_back(kEpochLatest)), Code::kInvalidArgument);
  const Epoch first(now().value() + 1), second(now().value() + 2);
  ASSERT_TRUE(add_snapshot(first));
  ASSERT_TRUE(add_snapshot(second));
  EXPECT_EQ(code_of(roll_back(first)), Code::kConditionFailed);
  EXPECT_TRUE(roll_back(second));
  EXPECT_EQ(
      code_of(target_.block_on(target_.objects->roll_back(Uuid::from_random(9, 9), second, Uuid::from_random(1, 1)))),
      Code::kContainerNotFound);
  EXPECT_TRUE(shows(2));
}

TEST_F(RollbackTest, OnesThatAddUpAreBounded) {
  put(1);
  for (std::size_t i = 0; i < kMaxRolledBack; ++i) {
    const Epoch then = now();
    put(2);
    ASSERT_TRUE(roll_back(then)) << i;
  }
  const Epoch then = now();
  put(3);
  EXPECT_EQ(code_of(roll_back(then)), Code::kQuotaExceeded);
  target_.reopen();
  EXPECT_TRUE(shows(3));
  aggregate();
  put(4);
  EXPECT_TRUE(roll_back(now()));
  EXPECT_TRUE(shows(4));
}

TEST_F(RollbackTest, SpaceComesBackInTheBackgroundAlsoAfterARestart) {
  put(1);
  const Epoch then = now();
  for (std::uint64_t number = 0; number < 600; ++number) {
    const Bytes value = pattern(number, 10);
    ASSERT_TRUE(
        target_.update(target_.single(kObject, key_of("d"), key_of("n" + std::to_string(number)), value), value));
  }
  ASSERT_TRUE(roll_back(then));
  EXPECT_EQ(used(), 106'000u);
  target_.options.aggregation = true;
  target_.options.retention = std::chrono::seconds(2);
  target_.reopen();
  EXPECT_TRUE(target_.world.run_until([this] { return target_.objects->counters().merged_entries == 600; },
                                      std::chrono::seconds(30)));
  EXPECT_EQ(used(), 100'000u);
  EXPECT_TRUE(shows(1));
  target_.check();
}

TEST_F(RollbackTest, DuringAPassOfAggregationEndsIt) {
  target_.options.aggregation = true;
  target_.options.retention = std::chrono::seconds(2);
  target_.reopen();
  const auto churn = [this](std::uint64_t from) {
    for (std::uint64_t number = from; number < from + 1200; ++number) {
      const Bytes value = pattern(number, 10);
      const KeyBytes akey = key_of("n" + std::to_string(number % 600));
      ASSERT_TRUE(target_.update(target_.single(kObject, key_of("d"), akey, value), value));
    }
  };
  ASSERT_NO_FATAL_FAILURE(churn(0));
  const auto merged = [this] { return target_.objects->counters().merged_entries; };
  ASSERT_TRUE(target_.world.run_until([&] { return merged() > 0; }, std::chrono::seconds(30)));
  ASSERT_LT(merged(), 600u);
  const Epoch then = now();
  ASSERT_NO_FATAL_FAILURE(churn(5000));
  ASSERT_TRUE(roll_back(then));
  target_.world.run_until([] { return false; }, std::chrono::seconds(20));
  EXPECT_EQ(used(), 6000u);
  for (std::uint64_t number = 600; number < 1200; ++number) {
    const auto fetched =
        target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of("n" + std::to_string(number % 600))));
    ASSERT_TRUE(fetched);
    ASSERT_TRUE(joined(*fetched) == pattern(number, 10)) << number;
  }
}

TEST_F(RollbackTest, ADestroyedContainerLeavesNothingOfIt) {
  put(1);
  const Epoch then = now();
  put(2);
  ASSERT_TRUE(roll_back(then));
  ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
  ASSERT_TRUE(target_.block_on(target_.objects->create_container(target_.container, {})));
  aggregate();
  const auto owned = target_.block_on(target_.objects->owned_extents());
  EXPECT_TRUE(owned && owned->empty());
  target_.reopen();
  EXPECT_FALSE(exists("a"));
}

TEST_F(RollbackTest, AnOldBuildRefusesTheContainer) {
  const auto record = [this] {
    return *target_.block_on(target_.store->run([this](store::View& view) -> Result<ContainerRecord> {
      const store::TreeId system = *target_.store->find_tree(kSystemTreeName);
      TRY(const auto value, view.get(system, container_key(RecordKind::kContainer, target_.container)));
      EXPECT_EQ((*value)[0] == std::byte{3}, target_.objects->counters().merged_entries > 0);
      return decode_container(*value);
    }));
  };
  EXPECT_FALSE(record().has_rollbacks);
  put(1);
  const Epoch then = now();
  put(2);
  ASSERT_TRUE(roll_back(then));
  aggregate();
  EXPECT_TRUE(record().has_rollbacks);
  EXPECT_FALSE(record().has_snapshots);
  const Epoch snapshot(now().value() + 1);
  ASSERT_TRUE(add_snapshot(snapshot));
  EXPECT_TRUE(record().has_rollbacks && record().has_snapshots);
  ASSERT_TRUE(target_.block_on(target_.objects->remove_snapshot(target_.container, snapshot)));
  EXPECT_TRUE(record().has_rollbacks && !record().has_snapshots);
}

/// What the medium would hold if the power had failed before a device write, and how far the history was by then.
struct RollbackImage {
  std::unique_ptr<media::SimMedium> medium;
  int done = 0;
};

// Values, a rollback and the removal of what it took back, cut at every device write: the rollback happened or it did
// not, once it was answered it did, and sent again it takes effect once.
TEST(RollbackCrash, EveryDeviceWrite) {
  constexpr std::uint64_t kValues = 40;
  const Uuid request = Uuid::from_random(5, 5);
  const auto value_of = [](std::uint64_t number) { return pattern(number, number % 3 == 0 ? 100 : 9000); };
  std::vector<RollbackImage> images;
  Epoch then;
  {
    TestTarget target(31);
    target.create();
    const auto put_all = [&](std::uint64_t from, std::uint64_t count) {
      for (std::uint64_t number = from; number < from + count; ++number) {
        const Bytes value = value_of(number);
        const auto put = target.update(target.single(kObject, key_of("d"), key_of(number % kValues), value), value);
        ASSERT_TRUE(put) << put.error().to_string();
      }
    };
    put_all(0, kValues);
    then = target.objects->now();
    put_all(kValues, kValues);
    int done = 0;
    target.device->set_write_hook(
        [&](std::uint64_t, const media::IoRequest&) { images.push_back({target.device->crash_image({}), done}); });
    ASSERT_TRUE(target.block_on(target.objects->roll_back(target.container, then, request)));
    done = 1;
    ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    ASSERT_TRUE(target.block_on(target.store->checkpoint()));
    put_all(2 * kValues, 1);
    done = 2;
    ASSERT_TRUE(target.block_on(target.store->checkpoint()));
    target.device->set_write_hook(nullptr);
  }
  ASSERT_GT(images.size(), 6u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(testing::Message() << "cut before device write " << i);
    TestTarget target(31);
    target.medium = std::move(images[i].medium);
    target.open();
    target.check();
    const auto shown = [&](std::uint64_t key) {
      const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of(key)));
      return fetched ? joined(*fetched) : Bytes();
    };
    const bool rolled_back = shown(1) == value_of(1);
    EXPECT_TRUE(rolled_back || images[i].done == 0);
    for (std::uint64_t key = 1; key < kValues; ++key)
      EXPECT_TRUE(shown(key) == value_of(rolled_back ? key : key + kValues)) << key;
    if (images[i].done == 2) EXPECT_TRUE(shown(0) == value_of(2 * kValues));
    const Bytes before = shown(0);
    ASSERT_TRUE(target.block_on(target.objects->roll_back(target.container, then, request)));
    EXPECT_TRUE(shown(0) == (rolled_back ? before : value_of(0)));
    ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    for (std::uint64_t key = 1; key < kValues; ++key) EXPECT_TRUE(shown(key) == value_of(key)) << key;
    target.check();
  }
}

}  // namespace
}  // namespace cenote::object
