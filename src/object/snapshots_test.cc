#include "cenote/object/examine.h"
#include "cenote/runtime/scope.h"
#include "eras.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

TEST(Eras, EndAtTheirReaders) {
  const Eras eras({Epoch(10), Epoch(20), Epoch(40)}, Epoch(30));
  EXPECT_EQ(eras.count(), 3u);
  EXPECT_EQ(eras.of(Epoch(1)), 0u);
  EXPECT_EQ(eras.of(Epoch(10)), 0u);
  EXPECT_EQ(eras.of(Epoch(11)), 1u);
  EXPECT_EQ(eras.of(Epoch(30)), 2u);
  EXPECT_EQ(eras.end(1), Epoch(20));
  EXPECT_EQ(eras.end(2), Epoch(30));
  EXPECT_EQ(Eras({Epoch(30)}, Epoch(30)).count(), 1u);
}

/// A target with one value that changes.
class SnapshotTest : public testing::Test {
 protected:
  explicit SnapshotTest() : target_(21) { target_.create(); }

  static Bytes value_of(std::uint64_t number) { return pattern(number, 100'000); }
  void put(std::uint64_t number) {
    const Bytes value = value_of(number);
    const auto updated = target_.update(target_.single(kObject, key_of("d"), key_of("a"), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  void punch() {
    ASSERT_TRUE(target_.punch(
        {.container = target_.container, .object = kObject, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  }
  Result<> add(Epoch epoch) { return target_.block_on(target_.objects->add_snapshot(target_.container, epoch)); }
  Result<> remove(Epoch epoch) { return target_.block_on(target_.objects->remove_snapshot(target_.container, epoch)); }
  Epoch add_now() {
    const Epoch epoch(target_.objects->now().value() + 1);
    EXPECT_TRUE(add(epoch));
    return epoch;
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }
  Code read_code(Epoch epoch) {
    return code_of(target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of("a"), epoch)));
  }
  bool shows(Epoch epoch, std::uint64_t number) {
    const auto fetched = target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of("a"), epoch));
    return fetched && joined(*fetched) == value_of(number);
  }
  std::uint64_t used() { return target_.block_on(target_.objects->container_usage(target_.container))->bytes; }
  std::vector<Epoch> listed() { return *target_.block_on(target_.objects->list_snapshots(target_.container)); }

  TestTarget target_;
};

TEST_F(SnapshotTest, KeepsWhatItsReadersSawAndNothingElse) {
  for (std::uint64_t number = 0; number < 5; ++number) put(number);
  const Epoch first = add_now();
  for (std::uint64_t number = 5; number < 10; ++number) put(number);
  const Epoch second = add_now();
  punch();
  aggregate();
  EXPECT_EQ(used(), 200'000u);
  EXPECT_TRUE(shows(first, 4));
  EXPECT_TRUE(shows(second, 9));
  EXPECT_EQ(read_code(Epoch(second.value() - 1)), Code::kEpochTooOld);
  EXPECT_EQ(read_code(Epoch(first.value() + 1)), Code::kEpochTooOld);
  const auto now = target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of("a")));
  ASSERT_TRUE(now);
  EXPECT_FALSE(now->reply.akeys[0].exists);

  target_.reopen();
  EXPECT_EQ(listed(), (std::vector<Epoch>{first, second}));
  EXPECT_TRUE(shows(first, 4));
  ASSERT_TRUE(remove(first));
  EXPECT_EQ(read_code(first), Code::kEpochTooOld);
  aggregate();
  EXPECT_EQ(used(), 100'000u);
  EXPECT_TRUE(shows(second, 9));
  ASSERT_TRUE(remove(second));
  aggregate();
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(target_.entries(), 0u);
  target_.check();
}

TEST_F(SnapshotTest, ComesBeforeEveryLaterVersionAlsoAfterARestart) {
  put(1);
  // As far ahead as another target's clock may be.
  const Epoch ahead(target_.objects->now().value() + 60'000'000'000);
  ASSERT_TRUE(add(ahead));
  EXPECT_GE(target_.objects->now(), ahead);
  put(2);
  EXPECT_TRUE(shows(ahead, 1));
  target_.reopen();
  put(3);
  EXPECT_TRUE(shows(ahead, 1));
  EXPECT_TRUE(shows(kEpochLatest, 3));
}

TEST_F(SnapshotTest, AddingAndRemovingTwiceIsNoError) {
  put(1);
  const Epoch epoch = add_now();
  EXPECT_TRUE(add(epoch));
  EXPECT_EQ(listed(), std::vector<Epoch>{epoch});
  EXPECT_TRUE(remove(epoch));
  EXPECT_TRUE(remove(epoch));
  EXPECT_TRUE(listed().empty());
  EXPECT_TRUE(add(epoch));
}

TEST_F(SnapshotTest, WhatCannotBeKeptIsRefused) {
  put(1);
  put(2);
  aggregate();
  const Epoch now = target_.objects->now();
  EXPECT_EQ(code_of(add(Epoch(now.value() - 1))), Code::kEpochTooOld);
  EXPECT_EQ(code_of(add(kEpochZero)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(add(kEpochLatest)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(target_.block_on(target_.objects->add_snapshot(Uuid::from_random(9, 9), now))),
            Code::kContainerNotFound);
  for (std::uint64_t i = 0; i < kMaxSnapshots; ++i) ASSERT_TRUE(add(Epoch(now.value() + i)));
  EXPECT_EQ(code_of(add(Epoch(now.value() + kMaxSnapshots))), Code::kQuotaExceeded);
  EXPECT_TRUE(add(now));
  target_.objects->check_invariants();
  target_.reopen();
  EXPECT_EQ(listed().size(), kMaxSnapshots);
  aggregate();
  EXPECT_TRUE(shows(now, 2));

  // A container takes its snapshots with it, however many.
  ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
  ASSERT_TRUE(target_.block_on(target_.objects->create_container(target_.container, {})));
  EXPECT_TRUE(listed().empty());
  aggregate();
  const auto owned = target_.block_on(target_.objects->owned_extents());
  EXPECT_TRUE(owned && owned->empty());
  target_.reopen();
  EXPECT_TRUE(listed().empty());
}

// After its removal nothing else changes: aggregation must come by itself, also when the removal was the last thing
// before a restart.
class ReleasedSnapshot : public SnapshotTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Restarted, ReleasedSnapshot, testing::Bool());

TEST_P(ReleasedSnapshot, GivesItsSpaceBackInTheBackground) {
  target_.options.aggregation = true;
  target_.options.retention = std::chrono::seconds(2);
  target_.reopen();
  put(1);
  const Epoch epoch = add_now();
  put(2);
  // Long enough for passes that find nothing.
  target_.world.run_until([] { return false; }, std::chrono::seconds(20));
  EXPECT_EQ(used(), 200'000u);
  EXPECT_TRUE(shows(epoch, 1));
  ASSERT_TRUE(remove(epoch));
  if (GetParam()) target_.reopen();
  EXPECT_TRUE(target_.world.run_until([this] { return target_.objects->counters().merged_entries > 0; },
                                      std::chrono::seconds(30)));
  EXPECT_EQ(used(), 100'000u);
  EXPECT_TRUE(shows(kEpochLatest, 2));
}

// A pass that began before the removal keeps what the snapshot needed; it must not count as having merged it.
TEST_F(SnapshotTest, ARemovalDuringAPassIsMergedByTheNext) {
  target_.options.aggregation = true;
  target_.options.retention = std::chrono::seconds(2);
  target_.reopen();
  put(1);
  // Their old versions go in several slices, after what the snapshot keeps has been passed.
  for (std::uint64_t number = 0; number < 1200; ++number) {
    const Bytes value = pattern(number, 10);
    const KeyBytes akey = key_of("n" + std::to_string(number % 600));
    ASSERT_TRUE(target_.update(target_.single(kObject, key_of("d"), akey, value), value));
  }
  const Epoch epoch = add_now();
  put(2);
  const auto merged = [this] { return target_.objects->counters().merged_entries; };
  ASSERT_TRUE(target_.world.run_until([&] { return merged() > 0; }, std::chrono::seconds(30)));
  ASSERT_LT(merged(), 600u);
  ASSERT_TRUE(remove(epoch));
  EXPECT_TRUE(target_.world.run_until([&] { return merged() == 601; }, std::chrono::seconds(30)));
  EXPECT_EQ(used(), 100'000u + 6000);
}

TEST_F(SnapshotTest, AnOldBuildRefusesAContainerWithSnapshots) {
  const auto record_version = [this] {
    return *target_.block_on(target_.store->run([this](store::View& view) -> Result<std::byte> {
      const store::TreeId system = *target_.store->find_tree(kSystemTreeName);
      TRY(const auto value, view.get(system, container_key(RecordKind::kContainer, target_.container)));
      return (*value)[0];
    }));
  };
  EXPECT_EQ(record_version(), std::byte{1});
  const Epoch first = add_now(), second = add_now();
  EXPECT_EQ(record_version(), std::byte{2});
  ASSERT_TRUE(remove(first));
  EXPECT_EQ(record_version(), std::byte{2});
  ASSERT_TRUE(remove(second));
  EXPECT_EQ(record_version(), std::byte{1});
}

/// Requests that are sent while answers are held.
class HeldAnswers : public SnapshotTest {
 protected:
  static Task<> note(Task<Result<UpdateReply>> task, int* answered) {
    EXPECT_TRUE(co_await std::move(task));
    ++*answered;
  }
  static Task<> note_fetch(Task<Result<Fetched>> task, int* answered) {
    EXPECT_TRUE(co_await std::move(task));
    ++*answered;
  }
  void send(Scope& scope) {
    const Bytes value = value_of(2);
    scope.spawn(note(TestTarget::update_of(*target_.objects, target_.single(kObject, key_of("d"), key_of("a"), value),
                                           target_.buffer_of(value), value.size()),
                     &answered_));
    // Also what does not wait for the device.
    scope.spawn(
        note_fetch(TestTarget::fetch_of(*target_.objects, target_.fetch_single(kObject, key_of("d"), key_of("none"))),
                   &answered_));
  }
  void pass(Duration time) {
    target_.world.run_until([] { return false; }, time);
  }
  int answered_ = 0;
};

TEST_F(HeldAnswers, ComeWhenTheyAreReleasedWhateverWasDone) {
  put(1);
  Scope scope(target_.node);
  target_.objects->hold_answers(std::chrono::seconds(2));
  send(scope);
  pass(std::chrono::seconds(1));
  EXPECT_EQ(answered_, 0);
  // What is done meanwhile is not held itself, and closes what was not answered yet.
  const Epoch epoch = add_now();
  EXPECT_EQ(answered_, 0);
  target_.objects->release_answers();
  target_.block_on(scope.drain());
  EXPECT_EQ(answered_, 2);
  EXPECT_TRUE(shows(epoch, 2));
}

TEST_F(HeldAnswers, ComeInTimeWithoutRelease) {
  Scope scope(target_.node);
  target_.objects->hold_answers(std::chrono::seconds(2));
  send(scope);
  pass(std::chrono::seconds(3));
  EXPECT_EQ(answered_, 2);
  target_.block_on(scope.drain());
  put(3);
}

TEST_F(HeldAnswers, DoNotKeepATargetFromClosing) {
  Scope scope(target_.node);
  target_.objects->hold_answers(std::chrono::seconds(1000));
  send(scope);
  pass(std::chrono::milliseconds(100));
  EXPECT_TRUE(target_.block_on(target_.objects->close()));
  target_.block_on(scope.drain());
  EXPECT_EQ(answered_, 2);
}

class DamagedSnapshot : public SnapshotTest {
 protected:
  /// What the offline check says after `change` of the system tree.
  std::vector<std::string> found_after(std::function<void(store::Batch&, store::TreeId)> change) {
    store::Batch batch;
    change(batch, *target_.store->find_tree(kSystemTreeName));
    EXPECT_TRUE(target_.block_on(target_.store->commit(std::move(batch))));
    target_.power_off();
    target_.power_on();
    std::vector<std::string> messages;
    TargetCheckOptions options;
    options.cache_bytes = target_.open_options.cache_bytes;
    options.found = [&messages](const TargetFinding& found) { messages.push_back(found.finding.message); };
    EXPECT_TRUE(target_.block_on(check_target(target_.node, store::Devices::one(*target_.device), std::move(options))));
    return messages;
  }
};

TEST_F(DamagedSnapshot, AWholeOneIsNoFinding) {
  put(1);
  const Epoch epoch = add_now();
  EXPECT_TRUE(found_after([&](store::Batch& batch, store::TreeId system) {
                batch.put(system, snapshot_key(target_.container, epoch), encode_snapshot());
              }).empty());
}

TEST_F(DamagedSnapshot, OneWithoutContainerIsNamed) {
  const Uuid nobody = Uuid::from_random(8, 8);
  const auto found = found_after([&](store::Batch& batch, store::TreeId system) {
    batch.put(system, snapshot_key(nobody, Epoch(1)), encode_snapshot());
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find(nobody.to_string()), std::string::npos) << found[0];
  EXPECT_EQ(code_of(target_.try_open()), Code::kCorrupt);
}

TEST_F(DamagedSnapshot, OneThatIsLostIsNamed) {
  const Epoch epoch = add_now();
  const auto found = found_after(
      [&](store::Batch& batch, store::TreeId system) { batch.erase(system, snapshot_key(target_.container, epoch)); });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("0 snapshots"), std::string::npos) << found[0];
}

TEST_F(DamagedSnapshot, OneOfTheFutureIsNamed) {
  add_now();
  const auto found = found_after([&](store::Batch& batch, store::TreeId system) {
    batch.put(system, snapshot_key(target_.container, Epoch(UINT64_MAX - 1)), encode_snapshot());
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("above the clock's ceiling"), std::string::npos) << found[0];
  EXPECT_EQ(code_of(target_.try_open()), Code::kCorrupt);
}

}  // namespace
}  // namespace cenote::object
