// Engines that form one system through a coordinator that they share.

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/member.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "fenced_coordinator.h"
#include "leader_term.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

/// Follows no map.
class NoMaps final : public cluster::MapUser {
 public:
  Task<Result<Epoch>> switch_to(std::shared_ptr<const cluster::PoolMap>, std::uint32_t, Until) override {
    co_return kEpochZero;
  }
};

/// With all of an engine on one node, and with data reactors and control on nodes of their own.
class SharedControlTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  /// An engine, and a client that asks it alone.
  struct Place {
    std::unique_ptr<SimEngine> engine;
    std::unique_ptr<TestClient> client;
  };

  SharedControlTest() {
    for (const char* name : {"a", "b"}) {
      Place& place = places_.emplace_back();
      place.engine = std::make_unique<SimEngine>(
          world_, network_,
          SimEngineOptions{.name = name, .reactors = GetParam(), .shared = coordinator_.shared(), .core = {}});
      place.client =
          std::make_unique<TestClient>(client_node_, network_.transport(client_node_), place.engine->address());
    }
  }
  void TearDown() override {
    for (Place& place : places_) {
      wait(place.client->stop());
      if (place.engine->running()) EXPECT_TRUE(stop(place));
    }
    places_.clear();
  }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(client_node_, std::move(task));
  }
  Result<> start(Place& place) { return world_.block_on(place.engine->control(), place.engine->start()); }
  Result<> stop(Place& place) { return world_.block_on(place.engine->control(), place.engine->stop()); }
  void crash(Place& place) {
    place.engine->crash();
    world_.block_on(place.engine->control(), place.engine->clear());
  }
  void pass(Duration time) {
    world_.run_until([] { return false; }, time);
  }
  void start_all() {
    for (Place& place : places_) {
      const auto started = start(place);
      ASSERT_TRUE(started.has_value()) << started.error().to_string();
    }
    ASSERT_NE(leader(), nullptr);
    pass(1500ms);  // it has seen them all
  }
  /// A dkey that the engine has, with the value.
  std::string stored_at(Place& place, const Uuid& container, const Bytes& value) {
    for (int number = 0;; ++number) {
      std::string key = "k" + std::to_string(number);
      if (wait(place.client->put(container, kObject, key, value))) return key;
      EXPECT_LT(number, 100);
    }
  }

  Result<std::string> get(Place& place, std::string path) {
    return wait(place.client->admin(AdminMethod::kGet, std::move(path)));
  }
  Result<SystemInfo> system(Place& place) {
    TRY(const std::string json, get(place, "/v1/system"));
    return system_info_from_json(json);
  }
  /// Whom a running engine takes for the leader, once it knows one that runs.
  Place* leader() {
    for (int tries = 0; tries < 400; ++tries) {
      for (Place& place : places_) {
        if (!place.engine->running()) continue;
        const auto seen = system(place);
        if (!seen) continue;
        for (const EngineInfo& engine : seen->engines) {
          if (engine.leader && engine.state == kEngineUp && places_[engine.rank].engine->running())
            return &places_[engine.rank];
        }
      }
      pass(50ms);
    }
    return nullptr;
  }
  Place& other(const Place& than) { return &places_[0] == &than ? places_[1] : places_[0]; }
  /// Asks again for as long as the answer is that nobody is ready, as clients do.
  Result<std::string> patiently(Place& place, AdminMethod method, const std::string& path,
                                const std::string& body = "") {
    for (const Instant begun = world_.now();; pass(50ms)) {
      auto answer = wait(place.client->admin(method, path, body));
      if (answer || !(answer.error() == Code::kNotReady) || world_.now() - begun > 20s) return answer;
    }
  }

  SimWorld world_{31};
  rpc::SimNetwork network_{world_};
  SimReactor& client_node_ = world_.add_node("client");
  SimCoordinator coordinator_{world_};
  std::vector<Place> places_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SharedControlTest, testing::Values(0, 2));

TEST_P(SharedControlTest, AllEnginesAreOfOneSystemAndOneLeads) {
  start_all();
  EXPECT_EQ(places_[0].engine->identity().system, places_[1].engine->identity().system);
  EXPECT_EQ(places_[1].engine->identity().name, "a") << "the first one named it";
  for (Place& place : places_) {
    const auto seen = system(place);
    ASSERT_TRUE(seen.has_value()) << seen.error().to_string();
    ASSERT_EQ(seen->engines.size(), 2u);
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      const EngineInfo& engine = seen->engines[rank];
      EXPECT_EQ(engine.rank, rank);
      EXPECT_EQ(engine.id, places_[rank].engine->identity().engine);
      EXPECT_EQ(engine.addresses, std::vector{places_[rank].engine->address().to_string()});
      EXPECT_EQ(engine.state, kEngineUp);
      EXPECT_EQ(engine.first_target, 2 * rank);
      EXPECT_EQ(engine.targets, 2u);
      EXPECT_EQ(engine.leader, &places_[rank] == leader());
    }
  }
}

TEST_P(SharedControlTest, WhoDoesNotLeadPassesRequestsOn) {
  start_all();
  Place& second = other(*leader());
  const auto made = patiently(second, AdminMethod::kPost, "/v1/pools", R"({"label":"p"})");
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  for (Place& place : places_) EXPECT_EQ(get(place, "/v1/pools/p"), *made);
  EXPECT_EQ(get(second, "/v1/pools/none").error(), Code::kPoolNotFound);
  EXPECT_EQ(get(second, "/v1/nothing").error(), Code::kNotFound);
}

TEST_P(SharedControlTest, AnotherTakesOverFromALeaderThatDies) {
  start_all();
  Place& first = *leader();
  Place& second = other(first);
  ASSERT_TRUE(patiently(second, AdminMethod::kPost, "/v1/pools", R"({"label":"both","size_bytes":4096})").has_value());
  first.engine->crash();
  EXPECT_EQ(get(second, "/v1/pools").error(), Code::kNotReady) << "until the lease of the leader has ended";
  const Instant died = world_.now();
  world_.block_on(first.engine->control(), first.engine->clear());
  // A pool is made of the engines that are there; a container of one that has others, too, is not to be had.
  const auto pool = patiently(second, AdminMethod::kPost, "/v1/pools", R"({"label":"p","size_bytes":1048576})");
  ASSERT_TRUE(pool.has_value()) << pool.error().to_string();
  const auto refused = patiently(second, AdminMethod::kPost, "/v1/pools/both/containers", R"({"label":"c"})");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kUnreachable) << refused.error().to_string();
  const auto made = patiently(second, AdminMethod::kPost, "/v1/pools/p/containers", R"({"label":"c","type":"kv"})");
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  EXPECT_LT(world_.now() - died, 8s);
  EXPECT_EQ(leader(), &second);
  EXPECT_EQ(system(second)->engines[0].state == kEngineUp, &second == &places_[0]);
  // It comes back, and finds that another leads.
  ASSERT_TRUE(start(first).has_value());
  EXPECT_LT(world_.now() - died, 20s);
  const auto seen = patiently(first, AdminMethod::kGet, "/v1/pools/p/containers/c");
  ASSERT_TRUE(seen.has_value()) << seen.error().to_string();
  EXPECT_EQ(container_info_from_json(*seen)->id, container_info_from_json(*made)->id);
  EXPECT_EQ(leader(), &second);
}

TEST_P(SharedControlTest, AfterACleanStopNobodyWaits) {
  start_all();
  Place& first = *leader();
  Place& second = other(first);
  const Instant begun = world_.now();
  ASSERT_TRUE(stop(first));
  ASSERT_TRUE(patiently(second, AdminMethod::kGet, "/v1/pools").has_value());
  EXPECT_EQ(system(second)->engines[&first == &places_[0] ? 0 : 1].state, kEngineGone);
  ASSERT_TRUE(start(first).has_value());
  EXPECT_LT(world_.now() - begun, 2s);
}

TEST_P(SharedControlTest, WithoutALeaseNothingIsServed) {
  start_all();
  Place& first = *leader();
  ASSERT_TRUE(patiently(first, AdminMethod::kPost, "/v1/pools", R"({"label":"p"})").has_value());
  const auto made = wait(first.client->admin(AdminMethod::kPost, "/v1/pools/p/containers", R"({"label":"c"})"));
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  const Uuid container = container_info_from_json(*made)->id;
  const Bytes value(300, std::byte{7});
  const std::string key = stored_at(first, container, value);
  first.engine->set_coordinator_reachable(false);
  pass(3s);
  EXPECT_EQ(wait(first.client->get(container, kObject, key)), value) << "as long as the lease is valid";
  pass(2s);
  EXPECT_EQ(wait(first.client->get(container, kObject, key)).error(), Code::kNotReady);
  EXPECT_EQ(wait(first.client->put(container, kObject, key, value)).error(), Code::kNotReady);
  EXPECT_EQ(get(first, "/v1/pools").error(), Code::kNotReady);
  EXPECT_EQ(get(first, "/v1/system").error(), Code::kNotReady);
  EXPECT_LE(first.engine->core().serves_until(), world_.now());
  // The other one leads meanwhile, and this one follows it when it is back.
  const auto listed = patiently(other(first), AdminMethod::kGet, "/v1/pools");
  ASSERT_TRUE(listed.has_value()) << listed.error().to_string();
  first.engine->set_coordinator_reachable(true);
  const auto seen = patiently(first, AdminMethod::kGet, "/v1/pools/p");
  ASSERT_TRUE(seen.has_value()) << seen.error().to_string();
  EXPECT_EQ(wait(first.client->get(container, kObject, key)), value);
  EXPECT_EQ(leader(), &other(first));
}

TEST_P(SharedControlTest, WhatTakesEffectAfterTheLeaseIsNotAcknowledged) {
  start_all();
  Place& first = *leader();
  const auto container = wait(first.client->set_up());
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  const Bytes value(300, std::byte{7});
  const std::string key = stored_at(first, *container, value);
  const Bytes other_value(300, std::byte{8});
  for (std::uint32_t target = 0; target < 2; ++target) first.engine->device(target)->set_slowdown(300'000);
  first.engine->set_coordinator_reachable(false);
  const Instant begun = world_.now();
  EXPECT_EQ(wait(first.client->put(*container, kObject, key, other_value)).error(), Code::kUndecided);
  EXPECT_GT(world_.now() - begun, 4s) << "it was refused at its begin";
  for (std::uint32_t target = 0; target < 2; ++target) first.engine->device(target)->set_slowdown(1);
  first.engine->set_coordinator_reachable(true);
  ASSERT_TRUE(patiently(first, AdminMethod::kGet, "/v1/system").has_value());
  EXPECT_EQ(wait(first.client->get(*container, kObject, key)), other_value) << "which nobody was told of";
}

TEST_P(SharedControlTest, ASecondProcessOfTheSameEngineIsRefused) {
  ASSERT_TRUE(start(places_[0]).has_value());
  ASSERT_TRUE(stop(places_[0]).has_value());
  NoMaps maps;
  cluster::Member copy(coordinator_.node(), coordinator_.coordinator(), maps,
                       {.rank = cluster::Rank(0),
                        .engine = places_[0].engine->identity().engine,
                        .process = Uuid::from_random(1, 2),
                        .addresses = {"elsewhere:7777"}});
  copy.start();
  ASSERT_TRUE(world_.run_until([&] { return copy.may_serve(); }, 10s));
  const auto refused = start(places_[0]);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kLocked);
  EXPECT_NE(refused.error().message().find("elsewhere:7777"), std::string::npos) << refused.error().message();
  EXPECT_TRUE(copy.may_serve());
  world_.block_on(coordinator_.node(), copy.stop(Until::at(world_.now() + 2s)));
  EXPECT_TRUE(start(places_[0]).has_value());
}

TEST(FencedCoordinator, AsksNothingWhenTheTermIsOver) {
  SimWorld world(7);
  SimCoordinator coordinator(world);
  LeaderTerm term(1, world.now() + 1h);
  FencedCoordinator fenced(coordinator.coordinator(), "post", cluster::Revision(0), term);
  const auto run = [&](auto task) { return world.block_on(coordinator.node(), std::move(task)); };
  ASSERT_TRUE(run(fenced.commit(cluster::Transaction().put("key", "value"))).has_value());
  term.end();
  term.extend(world.now() + 1h);
  EXPECT_LT(term.valid_until(), world.now());
  EXPECT_EQ(run(fenced.get("key")).error(), Code::kNotReady);
  EXPECT_EQ(run(fenced.range("", "", 1)).error(), Code::kNotReady);
  EXPECT_EQ(run(fenced.commit(cluster::Transaction().put("key", "other"))).error(), Code::kNotReady);
  EXPECT_EQ((*run(coordinator.coordinator().get("key")))->value, "value");
}

}  // namespace
}  // namespace cenote::engine
