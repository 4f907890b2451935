// Round trips of the rpc layer over loopback TCP beside a bare io_uring echo with the same sizes and batching: the two
// alternate in one run, and what counts is the ratio of their medians.
//
//   rpc_echo_bench [ROUNDS [WORKLOAD]]      (a part of a workload's name)

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bare_echo.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/server.h"
#include "cenote/rpc/tcp.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"

namespace cenote::bench {
namespace {

// Latency is compared with both sides awake: a sleep in the kernel costs several round trips on a virtual machine.
constexpr Duration kSpin = std::chrono::microseconds(200);
constexpr int kClientCpu = 0;
constexpr int kServerCpu = 1;
constexpr std::uint32_t kBodyBytes = 64;
constexpr std::uint32_t kLarge = 1u << 20;

enum BenchOpcode : rpc::Opcode { kEcho = 1, kPut = 2, kGet = 3 };

struct Workload {
  const char* name;
  rpc::Opcode opcode;
  std::uint32_t depth;
  std::uint64_t round_trips;
  std::uint32_t request_bulk, reply_bulk;

  EchoShape shape() const {
    constexpr auto kSmall = static_cast<std::uint32_t>(rpc::kHeaderBytes) + kBodyBytes;
    return {kSmall + request_bulk, kSmall + reply_bulk, depth};
  }
};

constexpr Workload kWorkloads[] = {
    {"64 B, depth 1", kEcho, 1, 10'000, 0, 0},       {"64 B, depth 32", kEcho, 32, 400'000, 0, 0},
    {"1 MiB put, depth 1", kPut, 1, 400, kLarge, 0}, {"1 MiB get, depth 1", kGet, 1, 400, 0, kLarge},
    {"1 MiB put, depth 4", kPut, 4, 800, kLarge, 0}, {"1 MiB get, depth 4", kGet, 4, 800, 0, kLarge},
};

class EchoService final : public rpc::Service {
 public:
  Task<rpc::Response> handle(rpc::Request& request) override {
    rpc::Response response(to_bytes(request.body()));
    if (request.opcode() == kPut) {
      Result<rpc::PulledBulk> bulk = co_await request.pull(Until::forever());
      if (!bulk || bulk->bytes() != kLarge) response.error = Error(Code::kInternal);
    }
    if (request.opcode() == kGet) response.payload.add_static(data_);
    co_return response;
  }
  bool is_read(rpc::Opcode) const override { return true; }

 private:
  Bytes data_ = Bytes(kLarge);
};

template <typename T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  fmt::print(stderr, "rpc_echo_bench: {}\n", result.error().to_string());
  std::exit(1);
}

struct RpcServer {
  std::unique_ptr<UringReactor> reactor = must(UringReactor::create({.spin = kSpin, .cpu = kServerCpu}));
  rpc::TcpTransport transport{*reactor};
  media::BufferPool pool{*reactor, {.budget_bytes = 256u << 20}};
  EchoService service;
  rpc::Server server{*reactor, pool, service, {}};
  rpc::Address address = must(server.listen(transport, {"127.0.0.1", 0}));
};

struct RpcClient {
  RpcClient(UringReactor& owner, rpc::Address address)
      : reactor(owner), peer(owner, transport, session, {.addresses = {std::move(address)}}) {}
  UringReactor& reactor;
  rpc::TcpTransport transport{reactor};
  rpc::ClientSession session{reactor, {.name = "bench"}};
  rpc::Peer peer;
};

Task<> one_after_another(RpcClient& client, const Workload& work, std::uint64_t count) {
  const Bytes body(kBodyBytes);
  const Bytes source(work.request_bulk);
  Bytes sink(work.reply_bulk);
  for (std::uint64_t i = 0; i < count; ++i) {
    const rpc::BulkSource send{ByteView(source)};
    const rpc::BulkSink receive{MutableBytes(sink)};
    const Result<rpc::Reply> reply = co_await client.peer.call(work.opcode, body, send, receive, rpc::CallOptions());
    if (!reply || reply->bulk_bytes != work.reply_bulk) must(Result<int>(fail(Code::kInternal, "a call failed")));
  }
}

Task<EchoCost> measure(RpcClient& client, const Workload& work) {
  Scope scope(client.reactor);
  const std::uint64_t calls_before = client.reactor.system_calls();
  const std::uint64_t allocations_before = thread_allocations();
  const auto begin = std::chrono::steady_clock::now();
  const double cpu_begin = cpu_seconds();
  for (std::uint32_t i = 0; i < work.depth; ++i) {
    scope.spawn(one_after_another(client, work, work.round_trips / work.depth));
  }
  co_await scope.drain();
  const auto trips = static_cast<double>(work.round_trips);
  co_return EchoCost{std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
                     cpu_seconds() - cpu_begin,
                     static_cast<double>(client.reactor.system_calls() - calls_before) / trips,
                     static_cast<double>(thread_allocations() - allocations_before) / trips};
}

Task<EchoCost> session_of(UringReactor& reactor, RpcServer& server, const Workload& work) {
  auto client = std::make_unique<RpcClient>(reactor, server.address);
  // The first calls make the connection and fill the pools.
  co_await one_after_another(*client, work, 16);
  const EchoCost cost = co_await measure(*client, work);
  co_await client->peer.stop();
  rpc::Server& stopping = server.server;
  co_await call_on(reactor, *server.reactor, [&stopping] { return stopping.stop(Until::forever()); });
  co_return cost;
}

EchoCost run_rpc_echo(const Workload& work) {
  RpcServer server;
  std::jthread server_thread([&server] { server.reactor->run(); });
  EchoCost cost;
  std::jthread client_thread([&] {
    const std::unique_ptr<UringReactor> reactor = must(UringReactor::create({.spin = kSpin}));
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(kClientCpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    cost = reactor->block_on(session_of(*reactor, server, work));
  });
  client_thread.join();
  server.reactor->stop();
  server_thread.join();
  return cost;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::string spread(const std::vector<double>& values) {
  const auto [least, most] = std::ranges::minmax(values);
  return fmt::format("{:.2f}..{:.2f}", least, most);
}

void compare(const Workload& work, int rounds) {
  std::vector<double> rpc_us, bare_us, rpc_cpu, bare_cpu;
  const auto per_trip = [&](double seconds) { return seconds / static_cast<double>(work.round_trips) * 1e6; };
  EchoCost rpc_cost, bare_cost;
  for (int i = 0; i < rounds; ++i) {
    bare_cost = run_bare_echo(work.shape(), work.round_trips, kClientCpu, kServerCpu);
    rpc_cost = run_rpc_echo(work);
    bare_us.push_back(per_trip(bare_cost.seconds));
    rpc_us.push_back(per_trip(rpc_cost.seconds));
    bare_cpu.push_back(per_trip(bare_cost.cpu_seconds));
    rpc_cpu.push_back(per_trip(rpc_cost.cpu_seconds));
  }
  fmt::print("{:<20} {:>9.2f} {:>16} {:>9.2f} {:>16} {:>7.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}\n",
             work.name, median(rpc_us), spread(rpc_us), median(bare_us), spread(bare_us),
             median(bare_us) / median(rpc_us), median(rpc_cpu), median(bare_cpu), rpc_cost.system_calls,
             bare_cost.system_calls, rpc_cost.allocations);
}

}  // namespace
}  // namespace cenote::bench

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  fmt::print("microseconds per round trip, medians of {} alternating runs; rate = bare / rpc (1 is the echo's)\n",
             rounds);
  fmt::print("{:<20} {:>9} {:>16} {:>9} {:>16} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "workload", "rpc", "spread",
             "bare", "spread", "rate", "cpu", "bare cpu", "calls/op", "bare", "allocs/op");
  const std::string only = argc > 2 ? argv[2] : "";
  for (const auto& work : cenote::bench::kWorkloads) {
    if (std::string_view(work.name).find(only) != std::string_view::npos) cenote::bench::compare(work, rounds);
  }
}
