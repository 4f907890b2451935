// A system whose coordinator is lost for good, and made anew of what its engines remember.

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/engine/control_recovery.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

/// Three engines with a pool that can lose none of them.
class SimRecoveryTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  struct Place {
    std::unique_ptr<SimEngine> engine;
    std::unique_ptr<TestClient> client;  ///< asks it alone
  };

  SimRecoveryTest() {
    for (const char* name : {"a", "b", "c"}) {
      Place& place = places_.emplace_back();
      place.engine = std::make_unique<SimEngine>(world_, network_,
                                                 SimEngineOptions{.name = name, .shared = lost_.shared(), .core = {}});
      place.client =
          std::make_unique<TestClient>(client_node_, network_.transport(client_node_), place.engine->address());
    }
  }
  void SetUp() override {
    start_all();
    const CreatePool request{.label = "p", .size_bytes = 1u << 20, .properties = {}, .redundancy = 0};
    const auto made = admin(AdminMethod::kPost, "/v1/pools", to_json(request));
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
  }
  void TearDown() override {
    for (Place& place : places_) {
      wait(place.client->stop());
      if (place.engine->running())
        EXPECT_TRUE(world_.block_on(place.engine->control(), place.engine->stop()).has_value());
    }
    places_.clear();
  }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(client_node_, std::move(task));
  }
  void pass(Duration time) {
    world_.run_until([] { return false; }, time);
  }
  static Task<> start(SimReactor& home, SimEngine& engine, Result<>& outcome) {
    outcome = co_await call_on(home, engine.control(), [&] { return engine.start(); });
  }
  /// At the same time: else those that come first take the others for lost.
  void start_all() {
    std::vector<Result<>> outcomes(places_.size());
    Scope starting(client_node_);
    for (std::size_t i = 0; i < places_.size(); ++i)
      starting.spawn(start(client_node_, *places_[i].engine, outcomes[i]));
    wait(starting.drain());
    for (const auto& outcome : outcomes) ASSERT_TRUE(outcome.has_value()) << outcome.error().to_string();
    pass(1500ms);  // whoever leads has seen them all
  }
  /// Power fails everywhere at one moment, and what the coordinator had is gone.
  void lose_everything() {
    for (Place& place : places_) place.engine->crash();
    for (Place& place : places_) world_.block_on(place.engine->control(), place.engine->clear());
  }
  void recover() {
    std::vector<GivenCopy> copies;
    for (const Place& place : places_) {
      ASSERT_TRUE(place.engine->control_copy().has_value());
      auto file = decode_control_copy(*place.engine->control_copy());
      ASSERT_TRUE(file.has_value()) << file.error().to_string();
      copies.push_back({place.engine->address().to_string(), *std::move(file)});
    }
    const auto plan = plan_recovery(copies);
    ASSERT_TRUE(plan.has_value()) << plan.error().to_string();
    EXPECT_TRUE(plan->missing().empty());
    const auto done = world_.block_on(found_.node(), carry_out(*plan, found_.coordinator(), Until::forever()));
    ASSERT_TRUE(done.has_value()) << done.error().to_string();
    for (Place& place : places_) place.engine->use_coordinator(found_.shared());
  }

  /// Asks again as clients do.
  Result<std::string> admin(AdminMethod method, const std::string& path, const std::string& body = "") {
    for (const Instant begun = world_.now();; pass(50ms)) {
      auto answer = wait(places_[0].client->admin(method, path, body));
      if (answer || !(answer.error() == Code::kNotReady) || world_.now() - begun > 20s) return answer;
    }
  }
  static Task<> ask(Place& place, bool destroys, std::string label, std::optional<Result<std::string>>& answer) {
    const std::string path = "/v1/pools/p/containers";
    Result<std::string> outcome = fail(Code::kInternal);
    if (destroys) {
      outcome = co_await place.client->admin(AdminMethod::kDelete, path + "/" + label);
    } else {
      outcome = co_await place.client->admin(AdminMethod::kPost, path, fmt::format(R"({{"label":"{}"}})", label));
    }
    answer = std::move(outcome);
  }
  Result<ContainerInfo> make_container(const std::string& label) {
    TRY(const std::string json,
        admin(AdminMethod::kPost, "/v1/pools/p/containers", fmt::format(R"({{"label":"{}"}})", label)));
    return container_info_from_json(json);
  }
  std::set<std::string> labels() {
    const auto json = admin(AdminMethod::kGet, "/v1/pools/p/containers");
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    std::set<std::string> found;
    if (!json) return found;
    for (const ContainerInfo& each : *containers_from_json(*json)) found.insert(each.label);
    return found;
  }
  /// A dkey that the engine has, with the value.
  std::string stored_at(Place& place, const Uuid& container, const Bytes& value) {
    for (int number = 0;; ++number) {
      std::string key = "k" + std::to_string(number);
      if (wait(place.client->put(container, kObject, key, value))) return key;
      EXPECT_LT(number, 100);
      if (number >= 100) return key;
    }
  }
  std::uint64_t incarnation(SimCoordinator& coordinator, const Place& place) {
    const auto entry = world_.block_on(
        coordinator.node(),
        coordinator.coordinator().get("engine/" + place.engine->identity().engine.to_string(), Until::forever()));
    return std::stoull((*entry)->value);
  }

  SimWorld world_{GetParam()};
  rpc::SimNetwork network_{world_};
  SimReactor& client_node_ = world_.add_node("client");
  SimCoordinator lost_{world_};
  SimCoordinator found_{world_, "another"};
  std::vector<Place> places_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, SimRecoveryTest, testing::Values(51, 52, 53));

TEST_P(SimRecoveryTest, WhatWasAnsweredForIsThereAgain) {
  const auto container = make_container("c");
  ASSERT_TRUE(container.has_value());
  std::vector<std::string> keys;
  for (Place& place : places_) keys.push_back(stored_at(place, container->id, to_bytes(as_bytes("value"))));
  const auto before = incarnation(lost_, places_[1]);
  ASSERT_TRUE(make_container("gone").has_value());
  ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools/p/containers/c/snapshots", R"({"name":"s"})").has_value());
  ASSERT_TRUE(admin(AdminMethod::kDelete, "/v1/pools/p/containers/gone").has_value());
  lose_everything();
  recover();
  start_all();
  EXPECT_EQ(labels(), std::set<std::string>{"c"});
  EXPECT_TRUE(admin(AdminMethod::kGet, "/v1/pools/p/containers/c/snapshots/s").has_value());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto value = wait(places_[i].client->get(container->id, kObject, keys[i]));
    ASSERT_TRUE(value.has_value()) << value.error().to_string();
    EXPECT_EQ(*value, to_bytes(as_bytes("value")));
  }
  EXPECT_GT(incarnation(found_, places_[1]), before + 1000);
  // And it is a coordinator like any other, which can be lost again.
  const auto more = make_container("more");
  ASSERT_TRUE(more.has_value()) << more.error().to_string();
  for (Place& place : places_) stored_at(place, more->id, to_bytes(as_bytes("more")));
  for (Place& place : places_) {
    const auto file = decode_control_copy(*place.engine->control_copy());
    ASSERT_TRUE(file.has_value());
    EXPECT_TRUE(std::ranges::any_of(file->entries, [&](const cluster::KeyValue& entry) {
      return entry.key == "container/" + more->id.to_string() && entry.value.contains("ready");
    }));
    EXPECT_FALSE(place.engine->control_copy_aside().has_value());
  }
}

TEST_P(SimRecoveryTest, ALossAtAnyMomentLosesNothingThatWasAnsweredFor) {
  std::map<std::string, std::pair<Uuid, std::string>> made;  // by label, with a key at the second engine
  std::set<std::string> uncertain;
  SimReactor& random = client_node_;
  // One request after the other, until one is under way when the power fails.
  const Instant end = world_.now() + 200ms + Duration(random.random() % 400'000'000);
  for (int number = 0; world_.now() < end; ++number) {
    const std::string label = "c" + std::to_string(number);
    const bool destroys = made.size() > 2 && random.random() % 2 == 0;
    const std::string of = destroys ? made.begin()->first : label;
    std::optional<Result<std::string>> answer;
    Scope asking(client_node_);
    asking.spawn(ask(places_[random.random() % 3], destroys, of, answer));
    world_.run_until([&] { return answer.has_value() || world_.now() >= end; }, 20s);
    if (!answer) {
      uncertain.insert(of);
      made.erase(of);
      lose_everything();
      wait(asking.drain());
      break;
    }
    wait(asking.drain());
    if (!*answer) {
      uncertain.insert(of);
    } else if (!destroys) {
      const Uuid id = container_info_from_json(**answer)->id;
      made[label] = {id, stored_at(places_[1], id, to_bytes(as_bytes(label)))};
    }
    if (destroys) made.erase(of);
  }
  if (places_[0].engine->running()) lose_everything();
  recover();
  start_all();
  for (const std::string& label : labels()) EXPECT_TRUE(made.contains(label) || uncertain.contains(label)) << label;
  for (const auto& [label, where] : made) {
    const auto value = wait(places_[1].client->get(where.first, kObject, where.second));
    ASSERT_TRUE(value.has_value()) << label << ": " << value.error().to_string();
    EXPECT_EQ(*value, to_bytes(as_bytes(label)));
  }
  EXPECT_TRUE(make_container("later").has_value());
}

}  // namespace
}  // namespace cenote::engine
