// Engines of pools whose maps change: because an engine is lost, or because an operator moves data.

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/protocol/system_stop.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kEngines = 3;
constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);

/// A lease, what others add to it, and what it takes until all have heard.
constexpr Duration kExclusion = 5s + 2500ms + 1s;

/// Three engines, of two pools: "precious" can lose one of them, "plain" none. With all of an engine on one node, and
/// with data reactors and control on nodes of their own.
class SimExclusionTest : public testing::TestWithParam<std::uint32_t> {
 protected:
  struct Place {
    std::unique_ptr<SimEngine> engine;
    std::unique_ptr<TestClient> client;  ///< asks it alone
  };
  struct Pool {
    Uuid id, container;
  };

  SimExclusionTest() {
    for (std::uint32_t rank = 0; rank < kEngines; ++rank) {
      Place& place = places_.emplace_back();
      place.engine = std::make_unique<SimEngine>(world_, network_,
                                                 SimEngineOptions{.name = std::string(1, static_cast<char>('a' + rank)),
                                                                  .reactors = GetParam(),
                                                                  .shared = coordinator_.shared(),
                                                                  .core = {}});
      place.client =
          std::make_unique<TestClient>(client_node_, network_.transport(client_node_), place.engine->address());
    }
  }
  void SetUp() override {
    for (Place& place : places_) start(place);
    pass(2s);  // whoever leads has seen them all
    precious_ = make_pool("precious", 1);
    plain_ = make_pool("plain", 0);
    // Else versions would follow that nobody here asks for.
    for (const Pool& pool : {precious_, plain_}) {
      const auto paused =
          world_.block_on(coordinator_.node(), cluster::pause_moves(coordinator_.coordinator(), pool.id, true));
      ASSERT_TRUE(paused.has_value()) << paused.error().to_string();
    }
    // What an engine has been asked for once it need not look up.
    for (Place& place : places_) {
      for (const Pool& pool : {precious_, plain_}) EXPECT_TRUE(ask(place, pool, 1).has_value());
    }
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

  /// Asks again for as long as the answer is that nobody is ready, as clients do.
  Result<std::string> admin(Place& place, AdminMethod method, const std::string& path, const std::string& body = "") {
    for (const Instant begun = world_.now();; pass(50ms)) {
      auto answer = wait(place.client->admin(method, path, body));
      if (answer || !(answer.error() == Code::kNotReady) || world_.now() - begun > 20s) return answer;
    }
  }
  Pool make_pool(const std::string& label, std::uint32_t redundancy) {
    const CreatePool request{.label = label, .size_bytes = 1u << 20, .properties = {}, .redundancy = redundancy};
    const auto pool = admin(places_[0], AdminMethod::kPost, "/v1/pools", to_json(request));
    EXPECT_TRUE(pool.has_value()) << pool.error().to_string();
    const auto made = make_container(label, "c");
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return {pool_info_from_json(*pool)->id, made->id};
  }
  Result<ContainerInfo> make_container(const std::string& pool, const std::string& label) {
    TRY(const std::string json, admin(living(), AdminMethod::kPost, "/v1/pools/" + pool + "/containers",
                                      fmt::format(R"({{"label":"{}"}})", label)));
    return container_info_from_json(json);
  }
  PoolInfo query(const std::string& pool) {
    const auto json = admin(living(), AdminMethod::kGet, "/v1/pools/" + pool);
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    return json ? *pool_info_from_json(*json) : PoolInfo();
  }
  Place& living() {
    return *std::ranges::find_if(places_, [](const Place& place) { return place.engine->running(); });
  }

  cluster::StoredMap stored(const Pool& pool) {
    return **world_.block_on(coordinator_.node(),
                             cluster::load_stored_map(coordinator_.coordinator(), pool.id, Until::forever()));
  }
  bool is_active(const Pool& pool, std::uint64_t version) {
    return stored(pool).active == cluster::MapVersion(version);
  }
  /// An operator wants the targets of an engine to be emptied: a new version, in which all data is where it was.
  void drain(const Pool& pool, std::uint32_t rank) {
    auto from = stored(pool);
    cluster::PoolMap next = from.map;
    ASSERT_TRUE(next.apply(cluster::MapOperation::kDrain, cluster::used_targets(next, cluster::Rank(rank))));
    const auto published = world_.block_on(
        coordinator_.node(), cluster::publish_map(coordinator_.coordinator(), std::move(from), std::move(next)));
    ASSERT_TRUE(published.has_value()) << published.error().to_string();
  }
  /// A request about the container that every class of objects has, at the first target of an engine.
  Result<> ask(Place& place, const Pool& pool, std::uint32_t version, Duration patience = 20s) {
    return wait(asked(place, pool, version, patience));
  }
  Task<Result<>> asked(Place& place, Pool pool, std::uint32_t version, Duration patience) {
    Bytes body;
    encode(BeginRequest{pool.container}, body);
    rpc::CallOptions options = place.client->within(patience);
    options.map_version = version;
    CO_CHECK_OK(co_await place.client->peer().call(static_cast<rpc::Opcode>(Opcode::kBegin), body, options));
    co_return Result<>();
  }
  /// An epoch that the engine takes now.
  Epoch used_by(Place& place) {
    const auto taken = wait(newest_epoch(place));
    EXPECT_TRUE(taken.has_value()) << taken.error().to_string();
    return taken.value_or(kEpochZero);
  }
  Task<Result<Epoch>> newest_epoch(Place& place) {
    Bytes body;
    encode(BeginRequest{plain_.container}, body);
    CO_TRY(const rpc::Reply reply, co_await place.client->peer().call(static_cast<rpc::Opcode>(Opcode::kBegin), body,
                                                                      place.client->within(20s)));
    CO_TRY(const BeginReply begun, decode_begin_reply(reply.body));
    co_return begun.snapshot;
  }
  static Task<> keep(Task<Result<>> task, std::optional<Result<>>& into) { into = co_await std::move(task); }

  SimWorld world_{41};
  rpc::SimNetwork network_{world_};
  SimReactor& client_node_ = world_.add_node("client");
  SimCoordinator coordinator_{world_};
  std::vector<Place> places_;
  Pool precious_, plain_;
};

INSTANTIATE_TEST_SUITE_P(Reactors, SimExclusionTest, testing::Values(0, 2));

TEST_P(SimExclusionTest, ALostEngineIsExcludedAndServesNothingOfThePoolAgain) {
  // The first of them leads the control service, and supervises.
  Place& lost = places_[0];
  Place& other = places_[2];
  ASSERT_TRUE(ask(lost, precious_, 1).has_value());
  const Instant died = world_.now();
  crash(lost);
  ASSERT_TRUE(ask(other, precious_, 1).has_value()) << "nothing changes before its lease has ended";
  ASSERT_TRUE(world_.run_until([&] { return world_.now() - died > 6s; }, 10s));
  EXPECT_TRUE(is_active(precious_, 1));
  for (; !is_active(precious_, 2) && world_.now() - died < kExclusion; pass(50ms)) {
  }
  ASSERT_TRUE(is_active(precious_, 2)) << "engine 0 was not excluded in time";

  for (Place* place : {&places_[1], &places_[2]}) {
    const auto served = ask(*place, precious_, 2);
    EXPECT_TRUE(served.has_value()) << served.error().to_string();
    EXPECT_TRUE(ask(*place, precious_, 0).has_value());
    EXPECT_EQ(ask(*place, precious_, 1).error(), Code::kStaleMap);
    EXPECT_TRUE(ask(*place, plain_, 1).has_value());
  }
  const PoolInfo precious = query("precious");
  EXPECT_EQ(precious.state, "degraded: engine 0 is excluded");
  EXPECT_EQ(precious.map_version, 2u);
  EXPECT_EQ(precious.engines[0], (MappedEngineInfo{.rank = 0, .state = "down", .since = 2}));
  EXPECT_EQ(precious.engines[1], (MappedEngineInfo{.rank = 1, .state = "up-in", .since = 1}));
  const PoolInfo plain = query("plain");
  EXPECT_EQ(plain.state, "degraded: suspended: engine 0 is gone, and no more can be excluded than 0");
  const auto seen = system_info_from_json(*admin(other, AdminMethod::kGet, "/v1/system"));
  ASSERT_EQ(seen->degraded_pools.size(), 2u);
  for (const PoolTrouble& pool : seen->degraded_pools)
    EXPECT_EQ(pool.state, pool.label == "plain" ? plain.state : precious.state) << pool.label;

  // Who is excluded is not asked; who is only gone is waited for.
  const auto made = make_container("precious", "later");
  EXPECT_TRUE(made.has_value()) << made.error().to_string();
  const auto refused = make_container("plain", "later");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kUnreachable) << refused.error().to_string();
  EXPECT_TRUE(admin(other, AdminMethod::kPost, "/v1/pools/precious/containers/c/snapshots", R"({"name":"s"})"));
  EXPECT_TRUE(admin(other, AdminMethod::kDelete, "/v1/pools/precious/containers/later"));

  start(lost);
  for (const std::uint32_t version : {0, 1, 2}) {
    const auto answer = ask(lost, precious_, version);
    ASSERT_FALSE(answer.has_value()) << version;
    EXPECT_EQ(answer.error(), Code::kStaleMap);
    EXPECT_NE(answer.error().message().find("engine 0 has no part in pool"), std::string::npos)
        << answer.error().message();
    EXPECT_NE(answer.error().message().find("since version 2"), std::string::npos) << answer.error().message();
  }
  const auto back = ask(lost, plain_, 1);
  EXPECT_TRUE(back.has_value()) << back.error().to_string();
  pass(2s);
  EXPECT_EQ(query("plain").state, "up");
  EXPECT_EQ(query("precious").state, "degraded: engine 0 is excluded");
  EXPECT_TRUE(make_container("plain", "later").has_value());
}

TEST_P(SimExclusionTest, WhoIsCutOffFromTheCoordinatorAnswersNothingAfterItsLease) {
  Place& alone = places_[1];
  alone.engine->set_coordinator_reachable(false);
  const Instant begun = world_.now();
  pass(3s);
  EXPECT_TRUE(ask(alone, precious_, 1).has_value()) << "as long as its lease is valid";
  EXPECT_TRUE(is_active(precious_, 1));
  pass(begun + 5s - world_.now());
  for (; world_.now() - begun < 12s; pass(250ms)) {
    for (const std::uint32_t version : {0, 1, 2}) {
      const auto answer = ask(alone, precious_, version);
      ASSERT_FALSE(answer.has_value()) << version;
      EXPECT_EQ(answer.error(), Code::kNotReady) << answer.error().to_string();
    }
  }
  EXPECT_TRUE(is_active(precious_, 2));
  EXPECT_TRUE(ask(places_[2], precious_, 2).has_value());
  // It registers anew, and finds that it was excluded, and from what.
  alone.engine->set_coordinator_reachable(true);
  pass(3s);
  const auto excluded = ask(alone, precious_, 2);
  ASSERT_FALSE(excluded.has_value());
  EXPECT_EQ(excluded.error(), Code::kStaleMap) << excluded.error().to_string();
  EXPECT_EQ(ask(alone, precious_, 0).error(), Code::kStaleMap);
  EXPECT_TRUE(ask(alone, plain_, 1).has_value());
}

TEST_P(SimExclusionTest, RequestsWaitForTheVersionToBeActive) {
  // It acknowledges nothing, and serves the version that it knows.
  Place& behind = places_[2];
  Place& ahead = places_[1];
  behind.engine->set_coordinator_reachable(false);
  const Instant begun = world_.now();
  drain(plain_, 0);
  pass(200ms);
  const auto switched = ask(ahead, plain_, 1);
  ASSERT_FALSE(switched.has_value()) << "it has switched";
  EXPECT_EQ(switched.error(), Code::kStaleMap) << switched.error().to_string();
  EXPECT_TRUE(ask(behind, plain_, 1).has_value());
  EXPECT_LT(world_.now() - begun, 1s);
  EXPECT_EQ(ask(ahead, plain_, 2, 500ms).error(), Code::kDeadlineExceeded);

  const Instant asked_for_unknown = world_.now();
  const auto unknown = ask(ahead, plain_, 9);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error(), Code::kStaleMap) << unknown.error().to_string();
  EXPECT_LT(world_.now() - asked_for_unknown, 2500ms) << "it does not wait for ever";

  std::optional<Result<>> early, late;
  Scope scope(client_node_);
  scope.spawn(keep(asked(ahead, plain_, 2, 30s), early));
  scope.spawn(keep(asked(ahead, plain_, 0, 30s), late));
  pass(begun + 5s - world_.now());
  EXPECT_FALSE(early || late) << "the other may serve the old version";
  EXPECT_TRUE(is_active(plain_, 1));
  ASSERT_TRUE(world_.run_until([&] { return early && late; }, 4s));
  EXPECT_TRUE(early->has_value()) << early->error().to_string();
  EXPECT_TRUE(late->has_value()) << late->error().to_string();
  EXPECT_TRUE(is_active(plain_, 2));
  EXPECT_EQ(ask(behind, plain_, 1).error(), Code::kNotReady);
  wait(scope.stop());

  behind.engine->set_coordinator_reachable(true);
  pass(2s);
  const auto back = ask(behind, plain_, 2);
  EXPECT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(ask(behind, plain_, 1).error(), Code::kStaleMap);
}

TEST_P(SimExclusionTest, WhatWasBegunUnderAnOlderVersionIsNotAnswered) {
  Place& place = places_[1];
  const Bytes before(300, std::byte{1}), after(300, std::byte{2});
  std::string key;
  for (int number = 0; key.empty() && number < 100; ++number) {
    const std::string tried = "k" + std::to_string(number);
    if (wait(place.client->put(plain_.container, kObject, tried, before))) key = tried;
  }
  ASSERT_FALSE(key.empty());
  for (std::uint32_t target = 0; target < 2; ++target) place.engine->device(target)->set_slowdown(20'000);
  std::optional<Result<>> outcome;
  Scope scope(client_node_);
  const auto put = [](TestClient& client, Uuid container, std::string dkey, Bytes value,
                      std::optional<Result<>>& into) -> Task<> {
    const auto done = co_await client.put(container, kObject, std::move(dkey), std::move(value));
    into = done ? Result<>() : fail(done.error());
  };
  scope.spawn(put(*place.client, plain_.container, key, after, outcome));
  pass(50ms);
  ASSERT_FALSE(outcome.has_value()) << "it is to be slow";
  drain(plain_, 0);
  pass(50ms);
  for (std::uint32_t target = 0; target < 2; ++target) place.engine->device(target)->set_slowdown(1);
  ASSERT_TRUE(world_.run_until([&] { return outcome.has_value(); }, 60s));
  wait(scope.stop());
  ASSERT_FALSE(outcome->has_value());
  EXPECT_EQ(outcome->error(), Code::kUndecided) << outcome->error().to_string();
  // The version was acknowledged when the update had ended, and not before.
  for (int tries = 0; !is_active(plain_, 2) && tries < 20; ++tries) pass(50ms);
  EXPECT_TRUE(is_active(plain_, 2));
  EXPECT_EQ(wait(place.client->get(plain_.container, kObject, key)), after) << "which nobody was told of";
}

TEST_P(SimExclusionTest, AStoppedSystemServesNothingAndLosesNobody) {
  // What had been begun ends first: it is slow.
  Place& place = places_[1];
  const Bytes value(300, std::byte{1});
  std::string key;
  for (int number = 0; key.empty() && number < 100; ++number) {
    const std::string tried = "k" + std::to_string(number);
    if (wait(place.client->put(plain_.container, kObject, tried, value))) key = tried;
  }
  ASSERT_FALSE(key.empty());
  for (std::uint32_t target = 0; target < 2; ++target) place.engine->device(target)->set_slowdown(300'000);
  std::optional<Result<>> outcome;
  Scope scope(client_node_);
  const auto put = [](TestClient& client, Uuid container, std::string dkey, Bytes what,
                      std::optional<Result<>>& into) -> Task<> {
    const auto done = co_await client.put(container, kObject, std::move(dkey), std::move(what));
    into = done ? Result<>() : fail(done.error());
  };
  scope.spawn(put(*place.client, plain_.container, key, Bytes(300, std::byte{2}), outcome));
  pass(50ms);
  ASSERT_FALSE(outcome.has_value()) << "it is to be slow";
  const auto stop_info = [&](AdminMethod method) {
    const auto json = admin(living(), method, "/v1/system/stop", method == AdminMethod::kPost ? "{}" : "");
    EXPECT_TRUE(json.has_value()) << json.error().to_string();
    return json ? *system_stop_from_json(*json) : SystemStopInfo();
  };
  EXPECT_TRUE(stop_info(AdminMethod::kPost).changed);
  pass(1s);
  EXPECT_EQ(stop_info(AdminMethod::kGet).busy(), std::vector<std::uint32_t>{1});
  for (std::uint32_t target = 0; target < 2; ++target) place.engine->device(target)->set_slowdown(1);
  ASSERT_TRUE(world_.run_until([&] { return outcome.has_value(); }, 60s));
  wait(scope.stop());
  EXPECT_TRUE(outcome->has_value()) << outcome->error().to_string();
  pass(1s);
  const SystemStopInfo quiet = stop_info(AdminMethod::kGet);
  EXPECT_TRUE(quiet.busy().empty());
  EXPECT_GT(quiet.stopped_since_s, 0u);

  const auto is_refused = [&](Place& asked) {
    for (const Pool& pool : {precious_, plain_}) {
      const auto answer = ask(asked, pool, 1);
      ASSERT_FALSE(answer.has_value());
      EXPECT_EQ(answer.error(), Code::kNotReady);
      EXPECT_NE(answer.error().message().find("'cenote system start'"), std::string::npos) << answer.error().message();
    }
  };
  for (Place& each : places_) is_refused(each);
  EXPECT_EQ(wait(place.client->get(plain_.container, kObject, key)).error(), Code::kNotReady);
  EXPECT_EQ(wait(places_[0].client->admin(AdminMethod::kDelete, "/v1/pools/plain")).error(), Code::kNotReady);
  EXPECT_EQ(query("precious").state, "stopped");
  EXPECT_TRUE(place.engine->core().system_stopped());
  EXPECT_EQ(system_info_from_json(*admin(place, AdminMethod::kGet, "/v1/system"))->stopped_since_s,
            quiet.stopped_since_s);

  // All of them go, one without a word, for longer than any margin.
  for (Place& each : places_) {
    if (&each == &place) {
      crash(each);
    } else {
      ASSERT_TRUE(world_.block_on(each.engine->control(), each.engine->stop()).has_value());
    }
    pass(15s);
  }
  start(places_[2]);
  start(places_[1]);
  pass(15s);
  for (Place* each : {&places_[1], &places_[2]}) is_refused(*each);
  const auto missing = admin(places_[2], AdminMethod::kPost, "/v1/system/start");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error(), Code::kConditionFailed);
  EXPECT_NE(missing.error().message().find("engine 0 is not up"), std::string::npos) << missing.error().message();
  start(places_[0]);
  ASSERT_TRUE(admin(places_[2], AdminMethod::kPost, "/v1/system/start").has_value());
  pass(15s);
  for (Place& each : places_) {
    for (const Pool& pool : {precious_, plain_}) EXPECT_TRUE(ask(each, pool, 1).has_value());
  }
  EXPECT_EQ(wait(place.client->get(plain_.container, kObject, key)), Bytes(300, std::byte{2}));
  EXPECT_TRUE(is_active(precious_, 1));
  EXPECT_EQ(query("precious").state, "up");
  EXPECT_FALSE(place.engine->core().system_stopped());
}

TEST_P(SimExclusionTest, NoMoreEnginesAreExcludedThanThePoolCanLose) {
  crash(places_[0]);
  pass(kExclusion);
  EXPECT_TRUE(is_active(precious_, 2));
  crash(places_[1]);
  pass(kExclusion);
  EXPECT_TRUE(is_active(precious_, 2));
  EXPECT_EQ(query("precious").state,
            "degraded: suspended: engine 1 is gone, and no more can be excluded than 1; engine 0 is excluded");
  EXPECT_TRUE(ask(places_[2], precious_, 2).has_value());
  // It lost nothing of what is its own, as nobody took its place.
  start(places_[1]);
  const auto back = ask(places_[1], precious_, 2);
  EXPECT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(ask(places_[1], precious_, 1).error(), Code::kStaleMap);
  pass(2s);
  EXPECT_EQ(query("precious").state, "degraded: engine 0 is excluded");
  start(places_[0]);
  EXPECT_EQ(ask(places_[0], precious_, 2).error(), Code::kStaleMap);
}

TEST_P(SimExclusionTest, WhoseClockIsFarOffServesNothingUntilItIsRight) {
  for (const Duration skew : {Duration(1h), Duration(-1h)}) {
    // The first one leads, and supervises.
    Place& off = places_[0];
    const auto before = stored(precious_).map.version();
    const Epoch used = used_by(off);
    off.engine->set_clock_skew(skew);
    pass(4s);
    EXPECT_LE(off.engine->core().serves_until(), world_.now());
    const auto wrong = wait(off.client->admin(AdminMethod::kGet, "/v1/pools"));
    ASSERT_FALSE(wrong.has_value());
    // It was excluded, as it has said that it serves nothing, and who leads now has a clock to go by.
    const cluster::StoredMap map = stored(precious_);
    if (skew > Duration(0)) EXPECT_GT(map.map.version(), before);  // then it has no part any more
    EXPECT_EQ(map.active, map.map.version());
    const auto year_2026 = std::chrono::duration_cast<Duration>(client_node_.wall_now().time_since_epoch());
    EXPECT_LT(map.closed.value(), static_cast<std::uint64_t>((year_2026 + 3s).count()));
    EXPECT_TRUE(admin(places_[1], AdminMethod::kGet, "/v1/pools").has_value());
    EXPECT_TRUE(ask(places_[1], precious_, 0).has_value());

    // That nobody answers it proves nothing.
    for (const char* other : {"b", "c"}) network_.cut(off.engine->control().name(), other);
    pass(10s);
    EXPECT_LE(off.engine->core().serves_until(), world_.now());
    network_.heal_all();

    off.engine->set_clock_skew(Duration(0));
    pass(4s);
    EXPECT_GT(off.engine->core().serves_until(), world_.now());
    const auto right = ask(off, plain_, 0);
    EXPECT_TRUE(right.has_value()) << right.error().to_string();
    // What it was off by it has not used.
    EXPECT_LT(used_by(off).value() - used.value(), static_cast<std::uint64_t>((60s / 1ns)));
  }
}

TEST_P(SimExclusionTest, WhoseClockIsFarOffDoesNotStart) {
  Place& off = places_[2];
  crash(off);
  pass(9s);
  off.engine->set_clock_skew(-90s);
  const auto refused = world_.block_on(off.engine->control(), off.engine->start());
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kClockOff);
  EXPECT_NE(refused.error().message().find("90.0 s behind that of engine 0, 90.0 s behind that of engine 1"),
            std::string::npos)
      << refused.error().message();
  off.engine->set_clock_skew(200ms);
  start(off);
}

TEST_P(SimExclusionTest, WhoLeadsGoesOnWhileAnEngineCannotBeAsked) {
  // The first of them leads, and does not reach the last one, which is started anew, and is up.
  crash(places_[2]);
  pass(9s);
  network_.cut(places_[0].engine->control().name(), "c");
  start(places_[2]);
  pass(15s);
  for (const Instant begun = world_.now(); world_.now() - begun < 10s; pass(100ms)) {
    const auto answer = wait(places_[0].client->admin(AdminMethod::kGet, "/v1/pools"));
    ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  }
  network_.heal_all();
  pass(5s);
  EXPECT_TRUE(make_container("plain", "later").has_value()) << "it is asked again";
}

}  // namespace
}  // namespace cenote::engine
