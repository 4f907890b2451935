// The transports of real machines: TCP on loopback and the in-process one, under the same client and server.

#include "cenote/rpc/tcp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <thread>

#include "cenote/base/format.h"
#include "cenote/rpc/inproc.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/server.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"
#include "socket_address.h"
#include "tcp_stream.h"
#include "test_service.h"

namespace cenote::rpc {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::HasSubstr;

std::unique_ptr<UringReactor> make_reactor() {
  auto reactor = UringReactor::create();
  if (!reactor) {
    ADD_FAILURE() << reactor.error().to_string();
    std::abort();
  }
  return *std::move(reactor);
}

struct RecordingObserver final : Observer {
  void on_connection_error(std::string_view, const Error& error) override { errors.push_back(error); }
  std::vector<Error> errors;
};

void append_message(Bytes& stream, Header header, ByteView body) {
  header.body_bytes = static_cast<std::uint32_t>(body.size());
  header.body_crc = body.empty() ? 0 : crc32c(body);
  std::array<std::byte, kHeaderBytes> encoded;
  encode_header(header, encoded);
  stream.insert(stream.end(), encoded.begin(), encoded.end());
  stream.insert(stream.end(), body.begin(), body.end());
}

/// A server with its service; lives on one reactor.
struct ServerSide {
  explicit ServerSide(UringReactor& owner) : reactor(owner) {}
  void begin(Transport& transport, const Address& address, ServerOptions options = {}) {
    options.observer = &events;
    options.counters = &counters;
    server = std::make_unique<Server>(reactor, pool, service, options);
    const Result<Address> bound = server->listen(transport, address);
    ASSERT_TRUE(bound) << bound.error().to_string();
    listening = *bound;
  }
  static Task<> stop(ServerSide& side, Duration grace) {
    if (side.server) co_await side.server->stop(Until::at(side.reactor.now() + grace));
    side.server.reset();
  }

  UringReactor& reactor;
  Counters counters;
  RecordingObserver events;
  media::BufferPool pool{reactor, {.budget_bytes = 64u << 20}};
  TestService service{reactor, pool};
  std::unique_ptr<Server> server;
  Address listening;
};

/// A peer with its session; lives on one reactor.
struct ClientSide {
  explicit ClientSide(UringReactor& owner) : reactor(owner) {}
  void begin(Transport& transport, const Address& address, PeerOptions options = {}) {
    options.addresses = {address};
    options.counters = &counters;
    options.observer = &events;
    peer = std::make_unique<Peer>(reactor, transport, session, options);
  }
  static Task<> stop(ClientSide& side) {
    if (side.peer) co_await side.peer->stop();
    side.peer.reset();
  }

  UringReactor& reactor;
  Counters counters;
  RecordingObserver events;
  ClientSession session{reactor, {.identity = Uuid::from_random(3, 4), .name = "test client"}};
  std::unique_ptr<Peer> peer;
};

/// Both on one reactor, over TCP.
class Tcp : public ::testing::Test {
 public:
  void begin(ServerOptions server_options = {}, PeerOptions peer_options = {}) {
    server.begin(transport, {"127.0.0.1", 0}, server_options);
    client.begin(transport, server.listening, std::move(peer_options));
  }
  void TearDown() override {
    reactor->block_on(ClientSide::stop(client));
    reactor->block_on(ServerSide::stop(server, 1s));
    EXPECT_EQ(server.pool.used_bytes(), 0u);
  }
  Result<Reply> call(Opcode opcode, ByteView body, BulkSource send = {}, BulkSink receive = {},
                     CallOptions options = {}) {
    return reactor->block_on(client.peer->call(opcode, body, send, receive, options));
  }
  CallOptions within(Duration duration) {
    CallOptions options;
    options.until = Until::at(reactor->now() + duration);
    return options;
  }
  /// A plain socket connected to the server.
  FileDescriptor raw_connection() {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
    const Result<SocketAddress> address = numeric_address(server.listening);
    EXPECT_TRUE(address && ::connect(socket.get(), address->get(), address->bytes) == 0);
    return socket;
  }
  template <typename Done>
  static Task<> until_done(Reactor& reactor, Done done) {
    while (!done()) co_await reactor.sleep_for(1ms);
  }

  std::unique_ptr<UringReactor> reactor = make_reactor();
  Counters transport_counters;
  TcpTransport transport{*reactor, {}, &transport_counters};
  ServerSide server{*reactor};
  ClientSide client{*reactor};
};

Task<> echo_loop(Peer& peer, int count, int& right) {
  for (int i = 0; i < count; ++i) {
    const Bytes body = integer_body(static_cast<std::uint64_t>(i) * 0x1234567);
    const Result<Reply> reply = co_await peer.call(kEcho, body, CallOptions());
    if (reply && equal(reply->body, body)) ++right;
  }
}

TEST_F(Tcp, TenThousandSmallCallsInBatches) {
  begin();
  ASSERT_TRUE(call(kEcho, {}));
  int right = 0;
  Scope scope(*reactor);
  for (int i = 0; i < 50; ++i) scope.spawn(echo_loop(*client.peer, 200, right));
  reactor->block_on(scope.drain());
  EXPECT_EQ(right, 10'000);
  // 20 000 messages; in batches of about 50 they need a few hundred sends.
  EXPECT_LT(transport_counters.sends, 4000u);
}

TEST_F(Tcp, AMegabyteBothWays) {
  begin();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const Bytes data = pattern(1u << 20, i);
    const Result<Reply> stored = call(kStore, {}, ByteView(data));
    ASSERT_TRUE(stored) << stored.error().to_string();
    EXPECT_EQ(body_integer<std::uint32_t>(stored->body), crc32c(data));
    Bytes request;
    Encoder encoder(request);
    encoder.integer(std::uint32_t{1u << 20});
    encoder.integer(i + 1);
    Bytes memory(1u << 20);
    const Result<Reply> fetched = call(kFetch, request, {}, MutableBytes(memory));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    EXPECT_EQ(crc32c(memory), crc32c(pattern(1u << 20, i + 1)));
  }
  EXPECT_GT(transport_counters.bulk_bytes_direct, 30u << 20);
  EXPECT_LT(transport_counters.bulk_bytes_copied, 8u << 20);
}

TEST_F(Tcp, ASlowReaderHoldsBackTheServerOnly) {
  begin();
  // Answers of a megabyte each that nobody reads: the server may not run out of memory, nor stop serving others.
  FileDescriptor lazy = raw_connection();
  ClientSession lazy_session(*reactor, {.identity = Uuid::from_random(8, 8), .name = "lazy"});
  Bytes stream;
  const auto add = [&](Header header, ByteView body) {
    header.session = lazy_session.id().value();
    append_message(stream, header, body);
  };
  Hello hello;
  hello.identity = lazy_session.options().identity;
  hello.name = "lazy";
  hello.session = lazy_session.id();
  hello.incarnation = 1;
  add({.opcode = 1, .flags = flag::kControl, .sequence = 1}, encode(hello));
  Bytes request;
  Encoder encoder(request);
  encoder.integer(std::uint32_t{1u << 20});
  encoder.integer(std::uint32_t{7});
  const auto expiry = static_cast<std::uint64_t>((reactor->wall_now() + 60s).time_since_epoch().count());
  for (std::uint64_t i = 1; i <= 40; ++i) add({.opcode = kFetch, .sequence = i, .expiry = expiry}, request);
  ASSERT_EQ(::send(lazy.get(), stream.data(), stream.size(), 0), static_cast<ssize_t>(stream.size()));
  reactor->block_on(until_done(*reactor, [&] { return server.service.handled == 40; }));
  EXPECT_TRUE(call(kEcho, as_bytes("others are served")));
  EXPECT_GT(server.server->requests_in_flight(), 0u);
  lazy = FileDescriptor();
  reactor->block_on(until_done(*reactor, [&] { return server.server->requests_in_flight() == 0; }));
}

TEST_F(Tcp, GarbageIsCutOffAfterOneError) {
  begin();
  FileDescriptor socket = raw_connection();
  const std::string garbage = "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nUser-Agent: a browser\r\n\r\n";
  ASSERT_EQ(::send(socket.get(), garbage.data(), garbage.size(), 0), static_cast<ssize_t>(garbage.size()));
  reactor->block_on(until_done(*reactor, [&] { return !server.events.errors.empty(); }));
  ASSERT_EQ(server.events.errors.size(), 1u);
  EXPECT_EQ(server.events.errors[0].code(), Code::kProtocolError);
  EXPECT_THAT(server.events.errors[0].message(), HasSubstr("not a Cenote message: it begins with 'GET / HT'"));
  char byte = 0;
  EXPECT_LE(::recv(socket.get(), &byte, 1, 0), 0);
  EXPECT_TRUE(call(kEcho, as_bytes("others are served")));
}

TEST_F(Tcp, AConnectionWithoutHelloIsClosed) {
  ServerOptions options;
  options.hello_timeout = 10ms;
  begin(options);
  FileDescriptor silent = raw_connection();
  reactor->block_on(until_done(*reactor, [&] { return !server.events.errors.empty(); }));
  EXPECT_THAT(server.events.errors[0].message(), HasSubstr("no hello in time"));
}

TEST_F(Tcp, AVersionMismatchIsAnErrorOnBothSides) {
  begin();
  FileDescriptor socket = raw_connection();
  Hello hello;
  hello.version_min = 90;
  hello.version_max = 95;
  hello.name = "from the future";
  hello.session = SessionId(1);
  Bytes stream;
  append_message(stream, {.opcode = 1, .flags = flag::kControl, .session = 1, .sequence = 1}, encode(hello));
  ASSERT_EQ(::send(socket.get(), stream.data(), stream.size(), 0), static_cast<ssize_t>(stream.size()));
  reactor->block_on(until_done(*reactor, [&] { return !server.events.errors.empty(); }));
  EXPECT_EQ(server.events.errors[0].code(), Code::kVersionMismatch);
  EXPECT_THAT(server.events.errors[0].message(), HasSubstr("'from the future' speaks protocol versions 90 to 95"));
  Bytes answer(4096);
  const ssize_t bytes = ::recv(socket.get(), answer.data(), answer.size(), 0);
  ASSERT_GT(bytes, static_cast<ssize_t>(kHeaderBytes));
  const Result<Header> header = decode_header(answer);
  ASSERT_TRUE(header) << header.error().to_string();
  EXPECT_EQ(code_from_wire(header->status), Code::kVersionMismatch);
  EXPECT_THAT(std::string(as_text(ByteView(answer).subspan(kHeaderBytes, header->body_bytes))), HasSubstr("upgrade"));
}

TEST_F(Tcp, ConnectionRefusedNamesTheAddress) {
  begin();
  reactor->block_on(ServerSide::stop(server, 0s));
  const Result<Reply> reply = call(kEcho, {}, {}, {}, within(5s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnreachable);
  EXPECT_EQ(reply.error().message(),
            fmt::format("cannot connect to {}: connection refused; is 'cenote server' running there?",
                        server.listening.to_string()));
}

TEST_F(Tcp, APortInUseSaysWhatToDo) {
  begin();
  const Result<Address> second = server.server->listen(transport, server.listening);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kExists);
  EXPECT_THAT(second.error().message(), HasSubstr(fmt::format("cannot listen on {}", server.listening.to_string())));
  EXPECT_THAT(second.error().message(), HasSubstr("choose another port"));
}

TEST_F(Tcp, ListensOnIpv6) {
  const Result<std::unique_ptr<Listener>> probe = transport.listen({"::1", 0});
  if (!probe) GTEST_SKIP() << "no IPv6 loopback here: " << probe.error().to_string();
  reactor->block_on((*probe)->close());
  server.begin(transport, {"::1", 0});
  client.begin(transport, server.listening);
  EXPECT_THAT(server.listening.to_string(), HasSubstr("[::1]:"));
  EXPECT_TRUE(call(kEcho, as_bytes("six")));
}

TEST_F(Tcp, AConnectionWithinTheMachineIsNotPaced) {
  const FileDescriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketAddress address = numeric_address({"127.0.0.1", 0}).value();
  ASSERT_EQ(::bind(listening.get(), address.get(), address.bytes), 0);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  ASSERT_EQ(::getsockname(listening.get(), address.get(), &address.bytes), 0);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  FileDescriptor owner(socket);
  ASSERT_EQ(::connect(socket, address.get(), address.bytes), 0);
  const TcpStream stream(*reactor, std::move(owner), {}, "peer");
  std::array<char, 16> algorithm{};
  socklen_t bytes = algorithm.size();
  ASSERT_EQ(::getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, algorithm.data(), &bytes), 0);
  EXPECT_STREQ(algorithm.data(), "reno");
}

TEST_F(Tcp, ResolvesNamesOffTheReactor) {
  server.begin(transport, {"127.0.0.1", 0});
  client.begin(transport, {"localhost", server.listening.port});
  const Result<Reply> reply = call(kEcho, as_bytes("name"), {}, {}, within(20s));
  EXPECT_TRUE(reply) << reply.error().to_string();
}

TEST_F(Tcp, AnUnknownNameIsAnError) {
  server.begin(transport, {"127.0.0.1", 0});
  client.begin(transport, {"no-such-host.invalid", 7777});
  const Result<Reply> reply = call(kEcho, {}, {}, {}, within(30s));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), Code::kUnreachable);
  EXPECT_THAT(reply.error().message(), HasSubstr("no-such-host.invalid"));
}

TEST_F(Tcp, StopWithCallsInFlight) {
  begin();
  ASSERT_TRUE(call(kEcho, {}));
  Scope scope(*reactor);
  int right = 0;
  scope.spawn(echo_loop(*client.peer, 1, right));
  scope.spawn([](Tcp& test) -> Task<> {
    const Result<Reply> reply = co_await test.client.peer->call(kWait, {}, test.within(100ms));
    EXPECT_FALSE(reply);
  }(*this));
  reactor->block_on(until_done(*reactor, [&] { return server.service.running == 1; }));
  reactor->block_on(ServerSide::stop(server, 20ms));
  reactor->block_on(scope.drain());
  EXPECT_EQ(right, 1);
}

TEST_F(Tcp, AbandonedTransfersLeaveTheMemoryAlone) {
  begin();
  ASSERT_TRUE(call(kEcho, {}));
  std::uint64_t state = 1;
  const Bytes original = pattern(2u << 20, 3);
  const std::uint32_t original_crc = crc32c(original);
  for (int round = 0; round < 60; ++round) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    // Freed as soon as the call has returned: the sanitizer sees a late touch of this process.
    const auto data = std::make_unique<Bytes>(original);
    const CallOptions options = within(std::chrono::microseconds(state >> 54));
    if (round % 2 == 0) {
      static_cast<void>(call(kStore, {}, ByteView(*data), {}, options));
      EXPECT_EQ(crc32c(*data), original_crc);
    } else {
      Bytes request;
      Encoder encoder(request);
      encoder.integer(std::uint32_t{2u << 20});
      encoder.integer(std::uint32_t{5});
      static_cast<void>(call(kFetch, request, {}, MutableBytes(*data), options));
    }
  }
  EXPECT_GT(client.counters.calls_given_up, 0u);
  EXPECT_TRUE(call(kEcho, as_bytes("the stream is intact")));
  EXPECT_EQ(client.counters.reconnects, 0u);
}

TEST_F(Tcp, ARestartedServerIsFoundAgain) {
  begin();
  ASSERT_TRUE(call(kApply, as_bytes("x")));
  const Address address = server.listening;
  reactor->block_on(ServerSide::stop(server, 1s));
  server.begin(transport, address, {.incarnation = 2});
  reactor->block_on(until_done(*reactor, [&] { return client.peer->connected(); }));
  EXPECT_TRUE(call(kApply, as_bytes("y")));
  EXPECT_EQ(client.peer->welcome()->server_incarnation, 2u);
  EXPECT_FALSE(client.peer->welcome()->resumed);
}

// ---- two reactors ----

/// A server on a thread of its own.
class ServerThread {
 public:
  template <typename MakeTransport>
  ServerThread(MakeTransport make_transport, const Address& address) : reactor_(make_reactor()) {
    transport_ = make_transport(*reactor_);
    side_ = std::make_unique<ServerSide>(*reactor_);
    side_->begin(*transport_, address);
    thread_ = std::jthread([this] { reactor_->run(); });
  }
  ~ServerThread() {
    reactor_->stop();
    thread_.join();
    side_.reset();
    transport_.reset();
  }
  UringReactor& reactor() { return *reactor_; }
  ServerSide& side() { return *side_; }

 private:
  std::unique_ptr<UringReactor> reactor_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<ServerSide> side_;
  std::jthread thread_;
};

Task<> use_and_stop(ClientSide& client, ServerThread& server, int& right) {
  Scope scope(client.reactor);
  for (int i = 0; i < 16; ++i) scope.spawn(echo_loop(*client.peer, 100, right));
  for (const std::uint32_t bytes : {1u, 4097u, 1u << 20}) {
    const Bytes data = pattern(bytes, bytes);
    const Result<Reply> stored = co_await client.peer->call(kStore, {}, ByteView(data), {}, CallOptions());
    EXPECT_TRUE(stored && body_integer<std::uint32_t>(stored->body) == crc32c(data));
    Bytes request;
    Encoder encoder(request);
    encoder.integer(bytes);
    encoder.integer(std::uint32_t{5});
    Bytes memory(bytes);
    const Result<Reply> fetched = co_await client.peer->call(kFetch, request, {}, MutableBytes(memory), CallOptions());
    EXPECT_TRUE(fetched && equal(memory, pattern(bytes, 5)));
  }
  co_await scope.drain();
  co_await ClientSide::stop(client);
  ServerSide& side = server.side();
  co_await call_on(client.reactor, server.reactor(), [&side] { return ServerSide::stop(side, 1s); });
}

TEST(TwoReactors, TcpFromOneThreadToAnother) {
  ServerThread server([](UringReactor& reactor) { return std::make_unique<TcpTransport>(reactor); }, {"127.0.0.1", 0});
  const auto reactor = make_reactor();
  TcpTransport transport(*reactor);
  ClientSide client(*reactor);
  client.begin(transport, server.side().listening);
  int right = 0;
  reactor->block_on(use_and_stop(client, server, right));
  EXPECT_EQ(right, 1600);
}

TEST(TwoReactors, InprocFromOneThreadToAnother) {
  InprocNetwork network;
  ServerThread server([&](UringReactor& owner) { return std::make_unique<InprocTransport>(network, owner); },
                      {"engine", 1});
  const auto reactor = make_reactor();
  InprocTransport transport(network, *reactor);
  ClientSide client(*reactor);
  client.begin(transport, server.side().listening);
  int right = 0;
  reactor->block_on(use_and_stop(client, server, right));
  EXPECT_EQ(right, 1600);
}

/// The in-process transport with both ends on one reactor.
class Inproc : public Tcp {
 public:
  void begin_inproc(ServerOptions options = {}) {
    server.begin(inproc, {"engine", 0}, options);
    client.begin(inproc, server.listening);
  }
  InprocNetwork network;
  InprocTransport inproc{network, *reactor, &transport_counters};
};

TEST_F(Inproc, PayloadsAreMovedOnce) {
  begin_inproc();
  const Bytes data = pattern(3u << 20, 1);
  const Result<Reply> stored = call(kStore, {}, ByteView(data));
  ASSERT_TRUE(stored) << stored.error().to_string();
  EXPECT_EQ(body_integer<std::uint32_t>(stored->body), crc32c(data));
  EXPECT_EQ(transport_counters.bulk_bytes_direct, data.size());
  EXPECT_EQ(transport_counters.bulk_bytes_copied, 0u);
}

TEST_F(Inproc, LimitsAndGiveUps) {
  begin_inproc({.requests_max = 2});
  Scope scope(*reactor);
  int right = 0;
  for (int i = 0; i < 20; ++i) scope.spawn(echo_loop(*client.peer, 5, right));
  for (int i = 0; i < 10; ++i) {
    scope.spawn([](Inproc& test) -> Task<> {
      const Bytes data = pattern(1u << 20, 2);
      (void)co_await test.client.peer->call(kWait, {}, ByteView(data), {}, test.within(5ms));
    }(*this));
  }
  reactor->block_on(until_done(*reactor, [&] { return client.counters.calls_given_up == 10; }));
  server.service.released.set();
  reactor->block_on(scope.drain());
  EXPECT_EQ(right, 100);
  EXPECT_LE(server.service.max_running, 2u);
}

TEST_F(Inproc, NobodyListens) {
  client.begin(inproc, {"nowhere", 1});
  const Result<Reply> reply = call(kEcho, {});
  ASSERT_FALSE(reply);
  EXPECT_THAT(reply.error().message(), HasSubstr("nothing in this process listens there"));
}

TEST_F(Inproc, ServerStopEndsTheConnection) {
  begin_inproc();
  ASSERT_TRUE(call(kEcho, {}));
  reactor->block_on(ServerSide::stop(server, 1s));
  EXPECT_EQ(call(kEcho, {}, {}, {}, within(5s)).error().code(), Code::kUnreachable);
}

}  // namespace
}  // namespace cenote::rpc
