#include "all_targets.h"

#include <gtest/gtest.h>

#include "cenote/runtime/sim_reactor.h"
#include "control_service.h"
#include "engine_targets.h"
#include "memory_coordinator.h"
#include "memory_targets.h"
#include "target_examples.h"
#include "targets_service.h"

namespace cenote::engine {
namespace {

/// A way to an engine that can be cut; messages go through their wire forms.
class CuttableLink final : public EngineLink {
 public:
  explicit CuttableLink(EngineLink& inner) : inner_(inner) {}

  /// Called before each request arrives, and after each answer left; an error is what the caller gets instead.
  std::function<Result<>(const TargetsRequest&)> before = [](const TargetsRequest&) { return Result<>(); };
  std::function<Result<>(const TargetsRequest&)> after = [](const TargetsRequest&) { return Result<>(); };

  Task<Result<TargetsReply>> call(TargetsRequest request, Until until) override {
    CO_CHECK_OK(before(request));
    Bytes wire;
    encode(request, wire);
    CO_TRY(TargetsRequest arrived, decode_targets_request(wire));
    CO_TRY(const TargetsReply reply, co_await inner_.call(std::move(arrived), until));
    CO_CHECK_OK(after(request));
    wire.clear();
    encode(request.op, reply, wire);
    co_return decode_targets_reply(request.op, wire);
  }

 private:
  EngineLink& inner_;
};

Result<> away(const TargetsRequest&) { return fail(Code::kUnreachable, "no connection"); }

/// One engine, as far as its targets go.
struct Side {
  Side(SimReactor& node, LeaderTerm& term, std::uint32_t rank, const std::string& name,
       const std::vector<std::uint64_t>& target_bytes)
      : memory(target_bytes.size()),
        service(node, memory),
        link(service),
        targets(node, term, link, name,
                {.path = name,
                 .rank = cluster::Rank(rank),
                 .id = Uuid::from_random(6, rank),
                 .target_bytes = target_bytes}) {
    memory.capacity = targets.capacity_bytes();
  }
  MemoryTargets memory;
  TargetsService service;
  CuttableLink link;
  EngineTargets targets;
};

/// A control service that leads two engines, of one and of two targets, the second with three times the capacity.
class AllTargetsTest : public testing::Test {
 protected:
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  static Uuid id(std::uint64_t number) { return Uuid::from_random(7, number); }
  void SetUp() override { ASSERT_TRUE(wait(control_.create_pool({"p", 1000}, id(1), Until::forever())).has_value()); }
  void TearDown() override {
    wait(control_.stop());
    wait(a_.service.stop());
    wait(b_.service.stop());
    const auto consistent = wait(control_.check());
    EXPECT_TRUE(consistent.has_value()) << consistent.error().to_string();
  }
  Result<ContainerInfo> create(std::string label, std::uint64_t number,
                               std::map<std::string, std::string> properties = {}) {
    return wait(
        control_.create_container({"p", std::move(label), "", std::move(properties)}, id(number), Until::forever()));
  }
  /// How many of the three targets know it.
  std::size_t known(const Uuid& container) {
    std::size_t count = 0;
    for (const Side* side : {&a_, &b_})
      for (const auto& target : side->memory.containers) count += target.count(container);
    return count;
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("control");
  LeaderTerm term_{5};
  Side a_{node_, term_, 0, "a", {1000}};
  Side b_{node_, term_, 1, "b", {1500, 1500}};
  AllTargets all_{node_, {&a_.targets, &b_.targets}};
  CoordinatorState state_;
  MemoryCoordinator coordinator_{state_};
  ControlService control_{node_, coordinator_, all_};
};

TEST_F(AllTargetsTest, IsTheTargetsOfAllEngines) {
  EXPECT_EQ(all_.target_count(), 3u);
  EXPECT_EQ(all_.capacity_bytes(), 4000u);
  const auto engines = all_.engines();
  ASSERT_EQ(engines.size(), 2u);
  EXPECT_EQ(engines[1].rank, cluster::Rank(1));
  EXPECT_EQ(engines[1].target_bytes.size(), 2u);
  a_.memory.are_encrypted = true;
  EXPECT_TRUE(wait(a_.targets.describe()).has_value());
  EXPECT_TRUE(a_.targets.encrypted());
  EXPECT_FALSE(all_.encrypted());
  const auto made = create("c", 2);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(known(made->id), 3u);
  a_.memory.holds = {5, 1};
  b_.memory.holds = {70, 2};
  const auto info = wait(control_.query_container("p", "c"));
  EXPECT_EQ(info->used_bytes, 75u);
  EXPECT_EQ(info->used_objects, 3u);
  a_.memory.clock = Epoch(4000);
  b_.memory.clock = Epoch(6000);
  EXPECT_EQ(wait(all_.newest_epoch({})), Epoch(6000));
  const auto snapshot = wait(control_.create_snapshot("p", "c", "s", id(3), Until::forever()));
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().to_string();
  EXPECT_GT(snapshot->epoch, Epoch(6000));
  for (const Side* side : {&a_, &b_})
    for (const auto& target : side->memory.snapshots) EXPECT_TRUE(target.at(made->id).contains(snapshot->epoch));
  EXPECT_TRUE(wait(control_.roll_back("p", "c", "s", false, id(4), Until::forever())).has_value());
  const auto clone = wait(control_.clone_container({"p", "c", "s", "k"}, id(5), Until::forever()));
  ASSERT_TRUE(clone.has_value()) << clone.error().to_string();
  EXPECT_EQ(known(clone->id), 3u);
  b_.memory.is_slow = true;
  b_.memory.flattening_adds = {60, 1};
  const auto begun = wait(control_.flatten_container("p", "k", Until::forever()));
  ASSERT_TRUE(begun.has_value()) << begun.error().to_string();
  EXPECT_TRUE(begun->flattening.has_value()) << "one engine goes on";
  EXPECT_EQ(begun->flattening->left_bytes, 60u);
  b_.memory.is_slow = false;
  world_.run_until([] { return false; }, std::chrono::seconds(3));
  EXPECT_FALSE(wait(control_.query_container("p", "k"))->clone_of.has_value());
  EXPECT_TRUE(wait(control_.destroy_pool("p", true, Until::forever())).has_value());
  EXPECT_EQ(known(made->id) + known(clone->id), 0u);
}

TEST_F(AllTargetsTest, WhatAnEngineMissedARetryCompletes) {
  const auto kept = create("kept", 2);
  ASSERT_TRUE(kept.has_value());
  b_.link.before = away;
  auto made = create("c", 3);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error(), Code::kUnreachable);
  EXPECT_NE(made.error().message().find("engine 'b'"), std::string::npos) << made.error().to_string();
  EXPECT_EQ(known(id(3)), 0u) << "the other one has been told to forget it";
  EXPECT_FALSE(wait(control_.destroy_container("p", "kept", Until::forever())).has_value());
  EXPECT_EQ(known(kept->id), 2u);
  EXPECT_FALSE(wait(control_.settle(Until::forever())).has_value());

  b_.link.before = [](const TargetsRequest&) { return Result<>(); };
  made = create("c", 3);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(known(id(3)), 3u);
  const auto settled = wait(control_.settle(Until::forever()));
  EXPECT_TRUE(settled.has_value()) << settled.error().to_string();
  EXPECT_EQ(known(kept->id), 0u);
}

TEST_F(AllTargetsTest, AnAnswerThatIsLostDoesNotMatterWhenTheCallIsMadeAgain) {
  const auto lose = [&](const std::vector<TargetsOp>& answers) {
    b_.link.after = [answers](const TargetsRequest& request) {
      if (std::ranges::find(answers, request.op) == answers.end()) return Result<>();
      return Result<>(fail(Code::kConnectionLost, "it broke"));
    };
  };
  lose({TargetsOp::kCreate, TargetsOp::kDestroy});
  EXPECT_FALSE(create("c", 2).has_value());
  lose({});
  const auto made = create("c", 2);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(known(made->id), 3u);
  for (const TargetsOp answer : {TargetsOp::kHoldAnswers, TargetsOp::kAddSnapshot, TargetsOp::kReleaseAnswers}) {
    lose({answer});
    EXPECT_FALSE(wait(control_.create_snapshot("p", "c", "s", id(3), Until::forever())).has_value());
    EXPECT_FALSE(a_.memory.held || b_.memory.held) << "nobody is left holding";
  }
  lose({});
  ASSERT_TRUE(wait(control_.create_snapshot("p", "c", "s", id(3), Until::forever())).has_value());
  lose({TargetsOp::kRollBack});
  EXPECT_FALSE(wait(control_.roll_back("p", "c", "s", false, id(4), Until::forever())).has_value());
  lose({});
  EXPECT_TRUE(wait(control_.roll_back("p", "c", "s", false, id(4), Until::forever())).has_value());
  for (const Side* side : {&a_, &b_})
    for (const auto& target : side->memory.rollbacks) EXPECT_EQ(target.at(made->id).size(), 1u) << "and once only";
}

TEST_F(AllTargetsTest, NobodyIsLeftHoldingWhenOneEngineCannotHold) {
  b_.link.before = away;
  EXPECT_EQ(wait(all_.hold_answers({})).error(), Code::kUnreachable);
  EXPECT_FALSE(a_.memory.held);
  b_.link.before = [](const TargetsRequest&) { return Result<>(); };
  ASSERT_TRUE(wait(all_.hold_answers({})).has_value());
  EXPECT_TRUE(a_.memory.held && b_.memory.held);
  EXPECT_TRUE(wait(all_.release_answers({})).has_value());
  EXPECT_FALSE(a_.memory.held || b_.memory.held);
}

TEST_F(AllTargetsTest, ALeaderWhoseTermIsOverAsksNobody) {
  term_.extend(world_.now());
  std::size_t calls = 0;
  a_.link.before = [&](const TargetsRequest&) {
    ++calls;
    return Result<>();
  };
  EXPECT_EQ(create("c", 2).error(), Code::kLeaseExpired);
  EXPECT_EQ(calls, 0u);
  term_.extend(kNoDeadline);
  EXPECT_TRUE(create("c", 2).has_value());
}

TEST_F(AllTargetsTest, SharesNeverAddUpToMoreThanTheLimit) {
  const auto made = create("c", 2, {{"quota", "101"}, {"quota-objects", "7"}});
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  const auto a = a_.memory.accounts.at(made->id);
  const auto b = b_.memory.accounts.at(made->id);
  EXPECT_EQ(a->limit(), (object::Usage{25, 1}));
  EXPECT_EQ(b->limit(), (object::Usage{75, 5}));
  EXPECT_EQ(a->parent()->limit().bytes, 250u) << "of the pool";
  EXPECT_EQ(a->parent()->limit().objects, object::SpaceAccount::kNoLimit);
  const auto refused = a->charge({26, 0});
  EXPECT_EQ(refused.error(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("share"), std::string::npos) << refused.error().message();
  const auto other = create("d", 3);
  EXPECT_EQ(a_.memory.accounts.at(other->id)->parent(), a->parent()) << "one account of the pool at each engine";

  ASSERT_TRUE(wait(control_.set_properties("p", "c", {{"quota", "400"}}, Until::forever())).has_value());
  EXPECT_EQ(a->limit().bytes, 100u);
  EXPECT_EQ(b->limit().bytes, 300u);
  ASSERT_TRUE(wait(control_.set_pool_properties("p", {{"quota-objects", "40"}}, Until::forever())).has_value());
  EXPECT_EQ(a->parent()->limit().objects, 10u);
  EXPECT_EQ(b->parent()->limit().objects, 30u);

  b_.link.before = away;
  EXPECT_EQ(wait(control_.set_properties("p", "c", {{"quota", "200"}}, Until::forever())).error(), Code::kUnreachable);
  EXPECT_EQ(b->limit().bytes, 300u);
  b_.link.before = [](const TargetsRequest&) { return Result<>(); };
  EXPECT_TRUE(wait(control_.settle(Until::forever())).has_value());
  EXPECT_EQ(b->limit().bytes, 150u) << "told when it is back";
}

TEST_F(AllTargetsTest, AnEngineThatHasNoRoomForItsPartOfAFlatteningSaysSo) {
  ASSERT_TRUE(create("c", 2).has_value());
  ASSERT_TRUE(wait(control_.clone_container({"p", "c", "", "k"}, id(3), Until::forever())).has_value());
  a_.memory.flattening_adds = {251, 0};
  const auto refused = wait(control_.flatten_container("p", "k", Until::forever()));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("engine 'a'"), std::string::npos) << refused.error().message();
}

TEST_F(AllTargetsTest, EnginesThatAreExcludedFromAPoolAreAskedForNothingOfIt) {
  const auto old = create("old", 2);
  ASSERT_TRUE(old.has_value());
  b_.link.before = away;
  EXPECT_FALSE(create("c", 3).has_value()) << "it is waited for as long as it is not excluded";
  EXPECT_FALSE(wait(control_.create_snapshot("p", "old", "s", id(4), Until::forever())).has_value());
  EXPECT_FALSE(wait(control_.destroy_container("p", "old", Until::forever())).has_value());

  all_.exclude(id(1), {1});
  const auto settled = wait(control_.settle(Until::forever()));
  EXPECT_TRUE(settled.has_value()) << settled.error().to_string();
  const auto made = create("c", 3, {{"quota", "400"}});
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_EQ(known(made->id), 1u);
  EXPECT_TRUE(wait(control_.create_snapshot("p", "c", "s", id(4), Until::forever())).has_value());
  EXPECT_FALSE(a_.memory.held);
  EXPECT_TRUE(wait(control_.set_properties("p", "c", {{"quota", "800"}}, Until::forever())).has_value());
  EXPECT_EQ(a_.memory.accounts.at(made->id)->limit().bytes, 200u) << "no more than its share";
  EXPECT_TRUE(wait(control_.set_pool_properties("p", {{"quota-objects", "10"}}, Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.roll_back("p", "c", "s", false, id(5), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.clone_container({"p", "c", "", "k"}, id(6), Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.flatten_container("p", "k", Until::forever())).has_value());
  ASSERT_TRUE(wait(control_.begin_check("p", "c", {}, id(8))).has_value());
  world_.run_until([] { return false; }, std::chrono::seconds(3));
  const auto check = wait(control_.query_check("p", "c"));
  ASSERT_TRUE(check.has_value());
  EXPECT_EQ(check->state, kCheckWhole);
  EXPECT_TRUE(wait(control_.destroy_container("p", "k", Until::forever())).has_value());
  EXPECT_TRUE(wait(control_.destroy_container("p", "c", Until::forever())).has_value());
  EXPECT_EQ(known(made->id), 0u);
  // What it has missed is not told by itself.
  b_.link.before = [](const TargetsRequest&) { return Result<>(); };
  all_.exclude(id(1), {});
  EXPECT_EQ(known(old->id), 2u);
}

TEST_F(AllTargetsTest, AScrubTellsOfAllTargetsByTheirNumbers) {
  ASSERT_TRUE(create("c", 2).has_value());
  Event go(node_);
  for (Side* side : {&a_, &b_}) {
    side->memory.scrubbed = &go;
    side->memory.scrub_finds.resize(side->memory.target_count());
  }
  ContainerScrub::Progress& finds = b_.memory.scrub_finds[1];
  finds.report.entries = 9;
  finds.found = 300;
  finds.damages = 300;
  finds.findings.assign(kMaxDamagesTold, target_examples::finding());
  const std::string long_name(3000, 'x');
  // More than one answer has room for.
  for (auto& finding : finds.findings) finding.dkey = long_name;
  ASSERT_TRUE(wait(control_.begin_check("p", "c", {}, id(8))).has_value());
  const auto running = wait(control_.query_check("p", "c"));
  ASSERT_TRUE(running.has_value());
  EXPECT_EQ(running->state, kCheckRunning);
  EXPECT_EQ(running->targets.size(), 3u);
  go.set();
  world_.run_until([] { return false; }, std::chrono::seconds(3));
  const auto ended = wait(control_.query_check("p", "c"));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->state, kCheckDamaged);
  ASSERT_EQ(ended->targets.size(), 3u);
  EXPECT_EQ(ended->targets[2].damages, 300u);
  EXPECT_EQ(ended->targets[2].entries, 9u);
  EXPECT_EQ(ended->targets[0].state, kCheckWhole);
  ASSERT_FALSE(ended->findings.empty());
  EXPECT_EQ(ended->findings[0].target, 2u);
  EXPECT_EQ(ended->findings.size() + ended->findings_omitted, 300u);
}

TEST_F(AllTargetsTest, AScrubEndsWhenItsUserOrAnEngineDoes) {
  ASSERT_TRUE(create("c", 2).has_value());
  Event never(node_);
  for (Side* side : {&a_, &b_}) {
    side->memory.scrubbed = &never;
    side->memory.scrub_finds.resize(side->memory.target_count());
  }
  ASSERT_TRUE(wait(control_.begin_check("p", "c", {}, id(8))).has_value());
  const auto soon = [&] { return Until::at(world_.now() + std::chrono::seconds(5)); };
  const auto cancelled = wait(control_.cancel_check("p", "c", soon()));
  ASSERT_TRUE(cancelled.has_value()) << cancelled.error().to_string();
  EXPECT_EQ(cancelled->state, kCheckCancelled);

  ASSERT_TRUE(wait(control_.begin_check("p", "c", {}, id(9))).has_value());
  b_.link.before = away;
  world_.run_until([] { return false; }, std::chrono::seconds(5));
  const auto running = wait(control_.query_check("p", "c"));
  EXPECT_TRUE(running.has_value()) << "what it holds elsewhere can be told";
  b_.link.before = [](const TargetsRequest&) { return Result<>(); };
  ASSERT_TRUE(wait(control_.cancel_check("p", "c", soon())).has_value());
  const auto ended = wait(control_.query_check("p", "c"));
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->state, kCheckFailed);
  EXPECT_EQ(ended->targets[0].state, kCheckCancelled);
  EXPECT_NE(ended->targets[1].error.find("engine 'b'"), std::string::npos) << ended->targets[1].error;
  wait(b_.service.stop());
}

}  // namespace
}  // namespace cenote::engine
