// What operators do with the engines of a pool, with whole engines: from the wish to the end of the move.

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/protocol/pool_changes.h"
#include "cenote/protocol/transaction_requests.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

/// Four engines, three of which are started; a pool that can lose one.
class SimOperationsTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  struct Place {
    std::unique_ptr<SimEngine> engine;
    std::unique_ptr<TestClient> client;  ///< asks it alone
  };

  SimOperationsTest() {
    for (const char* name : {"a", "b", "c", "d"}) {
      Place& place = places_.emplace_back();
      place.engine = std::make_unique<SimEngine>(
          world_, network_,
          SimEngineOptions{.name = name, .reactors = GetParam(), .shared = coordinator_.shared(), .core = {}});
      place.client =
          std::make_unique<TestClient>(client_node_, network_.transport(client_node_), place.engine->address());
    }
  }
  void SetUp() override {
    for (std::size_t rank = 0; rank < 3; ++rank) start(places_[rank]);
    pass(2s);  // whoever leads has seen them all
    const CreatePool request{.label = "p", .size_bytes = 1u << 20, .properties = {}, .redundancy = 1};
    ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools", to_json(request)).has_value());
    container_ = make_container("c");
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
  void start(Place& place) {
    const auto started = world_.block_on(place.engine->control(), place.engine->start());
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  void crash(Place& place) {
    place.engine->crash();
    world_.block_on(place.engine->control(), place.engine->clear());
  }
  /// Of the first engine, which always runs. Asks again as clients do.
  Result<std::string> admin(AdminMethod method, const std::string& path, const std::string& body = "") {
    for (const Instant begun = world_.now();; pass(50ms)) {
      auto answer = wait(places_[0].client->admin(method, path, body));
      if (answer || !(answer.error() == Code::kNotReady) || world_.now() - begun > 20s) return answer;
    }
  }
  Uuid make_container(const std::string& label) {
    const auto json = admin(AdminMethod::kPost, "/v1/pools/p/containers", fmt::format(R"({{"label":"{}"}})", label));
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    return json ? container_info_from_json(*json)->id : Uuid();
  }
  PoolInfo query() {
    const auto json = admin(AdminMethod::kGet, "/v1/pools/p");
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    return json ? *pool_info_from_json(*json) : PoolInfo();
  }
  PoolMoves moves() {
    const auto json = admin(AdminMethod::kGet, "/v1/pools/p/moves");
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    return json ? *pool_moves_from_json(*json) : PoolMoves();
  }
  std::string state_of(std::uint32_t rank) {
    const auto engines = query().engines;
    return rank < engines.size() ? engines[rank].state : "";
  }
  Result<PoolChanged> change(PoolOperation operation, std::uint32_t rank) {
    TRY(const std::string json, admin(AdminMethod::kPost, fmt::format("/v1/pools/p/{}", operation_name(operation)),
                                      to_json(ChangeEngines{.engines = {rank}})));
    return pool_changed_from_json(json);
  }
  void begin(PoolOperation operation, std::uint32_t rank) {
    const auto changed = change(operation, rank);
    ASSERT_TRUE(changed.has_value()) << changed.error().to_string();
    EXPECT_EQ(changed->engines.front().outcome, kChangeBegun);
  }
  void await_rest(std::uint32_t rank, const std::string& state) {
    for (int tries = 0; tries < 200 && !(moves().at_rest() && state_of(rank) == state); ++tries) pass(100ms);
    EXPECT_EQ(state_of(rank), state) << to_json(moves());
    EXPECT_EQ(query().state, "up");
  }
  /// A request about a container, at one engine, whatever the version.
  Result<> ask(Place& place, const Uuid& container) {
    Bytes body;
    encode(BeginRequest{container}, body);
    const auto done = wait(place.client->raw(Opcode::kBegin, body, {}, 0));
    return done ? Result<>() : fail(done.error());
  }

  SimWorld world_{43};
  rpc::SimNetwork network_{world_};
  SimReactor& client_node_ = world_.add_node("client");
  SimCoordinator coordinator_{world_};
  std::vector<Place> places_;
  Uuid container_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimOperationsTest, testing::Values(0, 2));

TEST_P(SimOperationsTest, EnginesAreLostComeBackLeaveAndJoin) {
  Place& lost = places_[2];
  make_container("going");
  crash(lost);
  await_rest(2, "down-out");
  const Uuid later = make_container("later");
  ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools/p/containers/c/snapshots", R"({"name":"s"})").has_value());
  ASSERT_TRUE(admin(AdminMethod::kDelete, "/v1/pools/p/containers/going").has_value());
  const auto away = change(PoolOperation::kReintegrate, 2);
  ASSERT_FALSE(away.has_value());
  EXPECT_EQ(away.error(), Code::kConditionFailed) << away.error().to_string();

  start(lost);
  EXPECT_EQ(ask(lost, container_).error(), Code::kStaleMap);
  begin(PoolOperation::kReintegrate, 2);
  await_rest(2, "up-in");
  for (const Uuid& container : {container_, later}) {
    const auto served = ask(lost, container);
    EXPECT_TRUE(served.has_value()) << served.error().to_string();
  }

  ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools/p/moves", pause_request_to_json(true)).has_value());
  begin(PoolOperation::kDrain, 1);
  pass(3s);
  EXPECT_TRUE(moves().moving);
  EXPECT_TRUE(moves().paused);
  EXPECT_EQ(query().state, "moving: engine 1 is drained (paused)");
  EXPECT_TRUE(ask(places_[1], later).has_value()) << "it serves until others have its data";
  const auto refused = change(PoolOperation::kDrain, 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kConditionFailed);
  ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools/p/moves", pause_request_to_json(false)).has_value());
  await_rest(1, "down-out");
  EXPECT_EQ(ask(places_[1], later).error(), Code::kStaleMap);

  start(places_[3]);
  begin(PoolOperation::kExtend, 3);
  await_rest(3, "up-in");
  EXPECT_TRUE(ask(places_[3], container_).has_value());
  EXPECT_TRUE(ask(places_[3], make_container("last")).has_value());
  begin(PoolOperation::kReintegrate, 1);
  await_rest(1, "up-in");
}

}  // namespace
}  // namespace cenote::engine
