// What operators do with the engines of a pool, with the control service over targets in memory.

#include "pool_operations.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "all_targets.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/member.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/cluster/supervisor.h"
#include "cenote/engine/control_recovery.h"
#include "cenote/engine/sim_coordinator.h"
#include "control_service.h"
#include "engine_targets.h"
#include "memory_targets.h"
#include "targets_service.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

/// Follows no map.
class NoMaps final : public cluster::MapUser {
 public:
  Task<Result<Epoch>> switch_to(std::shared_ptr<const cluster::PoolMap>, std::uint32_t, Until) override {
    co_return kEpochZero;
  }
};

constexpr std::uint64_t kTargetBytes = 1u << 30;

/// One engine, as far as its targets and its registration go.
struct Side {
  Side(SimReactor& node, LeaderTerm& term, std::uint32_t number)
      : rank(number),
        memory(2),
        service(node, memory),
        targets(node, term, service, std::to_string(number),
                {.path = "node" + std::to_string(number),
                 .rank = cluster::Rank(number),
                 .id = Uuid::from_random(6, number),
                 .target_bytes = {}}) {
    memory.capacity = 2 * kTargetBytes;
    memory.told_late = true;
  }
  std::uint32_t rank;
  MemoryTargets memory;
  TargetsService service;
  EngineTargets targets;
  NoMaps maps;
  std::unique_ptr<cluster::Member> member;
};

/// Three engines of a pool that can lose one, and a fourth that has no part in it. No supervisor: versions are not
/// activated, and moves do not end.
class PoolOperationsTest : public testing::Test {
 protected:
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  static Uuid id(std::uint64_t number) { return Uuid::from_random(7, number); }
  static Until forever() { return Until::forever(); }

  void SetUp() override {
    std::vector<ContainerTargets*> engines;
    for (std::uint32_t rank = 0; rank < 4; ++rank) {
      Side& side = *sides_.emplace_back(std::make_unique<Side>(node_, term_, rank));
      ASSERT_TRUE(wait(cluster::claim_place(coordinator_.coordinator(), Uuid::from_random(6, rank), 2)).has_value());
      enroll(side);
      if (rank < 3) ASSERT_TRUE(wait(side.targets.describe()).has_value());
      engines.push_back(&side.targets);
    }
    all_.emplace(node_, engines);
    control_.emplace(node_, coordinator_.coordinator(), *all_);
    const auto made =
        wait(control_->create_pool({.label = "p", .size_bytes = 1200, .redundancy = 1}, id(1), forever()));
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    ASSERT_EQ(made->engines.size(), 3u);
    ASSERT_TRUE(wait(sides_[3]->targets.describe()).has_value());
  }
  void TearDown() override {
    wait(control_->stop());
    const auto consistent = wait(control_->check());
    EXPECT_TRUE(consistent.has_value()) << consistent.error().to_string();
    for (auto& side : sides_) {
      wait(side->service.stop());
      if (side->member) leave(*side);
    }
  }
  void enroll(Side& side) {
    side.member = std::make_unique<cluster::Member>(node_, coordinator_.coordinator(), side.maps,
                                                    cluster::MemberOptions{.rank = cluster::Rank(side.rank),
                                                                           .engine = Uuid::from_random(6, side.rank),
                                                                           .process = Uuid::from_random(8, ++starts_)});
    side.member->start();
    ASSERT_TRUE(world_.run_until([&] { return side.member->may_serve(); }, 20s));
  }
  void leave(Side& side) {
    wait(side.member->stop(Until::at(world_.now() + 2s)));
    side.member.reset();
  }
  Result<PoolChanged> change(PoolOperation operation, std::vector<std::uint32_t> engines) {
    return wait(control_->change_engines("p", {operation, std::move(engines)}, forever()));
  }
  /// Names the outcome of the only engine, or the failure.
  std::string outcome(PoolOperation operation, std::uint32_t engine) {
    const auto changed = change(operation, {engine});
    if (!changed) return changed.error().message();
    return changed->engines.front().outcome + ", " + changed->engines.front().state;
  }
  cluster::StoredMap stored() { return **wait(cluster::load_stored_map(coordinator_.coordinator(), id(1))); }
  /// What the supervisor does about an engine that is gone.
  void lose(std::uint32_t rank) {
    auto from = stored();
    cluster::PoolMap next = from.map;
    ASSERT_TRUE(next.apply(cluster::MapOperation::kExclude, cluster::used_targets(next, cluster::Rank(rank))));
    cluster::Transaction also;
    cluster::put_losses(also, from, cluster::with_loss(from.losses, cluster::Rank(rank)));
    const auto lost = wait(cluster::publish_map(coordinator_.coordinator(), std::move(from), next, std::move(also)));
    ASSERT_TRUE(lost.has_value()) << lost.error().to_string();
    all_->take_map(next);
  }
  std::uint32_t times_lost(std::uint32_t rank) {
    const auto losses = stored().losses;
    const auto loss = std::ranges::find(losses, cluster::Rank(rank), &cluster::Loss::rank);
    return loss == losses.end() ? 0 : loss->times;
  }
  /// What engines and the supervisor do until nothing moves.
  void settle_moves() {
    const cluster::PoolMap map = stored().map;
    for (std::uint32_t target = 0; target < map.targets().size(); ++target) {
      if (!map.is_wanted(map.target(cluster::TargetId(target)))) continue;
      const auto reported =
          wait(cluster::report_moved(coordinator_.coordinator(), id(1), map.version(), cluster::TargetId(target)));
      ASSERT_TRUE(reported.has_value()) << reported.error().to_string();
    }
    cluster::Supervisor supervisor(node_, coordinator_.coordinator(), {.name = "supervisor"});
    supervisor.start();
    const auto at_rest = [&] {
      const auto now = stored();
      return !now.map.is_moving() && now.active == now.map.version();
    };
    for (int tries = 0; tries < 200 && !at_rest(); ++tries) world_.run_until([] { return false; }, 100ms);
    EXPECT_TRUE(at_rest());
    wait(supervisor.stop(Until::at(world_.now() + 2s)));
    all_->take_map(stored().map);
  }
  /// Those whose return begins, or the failure.
  std::string taken_back(std::vector<cluster::Rank> ranks) {
    const auto changed = wait(control_->take_back(id(1), std::move(ranks), forever()));
    if (!changed) return changed.error().message();
    std::string names;
    for (const EngineChange& engine : changed->engines) names += engine.outcome + " " + std::to_string(engine.rank);
    return names;
  }
  Uuid create(const std::string& label, std::uint64_t number, std::map<std::string, std::string> properties = {}) {
    const auto made = wait(control_->create_container({"p", label, "", std::move(properties)}, id(number), forever()));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return id(number);
  }
  void snapshot(const std::string& label, const std::string& name) {
    const auto made = wait(control_->create_snapshot("p", label, name, id(++snapshots_ + 1000), forever()));
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
  }
  Uuid clone(const std::string& source, const std::string& snapshot, const std::string& label, std::uint64_t number) {
    const auto made = wait(control_->clone_container({"p", source, snapshot, label}, id(number), forever()));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return id(number);
  }
  void destroy(const std::string& label) {
    EXPECT_TRUE(wait(control_->destroy_container("p", label, forever())).has_value());
  }
  /// All its targets have what those of the first engine have.
  void expect_alike(const Side& side) {
    const MemoryTargets& model = sides_[0]->memory;
    const auto names = [](const auto& entries) {
      std::set<Uuid> names;
      for (const auto& [name, value] : entries) names.insert(name);
      return names;
    };
    const auto without_empty = [](std::map<Uuid, std::set<Epoch>> all) {
      std::erase_if(all, [](const auto& entry) { return entry.second.empty(); });
      return all;
    };
    for (std::size_t target = 0; target < 2; ++target) {
      EXPECT_EQ(names(side.memory.containers[target]), names(model.containers[0]));
      EXPECT_EQ(without_empty(side.memory.snapshots[target]), without_empty(model.snapshots[0]));
      EXPECT_EQ(side.memory.clones[target], model.clones[0]);
      for (const auto& [container, properties] : side.memory.containers[target])
        EXPECT_EQ(properties.checksums, model.containers[0].at(container).checksums);
    }
    EXPECT_EQ(names(side.memory.accounts), names(model.accounts));
  }

  SimWorld world_{11};
  SimCoordinator coordinator_{world_};
  SimReactor& node_ = coordinator_.node();
  LeaderTerm term_{5};
  std::uint64_t starts_ = 0, snapshots_ = 0;
  std::vector<std::unique_ptr<Side>> sides_;
  std::optional<AllTargets> all_;
  std::optional<ControlService> control_;
};

TEST_F(PoolOperationsTest, WhoWasAwayIsToldWhatItMissed) {
  Side& away = *sides_[2];
  const Uuid kept = create("kept", 2, {{"checksum", "off"}, {"quota", "600"}});
  create("going", 3);
  snapshot("kept", "old");
  snapshot("kept", "passing");
  ASSERT_TRUE(wait(control_->create_pool({.label = "q", .size_bytes = 10}, id(90), forever())).has_value());
  ASSERT_TRUE(wait(control_->create_container({"q", "other", "", {}}, id(91), forever())).has_value());
  const Uuid stranger = id(99);
  for (auto& target : away.memory.containers) target[stranger] = {};
  EXPECT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  EXPECT_EQ(outcome(PoolOperation::kExclude, 2), "under_way, down");

  destroy("going");
  ASSERT_TRUE(wait(control_->destroy_snapshot("p", "kept", "passing", forever())).has_value());
  ASSERT_TRUE(wait(control_->roll_back("p", "kept", "old", false, id(4), forever())).has_value());
  create("new", 5);
  snapshot("new", "s");
  snapshot("kept", "later");
  clone("kept", "old", "of_snapshot", 6);
  clone("kept", "", "of_now", 7);
  clone("of_now", "", "of_clone", 8);
  const std::size_t told = away.memory.rollbacks[0][kept].size();
  EXPECT_EQ(away.memory.containers[0].size(), 3u) << "it is told what goes, and nothing else";

  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  expect_alike(away);
  EXPECT_FALSE(away.memory.containers[0].contains(stranger));
  EXPECT_TRUE(away.memory.containers[0].contains(id(91))) << "which is of another pool";
  EXPECT_EQ(away.memory.rollbacks[0][kept].size(), told) << "it would take back what was written since";
  EXPECT_EQ(away.memory.accounts.at(kept)->limit().bytes, 200u);
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "under_way, up");
  // From then on it is asked for everything.
  create("newest", 9);
  snapshot("newest", "s");
  destroy("of_clone");
  expect_alike(away);
}

TEST_F(PoolOperationsTest, AfterARecoveryWhatNoRecordKnowsIsKeptAndTold) {
  Side& away = *sides_[2];
  const Uuid known = create("known", 2);
  const Uuid stranger = id(99);
  const Epoch unknown_snapshot(77);
  for (auto& target : away.memory.containers) target[stranger] = {};
  for (auto& target : away.memory.snapshots) target[known].insert(unknown_snapshot);
  const auto put = [&](bool keeps_unknown) {
    const RecoveryRecord record{.count = 1, .keeps_unknown = keeps_unknown};
    ASSERT_TRUE(
        wait(coordinator_.coordinator().commit(cluster::Transaction().put(kRecoveredKey, encode(record)))).has_value());
  };
  put(true);
  EXPECT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  for (std::size_t target = 0; target < 2; ++target) {
    EXPECT_TRUE(away.memory.containers[target].contains(stranger));
    EXPECT_TRUE(away.memory.snapshots[target][known].contains(unknown_snapshot));
  }
  EXPECT_EQ(wait(control_->kept_unknown(cluster::Rank(2))).value(), std::vector{stranger});
  EXPECT_TRUE(wait(control_->kept_unknown(cluster::Rank(1))).value().empty());
  // Until somebody has looked at it.
  ASSERT_TRUE(wait(end_recovery(coordinator_.coordinator(), forever())).has_value());
  EXPECT_TRUE(wait(control_->kept_unknown(cluster::Rank(2))).value().empty());
  settle_moves();
  EXPECT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  expect_alike(away);
}

TEST_F(PoolOperationsTest, WhoHasLeftKeepsNothing) {
  Side& leaving = *sides_[2];
  create("source", 2);
  clone("source", "", "clone", 3);
  ASSERT_TRUE(wait(control_->create_pool({.label = "q", .size_bytes = 10}, id(90), forever())).has_value());
  ASSERT_TRUE(wait(control_->create_container({"q", "other", "", {}}, id(91), forever())).has_value());
  ASSERT_EQ(outcome(PoolOperation::kDrain, 2), "begun, draining");
  const auto empty = [&](std::uint32_t rank) {
    const auto emptied = wait(control_->empty_left(id(1), cluster::Rank(rank), forever()));
    EXPECT_TRUE(emptied.has_value()) << emptied.error().to_string();
    return leaving.memory.containers[0].size();
  };
  EXPECT_EQ(empty(2), 3u) << "the others need it";
  settle_moves();
  EXPECT_EQ(empty(1), 3u);
  EXPECT_EQ(sides_[1]->memory.containers[0].size(), 3u) << "which has a part";
  EXPECT_EQ(empty(2), 1u) << "and that is of another pool";
  EXPECT_TRUE(leaving.memory.containers[1].contains(id(91)));
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  expect_alike(leaving);
}

TEST_F(PoolOperationsTest, WhatCannotBeMadeAlikeIsMadeAnew) {
  Side& away = *sides_[2];
  const Uuid merged = create("merged", 2);
  const Uuid source = create("source", 3);
  const Uuid flattened = clone("source", "", "flattened", 4);
  const Uuid middle = clone("flattened", "", "middle", 5);
  ASSERT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  snapshot("merged", "s");
  clone("source", "", "late", 6);
  ASSERT_TRUE(wait(control_->flatten_container("p", "flattened", forever())).has_value());
  world_.run_until([] { return false; }, 3s);
  ASSERT_FALSE(wait(control_->query_container("p", "flattened"))->clone_of.has_value());
  // It went on meanwhile, without anybody who told it to keep anything.
  for (const Uuid& container : {merged, source})
    away.memory.merged[container] = Epoch(sides_[0]->memory.clock.value() + 1);
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  expect_alike(away);
  for (const Uuid& container : {merged, source}) EXPECT_EQ(away.memory.merged[container], kEpochZero);
  EXPECT_FALSE(away.memory.clones[0].contains(flattened));
  EXPECT_TRUE(away.memory.clones[0].contains(middle));
}

TEST_F(PoolOperationsTest, AnEngineThatIsNewIsToldEverythingAndGetsItsShare) {
  const Uuid container = create("c", 2, {{"quota", "600"}, {"checksum", "off"}});
  snapshot("c", "s");
  const Uuid made = clone("c", "s", "k", 3);
  EXPECT_EQ(sides_[0]->memory.accounts.at(container)->limit().bytes, 200u);
  EXPECT_TRUE(sides_[3]->memory.containers[0].empty());
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 3),
            "pool 'p': engine 3 has no part in the pool: extend the pool by it");
  EXPECT_EQ(outcome(PoolOperation::kExtend, 3), "begun, up");
  EXPECT_EQ(outcome(PoolOperation::kExtend, 3), "under_way, up");
  EXPECT_EQ(outcome(PoolOperation::kExtend, 0), "done, up-in");
  expect_alike(*sides_[3]);
  for (const auto& side : sides_) {
    EXPECT_EQ(side->memory.accounts.at(container)->limit().bytes, 150u) << side->rank;
    EXPECT_EQ(side->memory.accounts.at(made)->parent()->limit().bytes, 300u) << side->rank;
  }
  const auto seen = wait(control_->query_pool("p"));
  EXPECT_EQ(seen->engines.size(), 4u);
  EXPECT_EQ(seen->engines[3].state, "up");
  create("later", 4);
  expect_alike(*sides_[3]);
}

TEST_F(PoolOperationsTest, ACloneWithoutItsSourceHasToBeFlattenedFirst) {
  create("source", 2);
  clone("source", "", "orphan", 3);
  destroy("source");
  const std::string refused = outcome(PoolOperation::kExtend, 3);
  EXPECT_NE(refused.find("container 'orphan' is a clone whose source was destroyed"), std::string::npos) << refused;
  EXPECT_NE(refused.find("flatten it first"), std::string::npos) << refused;
  EXPECT_EQ(wait(control_->query_pool("p"))->engines.size(), 3u);
  // Who has it keeps it.
  ASSERT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  for (const auto& side : sides_) side->memory.is_slow = true;
  ASSERT_TRUE(wait(control_->flatten_container("p", "orphan", forever())).has_value());
  const std::string going_on = outcome(PoolOperation::kExtend, 3);
  EXPECT_NE(going_on.find("container 'orphan' is being flattened: wait"), std::string::npos) << going_on;
  for (const auto& side : sides_) side->memory.is_slow = false;
  world_.run_until([] { return false; }, 5s);
  EXPECT_EQ(outcome(PoolOperation::kExtend, 3), "begun, up");
  expect_alike(*sides_[3]);
}

TEST_F(PoolOperationsTest, WhatWouldLoseDataIsRefused) {
  EXPECT_EQ(change(PoolOperation::kDrain, {}).error(), Code::kInvalidArgument);
  EXPECT_EQ(change(PoolOperation::kDrain, {7}).error(), Code::kNotFound);
  EXPECT_EQ(wait(control_->change_engines("none", {PoolOperation::kDrain, {1}}, forever())).error(),
            Code::kPoolNotFound);
  EXPECT_EQ(outcome(PoolOperation::kDrain, 3), "pool 'p': engine 3 has no part in the pool");
  const auto both = change(PoolOperation::kDrain, {1, 2});
  ASSERT_FALSE(both.has_value());
  EXPECT_EQ(both.error(), Code::kConditionFailed);
  EXPECT_EQ(both.error().message(),
            "pool 'p': the pool keeps its data in 2 fault domains, and 1 would be left for it: 1 missing; extend the "
            "pool by other engines first");
  EXPECT_EQ(wait(control_->query_pool("p"))->map_version, 1u) << "all or none";
  EXPECT_EQ(outcome(PoolOperation::kDrain, 1), "begun, draining");
  EXPECT_EQ(outcome(PoolOperation::kDrain, 1), "under_way, draining");
  EXPECT_NE(outcome(PoolOperation::kDrain, 2).find("1 missing"), std::string::npos);
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 1), "begun, up-in") << "it stays after all";
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 1), "done, up-in");
  ASSERT_EQ(outcome(PoolOperation::kExclude, 1), "begun, down");
  const std::string second = outcome(PoolOperation::kExclude, 2);
  EXPECT_NE(second.find("all 2 copies of some data would be lost"), std::string::npos) << second;
  EXPECT_EQ(outcome(PoolOperation::kExtend, 1), "pool 'p': engine 1 had a part in the pool before: reintegrate it");

  leave(*sides_[1]);
  const auto gone = change(PoolOperation::kReintegrate, {1});
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error(), Code::kConditionFailed);
  EXPECT_EQ(gone.error().message(), "pool 'p': engine 1 does not run: start it first");
  enroll(*sides_[1]);
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 1), "begun, up");
  const std::string filling = outcome(PoolOperation::kDrain, 1);
  EXPECT_NE(filling.find("cannot be drained while its data still moves in"), std::string::npos) << filling;
  EXPECT_EQ(outcome(PoolOperation::kExclude, 1), "begun, down") << "before it had its data";
}

TEST_F(PoolOperationsTest, WhatFailsHalfWayIsCompletedByTheNextAttempt) {
  create("a", 2);
  create("b", 3);
  int calls = 0;
  sides_[3]->memory.before = [&calls]() -> Result<> {
    if (++calls == 3) return fail(Code::kNoSpace, "full");
    return {};
  };
  const auto failed = change(PoolOperation::kExtend, {3});
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error(), Code::kNoSpace);
  EXPECT_NE(failed.error().message().find("container 'b'"), std::string::npos) << failed.error().message();
  EXPECT_EQ(wait(control_->query_pool("p"))->engines.size(), 3u);
  create("c", 4);
  EXPECT_EQ(sides_[3]->memory.containers[0].count(id(4)), 0u);
  destroy("a");
  EXPECT_EQ(outcome(PoolOperation::kExtend, 3), "begun, up");
  expect_alike(*sides_[3]);
}

TEST_F(PoolOperationsTest, WhoWasLostIsTakenBackUnlessAnOperatorDecidesOtherwise) {
  using cluster::Rank;
  create("missed", 2);
  for (std::uint32_t times = 1; times <= 2; ++times) {
    lose(2);
    EXPECT_EQ(taken_back({Rank(0), Rank(2), Rank(3)}), "begun 2") << "of the others nothing is to be taken back";
    EXPECT_EQ(times_lost(2), times);
    expect_alike(*sides_[2]);
    EXPECT_EQ(taken_back({Rank(2)}), "");
  }
  EXPECT_EQ(wait(control_->query_pool("p"))->engines[2].state, "up");
  EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "under_way, up");
  EXPECT_EQ(times_lost(2), 0u) << "an operator trusts it";

  // Whatever it is for at that moment.
  for (const PoolOperation wish : {PoolOperation::kExclude, PoolOperation::kDrain}) {
    lose(2);
    const std::uint64_t version = stored().map.version().value();
    EXPECT_EQ(outcome(wish, 2), "under_way, down");
    EXPECT_EQ(stored().map.version().value(), version);
    EXPECT_EQ(times_lost(2), 0u);
    EXPECT_EQ(taken_back({Rank(2)}), "");
    EXPECT_EQ(wait(control_->query_pool("p"))->engines[2].state, "down");
    EXPECT_EQ(outcome(PoolOperation::kReintegrate, 2), "begun, up");
  }
  EXPECT_EQ(outcome(PoolOperation::kExclude, 2), "begun, down");
  EXPECT_EQ(taken_back({Rank(2)}), "");
}

TEST_F(PoolOperationsTest, WhoCannotBeTakenBackStaysAwaited) {
  using cluster::Rank;
  lose(2);
  ASSERT_TRUE(wait(control_->pause_moves("p", true, forever())).has_value());
  EXPECT_EQ(taken_back({Rank(2)}), "");
  ASSERT_TRUE(wait(control_->pause_moves("p", false, forever())).has_value());
  leave(*sides_[2]);
  EXPECT_EQ(taken_back({Rank(2)}), "pool 'p': engine 2 does not run: start it first");
  enroll(*sides_[2]);
  create("c", 2);
  sides_[2]->memory.before = []() -> Result<> { return fail(Code::kNoSpace, "full"); };
  EXPECT_NE(taken_back({Rank(2)}).find("full"), std::string::npos);
  sides_[2]->memory.before = []() -> Result<> { return {}; };
  ASSERT_TRUE(wait(control_->forget_losses(id(1), {Rank(2)}, forever())).has_value());
  EXPECT_EQ(times_lost(2), 1u) << "it is not there yet";
  EXPECT_EQ(taken_back({Rank(2)}), "begun 2");
  ASSERT_TRUE(wait(control_->forget_losses(id(1), {Rank(2)}, forever())).has_value());
  EXPECT_EQ(times_lost(2), 0u);
  const auto gone = wait(control_->take_back(id(77), {Rank(2)}, forever()));
  ASSERT_TRUE(gone.has_value());
  EXPECT_TRUE(gone->engines.empty());
}

TEST_F(PoolOperationsTest, MovesAreToldPausedAndEstimated) {
  create("c", 2);
  for (auto& side : sides_) side->memory.holds = {3000, 3};
  auto moves = wait(control_->query_moves("p"));
  ASSERT_TRUE(moves.has_value()) << moves.error().to_string();
  EXPECT_FALSE(moves->moving);
  EXPECT_TRUE(moves->at_rest());
  ASSERT_EQ(outcome(PoolOperation::kDrain, 2), "begun, draining");
  sides_[0]->memory.moving = {{.index = 0, .version = 2, .bytes = 600, .objects = 2},
                              {.index = 1, .version = 2, .bytes = 900, .objects = 1, .done = true}};
  sides_[1]->memory.moving = {{.index = 1, .version = 1, .bytes = 77}};  // of another version
  sides_[0]->memory.holds = {4500, 5};
  moves = wait(control_->pause_moves("p", true, forever()));
  ASSERT_TRUE(moves.has_value()) << moves.error().to_string();
  EXPECT_TRUE(moves->moving);
  EXPECT_TRUE(moves->paused);
  EXPECT_EQ(moves->moved_bytes, 1500u);
  EXPECT_EQ(moves->moved_objects, 3u);
  EXPECT_EQ(moves->total_bytes, 3000u) << "a third of what there was";
  EXPECT_EQ(moves->percent(), 50u);
  ASSERT_EQ(moves->targets.size(), 2u);
  EXPECT_TRUE(moves->targets[1].done);
  EXPECT_EQ(moves->state, "changing: engines switch from map version 1 to 2");
  EXPECT_FALSE(wait(control_->pause_moves("p", false, forever()))->paused);
}

}  // namespace
}  // namespace cenote::engine
