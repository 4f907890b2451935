#include <gtest/gtest.h>

#include "all_targets.h"
#include "cenote/base/format.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/runtime/scope.h"
#include "control_service.h"
#include "engine_targets.h"
#include "memory_coordinator.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

/// Of each engine.
struct Shape {
  std::uint32_t reactors, targets;
};

Bytes value(std::string_view text) { return to_bytes(as_bytes(text)); }

/// An engine, a client that stores on it, and the leader's way to its targets.
struct Member {
  Member(SimWorld& world, rpc::SimNetwork& network, SimReactor& leader, LeaderTerm& term, const std::string& name,
         std::uint32_t rank, Shape shape)
      : engine(world, network, {.name = name, .targets = shape.targets, .reactors = shape.reactors}),
        client_node(world.add_node(name + ".client")),
        client(client_node, network.transport(client_node), engine.address()),
        transport(network.transport(leader)),
        session(leader, {.identity = Uuid::from_random(leader.random(), 1), .name = "leader"}),
        peer(leader, *transport, session, options(engine.address())),
        link(peer),
        targets(leader, term, link, name,
                {.path = name, .rank = cluster::Rank(rank), .id = Uuid::from_random(6, rank), .target_bytes = {}}) {}

  static rpc::PeerOptions options(rpc::Address address) {
    rpc::PeerOptions options;
    options.addresses = {std::move(address)};
    return options;
  }

  SimEngine engine;
  SimReactor& client_node;
  TestClient client;
  std::unique_ptr<rpc::Transport> transport;
  rpc::ClientSession session;
  rpc::Peer peer;
  RpcEngineLink link;
  EngineTargets targets;
};

/// Two whole engines whose targets a third node leads. Each has a control state of its own as well, which knows nothing
/// of the other: containers that clients are to use are put there, too, under the same ids (`open`). With all of an
/// engine on one node, and with data reactors and control on nodes of their own.
class SimTargetsTest : public testing::TestWithParam<Shape> {
 protected:
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(leader_, std::move(task));
  }
  static Uuid id(std::uint64_t number) { return Uuid::from_random(7, number); }
  static Until forever() { return Until::forever(); }

  void SetUp() override {
    for (Member* member : {&a_, &b_}) {
      start(*member);
      const auto described = wait(member->targets.describe());
      ASSERT_TRUE(described.has_value()) << described.error().to_string();
      ASSERT_NO_FATAL_FAILURE(admin(*member, "/v1/pools", R"({"label":"p"})", id(1)));
    }
    all_.emplace(leader_, std::vector<ContainerTargets*>{&a_.targets, &b_.targets});
    control_.emplace(leader_, coordinator_, *all_);
    ASSERT_TRUE(wait(control_->create_pool({"p", 0}, id(1), forever())).has_value());
  }
  void TearDown() override {
    if (control_) {
      wait(control_->stop());
      const auto consistent = wait(control_->check());
      EXPECT_TRUE(consistent.has_value()) << consistent.error().to_string();
    }
    for (Member* member : {&a_, &b_}) {
      wait(member->peer.stop());
      world_.block_on(member->client_node, member->client.stop());
      if (!member->engine.running()) continue;
      const auto stopped = world_.block_on(member->engine.control(), member->engine.stop());
      EXPECT_TRUE(stopped.has_value()) << stopped.error().to_string();
    }
  }
  void start(Member& member) {
    const auto started = world_.block_on(member.engine.control(), member.engine.start());
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  void admin(Member& member, const std::string& path, const std::string& body, Uuid new_id) {
    const auto made = world_.block_on(member.engine.control(),
                                      member.engine.core().admin(AdminMethod::kPost, path, body, new_id, forever()));
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
  }
  /// Lets clients use a container that both engines' targets have.
  void open(const ContainerInfo& container) {
    for (Member* member : {&a_, &b_}) {
      ASSERT_TRUE(knows(*member, container.id));
      admin(*member, "/v1/pools/p/containers", fmt::format(R"({{"label":"{}"}})", container.label), container.id);
    }
    // The engines' own control states have charged their own accounts.
    Result<> settled = fail(Code::kInternal);
    for (int tries = 0; tries < 50 && !settled; ++tries) settled = wait(control_->settle(forever()));
    ASSERT_TRUE(settled.has_value()) << settled.error().to_string();
  }
  bool knows(Member& member, const Uuid& container) {
    const auto free = wait(member.targets.check_rollback(container, Epoch(1)));
    return free.has_value() || !(free.error() == Code::kContainerNotFound);
  }
  void crash(Member& member) {
    member.engine.crash();
    world_.block_on(member.engine.control(), member.engine.clear());
  }
  Result<ContainerInfo> create(std::string label, std::uint64_t number,
                               std::map<std::string, std::string> properties = {}) {
    return wait(control_->create_container({"p", std::move(label), "", std::move(properties)}, id(number), forever()));
  }
  void put(Member& member, const Uuid& container, const std::string& dkey, std::string_view text) {
    const auto stored = world_.block_on(member.client_node, member.client.put(container, kObject, dkey, value(text)));
    ASSERT_TRUE(stored.has_value()) << stored.error().to_string();
  }
  Result<Bytes> get(Member& member, const Uuid& container, const std::string& dkey) {
    return world_.block_on(member.client_node, member.client.get(container, kObject, dkey));
  }
  void put_everywhere(const Uuid& container, std::string_view text) {
    for (Member* member : {&a_, &b_})
      for (int key = 0; key < 4; ++key) put(*member, container, std::to_string(key), text);
  }
  void expect_everywhere(const Uuid& container, std::string_view text) {
    for (Member* member : {&a_, &b_})
      for (int key = 0; key < 4; ++key) {
        const auto got = get(*member, container, std::to_string(key));
        EXPECT_EQ(got, value(text)) << (got ? as_text(*got) : got.error().to_string());
      }
  }

  SimWorld world_{2026};
  rpc::SimNetwork network_{world_};
  SimReactor& leader_ = world_.add_node("leader");
  LeaderTerm term_{10};
  Member a_{world_, network_, leader_, term_, "a", 0, GetParam()};
  Member b_{world_, network_, leader_, term_, "b", 1, GetParam()};
  CoordinatorState state_;
  MemoryCoordinator coordinator_{state_};
  std::optional<AllTargets> all_;
  std::optional<ControlService> control_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimTargetsTest, testing::Values(Shape{0, 1}, Shape{2, 2}));

TEST_P(SimTargetsTest, ContainersSnapshotsRollbacksAndClonesAreOfBothEngines) {
  EXPECT_EQ(all_->target_count(), 2u * GetParam().targets);
  const auto made = create("c", 2);
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  open(*made);
  put_everywhere(made->id, "first");
  EXPECT_EQ(wait(control_->query_container("p", "c"))->used_bytes, 2u * 4 * 5);
  const auto snapshot = wait(control_->create_snapshot("p", "c", "s", id(3), forever()));
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().to_string();
  EXPECT_GE(*wait(all_->newest_epoch({})), snapshot->epoch);
  put_everywhere(made->id, "second");
  const auto clone = wait(control_->clone_container({"p", "c", "", "k"}, id(4), forever()));
  ASSERT_TRUE(clone.has_value()) << clone.error().to_string();
  const auto old = wait(control_->clone_container({"p", "c", "s", "old"}, id(5), forever()));
  ASSERT_TRUE(old.has_value()) << old.error().to_string();
  put_everywhere(made->id, "third");
  // The engines' own control states are told of them as of containers that are no clones.
  for (const auto& one : {clone, old}) {
    const auto flattened = wait(control_->flatten_container("p", one->label, forever()));
    ASSERT_TRUE(flattened.has_value()) << flattened.error().to_string();
    EXPECT_TRUE(flattened->clone_of.has_value());
  }
  world_.run_until([] { return false; }, 5s);
  for (const auto& one : {clone, old}) {
    EXPECT_FALSE(wait(control_->query_container("p", one->label))->clone_of.has_value());
    open(*one);
  }
  expect_everywhere(made->id, "third");
  // They would look at other targets for what is in a clone.
  const bool can_read = GetParam().targets == 1;
  if (can_read) {
    expect_everywhere(clone->id, "second");
    expect_everywhere(old->id, "first");
  }
  for (const auto& one : {clone, old}) {
    const auto info = wait(control_->query_container("p", one->label));
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->used_objects, 2u * GetParam().targets) << "copied at all targets";
  }

  const auto rolled_back = wait(control_->roll_back("p", "c", "s", false, id(6), forever()));
  ASSERT_TRUE(rolled_back.has_value()) << rolled_back.error().to_string();
  expect_everywhere(made->id, "first");
  EXPECT_TRUE(wait(control_->destroy_snapshot("p", "c", "s", forever())).has_value());
  EXPECT_TRUE(wait(control_->destroy_container("p", "c", forever())).has_value());
  for (Member* member : {&a_, &b_}) EXPECT_EQ(get(*member, made->id, "0").error(), Code::kContainerNotFound);
  if (can_read) expect_everywhere(clone->id, "second");
}

TEST_P(SimTargetsTest, AnEngineThatIsAwayIsSaidToBeAndMissesNothing) {
  const auto kept = create("kept", 2);
  const auto going = create("going", 3);
  ASSERT_TRUE(kept && going);
  open(*kept);
  put_everywhere(kept->id, "value");
  crash(b_);
  const Instant before = world_.now();
  const auto expect_unreachable = [](const Error& error) {
    EXPECT_TRUE(error == Code::kUnreachable || error == Code::kDeadlineExceeded || error == Code::kConnectionLost);
    EXPECT_NE(error.message().find("engine 'b'"), std::string::npos) << error.to_string();
  };
  const auto made = create("c", 4);
  ASSERT_FALSE(made.has_value());
  expect_unreachable(made.error());
  const auto snapshot = wait(control_->create_snapshot("p", "kept", "s", id(5), forever()));
  ASSERT_FALSE(snapshot.has_value());
  expect_unreachable(snapshot.error());
  const Instant released = world_.now();
  put(a_, kept->id, "5", "more");
  EXPECT_LT(world_.now() - released, 100ms) << "the other engine is not left holding";
  const auto destroyed = wait(control_->destroy_container("p", "going", forever()));
  ASSERT_FALSE(destroyed.has_value());
  expect_unreachable(destroyed.error());
  EXPECT_LT(world_.now() - before, 60s);

  start(b_);
  const auto settled = wait(control_->settle(forever()));
  ASSERT_TRUE(settled.has_value()) << settled.error().to_string();
  EXPECT_EQ(get(b_, kept->id, "0"), value("value"));
  ASSERT_TRUE(wait(control_->create_snapshot("p", "kept", "s", id(5), forever())).has_value());
  const auto again = create("c", 4);
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  open(*again);
  put_everywhere(again->id, "again");
  expect_everywhere(again->id, "again");
  for (Member* member : {&a_, &b_}) EXPECT_FALSE(knows(*member, going->id));
}

TEST_P(SimTargetsTest, ADeposedLeaderIsRefusedByWhoHasHeardOfTheNext) {
  const auto made = create("c", 2);
  ASSERT_TRUE(made.has_value());
  open(*made);
  LeaderTerm next(11);
  EngineTargets elected(leader_, next, b_.link, "b", b_.targets.engines().front());
  ASSERT_TRUE(wait(elected.describe()).has_value());
  const auto refused = create("d", 3);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kLeaseExpired);
  EXPECT_EQ(wait(b_.targets.destroy(made->id)).error(), Code::kLeaseExpired);
  put(b_, made->id, "1", "still there");
  EXPECT_EQ(get(b_, made->id, "1"), value("still there"));
  // What it left half done is the next one's to complete.
  EngineTargets other(leader_, next, a_.link, "a", a_.targets.engines().front());
  ASSERT_TRUE(wait(other.describe()).has_value());
  AllTargets all(leader_, {&other, &elected});
  ControlService control(leader_, coordinator_, all);
  const auto resumed = wait(control.resume());
  ASSERT_TRUE(resumed.has_value()) << resumed.error().to_string();
  EXPECT_EQ(wait(control.list_containers("p"))->size(), 1u);
  EXPECT_TRUE(wait(control.create_container({"p", "d", "", {}}, id(3), forever())).has_value());
  wait(control.stop());
}

TEST_P(SimTargetsTest, AnEngineThatStartedAgainHasNotHeldItsAnswers) {
  ASSERT_TRUE(wait(all_->hold_answers({})).has_value());
  crash(b_);
  start(b_);
  EXPECT_EQ(wait(all_->release_answers({})).error(), Code::kBusy);
  ASSERT_TRUE(wait(all_->hold_answers({})).has_value());
  EXPECT_TRUE(wait(all_->release_answers({})).has_value());
  ASSERT_TRUE(wait(all_->hold_answers({})).has_value());
  world_.run_until([] { return false; }, ContainerTargets::kHoldAnswers + 1ms);
  EXPECT_EQ(wait(all_->release_answers({})).error(), Code::kBusy);
}

TEST_P(SimTargetsTest, WhatIsNoCallIsRefused) {
  const auto code_of = [&](Opcode opcode, Bytes body) {
    return world_.block_on(a_.client_node, a_.client.raw(opcode, std::move(body), {}, 0)).error().code();
  };
  EXPECT_EQ(code_of(Opcode::kTargets, value("no call")), Code::kMalformed);
  Bytes question;
  encode({.token = 20, .number = 1, .op = TargetsOp::kDescribe}, question);
  EXPECT_EQ(code_of(Opcode::kTargets, question), Code::kMalformed);
  Bytes change;
  encode({.token = 20, .number = 1, .op = TargetsOp::kDestroy}, change);
  EXPECT_EQ(code_of(Opcode::kTargetsQuery, change), Code::kMalformed);
  EXPECT_TRUE(create("c", 2).has_value()) << "nobody has heard of a leader by those";
}

TEST_P(SimTargetsTest, EachEngineKeepsToItsShareOfAQuota) {
  const auto made = create("c", 2, {{"quota", "40000"}});
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  open(*made);
  const std::string large(15000, 'x');
  const auto store = [&](Member& member, const std::string& dkey) {
    return world_.block_on(member.client_node, member.client.put(made->id, kObject, dkey, value(large)));
  };
  EXPECT_TRUE(store(a_, "1").has_value());
  const auto refused = store(a_, "2");
  ASSERT_FALSE(refused.has_value()) << "20000 are its share";
  EXPECT_EQ(refused.error(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("share"), std::string::npos) << refused.error().message();
  EXPECT_TRUE(store(b_, "1").has_value());
  ASSERT_TRUE(wait(control_->set_properties("p", "c", {{"quota", "80000"}}, forever())).has_value());
  EXPECT_TRUE(store(a_, "2").has_value());
  EXPECT_TRUE(store(b_, "2").has_value());
  crash(b_);
  start(b_);
  ASSERT_TRUE(wait(control_->settle(forever())).has_value());
  EXPECT_EQ(store(b_, "3").error(), Code::kQuotaExceeded) << "what it holds is charged anew after its start";
}

TEST_P(SimTargetsTest, ACheckIsOfAllTargets) {
  const auto made = create("c", 2);
  ASSERT_TRUE(made.has_value());
  open(*made);
  put_everywhere(made->id, "value");
  ASSERT_TRUE(wait(control_->begin_check("p", "c", {}, id(8))).has_value());
  ContainerCheck check;
  check.state = kCheckRunning;
  for (int turn = 0; turn < 100 && check.state == kCheckRunning; ++turn) {
    world_.run_until([] { return false; }, 100ms);
    check = wait(control_->query_check("p", "c")).value_or(ContainerCheck());
  }
  EXPECT_EQ(check.state, kCheckWhole);
  ASSERT_EQ(check.targets.size(), 2u * GetParam().targets);
  std::uint64_t entries = 0;
  for (const CheckedTarget& target : check.targets) entries += target.entries;
  EXPECT_EQ(entries, 8u);
}

// Whatever breaks on the way, what was answered for is so on both engines, and a retry ends what was not.
TEST_P(SimTargetsTest, ConnectionsThatBreakLeaveNothingHalfDone) {
  network_.set_rules("leader", "b", {.stall_ppm = 20'000, .stall_max = 3s, .reset_ppm = 60'000});
  network_.set_rules("b", "leader", {.stall_ppm = 20'000, .stall_max = 3s, .reset_ppm = 60'000});
  for (std::uint64_t round = 0; round < 20; ++round) {
    const std::string label = fmt::format("c{}", round);
    Result<ContainerInfo> made = fail(Code::kInternal);
    for (int tries = 0; tries < 50 && !made; ++tries) made = create(label, 100 + round);
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    open(*made);
    put_everywhere(made->id, "value");
    Result<SnapshotInfo> snapshot = fail(Code::kInternal);
    for (int tries = 0; tries < 50 && !snapshot; ++tries)
      snapshot = wait(control_->create_snapshot("p", label, "s", id(200 + round), forever()));
    ASSERT_TRUE(snapshot.has_value()) << snapshot.error().to_string();
    put_everywhere(made->id, "later");
    Result<SnapshotInfo> rolled_back = fail(Code::kInternal);
    for (int tries = 0; tries < 50 && !rolled_back; ++tries)
      rolled_back = wait(control_->roll_back("p", label, "s", false, id(300 + round), forever()));
    ASSERT_TRUE(rolled_back.has_value()) << rolled_back.error().to_string();
    expect_everywhere(made->id, "value");
    if (wait(control_->destroy_container("p", label, forever()))) {
      for (Member* member : {&a_, &b_}) EXPECT_EQ(get(*member, made->id, "0").error(), Code::kContainerNotFound);
    }
  }
  EXPECT_GT(network_.faults().resets, 0u);
}

}  // namespace
}  // namespace cenote::engine
