// Client and server over the simulated network: what they promise must hold whatever the network does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/server.h"
#include "cenote/rpc/sim_network.h"
#include "cenote/runtime/scope.h"
#include "test_service.h"

namespace cenote::rpc {
namespace {

using namespace std::chrono_literals;
using namespace testing;

struct RecordingObserver final : Observer {
  void on_connection_error(std::string_view, const Error& error) override { errors.push_back(error); }
  std::vector<Error> errors;
};

/// A server and a client on two nodes.
class SimRpc : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSeed = 20240611;

  explicit SimRpc(std::uint64_t seed = kSeed) : world(seed), network(world) {}

  void SetUp() override { begin({}, {}); }
  void TearDown() override {
    world.block_on(client, background.drain());
    if (peer) peer->check_invariants();
    if (server) server->check_invariants();
    world.block_on(client, stop_all(*this));
    ASSERT_EQ(server_pool.used_bytes(), 0u);
  }

  void begin(ServerOptions server_options, PeerOptions peer_options) {
    server_options.observer = &server_events;
    server_options.counters = &server_counters;
    server = std::make_unique<Server>(server_node, server_pool, service, server_options);
    const Result<Address> bound = server->listen(*server_transport, {"server", 7777});
    ASSERT_TRUE(bound) << bound.error().to_string();
    peer_options.addresses = {*bound};
    peer_options.observer = &client_events;
    peer_options.counters = &client_counters;
    peer_options.callbacks = &client_service;
    peer = std::make_unique<Peer>(client, *client_transport, *session, peer_options);
  }
  static Task<> stop_all(SimRpc& test) {
    if (test.peer) co_await test.peer->stop();
    test.peer.reset();
    co_await stop_server(test, 1s);
  }
  static Task<> stop_server(SimRpc& test, Duration grace) {
    if (test.server) co_await test.server->stop(Until::at(test.server_node.now() + grace));
    test.server.reset();
  }
  void restart(ServerOptions server_options, PeerOptions peer_options) {
    world.block_on(client, stop_all(*this));
    begin(server_options, std::move(peer_options));
  }

  Result<Reply> call(Opcode opcode, ByteView body, BulkSource send = {}, BulkSink receive = {},
                     CallOptions options = {}) {
    return world.block_on(client, peer->call(opcode, body, send, receive, options));
  }
  CallOptions within(Duration duration) {
    CallOptions options;
    options.until = Until::at(client.now() + duration);
    return options;
  }

  static Task<> expect_answer(SimRpc& test, Opcode opcode, Bytes body) {
    const Result<Reply> reply = co_await test.peer->call(opcode, body, CallOptions());
    EXPECT_TRUE(reply) << reply.error().to_string();
  }
  static Task<> expect_stored(SimRpc& test, const Bytes& data) {
    const Result<Reply> reply = co_await test.peer->call(kStore, {}, ByteView(data), {}, CallOptions());
    EXPECT_TRUE(reply) << reply.error().to_string();
    if (reply) EXPECT_EQ(body_integer<std::uint32_t>(reply->body), crc32c(data));
  }
  void run_many(int count, Opcode opcode, const Bytes& body) {
    for (int i = 0; i < count; ++i) calls.spawn(expect_answer(*this, opcode, body));
    world.block_on(client, calls.drain());
  }

  SimWorld world;
  SimNetwork network;
  SimReactor& server_node = world.add_node("server");
  SimReactor& client = world.add_node("client");
  Counters server_counters, client_counters;
  std::unique_ptr<Transport> server_transport = network.transport(server_node, &server_counters);
  std::unique_ptr<Transport> client_transport = network.transport(client, &client_counters);
  media::BufferPool server_pool{server_node, {.budget_bytes = 64u << 20}};
  media::BufferPool client_pool{client, {.budget_bytes = 1u << 20}};
  TestService service{server_node, server_pool};
  TestService client_service{client, client_pool};
  RecordingObserver server_events, client_events;
  std::unique_ptr<ClientSession> session = std::make_unique<ClientSession>(
      client, ClientSession::Options{.identity = Uuid::from_random(1, 2), .name = "test client"});
  std::unique_ptr<Server> server;
  std::unique_ptr<Peer> peer;
  Scope calls{client};
  Scope background{server_node};
};

TEST_F(SimRpc, AnswersACall) {
  const Result<Reply> reply = call(kEcho, as_bytes("hello"));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(to_text(reply->body), "hello");
  EXPECT_EQ(service.live_sessions.size(), 1u);
}

TEST_F(SimRpc, ReportsTheServicesError) {
  ReplyInfo info;
  CallOptions options;
  options.info = &info;
  const Result<Reply> reply = call(kFail, {}, {}, {}, options);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kConditionFailed);
  EXPECT_EQ(reply.error().message(), "as it was asked to");
  EXPECT_TRUE(info.received);
  EXPECT_EQ(info.status, Code::kConditionFailed);
}

TEST_F(SimRpc, MovesPayloadsOfEverySizeBothWays) {
  for (const std::uint32_t bytes : {1u, 100u, 4096u, 8191u, 8192u, 65537u, 1u << 20, (2u << 20) + 5, kMaxBulkBytes}) {
    const Bytes data = pattern(bytes, bytes);
    const Result<Reply> stored = call(kStore, {}, ByteView(data));
    ASSERT_TRUE(stored) << stored.error().to_string();
    EXPECT_EQ(body_integer<std::uint32_t>(stored->body), crc32c(data)) << bytes;

    Bytes request;
    Encoder encoder(request);
    encoder.integer(bytes);
    encoder.integer(bytes + 1);
    Bytes memory(bytes + 3);
    // Three pieces, cut anywhere.
    const std::size_t first = bytes / 3;
    const std::size_t second = bytes / 2;
    const std::array<MutableBytes, 3> pieces{MutableBytes(memory).first(first),
                                             MutableBytes(memory).subspan(first, second - first),
                                             MutableBytes(memory).subspan(second)};
    const Result<Reply> fetched = call(kFetch, request, {}, BulkSink(std::span<const MutableBytes>(pieces)));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    EXPECT_EQ(fetched->bulk_bytes, bytes);
    EXPECT_TRUE(equal(ByteView(memory).first(bytes), pattern(bytes, bytes + 1))) << bytes;
  }
}

TEST_F(SimRpc, LargeBodies) {
  for (const std::size_t bytes :
       {std::size_t{8128}, std::size_t{8192}, std::size_t{8193}, std::size_t{kMaxBodyBytes}}) {
    const Bytes body = pattern(bytes, 3);
    const Result<Reply> reply = call(kEcho, body);
    ASSERT_TRUE(reply) << reply.error().to_string();
    EXPECT_TRUE(equal(reply->body, body)) << bytes;
  }
}

TEST_F(SimRpc, RefusesWhatIsOverTheLimits) {
  const Bytes large(kMaxBulkBytes + 1);
  EXPECT_EQ(call(kEcho, ByteView(large)).error().code(), Code::kOutOfRange);
  EXPECT_EQ(call(kStore, {}, ByteView(large)).error().code(), Code::kOutOfRange);
  const std::array<std::byte, 1> device_memory{};
  const std::array<ByteView, 1> list{ByteView(device_memory)};
  const BulkSource on_device(std::span<const ByteView>(list), MemoryKind::kDevice, 0);
  EXPECT_EQ(call(kStore, {}, on_device).error().code(), Code::kUnsupported);
}

TEST_F(SimRpc, AnAnswerThatDoesNotFitIsAnError) {
  Bytes request;
  Encoder encoder(request);
  encoder.integer(std::uint32_t{50000});
  encoder.integer(std::uint32_t{1});
  Bytes small(100);
  const Result<Reply> reply = call(kFetch, request, {}, MutableBytes(small));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kOutOfRange);
  EXPECT_TRUE(call(kEcho, as_bytes("the stream is intact")));
}

TEST_F(SimRpc, NamesTheAddressThatRefuses) {
  world.block_on(client, stop_server(*this, 1s));
  const Result<Reply> reply = call(kEcho, {}, {}, {}, within(5s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnreachable);
  EXPECT_THAT(reply.error().message(), ::testing::HasSubstr("cannot connect to server:7777: connection refused"));
}

TEST_F(SimRpc, AnAttemptThatTimesOutIsNotTheCallsDeadline) {
  network.cut("client", "server");
  const Instant begin = client.now();
  const Result<Reply> reply = call(kEcho, {}, {}, {}, within(60s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnreachable);
  EXPECT_LT(client.now() - begin, 10s);
}

TEST_F(SimRpc, AHandshakeThatIsCutOffLeavesNoDoubtAboutACall) {
  network.set_default_rules({.reset_ppm = 1'000'000});
  const Result<Reply> reply = call(kEcho, {}, {}, {}, within(60s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnreachable) << "it was never sent, so it can be sent again";
  network.set_default_rules({});
  EXPECT_TRUE(call(kEcho, as_bytes("again"), {}, {}, within(60s)));
}

TEST_F(SimRpc, ADeadlineEndsACall) {
  const Result<Reply> reply = call(kWait, {}, {}, {}, within(3s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kDeadlineExceeded);
  service.released.set();
  EXPECT_TRUE(call(kEcho, as_bytes("x")));
}

TEST_F(SimRpc, AnExpiredRequestIsNotExecuted) {
  ASSERT_TRUE(call(kEcho, {}));
  server_node.set_clock_skew(10min);
  const Result<Reply> reply = call(kApply, as_bytes("late"), {}, {}, within(5s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kRequestExpired);
  EXPECT_TRUE(service.effects.empty());
  server_node.set_clock_skew(-20min);
  EXPECT_EQ(call(kApply, as_bytes("too early"), {}, {}, within(5s)).error().code(), Code::kRequestExpired);
  EXPECT_TRUE(service.effects.empty());
}

TEST_F(SimRpc, SaysWhenTheClocksDiffer) {
  server_node.set_clock_skew(10s);
  ASSERT_TRUE(call(kEcho, {}));
  ASSERT_EQ(client_events.errors.size(), 1u);
  EXPECT_THAT(client_events.errors[0].message(), ::testing::HasSubstr("clock differs"));
}

TEST_F(SimRpc, TellsItsClockHoweverFarItIsOff) {
  for (const Duration skew : {Duration(0), Duration(1h), Duration(-48h)}) {
    server_node.set_clock_skew(skew);
    const auto ask = [&] { return world.block_on(client, peer->ask_clock(Until::at(client.now() + 5s))); };
    for (int i = 0; i < 2; ++i) {
      const auto offset = ask();
      ASSERT_TRUE(offset) << offset.error().to_string();
      EXPECT_LE(offset->least, skew);
      EXPECT_GE(offset->most, skew);
      EXPECT_LT(offset->most - offset->least, 1s);
    }
  }
  network.cut("client", "server");
  EXPECT_EQ(world.block_on(client, peer->ask_clock(Until::at(client.now() + 2s))).error(), Code::kDeadlineExceeded);
  network.heal_all();
  EXPECT_TRUE(world.block_on(client, peer->ask_clock(Until::at(client.now() + 60s))));
}

TEST_F(SimRpc, ASilentAddressLeavesTimeForTheOthers) {
  world.add_node("silent");
  network.cut("client", "silent");
  PeerOptions options;
  options.addresses = {{"silent", 7777}, {"server", 7777}};
  options.connect_timeout = 4s;
  Peer other(client, *client_transport, *session, options);
  const auto connected = world.block_on(client, other.connect(Until::at(client.now() + 4s)));
  EXPECT_TRUE(connected) << connected.error().to_string();
  world.block_on(client, other.stop());
}

TEST_F(SimRpc, CallsBackTheClient) {
  const Result<Reply> reply = call(kCallBack, as_bytes("ping"));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(to_text(reply->body), "ping");
  EXPECT_EQ(client_service.handled, 1u);
}

TEST_F(SimRpc, ACallbackSurvivesAReconnect) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(100us, [this] { network.reset_connections("client", "server"); });
  const Result<Reply> reply = call(kCallBack, as_bytes("again"));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(to_text(reply->body), "again");
}

TEST_F(SimRpc, ResendsOnANewConnectionAndRunsOnce) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(2s, [this] { network.reset_connections("client", "server"); });
  const Result<Reply> reply = call(kSleep, integer_body(std::uint64_t{5'000'000'000}));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(service.effects.size(), 1u);
  EXPECT_EQ(service.effects.begin()->second, 1);
  EXPECT_EQ(server_counters.duplicates_attached, 1u);
  EXPECT_EQ(client_counters.reconnects, 1u);
  EXPECT_EQ(service.resumptions, 1u);
}

TEST_F(SimRpc, AnswersARetryFromTheKeptReply) {
  ASSERT_TRUE(call(kEcho, {}));
  // The answer cannot come back; when the connection is given up the request has been executed.
  network.cut_one_way("server", "client");
  network.set_dead_after(3s);
  world.after(20s, [this] { network.heal_all(); });
  const Result<Reply> reply = call(kApply, as_bytes("once"), {}, {}, within(100s));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(service.effects.begin()->second, 1);
  EXPECT_EQ(server_counters.duplicates_answered, 1u);
}

TEST_F(SimRpc, ReportsTheLossWhenTheServerStaysAway) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(1s, [this] { network.crash("server"); });
  const Result<Reply> reply = call(kWait, {}, {}, {}, within(20s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kDeadlineExceeded);
  EXPECT_THAT(reply.error().message(), ::testing::HasSubstr("there was no connection"));
}

TEST_F(SimRpc, ASilentPeerIsNoticed) {
  ASSERT_TRUE(call(kEcho, {}));
  network.cut("client", "server");
  network.set_dead_after(1h);
  EXPECT_EQ(call(kEcho, {}, {}, {}, within(60s)).error().code(), Code::kDeadlineExceeded);
  EXPECT_GE(client_counters.connections_lost, 1u);
  network.heal_all();
  EXPECT_TRUE(call(kEcho, {}, {}, {}, within(60s)));
}

TEST_F(SimRpc, PingsKeepAnIdleConnection) {
  ASSERT_TRUE(call(kEcho, {}));
  EXPECT_FALSE(world.run_until([] { return false; }, 10min));
  EXPECT_TRUE(peer->connected());
  EXPECT_EQ(client_counters.connections_lost, 0u);
  EXPECT_EQ(service.live_sessions.size(), 1u);
}

TEST_F(SimRpc, AnAbandonedSessionEnds) {
  ASSERT_TRUE(call(kEcho, {}));
  network.cut("client", "server");
  EXPECT_FALSE(world.run_until([this] { return service.live_sessions.empty(); }, 2min));
  EXPECT_TRUE(world.run_until([this] { return service.live_sessions.empty(); }, 10min));
  EXPECT_EQ(server->connections(), 0u);
  network.heal_all();
  EXPECT_TRUE(call(kEcho, as_bytes("a new beginning"), {}, {}, within(60s)));
}

TEST_F(SimRpc, StopLetsRunningHandlersAnswer) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(1s, [this] { background.spawn(stop_server(*this, 10s)); });
  const Result<Reply> reply = call(kSleep, integer_body(std::uint64_t{3'000'000'000}), {}, {}, within(20s));
  EXPECT_TRUE(reply) << reply.error().to_string();
}

TEST_F(SimRpc, StopCancelsHandlersAfterTheGrace) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(1s, [this] { background.spawn(stop_server(*this, 1s)); });
  const Instant begin = world.now();
  const Result<Reply> reply = call(kWait, {}, {}, {}, within(20s));
  EXPECT_FALSE(reply);
  EXPECT_TRUE(world.run_until([this] { return server == nullptr; }, 1s));
  EXPECT_LT(world.now() - begin, 30s);
}

TEST_F(SimRpc, StopOfThePeerEndsItsCalls) {
  ASSERT_TRUE(call(kEcho, {}));
  world.after(1s, [this] { background.spawn(peer->stop()); });
  const Result<Reply> reply = call(kWait, {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kStopped);
  EXPECT_EQ(call(kEcho, {}).error().code(), Code::kStopped);
}

TEST_F(SimRpc, AListenersAddressIsInUse) {
  const Result<Address> second = server->listen(*server_transport, {"server", 7777});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kExists);
}

TEST_F(SimRpc, AnotherSystemIsRefused) {
  PeerOptions options;
  options.system = Uuid::from_random(5, 6);
  restart({}, options);
  const Result<Reply> reply = call(kEcho, {});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kForeign);
}

TEST_F(SimRpc, AnEndedSessionTellsItsClient) {
  ASSERT_TRUE(call(kEcho, {}));
  server->sessions().end(session->id());
  EXPECT_TRUE(service.live_sessions.empty());
  // The client comes back with the same id, which begins anew.
  EXPECT_TRUE(call(kEcho, {}, {}, {}, within(20s)));
  EXPECT_EQ(service.live_sessions.size(), 1u);
  EXPECT_FALSE(peer->welcome()->resumed);
}

TEST_F(SimRpc, AnOlderIncarnationIsRefused) {
  ASSERT_TRUE(call(kEcho, {}));
  const ClientSession::Options newer{.identity = session->options().identity, .name = "newer", .incarnation = 2};
  ClientSession second(client, newer, session->id());
  PeerOptions options;
  options.addresses = {{"server", 7777}};
  options.keep_connected = false;
  Peer other(client, *client_transport, second, options);
  ASSERT_TRUE(world.block_on(client, other.call(kEcho, {}, CallOptions())));
  EXPECT_EQ(service.live_sessions.size(), 1u);
  const Result<Reply> old = call(kEcho, {}, {}, {}, within(20s));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code(), Code::kSessionExpired);
  world.block_on(client, other.stop());
}

TEST_F(SimRpc, CreditsBoundWhatRuns) {
  ServerOptions options;
  options.credits = {.requests = 4, .bytes = kMaxBodyBytes + kMaxBulkBytes};
  restart(options, {});
  run_many(32, kSleep, integer_body(std::uint64_t{1'000'000}));
  EXPECT_EQ(service.max_running, 4u);
  EXPECT_EQ(server_counters.pauses, 0u);
}

TEST_F(SimRpc, TheServersLimitHoldsOverAllConnections) {
  ServerOptions options;
  options.requests_max = 3;
  restart(options, {});
  run_many(32, kSleep, integer_body(std::uint64_t{1'000'000}));
  EXPECT_EQ(service.max_running, 3u);
  EXPECT_GT(server_counters.pauses, 0u);
}

TEST_F(SimRpc, AWaitingConnectionIsNotTakenForDead) {
  ServerOptions options;
  options.requests_max = 1;
  restart(options, {});
  calls.spawn(expect_answer(*this, kWait, {}));
  calls.spawn(expect_answer(*this, kEcho, {}));
  EXPECT_FALSE(world.run_until([] { return false; }, 40s));
  EXPECT_EQ(client_counters.connections_lost, 0u);
  service.released.set();
  world.block_on(client, calls.drain());
}

TEST_F(SimRpc, PayloadsWaitForMemory) {
  world.block_on(client, stop_all(*this));
  media::BufferPool small(server_node, {.budget_bytes = 4u << 20});
  server = std::make_unique<Server>(server_node, small, service, ServerOptions{});
  ASSERT_TRUE(server->listen(*server_transport, {"server", 7777}));
  PeerOptions options;
  options.addresses = {{"server", 7777}};
  peer = std::make_unique<Peer>(client, *client_transport, *session, options);
  const Bytes data = pattern(3u << 20, 1);
  for (int i = 0; i < 6; ++i) calls.spawn(expect_stored(*this, data));
  world.block_on(client, calls.drain());
  EXPECT_EQ(service.effects.size(), 6u);
  world.block_on(client, stop_all(*this));
  EXPECT_EQ(small.used_bytes(), 0u);
}

TEST_F(SimRpc, AcknowledgementsEmptyTheWindow) {
  ServerOptions options;
  options.sessions.kept_replies_max = 200;
  restart(options, {});
  // One call stays open for the whole time; the others are acknowledged one by one.
  calls.spawn(expect_answer(*this, kWait, {}));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(call(kApply, as_bytes("x")));
  }
  service.released.set();
  world.block_on(client, calls.drain());
  EXPECT_EQ(service.effects.size(), 1000u);
}

TEST_F(SimRpc, NotifyIsDeliveredOnce) {
  EXPECT_EQ(peer->notify(kApply, {}, {}).error().code(), Code::kUnreachable);
  ASSERT_TRUE(call(kEcho, {}));
  ASSERT_TRUE(peer->notify(kApply, as_bytes("fact"), {}));
  EXPECT_TRUE(world.run_until([this] { return service.effects.size() == 1; }, 1s));
}

TEST_F(SimRpc, ATicketMakesASecondCallARetry) {
  RequestTicket ticket(*session, 60s);
  CallOptions options;
  options.ticket = &ticket;
  const Result<Reply> first = call(kApply, as_bytes("x"), {}, {}, options);
  const Result<Reply> second = call(kApply, as_bytes("x"), {}, {}, options);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(equal(first->body, second->body));
  EXPECT_EQ(service.effects.size(), 1u);
  EXPECT_EQ(service.effects.begin()->second, 1);
}

TEST_F(SimRpc, AbandonedTransfersLeaveTheMemoryAlone) {
  ASSERT_TRUE(call(kEcho, {}));
  SimLinkRules slow;
  slow.window_bytes = 4096;
  slow.delay_min = slow.delay_max = 1ms;
  network.set_default_rules(slow);
  for (int round = 0; round < 40; ++round) {
    // Freed as soon as the call has returned: the sanitizer sees any later touch.
    auto data = std::make_unique<Bytes>(pattern(200'000, 9));
    const Duration time = std::chrono::microseconds(500 + world.random_below(60'000));
    if (round % 2 == 0) {
      static_cast<void>(call(kStore, {}, ByteView(*data), {}, within(time)));
    } else {
      Bytes request;
      Encoder encoder(request);
      encoder.integer(std::uint32_t{200'000});
      encoder.integer(std::uint32_t{5});
      static_cast<void>(call(kFetch, request, {}, MutableBytes(*data), within(time)));
    }
  }
  EXPECT_GT(client_counters.calls_given_up, 10u);
  EXPECT_GT(client_counters.bulk_bytes_discarded, 0u);
  EXPECT_TRUE(call(kEcho, as_bytes("the stream is intact")));
  EXPECT_EQ(client_counters.connections_lost, 0u);
}

// ---- everything at once ----

struct Tally {
  std::uint64_t answered = 0, failed = 0, wrong = 0;
  std::map<std::uint64_t, int> expected_effects;  // by sequence: 1 for an answered call, -1 for "perhaps"
};

class SimRpcFaults : public SimRpc, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  SimRpcFaults() : SimRpc(GetParam()) {}

  static Task<> one_call(SimRpcFaults& test, Tally& tally, std::uint64_t number) {
    RequestTicket ticket(*test.session, 60s);
    CallOptions options;
    options.ticket = &ticket;
    options.until = Until::at(test.client.now() + std::chrono::milliseconds(200 + test.world.random_below(20'000)));
    const std::uint64_t kind = test.world.random_below(10);
    bool ok = false;
    if (kind < 6) {
      const Bytes body = pattern(1 + test.world.random_below(3000), static_cast<std::uint32_t>(number));
      const Result<Reply> reply = co_await test.peer->call(kApply, body, {}, {}, options);
      ok = reply.has_value();
      if (ok && body_integer<std::uint64_t>(reply->body) != hash64(body, 7)) ++tally.wrong;
    } else if (kind < 8) {
      const Bytes data = pattern(1 + test.world.random_below(100'000), static_cast<std::uint32_t>(number));
      const Result<Reply> reply = co_await test.peer->call(kStore, {}, ByteView(data), {}, options);
      ok = reply.has_value();
      if (ok && body_integer<std::uint32_t>(reply->body) != crc32c(data)) ++tally.wrong;
    } else {
      const auto bytes = static_cast<std::uint32_t>(1 + test.world.random_below(100'000));
      Bytes request;
      Encoder encoder(request);
      encoder.integer(bytes);
      encoder.integer(static_cast<std::uint32_t>(number));
      Bytes memory(bytes);
      const Result<Reply> reply = co_await test.peer->call(kFetch, request, {}, MutableBytes(memory), options);
      if (reply && !equal(memory, pattern(bytes, static_cast<std::uint32_t>(number)))) ++tally.wrong;
      ++(reply ? tally.answered : tally.failed);
      co_return;
    }
    tally.expected_effects[ticket.sequence().value()] = ok ? 1 : -1;
    ++(ok ? tally.answered : tally.failed);
  }

  static Task<> worker(SimRpcFaults& test, Tally& tally, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) co_await one_call(test, tally, first + i);
  }

  /// A fault now and then, for as long as calls run.
  void schedule_fault() {
    world.after(std::chrono::milliseconds(world.random_below(1500)), [this] {
      if (faults_over) return;
      peer->check_invariants();
      server->check_invariants();
      switch (world.random_below(6)) {
        case 0:
          network.reset_connections("client", "server");
          break;
        case 1:
          network.cut("client", "server");
          break;
        case 2:
          network.cut_one_way("client", "server");
          break;
        case 3:
          network.cut_one_way("server", "client");
          break;
        default:
          network.heal_all();
      }
      schedule_fault();
    });
  }

  bool faults_over = false;
};

TEST_P(SimRpcFaults, EveryCallTakesEffectOnceAndGetsItsAnswer) {
  SCOPED_TRACE(fmt::format("seed {}", GetParam()));
  SimLinkRules rules;
  rules.delay_max = 5ms;
  rules.window_bytes = 16384;
  rules.piece_bytes_max = 9000;
  rules.stall_ppm = 2000;
  rules.reset_ppm = 1500;
  network.set_default_rules(rules);
  network.set_dead_after(3s);
  schedule_fault();
  Tally tally;
  for (std::uint64_t i = 0; i < 24; ++i) calls.spawn(worker(*this, tally, i * 1000, 50));
  world.block_on(client, calls.drain());
  faults_over = true;
  network.heal_all();
  EXPECT_EQ(tally.wrong, 0u);
  EXPECT_EQ(tally.answered + tally.failed, 24u * 50);
  EXPECT_GT(tally.answered, 600u);
  for (const auto& [sequence, expected] : tally.expected_effects) {
    const auto found = service.effects.find({session->id().value(), sequence});
    const int count = found == service.effects.end() ? 0 : found->second;
    EXPECT_LE(count, 1) << "sequence " << sequence;
    if (expected == 1) EXPECT_EQ(count, 1) << "sequence " << sequence;
  }
  EXPECT_GT(client_counters.reconnects, 0u);
  EXPECT_GT(client_counters.calls_resent, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimRpcFaults, ::testing::Range(std::uint64_t{1}, std::uint64_t{9}));

}  // namespace
}  // namespace cenote::rpc
