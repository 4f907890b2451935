// What operators do with the engines of a pool, and what engines that were lost do, with whole engines: from the wish
// to the end of the move.

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
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

  explicit SimOperationsTest(bool auto_reintegrate = true) {
    for (const char* name : {"a", "b", "c", "d"}) {
      Place& place = places_.emplace_back();
      place.engine = std::make_unique<SimEngine>(world_, network_,
                                                 SimEngineOptions{.name = name,
                                                                  .reactors = GetParam(),
                                                                  .shared = coordinator_.shared(),
                                                                  .core = {.auto_reintegrate = auto_reintegrate}});
      place.client =
          std::make_unique<TestClient>(client_node_, network_.transport(client_node_), place.engine->address());
    }
  }
  void SetUp() override {
    for (std::size_t rank = 0; rank < 3; ++rank) start(places_[rank]);
    pass(2s);  // whoever leads has seen them all
    const CreatePool request{.label = "p", .size_bytes = 1u << 20, .properties = {}, .redundancy = 1};
    const auto made = admin(AdminMethod::kPost, "/v1/pools", to_json(request));
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    pool_ = pool_info_from_json(*made)->id;
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
  /// Of the first engine that runs. Asks again as clients do.
  Result<std::string> admin(AdminMethod method, const std::string& path, const std::string& body = "") {
    for (const Instant begun = world_.now();; pass(50ms)) {
      const auto asked = std::ranges::find_if(places_, [](const Place& place) { return place.engine->running(); });
      auto answer = wait(asked->client->admin(method, path, body));
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
  void pause(bool paused) {
    ASSERT_TRUE(admin(AdminMethod::kPost, "/v1/pools/p/moves", pause_request_to_json(paused)).has_value());
  }
  /// Also when it has been there for long.
  void stays(std::uint32_t rank, const std::string& state) {
    pass(30s);
    EXPECT_EQ(state_of(rank), state);
  }
  void await_used(std::uint32_t rank) {
    for (int tries = 0; tries < 300 && state_of(rank) != "up" && state_of(rank) != "up-in"; ++tries) pass(100ms);
    EXPECT_TRUE(state_of(rank).starts_with("up")) << state_of(rank);
  }
  cluster::MapVersion stored_version() {
    const auto stored =
        world_.block_on(coordinator_.node(), cluster::load_stored_map(coordinator_.coordinator(), pool_));
    return (*stored)->map.version();
  }
  std::uint32_t leader() {
    const auto system = system_info_from_json(*admin(AdminMethod::kGet, "/v1/system"));
    const auto found = std::ranges::find(system->engines, true, &EngineInfo::leader);
    EXPECT_NE(found, system->engines.end());
    return found == system->engines.end() ? 0 : found->rank;
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
  Uuid pool_, container_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimOperationsTest, testing::Values(0, 2));

TEST_P(SimOperationsTest, WhoWasLostAndIsBackIsTakenBackByItself) {
  Place& lost = places_[2];
  crash(lost);
  await_rest(2, "down-out");
  const Uuid later = make_container("later");
  start(lost);
  const Instant back = world_.now();
  EXPECT_EQ(ask(lost, container_).error(), Code::kStaleMap);
  await_rest(2, "up-in");
  EXPECT_GE(world_.now() - back, 10s);
  EXPECT_LT(world_.now() - back, 15s);
  for (const Uuid& container : {container_, later}) {
    const auto served = ask(lost, container);
    EXPECT_TRUE(served.has_value()) << served.error().to_string();
  }
}

TEST_P(SimOperationsTest, WhoWasPutOutStaysOutUntilSomebodyTakesItBack) {
  begin(PoolOperation::kExclude, 2);
  await_rest(2, "down-out");
  // Nor does a start of everything change that.
  for (std::size_t rank = 0; rank < 3; ++rank) crash(places_[rank]);
  for (std::size_t rank = 0; rank < 3; ++rank) start(places_[rank]);
  stays(2, "down-out");
  begin(PoolOperation::kReintegrate, 2);
  await_rest(2, "up-in");

  // Lost first, and then given up.
  crash(places_[2]);
  await_rest(2, "down-out");
  ASSERT_TRUE(change(PoolOperation::kExclude, 2).has_value());
  start(places_[2]);
  stays(2, "down-out");
  begin(PoolOperation::kReintegrate, 2);
  await_rest(2, "up-in");

  // On its way out, and then lost.
  pause(true);
  begin(PoolOperation::kDrain, 2);
  crash(places_[2]);
  pass(10s);
  EXPECT_EQ(state_of(2), "down");
  pause(false);
  start(places_[2]);
  stays(2, "down-out");
}

class SimOperationsByHandTest : public SimOperationsTest {
 protected:
  SimOperationsByHandTest() : SimOperationsTest(false) {}
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimOperationsByHandTest, testing::Values(0));

TEST_P(SimOperationsByHandTest, NobodyIsTakenBackWhereThatIsOff) {
  crash(places_[2]);
  await_rest(2, "down-out");
  start(places_[2]);
  stays(2, "down-out");
  begin(PoolOperation::kReintegrate, 2);
  await_rest(2, "up-in");
}

TEST_P(SimOperationsTest, NobodyIsTakenBackWhileMovesArePaused) {
  crash(places_[2]);
  await_rest(2, "down-out");
  pause(true);
  start(places_[2]);
  stays(2, "down-out");
  pause(false);
  await_rest(2, "up-in");
}

TEST_P(SimOperationsTest, WhoComesAndGoesIsTakenBackLaterEachTime) {
  for (const Duration wait : {10s, 20s}) {
    crash(places_[2]);
    await_rest(2, "down-out");
    const auto version = query().map_version;
    start(places_[2]);
    pass(wait - 2s);
    EXPECT_EQ(query().map_version, version) << "it has not stayed for long enough";
    pass(4s);
    EXPECT_GT(query().map_version, version);
    await_rest(2, "up-in");
  }
  // Who goes again before that changes nothing.
  crash(places_[2]);
  await_rest(2, "down-out");
  const auto version = query().map_version;
  for (int times = 0; times < 3; ++times) {
    start(places_[2]);
    pass(9s);
    crash(places_[2]);
    pass(9s);
  }
  EXPECT_EQ(query().map_version, version);
}

TEST_P(SimOperationsTest, ALeaderThatDiesLeavesTheReturnToTheNext) {
  start(places_[3]);
  pass(2s);
  begin(PoolOperation::kExtend, 3);
  await_rest(3, "up-in");
  // Before it has done anything, and when the others have not heard of the new version yet.
  for (const bool begun : {false, true}) {
    crash(places_[3]);
    await_rest(3, "down-out");
    const auto version = stored_version();
    start(places_[3]);
    Place& leading = places_[leader()];
    pass(9s);
    while (begun && stored_version() == version) pass(1ms);
    crash(leading);
    await_used(3);
    for (Place& place : places_)
      if (!place.engine->running()) start(place);
    for (std::uint32_t rank = 0; rank < 4; ++rank) await_rest(rank, "up-in");
    for (std::uint32_t rank = 0; rank < 4; ++rank) ASSERT_TRUE(change(PoolOperation::kReintegrate, rank).has_value());
  }
}

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

  pause(true);
  begin(PoolOperation::kDrain, 1);
  pass(3s);
  EXPECT_TRUE(moves().moving);
  EXPECT_TRUE(moves().paused);
  EXPECT_EQ(query().state, "moving: engine 1 is drained (paused)");
  EXPECT_TRUE(ask(places_[1], later).has_value()) << "it serves until others have its data";
  const auto refused = change(PoolOperation::kDrain, 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kConditionFailed);
  pause(false);
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
