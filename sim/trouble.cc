// Targets run full, devices get slow or refuse writes, and somebody sends nonsense. What is refused is refused with a
// clear error; what was acknowledged is there; deleting works on a full target and makes room again.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cenote/client/kv.h"
#include "cenote/rpc/peer.h"
#include "client_node.h"
#include "faults.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

/// No room: on a target, or in what the pool was promised, whichever is used up first.
bool is_refusal(const Error& error) { return error == Code::kNoSpace || error == Code::kQuotaExceeded; }

Error wrong(std::string text) { return Error(Code::kCorrupt, std::move(text)); }

/// One client that fills the system with values it can make again from their numbers. Members run on its node.
class Filler {
 public:
  Filler(Run& run, ClientNode& client) : run_(run), client_(client) {}

  Task<Result<>> connect();
  /// Puts values until a target has no room any more.
  Task<Result<>> fill();
  /// Every value that was acknowledged is there, others are not; those of unknown outcome are whole or absent.
  Task<Result<>> verify();
  Task<Result<>> remove_some(std::uint64_t one_in);
  /// Waits until a value can be put again; space comes back when versions may be merged and a checkpoint was written.
  Task<Result<>> wait_for_room();
  /// Values written while the device refuses writes: an error, or acknowledged and there.
  Task<Result<>> put_some(std::uint64_t count);
  std::uint64_t stored() const { return expected_.size(); }

 private:
  Until patience() { return Until::at(client_.node().now() + 10min); }
  async::Kv kv() { return async::Kv(*container_, async::Kv::default_object(container_->redundancy())); }
  static Bytes value_of(std::uint64_t number);
  static std::string key_of(std::uint64_t number) { return fmt::format("key-{:06}", number); }
  Task<Result<>> put(std::uint64_t number, Until until);

  Run& run_;
  ClientNode& client_;
  std::optional<async::Container> container_;
  enum class Presence : std::uint8_t { kThere, kUnknown };
  std::map<std::uint64_t, Presence> expected_;
  std::uint64_t next_ = 0;
};

Bytes Filler::value_of(std::uint64_t number) {
  static constexpr std::size_t kSizes[] = {100, 1500, 3000, 40000, 150000, 1u << 20};
  Bytes value(kSizes[number * 7 % std::size(kSizes)]);
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::byte>(number + i * 31 + i / 251);
  return value;
}

Task<Result<>> Filler::connect() {
  container_.reset();
  co_await client_.close();
  CO_CHECK_OK(co_await client_.connect(patience()));
  CO_TRY(container_, co_await open_test_container(client_, "kv", patience()));
  co_return Result<>();
}

Task<Result<>> Filler::put(std::uint64_t number, Until until) {
  run_.count("operations");
  const Bytes value = value_of(number);
  const Result<> put = co_await kv().put(key_of(number), value, Precondition::kNone, until);
  if (put) {
    expected_[number] = Presence::kThere;
  } else if (!is_refusal(put.error())) {
    expected_[number] = Presence::kUnknown;
  }
  co_return put;
}

Task<Result<>> Filler::fill() {
  // Several refusals: one target may be full before the others, and small values find room for longer.
  for (int refusals = 0; refusals < 6 && !run_.failed();) {
    const auto put_one = co_await put(next_++, patience());
    if (put_one) continue;
    if (!is_refusal(put_one.error())) co_return put_one;
    ++refusals;
    run_.count("refusals");
    run_.note(put_one.error().to_string());
  }
  co_return Result<>();
}

Task<Result<>> Filler::put_some(std::uint64_t count) {
  for (; count > 0 && !run_.failed(); --count) {
    const auto put_one = co_await put(next_++, Until::at(client_.node().now() + 3s));
    if (!put_one) run_.note(put_one.error().to_string());
  }
  co_return Result<>();
}

Task<Result<>> Filler::verify() {
  for (std::uint64_t number = 0; number < next_; ++number) {
    CO_TRY(const auto value, co_await kv().get(key_of(number), patience()));
    const auto expected = expected_.find(number);
    const bool unknown = expected != expected_.end() && expected->second == Presence::kUnknown;
    const bool whole = value && equal(*value, value_of(number));
    if (value ? whole && expected != expected_.end() : unknown || expected == expected_.end()) continue;
    co_return cenote::fail(wrong(fmt::format("value {}: {}", number,
                                             !value  ? "is lost"
                                             : whole ? "was refused and is there"
                                                     : "is not what was written")));
  }
  std::uint64_t listed = 0;
  std::string after;
  do {
    CO_TRY(auto page, co_await kv().list("", after, 100, patience()));
    listed += page.keys.size();
    after = std::move(page.after);
  } while (!after.empty());
  if (listed > expected_.size())
    co_return cenote::fail(wrong(fmt::format("{} keys are listed, {} can be there", listed, expected_.size())));
  co_return Result<>();
}

Task<Result<>> Filler::remove_some(std::uint64_t one_in) {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, presence] : expected_) numbers.push_back(number);
  for (const std::uint64_t number : numbers) {
    if (!run_.chance(1, one_in)) continue;
    const auto removed = co_await kv().remove(key_of(number), patience());
    const bool unknown = expected_[number] == Presence::kUnknown;
    if (!removed && !(unknown && removed.error() == Code::kNotFound)) {
      co_return cenote::fail(removed.error().with_context(fmt::format("removing value {} of a full target", number)));
    }
    expected_.erase(number);
  }
  co_return Result<>();
}

Task<Result<>> Filler::wait_for_room() {
  for (int minute = 0; minute < 30; ++minute) {
    co_await client_.node().sleep_for(1min);
    // Room for one of each size at every target, as far as chance goes.
    int refused = 0;
    for (int i = 0; i < 12; ++i) {
      const auto put_one = co_await put(next_++, patience());
      if (!put_one && !is_refusal(put_one.error())) co_return put_one;
      if (!put_one) ++refused;
    }
    if (refused == 0) co_return Result<>();
  }
  co_return cenote::fail(wrong("half an hour after half of everything was removed there is still no room"));
}

/// Sends requests that no client would. Every one must be answered with an error, or end with the connection.
class Stranger {
 public:
  explicit Stranger(Run& run)
      : run_(run), node_(run.world().add_node("stranger")), transport_(run.network().transport(node_)) {}

  Task<Result<>> work(CancelSource* stop);

 private:
  Bytes random_body();
  Task<> call_anything(rpc::Peer& peer);

  Run& run_;

 public:
  SimReactor& node_;

 private:
  std::unique_ptr<rpc::Transport> transport_;
};

Bytes Stranger::random_body() {
  Bytes body(run_.below(run_.chance(1, 10) ? 50000 : 200));
  for (std::byte& byte : body) byte = static_cast<std::byte>(run_.below(run_.chance(1, 2) ? 4 : 256));
  return body;
}

Task<> Stranger::call_anything(rpc::Peer& peer) {
  run_.count("strange_requests");
  const auto opcode = static_cast<rpc::Opcode>(run_.chance(1, 2) ? 32 + run_.below(5) : 10 + run_.below(40));
  const Bytes body = random_body();
  const Bytes payload = run_.chance(1, 4) ? random_body() : Bytes();
  Bytes room(1000);
  rpc::CallOptions options;
  options.until = Until::at(node_.now() + 2s);
  options.target = static_cast<std::uint16_t>(run_.chance(3, 4) ? run_.below(3) : run_.below(65536));
  options.map_version = static_cast<std::uint32_t>(run_.below(3));
  const auto answered =
      co_await peer.call(opcode, body, rpc::BulkSource(ByteView(payload)), rpc::BulkSink(MutableBytes(room)), options);
  if (answered)
    run_.fail(fmt::format("request {} of random bytes was answered with success", static_cast<int>(opcode)));
}

Task<Result<>> Stranger::work(CancelSource* stop) {
  rpc::ClientSession session(node_, {.identity = Uuid::from_random(1, run_.below(UINT64_MAX)), .name = "stranger"});
  rpc::Peer peer(node_, *transport_, session, {.addresses = {run_.engine().address()}, .connect_timeout = 1s});
  while (!stop->cancelled() && !run_.failed()) {
    co_await call_anything(peer);
    co_await node_.sleep_for(run_.random_duration(500ms));
  }
  co_await peer.stop();
  co_return Result<>();
}

Task<> run_stranger(Run& run, Stranger* stranger, CancelSource* stop) {
  static_cast<void>(co_await on_node(run, stranger->node_, [&] { return stranger->work(stop); }));
}

/// Every device refuses writes for a while, as when a file system without preallocated files is full; the engine must
/// then be started again.
Task<> refuse_writes(Run& run, Filler& filler, ClientNode& client) {
  const auto set_full = [&run](bool full) {
    for (std::uint32_t target = 0; target < run.engine().identity().targets.size(); ++target) {
      if (media::SimDevice* device = run.engine().device(target)) device->set_full(full);
    }
  };
  run.note("fault: all devices refuse writes");
  run.count("refusing_devices");
  set_full(true);
  static_cast<void>(co_await on_node(run, client.node(), [&] { return filler.put_some(4); }));
  co_await crash_and_restart(run, 1s);
}

template <typename MakeTask>
Task<> step(Run& run, ClientNode& client, std::string_view what, MakeTask make_task) {
  if (run.failed()) co_return;
  run.note(what);
  const Result<> done = co_await on_node(run, client.node(), make_task);
  if (!done) run.fail(fmt::format("{}: {}", what, done.error().to_string()));
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  Filler filler(run, client);
  Stranger stranger(run);
  CancelSource stop;
  Scope background(run.director());
  background.spawn(run_stranger(run, &stranger, &stop));
  co_await step(run, client, "connecting", [&] { return filler.connect(); });
  for (int round = 0; round < 2 && !run.failed(); ++round) {
    co_await step(run, client, "filling", [&] { return filler.fill(); });
    co_await step(run, client, "reading a full system", [&] { return filler.verify(); });
    if (run.chance(1, 2)) co_await crash_and_restart(run, run.random_duration(1s));
    co_await step(run, client, "removing on a full system", [&] { return filler.remove_some(2); });
    if (run.chance(1, 2)) co_await crash_and_restart(run, run.random_duration(1s));
    co_await step(run, client, "waiting for room", [&] { return filler.wait_for_room(); });
    co_await step(run, client, "reading", [&] { return filler.verify(); });
    if (!run.failed() && run.chance(1, 2)) co_await refuse_writes(run, filler, client);
    co_await step(run, client, "reading after a restart", [&] { return filler.verify(); });
  }
  stop.cancel();
  co_await background.drain();
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

}  // namespace

Outcome run_trouble(std::uint64_t seed, const Options& options) {
  engine::SimEngineOptions engine = shape_engine(seed);
  engine.target_bytes = 40u << 20;
  Run run(seed, options, std::move(engine));
  return run.drive(body(run), std::chrono::hours(48));
}

}  // namespace cenote::sim
