#include "cenote/engine/control_recovery.h"

#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/engine/sim_coordinator.h"
#include "control_records.h"
#include "control_service.h"
#include "memory_coordinator.h"
#include "memory_targets.h"

namespace cenote::engine {
namespace {

using cluster::KeyValue;
using cluster::Rank;
using cluster::Revision;

const SystemIdentity kSystem{Uuid::from_random(1, 2), "precious"};

Uuid id(std::uint64_t number) { return Uuid::from_random(3, number); }
/// As MemoryTargets names its engines.
Uuid engine_id(std::uint32_t rank) { return Uuid::from_random(1, 1 + rank); }

/// What a system of three engines leaves behind, two of which have a part in its pool.
class ControlRecoveryTest : public testing::Test {
 protected:
  void SetUp() override {
    MemoryCoordinator coordinator(lost_);
    commit(coordinator, cluster::Transaction().put(kSystemKey, encode(kSystem)));
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      ASSERT_TRUE(wait(cluster::claim_place(coordinator, engine_id(rank), 2)).has_value());
      commit(coordinator, cluster::Transaction().put(engine_key(engine_id(rank)), std::to_string(3 + rank)));
    }
    targets_.nodes = 2;
    ControlService control(node_, coordinator, targets_);
    ASSERT_TRUE(wait(control.resume()).has_value());
    ASSERT_TRUE(wait(control.create_pool({"p", 300}, id(1), Until::forever())).has_value());
    for (const std::uint64_t number : {2, 3}) {
      const auto label = fmt::format("c{}", number);
      ASSERT_TRUE(wait(control.create_container({"p", label, "", {}}, id(number), Until::forever())).has_value());
    }
    leased_ = wait(control.lease_oids(id(2), Until::forever())).value();
    ASSERT_TRUE(wait(control.create_snapshot("p", "c2", "s", id(4), Until::forever())).has_value());
    wait(control.stop());
  }
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  void commit(cluster::Coordinator& coordinator, cluster::Transaction change) {
    ASSERT_TRUE(wait(coordinator.commit(std::move(change))).has_value());
  }
  GivenCopy copy_of(std::uint32_t rank, Revision revision) {
    GivenCopy copy{fmt::format("copy{}", rank), {}};
    copy.file.head = {.system = kSystem.id, .engine = engine_id(rank), .revision = revision, .written = {}};
    for (const auto& [key, entry] : lost_.entries) copy.file.entries.push_back(entry);
    return copy;
  }
  Revision now() const { return Revision(lost_.revision); }
  std::vector<GivenCopy> all_copies() { return {copy_of(0, now()), copy_of(1, now()), copy_of(2, now())}; }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("node");
  CoordinatorState lost_;
  MemoryTargets targets_{2};
  OidLease leased_{};
};

TEST_F(ControlRecoveryTest, TheNewCoordinatorGoesOnAndGivesNothingTwice) {
  const auto plan = plan_recovery(all_copies());
  ASSERT_TRUE(plan.has_value()) << plan.error().to_string();
  EXPECT_EQ(plan->system, kSystem);
  EXPECT_TRUE(plan->missing().empty());
  EXPECT_EQ(plan->engines.size(), 3U);
  EXPECT_EQ(std::tuple(plan->pools, plan->containers, plan->snapshots), std::tuple(1U, 2U, 1U));

  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  ASSERT_TRUE(wait(check_recovery(*plan, coordinator, Until::forever())).has_value());
  EXPECT_TRUE(state.entries.empty());
  ASSERT_TRUE(wait(carry_out(*plan, coordinator, Until::forever())).has_value());
  EXPECT_EQ(state.entries.at(kSystemKey).value, encode(kSystem));
  EXPECT_EQ(decode_recovery(state.entries.at(kRecoveredKey).value),
            (RecoveryRecord{.count = 1, .keeps_unknown = true, .of_revision = now().value()}));
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    const std::string key = engine_key(engine_id(rank));
    EXPECT_GT(decode_number(key, state.entries.at(key).value).value(), cluster::kRecoveryStep);
  }
  ControlService control(node_, coordinator, targets_);
  ASSERT_TRUE(wait(control.resume()).has_value());
  const auto consistent = wait(control.check());
  EXPECT_TRUE(consistent.has_value()) << consistent.error().to_string();
  EXPECT_TRUE(wait(control.query_snapshot("p", "c2", "s")).has_value());
  // The last leases may be younger than the copy; also of who had none in it.
  for (const std::uint64_t number : {2, 3}) {
    const auto lease = wait(control.lease_oids(id(number), Until::forever()));
    ASSERT_TRUE(lease.has_value());
    EXPECT_GT(lease->first, leased_.first + (std::uint64_t{1} << 39));
  }
  const auto stored = wait(cluster::load_stored_map(coordinator, id(1)));
  EXPECT_GT((*stored)->map.version().value(), cluster::kRecoveryStep);
  wait(control.stop());
}

TEST_F(ControlRecoveryTest, TheNewestCopyCounts) {
  auto copies = all_copies();
  std::erase_if(copies[0].file.entries, [](const KeyValue& entry) { return entry.key.starts_with("snapshot/"); });
  copies[0].file.head.revision = Revision(now().value() - 1);
  EXPECT_EQ(plan_recovery(copies)->newest, 1U);
  EXPECT_EQ(plan_recovery(copies)->snapshots, 1U);
  // Of a coordinator that was lost before, whatever its revisions were.
  GivenCopy old = copy_of(2, Revision(1'000'000));
  for (GivenCopy& copy : copies) {
    auto& entries = copy.file.entries;
    entries.push_back({kRecoveredKey, encode(RecoveryRecord{.count = 1, .keeps_unknown = false}), Revision(1)});
    std::ranges::sort(entries, {}, &KeyValue::key);
  }
  copies[2] = old;
  const auto plan = plan_recovery(copies);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->newest, 1U);
  EXPECT_EQ(plan->recoveries, 1U);
  EXPECT_FALSE(plan->engines[2].given) << "what it has done since then is not told by that";
  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  ASSERT_TRUE(wait(carry_out(*plan, coordinator, Until::forever())).has_value());
  EXPECT_EQ(decode_recovery(state.entries.at(kRecoveredKey).value)->count, 2U);
}

TEST_F(ControlRecoveryTest, WhoHasAPartInAPoolIsMissed) {
  auto copies = all_copies();
  copies.erase(copies.begin() + 1);
  EXPECT_EQ(plan_recovery(copies)->missing(), std::vector{Rank(1)});
  copies.pop_back();
  EXPECT_EQ(plan_recovery(copies)->missing(), std::vector{Rank(1)}) << "engine 2 has no part in any";
  EXPECT_FALSE(plan_recovery(copies)->engines[2].given);
}

TEST_F(ControlRecoveryTest, WhatCannotBeUsedIsRefused) {
  EXPECT_EQ(plan_recovery({}).error().code(), Code::kInvalidArgument);
  auto copies = all_copies();
  copies[1].file.head.system = id(77);
  EXPECT_EQ(plan_recovery(copies).error().code(), Code::kForeign);
  copies = all_copies();
  for (GivenCopy& copy : copies)
    for (KeyValue& entry : copy.file.entries)
      if (entry.key.starts_with("container/")) entry.value = "{}";
  EXPECT_EQ(plan_recovery(copies).error().code(), Code::kCorrupt);
  copies = all_copies();
  for (GivenCopy& copy : copies)
    std::erase_if(copy.file.entries, [](const KeyValue& entry) { return entry.key == kSystemKey; });
  EXPECT_EQ(plan_recovery(copies).error().code(), Code::kCorrupt);
}

TEST_F(ControlRecoveryTest, ACrashAtAnyCommitIsGoneOnFrom) {
  const auto plan = plan_recovery(all_copies());
  ASSERT_TRUE(plan.has_value());
  CoordinatorState whole;
  MemoryCoordinator undisturbed(whole);
  ASSERT_TRUE(wait(carry_out(*plan, undisturbed, Until::forever())).has_value());
  for (std::size_t fatal = 1;; ++fatal) {
    CoordinatorState state;
    MemoryCoordinator dies(state);
    std::size_t commits = 0;
    dies.alive = [&] { return ++commits < fatal; };
    if (wait(carry_out(*plan, dies, Until::forever()))) break;
    MemoryCoordinator lives(state);
    ASSERT_TRUE(wait(carry_out(*plan, lives, Until::forever())).has_value()) << fatal;
    ASSERT_EQ(state.entries.size(), whole.entries.size());
    for (const auto& [key, entry] : whole.entries) EXPECT_EQ(state.entries.at(key).value, entry.value) << key;
  }
}

TEST_F(ControlRecoveryTest, AContainerThatMayHaveDataIsNotGivenUpAfterIt) {
  // The copy was made when nobody had been told of it yet.
  auto& record = lost_.entries.at(container_key(id(3))).value;
  auto creating = decode_container(id(3), record).value();
  creating.state = ContainerRecord::State::kCreating;
  record = encode(creating);
  const auto plan = plan_recovery(all_copies());
  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  ASSERT_TRUE(wait(carry_out(*plan, coordinator, Until::forever())).has_value());
  {
    targets_.before = [] { return Result<>(fail(Code::kNoSpace, "full")); };
    ControlService control(node_, coordinator, targets_);
    EXPECT_FALSE(wait(control.resume()).has_value());
    wait(control.stop());
  }
  targets_.before = [] { return Result<>(); };
  EXPECT_TRUE(targets_.containers[0].contains(id(3)));
  ControlService control(node_, coordinator, targets_);
  ASSERT_TRUE(wait(control.resume()).has_value());
  EXPECT_TRUE(wait(control.query_container("p", "c3")).has_value());
  wait(control.stop());
}

// Copies of all engines were given, but of an earlier time: nobody is missing, and all that came since would be lost.
TEST_F(ControlRecoveryTest, WhoKnowsMoreThanTheCopyThatWasTakenDoesNotGoOn) {
  const auto plan = plan_recovery(all_copies());
  ASSERT_TRUE(plan.has_value());
  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  ASSERT_TRUE(wait(carry_out(*plan, coordinator, Until::forever())).has_value());
  const auto file = [this](Revision revision, bool of_this_life) {
    ControlCopyFile copy = copy_of(0, revision).file;
    if (of_this_life)
      copy.entries.push_back({kRecoveredKey, encode(RecoveryRecord{.count = 1, .keeps_unknown = true}), Revision(1)});
    std::ranges::sort(copy.entries, {}, &cluster::KeyValue::key);
    ControlCopyEncoder encoder(copy.head);
    for (const cluster::KeyValue& entry : copy.entries) encoder.add(entry);
    return std::move(encoder).finish();
  };
  const auto check = [&](const Bytes& copy) {
    return wait(check_not_newer(coordinator, kSystem.id, copy, Until::forever()));
  };
  const Revision newer(now().value() + 1);
  EXPECT_TRUE(check(file(now(), false)));
  EXPECT_EQ(check(file(newer, false)).error(), Code::kConditionFailed);
  EXPECT_TRUE(check(file(newer, true))) << "it has followed the new one";
  EXPECT_TRUE(check(Bytes(100)));
  MemoryCoordinator before(lost_);
  EXPECT_TRUE(wait(check_not_newer(before, kSystem.id, file(newer, false), Until::forever())));
  ASSERT_TRUE(wait(end_recovery(coordinator, Until::forever())));
  EXPECT_TRUE(check(file(newer, false))) << "what is missing was given up";
}

TEST_F(ControlRecoveryTest, ItsEndIsForACoordinatorThatWasRecovered) {
  MemoryCoordinator coordinator(lost_);
  EXPECT_EQ(wait(end_recovery(coordinator, Until::forever())).error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace cenote::engine
