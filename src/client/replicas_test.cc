// Where requests about replicated objects go, and what follows when who was asked does not answer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>

#include "cenote/client/kv.h"
#include "fake_system.h"

namespace cenote::async {
namespace {

using namespace std::chrono_literals;
using cluster::MapOperation;
using fake::System;
using ::testing::ElementsAre;

constexpr std::uint64_t kSeed = 20261130;

ObjectId object_of(const char* object_class, std::uint64_t number = 2000) {
  return ObjectId::make(*parse_class(object_class), KeyFlavour::kLexical, KeyFlavour::kLexical, 0, number);
}

FetchRequest fetch_of(const ObjectId& object, std::string_view dkey) {
  FetchRequest request;
  request.object = object;
  request.dkey = to_bytes(as_bytes(dkey));
  request.akeys.push_back({.akey = to_bytes(as_bytes("v")), .ranges = {}});
  return request;
}

UpdateRequest update_of(const ObjectId& object, std::string_view dkey) {
  UpdateRequest request;
  request.object = object;
  request.dkey = to_bytes(as_bytes(dkey));
  request.akeys.push_back({.akey = to_bytes(as_bytes("v")), .ranges = {}});
  return request;
}

ListRequest list_of(const ObjectId& object, std::uint32_t limit = kMaxListEntries) {
  ListRequest request;
  request.object = object;
  request.level = ListLevel::kDkeys;
  request.limit = limit;
  return request;
}

class Replicas : public ::testing::Test {
 protected:
  explicit Replicas(std::uint32_t engines = 5) : system(kSeed, engines) {}

  void SetUp() override {
    system.start();
    const auto connected = system.connect({0, 1, 2, 3, 4});
    ASSERT_TRUE(connected) << connected.error().to_string();
  }
  Result<FetchReply> fetch(const ObjectId& object, std::string_view dkey, Duration time = 10s) {
    return system.wait(system.container->fetch(fetch_of(object, dkey), {}, system.in(time)));
  }
  Result<UpdateReply> update(const ObjectId& object, std::string_view dkey, Duration time = 20s) {
    return system.wait(system.container->update(update_of(object, dkey), {}, system.in(time)));
  }
  Result<ListReply> list(const ObjectId& object, std::uint32_t limit = kMaxListEntries, Duration time = 20s) {
    return system.wait(system.container->list(list_of(object, limit), system.in(time)));
  }
  fake::Engine& leader_of(const ObjectId& object, std::string_view dkey) {
    return *system.engines[system.leader(object, as_bytes(dkey))];
  }
  /// Of a group, its leader first.
  std::vector<std::uint32_t> readers_of(const ObjectId& object, std::string_view dkey) {
    std::vector<std::uint32_t> ranks;
    const auto layout = system.layout();
    for (const cluster::TargetId target : *layout->readers(object, system.seed(), as_bytes(dkey)))
      ranks.push_back(layout->place_of(target).engine.value());
    return ranks;
  }

  System system;
};

TEST_F(Replicas, WhoLeadsIsAskedFirst) {
  const ObjectId object = object_of("RP_3GX");
  for (const char* dkey : {"a", "b", "c", "d"}) {
    const std::uint32_t leader = system.leader(object, as_bytes(std::string_view(dkey)));
    system.knowledge.asked.clear();
    ASSERT_TRUE(fetch(object, dkey));
    ASSERT_TRUE(update(object, dkey));
    EXPECT_THAT(system.asked_ranks(), ElementsAre(leader, leader));
  }
}

TEST_F(Replicas, AReadTurnsFromASilentLeaderToAnotherReplica) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  leader_of(object, "d").silent = true;
  const Instant begun = system.world.now();
  const auto reply = fetch(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_LT(system.world.now() - begun, 500ms);
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[0], readers[1]));
  EXPECT_NE(system.knowledge.asked[0].sequence, system.knowledge.asked[1].sequence);

  // Whoever kept silent is asked last for a while.
  const Instant again = system.world.now();
  ASSERT_TRUE(fetch(object, "d"));
  EXPECT_LT(system.world.now() - again, 50ms);
  EXPECT_EQ(system.knowledge.asked.back().rank, readers[1]);
}

TEST_F(Replicas, AReadTurnsFromEveryEngineThatIsLost) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  system.network.crash(fmt::format("engine{}", readers[0]));
  system.engines[readers[1]]->failure = Code::kNotReady;
  const Instant begun = system.world.now();
  const auto reply = fetch(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_LT(system.world.now() - begun, 500ms);
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[1], readers[2]));
}

TEST_F(Replicas, EnginesWithoutAnAddressAreNotAsked) {
  const ObjectId object = object_of("RP_2G1");
  const auto readers = readers_of(object, "d");
  system.knowledge.away.insert(readers[0]);
  system.change_map(MapOperation::kDrain, readers[0]);  // a new version, for which the view is asked anew
  const auto reply = fetch(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(system.knowledge.asked.back().rank, readers[1]);
  system.knowledge.asked.clear();
  ASSERT_TRUE(fetch(object, "d"));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[1]));
}

TEST_F(Replicas, DamageOfOneIsReadAround) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  system.engines[readers[0]]->failure = Code::kCorrupt;
  ASSERT_TRUE(fetch(object, "d"));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[0], readers[1]));

  for (const std::uint32_t rank : readers) system.engines[rank]->failure = Code::kCorrupt;
  system.knowledge.asked.clear();
  EXPECT_EQ(fetch(object, "d").error(), Code::kCorrupt);
  EXPECT_EQ(system.asked_ranks(), readers) << "each once";
}

TEST_F(Replicas, OneThatIsAwayMayHaveWholeWhatIsDamagedElsewhere) {
  const ObjectId object = object_of("RP_2G1");
  const auto readers = readers_of(object, "d");
  system.knowledge.away.insert(readers[1]);
  // A new version, for which the view is asked anew.
  const auto other = std::ranges::find_if(
      std::views::iota(0U, 5U), [&](std::uint32_t rank) { return std::ranges::find(readers, rank) == readers.end(); });
  system.change_map(MapOperation::kDrain, *other);
  ASSERT_EQ(readers_of(object, "d"), readers);
  system.engines[readers[0]]->failure = Code::kCorrupt;
  // It is waited for, to the end; then what is known is said.
  const Instant begun = system.world.now();
  EXPECT_EQ(fetch(object, "d", 5s).error(), Code::kCorrupt);
  EXPECT_GT(system.world.now() - begun, 4s);
  system.world.after(2s, [&] { system.knowledge.away.clear(); });
  const auto reply = fetch(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(system.knowledge.asked.back().rank, readers[1]);
}

TEST_F(Replicas, OtherFailuresOfAReadAreAnswers) {
  const ObjectId object = object_of("RP_3G1");
  leader_of(object, "d").failure = Code::kConditionFailed;
  EXPECT_EQ(fetch(object, "d").error(), Code::kConditionFailed);
  EXPECT_EQ(system.knowledge.asked.size(), 1u);
}

TEST_F(Replicas, AChangeLeavesALeaderThatIsLost) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  leader_of(object, "d").silent = true;
  system.world.after(3s, [&] { system.change_map(MapOperation::kExclude, readers[0]); });
  const Instant begun = system.world.now();
  const auto reply = update(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_LT(system.world.now() - begun, 5s);
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[0], readers[1]));
  EXPECT_EQ(system.knowledge.asked[0].sequence, system.knowledge.asked[1].sequence) << "it takes effect once";
  EXPECT_EQ(system.knowledge.asked[1].map_version, system.knowledge.map->version().value());
}

TEST_F(Replicas, AChangeThatNobodyAnswersMayHaveTakenEffect) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  leader_of(object, "d").silent = true;
  system.engines[readers[1]]->failure = Code::kNotReady;
  system.world.after(1s, [&] { system.change_map(MapOperation::kExclude, readers[0]); });
  const auto reply = update(object, "d", 6s);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error(), Code::kDeadlineExceeded);
  EXPECT_NE(reply.error().message().find("may have taken effect"), std::string::npos);
}

// Rule 2 of "Retries and failures" in docs/protocols/replication.md.
TEST_F(Replicas, AFailureOfAnOlderSendingDoesNotCount) {
  const ObjectId object = object_of("RP_2G1");
  const auto readers = readers_of(object, "d");
  fake::Engine& first = leader_of(object, "d");
  fake::Engine& second = *system.engines[readers[1]];
  first.silent = true;
  first.failure = Code::kConditionFailed;
  second.silent = true;
  // The leader is lost, and comes back while the one that followed it keeps silent.
  system.world.after(500ms, [&] { system.change_map(MapOperation::kExclude, readers[0]); });
  system.world.after(4s, [&] {
    system.change_map(MapOperation::kReintegrate, readers[0]);
    ASSERT(system.knowledge.map->settle(system.knowledge.map->version()));
    ASSERT(system.leader(object, as_bytes("d")) == readers[0]);
  });
  // Then what was sent first fails, over the connection that the request has come back to under the same id. Whatever
  // comes there later succeeds.
  system.world.after(8s, [&] { first.released.set(); });
  system.world.after(8s + 10us, [&] { first.failure = Code::kOk; });
  const Instant begun = system.world.now();
  const auto reply = update(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_GE(system.world.now() - begun, 8s);
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[0], readers[1], readers[0]));
}

TEST_F(Replicas, AFailureOfTheOnlySendingCounts) {
  const ObjectId object = object_of("RP_2G1");
  leader_of(object, "d").failure = Code::kConditionFailed;
  EXPECT_EQ(update(object, "d").error(), Code::kConditionFailed);
  EXPECT_EQ(system.knowledge.asked.size(), 1u);
}

// It soon serves nothing, and another one has taken its place by then; here its clock becomes right.
TEST_F(Replicas, AnEngineWhoseClockIsOffIsAskedAgain) {
  const ObjectId object = object_of("RP_3G1");
  SimReactor& off = system.engines[readers_of(object, "d")[0]]->node();
  for (const Duration skew : {Duration(1h), Duration(-1h)}) {
    off.set_clock_skew(skew);
    system.world.after(3s, [&] { off.set_clock_skew(Duration(0)); });
    const Instant begun = system.world.now();
    const auto reply = update(object, "d");
    EXPECT_TRUE(reply) << reply.error().to_string();
    EXPECT_GE(system.world.now() - begun, 3s);
  }
}

TEST_F(Replicas, TheViewIsAskedOfAnotherEngineWhenTheFirstIsLost) {
  const ObjectId object = object_of("RP_3G1");
  ASSERT_TRUE(fetch(object, "d"));
  system.container.reset();
  system.wait(system.client->close());
  // A client that knows one address only, of an engine that is lost.
  ASSERT_TRUE(system.connect({0}));
  ASSERT_TRUE(fetch(object, "d"));
  system.network.crash("engine0");
  system.change_map(MapOperation::kExclude, 0);
  for (const char* dkey : {"a", "b", "c", "d", "e", "f"}) {
    const auto reply = update(object_of("RP_3GX"), dkey);
    ASSERT_TRUE(reply) << reply.error().to_string();
  }
}

TEST_F(Replicas, EnginesOfAnotherSystemAreRefused) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  fake::Engine& moved = *system.engines[readers[0]];
  system.world.block_on(moved.node(), moved.stop());
  moved.start(Uuid::from_random(9, 9));
  const auto reply = fetch(object, "d");
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_THAT(system.asked_ranks(), ElementsAre(readers[1]));
}

// ---- whole objects ----

TEST_F(Replicas, OneMemberOfEachGroupIsAskedForAWholeObject) {
  ASSERT_TRUE(list(object_of("RP_3G1")));
  EXPECT_EQ(system.knowledge.asked.size(), 1u);
  system.knowledge.asked.clear();
  const ObjectId four = object_of("RP_2G4");
  ASSERT_TRUE(list(four));
  ASSERT_EQ(system.knowledge.asked.size(), 4u);
  const auto layout = system.layout();
  for (std::uint32_t group = 0; group < 4; ++group) {
    const auto readers = *layout->readers({.object = four, .seed = system.seed(), .group = group});
    EXPECT_EQ(system.knowledge.asked[group].rank, layout->place_of(readers[0]).engine.value());
  }
  system.knowledge.asked.clear();
  ASSERT_TRUE(list(object_of("RP_2G8")));
  EXPECT_EQ(system.knowledge.asked.size(), 5u) << "more groups than targets";
}

TEST_F(Replicas, AllAreAskedForAnObjectThatIsSpreadOverAll) {
  const ObjectId object = object_of("RP_3GX");
  std::vector<std::string> all;
  for (int i = 0; i < 40; ++i) {
    const std::string dkey = fmt::format("dkey{:02}", i);
    for (const std::uint32_t rank : readers_of(object, dkey)) system.engines[rank]->keys[0].insert(dkey);
    all.push_back(dkey);
  }
  for (const std::uint32_t limit : {3u, 7u, kMaxListEntries}) {
    std::vector<std::string> listed;
    ListRequest request = list_of(object, limit);
    do {
      auto page = system.wait(system.container->list(request, system.in(10s)));
      ASSERT_TRUE(page) << page.error().to_string();
      EXPECT_LE(page->keys.size(), limit);
      for (const ListedKey& key : page->keys) listed.push_back(to_text(key.key));
      request.anchor = page->anchor;
    } while (!request.anchor.empty());
    EXPECT_EQ(listed, all) << "each once, in order, with a limit of " << limit;
  }
}

TEST_F(Replicas, WhatIsLostIsLeftOutAsLongAsTheOthersHaveAll) {
  const ObjectId object = object_of("RP_3GX");
  system.change_map(MapOperation::kExclude, 1);
  system.change_map(MapOperation::kExclude, 3);
  ASSERT_TRUE(list(object));
  system.knowledge.asked.clear();
  ASSERT_TRUE(list(object));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(0u, 2u, 4u));
  EXPECT_EQ(list(object_of("RP_2GX")).error(), Code::kNotReady) << "two may have been all replicas of something";
  EXPECT_EQ(list(object_of("SX")).error(), Code::kNotReady);

  ListRequest objects;
  objects.level = ListLevel::kObjects;
  system.knowledge.asked.clear();
  ASSERT_TRUE(system.wait(system.container->list(objects, system.in(10s))));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(0u, 2u, 4u));
}

TEST_F(Replicas, AListingBeginsAnewWhenWhoIsAskedIsLost) {
  const ObjectId object = object_of("RP_2GX");
  system.engines[2]->silent = true;
  system.world.after(4s, [&] { system.change_map(MapOperation::kExclude, 2); });
  const Instant begun = system.world.now();
  const auto listed = list(object);
  ASSERT_TRUE(listed) << listed.error().to_string();
  EXPECT_LT(system.world.now() - begun, 10s);
  const auto& asked = system.knowledge.asked;
  const auto ranks = system.asked_ranks();
  EXPECT_THAT(std::vector(ranks.end() - 4, ranks.end()), ElementsAre(0u, 1u, 3u, 4u));
  EXPECT_TRUE(std::all_of(asked.end() - 4, asked.end(), [](const fake::Asked& one) { return one.map_version == 2; }));
}

TEST_F(Replicas, AWholeReplicatedObjectIsPunchedByOneRequest) {
  for (const char* object_class : {"RP_3G1", "RP_2G4", "RP_3GX"}) {
    const ObjectId object = object_of(object_class);
    system.knowledge.asked.clear();
    PunchRequest punch;
    punch.object = object;
    punch.level = PunchLevel::kObject;
    ASSERT_TRUE(system.wait(system.container->punch(punch, system.in(10s))));
    EXPECT_THAT(system.asked_ranks(), ElementsAre(system.leader(object, {})));
  }
  system.knowledge.asked.clear();
  PunchRequest punch;
  punch.object = object_of("SX");
  punch.level = PunchLevel::kObject;
  ASSERT_TRUE(system.wait(system.container->punch(punch, system.in(10s))));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(0u, 1u, 2u, 3u, 4u));
}

// ---- transactions ----

TEST_F(Replicas, ATransactionGoesToTheLeaderOfItsFirstChange) {
  const ObjectId object = object_of("RP_3GX"), other = object_of("RP_2G1", 2001);
  Container view = system.container->begin_transaction();
  ASSERT_TRUE(system.wait(view.fetch(fetch_of(other, "read"), {})));
  ASSERT_TRUE(system.wait(view.update(update_of(object, "b"), {})));
  ASSERT_TRUE(system.wait(view.update(update_of(object, "a"), {})));
  PunchRequest punch;
  punch.object = other;
  punch.level = PunchLevel::kObject;
  ASSERT_TRUE(system.wait(view.punch(punch)));
  system.knowledge.asked.clear();
  const auto committed = system.wait(view.commit_transaction());
  ASSERT_TRUE(committed) << committed.error().to_string();
  ASSERT_EQ(system.knowledge.asked.size(), 1u);
  EXPECT_EQ(system.knowledge.asked[0].opcode, Opcode::kCommit);
  EXPECT_EQ(system.knowledge.asked[0].rank, system.leader(object, as_bytes("a"))) << "changes are in order of dkeys";

  Container only_punch = system.container->begin_transaction();
  ASSERT_TRUE(system.wait(only_punch.punch(punch)));
  system.knowledge.asked.clear();
  ASSERT_TRUE(system.wait(only_punch.commit_transaction()));
  EXPECT_THAT(system.asked_ranks(), ElementsAre(system.leader(other, {})));
}

TEST_F(Replicas, ReadsOfATransactionGoToAnyReplica) {
  const ObjectId object = object_of("RP_3G1");
  const auto readers = readers_of(object, "d");
  leader_of(object, "d").silent = true;
  Container view = system.container->begin_transaction();
  const auto reply = system.wait(view.fetch(fetch_of(object, "d"), {}));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(system.knowledge.asked.back().rank, readers[1]);
}

// ---- classes ----

TEST_F(Replicas, ObjectsKeepWhatTheContainerAsksFor) {
  EXPECT_EQ(system.container->redundancy(), 2u);
  const auto refused = system.wait(
      system.container->allocate_object(*parse_class("RP_2GX"), KeyFlavour::kLexical, KeyFlavour::kLexical));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("RP_3GX"), std::string::npos) << refused.error().to_string();
  EXPECT_EQ(class_name(Kv::default_object(0).object_class()), "SX");
  EXPECT_EQ(class_name(Kv::default_object(2).object_class()), "RP_3GX");
}

// ---- connecting ----

Task<> break_once(fake::Engine* engine, std::unique_ptr<rpc::Listener> listener, Uuid system) {
  {
    auto link = co_await listener->accept(Until::forever());
    ASSERT(link);
  }
  co_await listener->close();
  engine->start(system);
}

TEST(Connecting, GoesOnWhenTheFirstConnectionBreaks) {
  System system(kSeed, 1);
  fake::Engine& engine = *system.engines[0];
  Scope scope(engine.node());
  scope.spawn(break_once(&engine, *engine.transport().listen({"engine0", 7777}), system.knowledge.system.system));
  const auto connected = system.connect({0});
  EXPECT_TRUE(connected) << connected.error().to_string();
  system.world.block_on(engine.node(), scope.stop());
}

Task<> break_all(rpc::Listener* listener, std::uint32_t* broken, CancelSource* stop) {
  while (co_await listener->accept({kNoDeadline, stop})) ++*broken;
}

TEST(Connecting, EndsAtItsTime) {
  System system(kSeed, 1);
  fake::Engine& engine = *system.engines[0];
  const auto listener = *engine.transport().listen({"engine0", 7777});
  Scope scope(engine.node());
  std::uint32_t broken = 0;
  scope.spawn(break_all(listener.get(), &broken, &scope.cancel_source()));
  const Instant begun = system.world.now();
  EXPECT_FALSE(system.connect({0}, 3s));
  EXPECT_GE(broken, 3u);
  EXPECT_LE(system.world.now() - begun, 3s + 1ms);
  system.world.block_on(engine.node(), scope.stop());
  system.world.block_on(engine.node(), listener->close());
}

/// A file in a directory: of two groups.
ChangeSet creation() {
  ChangeSet changes;
  changes.updates.push_back({.request = update_of(object_of("RP_3G1"), "file"), .payload = {}});
  changes.updates.back().request.dkey_condition = Precondition::kAbsent;
  changes.updates.push_back({.request = update_of(object_of("RP_3G1", 2001), "inode"), .payload = {}});
  changes.updates.back().request.akeys[0].condition = Precondition::kPresent;
  return changes;
}

TEST_F(Replicas, AChangeSetIsOneMessage) {
  const std::uint32_t leader = system.leader(object_of("RP_3G1"), as_bytes("file"));
  const auto applied = system.wait(system.container->apply(creation(), system.in(20s)));
  ASSERT_TRUE(applied) << applied.error().to_string();
  EXPECT_EQ(applied->epoch, Epoch(9));
  ASSERT_EQ(system.knowledge.asked.size(), 1u);
  EXPECT_EQ(system.knowledge.asked[0].opcode, Opcode::kCommit);
  EXPECT_EQ(system.knowledge.asked[0].rank, leader);
  // What the engine says of a condition is the answer.
  system.knowledge.asked.clear();
  system.engines[leader]->failure = Code::kConditionFailed;
  EXPECT_EQ(system.wait(system.container->apply(creation(), system.in(20s))).error(), Code::kConditionFailed);
  EXPECT_EQ(system.knowledge.asked.size(), 1u);
}

TEST_F(Replicas, AChangeSetThatNobodyCanCheckIsATransaction) {
  for (auto& engine : system.engines) engine->checks_conditions = false;
  // The second one is not there, as a transaction finds out; nothing is committed then.
  EXPECT_EQ(system.wait(system.container->apply(creation(), system.in(20s))).error(), Code::kConditionFailed);
  const auto opcodes = [this] {
    std::vector<Opcode> all;
    for (const fake::Asked& asked : system.knowledge.asked) all.push_back(asked.opcode);
    return all;
  };
  EXPECT_THAT(opcodes(), ElementsAre(Opcode::kCommit, Opcode::kBegin, Opcode::kList, Opcode::kFetch));
  system.knowledge.asked.clear();
  ChangeSet changes = creation();
  changes.updates.pop_back();
  const auto applied = system.wait(system.container->apply(std::move(changes), system.in(20s)));
  ASSERT_TRUE(applied) << applied.error().to_string();
  EXPECT_EQ(applied->epoch, Epoch(9));
  EXPECT_THAT(opcodes(), ElementsAre(Opcode::kCommit, Opcode::kBegin, Opcode::kList, Opcode::kCommit));
}

}  // namespace
}  // namespace cenote::async
