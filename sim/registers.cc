// Several clients update, fetch and punch a few dkeys under every fault there is. Each dkey must behave as one copy
// that works on one request at a time: no acknowledged write is lost, none shows that nobody made, none is torn, none
// counts twice.

#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "cenote/base/codec.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/protocol/object_class.h"
#include "cenote/runtime/cross_core.h"
#include "client_node.h"
#include "dkey_model.h"
#include "faults.h"
#include "linearizability.h"
#include "replica_check.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;
using Kind = DkeyOperation::Kind;
using Check = LinearizabilityCheck<DkeyModel>;

// After its deadline a request may still arrive and take effect for as long as the clocks may differ: rpc's bound on
// the offset, twice, and the way through the engine.
constexpr Duration kAfterlife = 5s;
// What was prepared at some members may be decided only when the others can be asked again.
constexpr Duration kReplicatedAfterlife = 90s;
constexpr std::array<std::string_view, 2> kSingleClasses{"S1", "SX"};
constexpr std::array<std::string_view, 5> kReplicatedClasses{"RP_2G1", "RP_2GX", "RP_3G1", "RP_3GX", "SX"};
constexpr std::uint64_t kSingleSalt = 99;

/// A dkey and the shape of what is stored in it.
struct Key {
  ObjectId object;
  Bytes dkey;
  std::uint32_t cell_bytes = 8;
  std::uint32_t record_bytes = 1;
  std::uint64_t first_record = 0;  // of cell 0
  std::vector<Check::Entry> history{};

  std::uint64_t cell_records() const { return cell_bytes / record_bytes; }
  RecordRange range(std::uint32_t first, std::uint32_t count) const {
    return {first_record + first * cell_records(), count * cell_records()};
  }
};

Bytes akey(std::string_view name) { return to_bytes(as_bytes(name)); }

/// Sizes around everything that treats values differently: inline, one block, many.
std::size_t single_bytes(std::uint64_t number) {
  static constexpr std::array<std::size_t, 8> kSizes{8, 21, 300, 2047, 2049, 4096, 5000, 70000};
  return kSizes[number % kSizes.size()] + number % 3;
}
constexpr std::size_t kSingleRoom = 70010;
/// Whether a block begins a single value that is stored as it is.
bool is_of_a_single(ByteView block) {
  constexpr std::uint64_t kMostNumbers = 1u << 24;
  const auto number = load_le<std::uint64_t>(block.data());
  return number > 0 && number < kMostNumbers && number_in(block, kSingleSalt) == number;
}

/// What a client has read and has leases of.
struct Known {
  async::Lease lease;
  DkeyOperation operation;
};
using Leased = std::map<const Key*, Known>;

class Registers {
 public:
  /// `classes` are those of the objects. `afterlife`: how long a request may still take effect after its deadline.
  /// `redundancy` is that of the pool.
  Registers(Run& run, std::span<const std::string_view> classes, Duration afterlife, std::uint32_t redundancy = 0,
            bool rots = false)
      : run_(run), classes_(classes), afterlife_(afterlife), redundancy_(redundancy), rots_(rots) {}
  Task<> body();

 private:
  void make_keys();
  DkeyOperation draw(std::uint64_t number);
  Task<> worker(ClientNode* client, std::uint32_t index);
  Task<Result<>> work(ClientNode& client, std::uint32_t index);
  Task<Result<>> execute(async::Container container, const Key& key, DkeyOperation& operation, Until until);
  Task<Result<>> fetch_leased(async::Container container, const Key& key, DkeyOperation& operation, Leased& leased,
                              Until until);
  Task<Result<>> update(async::Container container, const Key& key, const DkeyOperation& operation, Until until);
  Task<Result<>> fetch(async::Container container, const Key& key, DkeyOperation& operation, Until until);
  Task<Result<>> punch(async::Container container, const Key& key, const DkeyOperation& operation, Until until);
  static FetchRequest fetch_of(const Key& key, const DkeyOperation& operation);
  static std::size_t room_of(const Key& key, const DkeyOperation& operation);
  Result<> read_answer(const Key& key, DkeyOperation& operation, const FetchReply& reply, ByteView memory);
  Task<Result<>> read_all(ClientNode& client);
  Task<Result<>> compare_replicas(ReplicaCheck& replicas, ContainerInfo container);
  Task<> make_precious_pool();
  static Task<Result<>> create_precious_pool(ClientNode& client);
  /// Until every engine that was lost has its part again, and all data.
  Task<> await_returns();
  static Task<Result<bool>> has_lost_engines(cluster::Coordinator& coordinator);
  void check();
  std::string type() const { return leased_ ? "posix" : ""; }

  Run& run_;
  std::span<const std::string_view> classes_;
  Duration afterlife_;
  std::uint32_t redundancy_;
  const bool rots_;
  /// Clients go by what they have leases of: its container is of a type whose engines give them.
  const bool leased_ = run_.world().seed() / 2 % 2 == 1;
  std::vector<Key> keys_;
  std::uint64_t numbers_ = 0;
  ContainerInfo container_;
};

void Registers::make_keys() {
  static constexpr std::array<std::uint32_t, 6> kCellBytes{8, 104, 704, 2048, 4096, 20000};
  for (std::uint64_t i = 2 + run_.below(5); i > 0; --i) {
    Key& key = keys_.emplace_back();
    const ObjectClass object_class = *parse_class(classes_[run_.below(classes_.size())]);
    key.object = ObjectId::make(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 5000 + run_.below(2));
    key.dkey = to_bytes(as_bytes(fmt::format("dkey {}", i)));
    key.cell_bytes = kCellBytes[run_.below(kCellBytes.size())];
    key.record_bytes = run_.chance(1, 2) ? 1 : 8;
    // Cells on both sides of the end of a window.
    key.first_record = window_records(key.record_bytes) - run_.below(kCells) * key.cell_records() - run_.below(2);
  }
}

DkeyOperation Registers::draw(std::uint64_t number) {
  const auto condition = [this](std::uint64_t one_in) {
    if (!run_.chance(1, one_in)) return Precondition::kNone;
    return run_.chance(1, 2) ? Precondition::kAbsent : Precondition::kPresent;
  };
  DkeyOperation operation;
  const std::uint64_t dice = run_.below(100);
  operation.first = static_cast<std::uint32_t>(run_.below(kCells));
  operation.count = static_cast<std::uint32_t>(1 + run_.below(kCells - operation.first));
  if (dice < 80) {
    operation.kind = dice < 45 ? Kind::kUpdate : Kind::kFetch;
    const std::uint64_t parts = 1 + run_.below(3);
    operation.single = (parts & 1) != 0;
    operation.array = (parts & 2) != 0;
    operation.dkey_condition = condition(5);
    if (operation.single) operation.single_condition = condition(5);
    if (operation.array) operation.array_condition = condition(5);
    if (operation.kind == Kind::kUpdate) operation.number = number;
    return operation;
  }
  static constexpr std::array<Kind, 6> kPunches{Kind::kPunchDkey,  Kind::kPunchSingle, Kind::kPunchArray,
                                                Kind::kPunchCells, Kind::kPunchCells,  Kind::kPunchBoth};
  operation.kind = kPunches[run_.below(kPunches.size())];
  if (run_.chance(1, 2)) operation.dkey_condition = Precondition::kPresent;
  return operation;
}

Task<Result<>> Registers::execute(async::Container container, const Key& key, DkeyOperation& operation, Until until) {
  switch (operation.kind) {
    case Kind::kUpdate:
      co_return co_await update(std::move(container), key, operation, until);
    case Kind::kFetch:
      co_return co_await fetch(std::move(container), key, operation, until);
    default:
      co_return co_await punch(std::move(container), key, operation, until);
  }
}

Task<Result<>> Registers::update(async::Container container, const Key& key, const DkeyOperation& operation,
                                 Until until) {
  UpdateRequest request;
  request.object = key.object;
  request.dkey = key.dkey;
  request.dkey_condition = operation.dkey_condition;
  Bytes payload;
  if (operation.single) {
    payload = contents(operation.number, kSingleSalt, single_bytes(operation.number));
    AkeyUpdate& single = request.akeys.emplace_back();
    single.akey = akey("single");
    single.condition = operation.single_condition;
    single.bytes = payload.size();
  }
  if (operation.array) {
    AkeyUpdate& array = request.akeys.emplace_back();
    array.akey = akey("array");
    array.kind = ValueKind::kArray;
    array.condition = operation.array_condition;
    array.record_bytes = key.record_bytes;
    array.ranges.push_back(key.range(operation.first, operation.count));
    array.bytes = std::uint64_t{operation.count} * key.cell_bytes;
    for (std::uint32_t i = operation.first; i < operation.first + operation.count; ++i) {
      const Bytes cell = contents(operation.number, i, key.cell_bytes);
      payload.insert(payload.end(), cell.begin(), cell.end());
    }
  }
  CO_CHECK_OK(co_await container.update(std::move(request), {ByteView(payload)}, until));
  co_return Result<>();
}

FetchRequest Registers::fetch_of(const Key& key, const DkeyOperation& operation) {
  FetchRequest request;
  request.object = key.object;
  request.dkey = key.dkey;
  request.dkey_condition = operation.dkey_condition;
  if (operation.single) {
    AkeyFetch& single = request.akeys.emplace_back();
    single.akey = akey("single");
    single.condition = operation.single_condition;
    single.max_bytes = kSingleRoom;
  }
  if (operation.array) {
    AkeyFetch& array = request.akeys.emplace_back();
    array.akey = akey("array");
    array.kind = ValueKind::kArray;
    array.condition = operation.array_condition;
    array.ranges.push_back(key.range(operation.first, operation.count));
    array.max_bytes = std::uint64_t{operation.count} * key.cell_bytes;
  }
  return request;
}

std::size_t Registers::room_of(const Key& key, const DkeyOperation& operation) {
  return (operation.single ? kSingleRoom : 0) + std::size_t{operation.count} * key.cell_bytes;
}

Task<Result<>> Registers::fetch(async::Container container, const Key& key, DkeyOperation& operation, Until until) {
  Bytes memory(room_of(key, operation), std::byte{0xee});
  CO_TRY(const FetchReply reply, co_await container.fetch(fetch_of(key, operation), {MutableBytes(memory)}, until));
  co_return read_answer(key, operation, reply, memory);
}

/// All of the dkey, from memory as long as there is a lease of it.
Task<Result<>> Registers::fetch_leased(async::Container container, const Key& key, DkeyOperation& operation,
                                       Leased& leased, Until until) {
  operation = {.single = true, .array = true, .count = kCells};
  const auto known = leased.find(&key);
  if (known != leased.end() && known->second.lease.holds()) {
    operation = known->second.operation;
    run_.count("leased");
    co_return Result<>();
  }
  leased.erase(&key);
  Bytes memory(room_of(key, operation), std::byte{0xee});
  CO_TRY(auto read, co_await container.fetch_leased(fetch_of(key, operation), {MutableBytes(memory)}, until));
  CO_CHECK_OK(read_answer(key, operation, read.reply, memory));
  if (read.lease) leased.emplace(&key, Known{*std::move(read.lease), operation});
  co_return Result<>();
}

Result<> Registers::read_answer(const Key& key, DkeyOperation& operation, const FetchReply& reply, ByteView memory) {
  std::size_t next = 0;
  if (operation.single) {
    const AkeyFetched& single = reply.akeys[next++];
    if (single.exists) {
      const auto number = number_in(memory.first(single.bytes), kSingleSalt);
      const bool whole = number && *number != 0 && single.bytes == single_bytes(*number);
      if (!whole) return fail(Code::kCorrupt, "a single value came back that nobody wrote, or not whole");
      operation.seen.single = *number;
    }
    memory = memory.subspan(kSingleRoom);
  }
  if (!operation.array) return {};
  operation.seen.array = reply.akeys[next].exists;
  for (std::uint32_t i = 0; i < operation.count; ++i) {
    const std::uint32_t cell = operation.first + i;
    const auto number = number_in(memory.subspan(std::size_t{i} * key.cell_bytes, key.cell_bytes), cell);
    if (!number) return fail(Code::kCorrupt, fmt::format("cell {} came back as nobody wrote it", cell));
    operation.seen.cells[cell] = *number;
  }
  return {};
}

Task<Result<>> Registers::punch(async::Container container, const Key& key, const DkeyOperation& operation,
                                Until until) {
  PunchRequest request;
  request.object = key.object;
  request.dkey = key.dkey;
  request.condition = operation.dkey_condition;
  request.level = PunchLevel::kAkey;
  if (operation.kind == Kind::kPunchDkey) request.level = PunchLevel::kDkey;
  if (operation.kind == Kind::kPunchSingle || operation.kind == Kind::kPunchBoth)
    request.akeys.push_back(akey("single"));
  if (operation.kind == Kind::kPunchArray || operation.kind == Kind::kPunchBoth) request.akeys.push_back(akey("array"));
  if (operation.kind == Kind::kPunchCells) {
    request.level = PunchLevel::kRange;
    request.akeys.push_back(akey("array"));
    request.ranges.push_back(key.range(operation.first, operation.count));
  }
  CO_CHECK_OK(co_await container.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<>> Registers::work(ClientNode& client, std::uint32_t index) {
  const Until patience = Until::at(client.node().now() + 120s);
  CO_CHECK_OK(co_await client.connect(patience));
  CO_TRY(async::Container container, co_await open_test_container(client, type(), patience, redundancy_));
  Leased leased;
  for (std::uint64_t left = 20 + run_.below(30); left > 0 && !run_.failed(); --left) {
    Key& key = keys_[run_.below(keys_.size())];
    Check::Entry entry{.operation = draw(++numbers_), .called = client.node().now(), .ended = {}};
    const Until until = Until::at(entry.called + 2s + run_.random_duration(40s));
    const bool by_lease = leased_ && entry.operation.kind == Kind::kFetch;
    const Result<> done = by_lease ? co_await fetch_leased(container, key, entry.operation, leased, until)
                                   : co_await execute(container, key, entry.operation, until);
    entry.ended = client.node().now();
    run_.count("operations");
    if (!done) {
      switch (done.error().code()) {
        case Code::kConditionFailed:
          entry.operation.condition_failed = true;
          break;
        case Code::kDeadlineExceeded:
        case Code::kNotReady:
        case Code::kConnectionLost:
        case Code::kRequestExpired:
        case Code::kUnreachable:
        case Code::kStaleMap:
        case Code::kUndecided:  // when its time was over
          entry.certain = false;
          entry.ended = until.deadline + afterlife_;
          run_.count("uncertain");
          break;
        default:
          co_return fail(done.error().with_context(entry.operation.describe()));
      }
    }
    run_.note(fmt::format("client {}: {} {}{}", index, as_text(key.dkey), entry.operation.describe(),
                          entry.certain ? "" : " (uncertain: " + done.error().to_string() + ")"));
    // What a read of unknown outcome did nobody will ever see.
    if (entry.certain || entry.operation.kind != Kind::kFetch) key.history.push_back(entry);
    if (run_.chance(1, 4)) co_await client.node().sleep_for(run_.random_duration(500ms));
  }
  co_return Result<>();
}

Task<> Registers::worker(ClientNode* client, std::uint32_t index) {
  const auto worked = co_await on_node(run_, client->node(), [&] { return work(*client, index); });
  if (!worked) run_.fail(fmt::format("client {}: {}", index, worked.error().to_string()));
}

Task<Result<>> Registers::read_all(ClientNode& client) {
  const Until until = Until::at(client.node().now() + 120s);
  // Nothing of unknown outcome may still be on its way.
  co_await client.node().sleep_for(std::max<Duration>(60s, afterlife_));
  CO_TRY(async::Container container, co_await client.client().open_container("pool", "data", until));
  for (Key& key : keys_) {
    Check::Entry entry{
        .operation = {.single = true, .array = true, .count = kCells}, .called = client.node().now(), .ended = {}};
    CO_CHECK_OK(co_await fetch(container, key, entry.operation, until));
    entry.ended = client.node().now();
    run_.note(fmt::format("in the end: {} {}", as_text(key.dkey), entry.operation.describe()));
    key.history.push_back(entry);
  }
  container_ = container.info();
  co_return Result<>();
}

Task<Result<>> Registers::compare_replicas(ReplicaCheck& replicas, ContainerInfo container) {
  const Until until = Until::at(replicas.node().now() + 120s);
  CO_CHECK_OK(co_await replicas.open(std::move(container), until));
  for (const Key& key : keys_) {
    const DkeyOperation whole{.single = true, .array = true, .count = kCells};
    CO_CHECK_OK(co_await replicas.compare(fetch_of(key, whole), room_of(key, whole), until));
  }
  co_return Result<>();
}

Task<Result<bool>> Registers::has_lost_engines(cluster::Coordinator& coordinator) {
  CO_TRY(const auto pools, co_await cluster::list_stored_maps(coordinator));
  for (const Uuid& pool : pools) {
    CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator, pool));
    if (stored && (!cluster::awaited_engines(*stored).empty() || stored->map.is_moving())) co_return true;
  }
  co_return false;
}

Task<> Registers::await_returns() {
  engine::SimCoordinator& shared = run_.coordinator();
  for (const Instant begun = run_.director().now(); !run_.failed();) {
    const auto lost = co_await on_node(run_, shared.node(), [&] { return has_lost_engines(shared.coordinator()); });
    if (!lost) run_.fail("looking for lost engines: " + lost.error().to_string());
    if (lost && !*lost) co_return;
    co_await run_.director().sleep_for(1s);
    if (run_.director().now() - begun > 30min) run_.fail("engines that were lost are not back after half an hour");
  }
}

void Registers::check() {
  for (const Key& key : keys_) {
    Check check(key.history);
    const auto verdict = check.run({});
    if (verdict == Check::Verdict::kLinearizable) continue;
    if (verdict == Check::Verdict::kGaveUp) {
      run_.count("undecided");
      continue;
    }
    std::string text = fmt::format("{} of object {}: no order explains its {} operations; the longest ends after {}:\n",
                                   as_text(key.dkey), key.object.to_string(), check.history().size(), check.longest());
    for (const auto& entry : check.history()) {
      const auto milliseconds = [](Instant at) {
        return std::chrono::duration<double, std::milli>(at.time_since_epoch()).count();
      };
      text += fmt::format("  [{:.3f}, {:.3f}] {}{}\n", milliseconds(entry.called), milliseconds(entry.ended),
                          entry.operation.describe(), entry.certain ? "" : " (uncertain)");
    }
    run_.fail(std::move(text));
    return;
  }
}

// A pool from which engines are excluded when they die. Nobody uses it.
Task<> Registers::make_precious_pool() {
  ClientNode client(run_, "operator");
  const auto made = co_await on_node(run_, client.node(), [&] { return create_precious_pool(client); });
  if (!made) run_.fail("creating the pool that can lose an engine: " + made.error().to_string());
  co_await on_node(run_, client.node(), [&] { return client.close(); });
}

Task<Result<>> Registers::create_precious_pool(ClientNode& client) {
  const Until until = Until::at(client.node().now() + 60s);
  CO_CHECK_OK(co_await client.connect(until));
  CO_CHECK_OK(
      co_await client.client().create_pool({.label = "precious", .size_bytes = 1u << 20, .redundancy = 1}, until));
  co_return Result<>();
}

Task<> Registers::body() {
  make_keys();
  if (!co_await start_engines(run_)) co_return;
  if (run_.engine_count() > 1) {
    // Of a size; the other one takes what is left.
    co_await make_precious_pool();
    co_await make_test_container(run_, type(), redundancy_);
  }
  roughen_network(run_);
  std::vector<std::unique_ptr<ClientNode>> clients;
  std::vector<std::string> names;
  Scope workers(run_.director());
  for (std::uint32_t i = 0; i < 3; ++i) {
    names.push_back(fmt::format("client-{}", i));
    clients.push_back(std::make_unique<ClientNode>(run_, names.back()));
    workers.spawn(worker(clients.back().get(), i));
  }
  CancelSource stop;
  FaultPlan plan = random_plan(run_);
  plan.away = redundancy_ > 0;
  // Where nobody is excluded, so that there is always another copy.
  if (rots_) plan.rots = [](ByteView block) { return is_of_a_single(block); };
  plan.stops = run_.engine_count() > 1 && run_.world().seed() % 3 == 0;
  plan.clocks = run_.engine_count() > 1 && run_.world().seed() % 3 == 1;
  Scope faults(run_.director());
  faults.spawn(inject_faults(run_, plan, names, &stop));
  co_await workers.drain();
  stop.cancel();
  co_await faults.drain();
  run_.network().set_default_rules({});
  if (!run_.failed()) {
    const auto read = co_await on_node(run_, clients[0]->node(), [&] { return read_all(*clients[0]); });
    if (!read) run_.fail("reading everything in the end: " + read.error().to_string());
  }
  // It takes its time where engines were lost often.
  if (!run_.failed() && redundancy_ > 0 && run_.chance(1, 3)) co_await await_returns();
  if (!run_.failed() && run_.engine_count() > 1) {
    ReplicaCheck replicas(run_);
    const auto same = co_await on_node(run_, replicas.node(), [&] { return compare_replicas(replicas, container_); });
    if (!same) run_.fail("comparing replicas in the end: " + same.error().to_string());
    co_await on_node(run_, replicas.node(), [&] { return replicas.close(); });
  }
  for (const auto& client : clients) {
    co_await on_node(run_, client->node(), [&client] { return client->close(); });
  }
  co_await stop_engines(run_);
  if (!run_.failed()) check();
}

}  // namespace

Outcome run_several(std::uint64_t seed, const Options& options) {
  constexpr std::uint32_t kEngines = 3;
  Run run(seed, options, shape_engine(seed), kEngines);
  Registers registers(run, kSingleClasses, kAfterlife);
  return run.drive(registers.body(), std::chrono::hours(4));
}

Outcome run_replicas(std::uint64_t seed, const Options& options) {
  engine::SimEngineOptions engine = shape_engine(seed);
  // What was deleted leaves no trace soon, so that what a returning member still has would come back.
  engine.core.retention = std::chrono::seconds(1 + seed % 4);
  // Half of the time as if space was short, so that data goes while other data is copied.
  if (seed % 2 == 0) engine.core.scarce_space = 1;
  Run run(seed, options, std::move(engine), 3 + seed % 5 / 3);
  const std::uint32_t redundancy = seed % 3 == 0 ? 0 : 1;
  const std::span<const std::string_view> classes(kReplicatedClasses);
  const bool rots = redundancy == 0 && seed % 2 == 1;
  Registers registers(run, redundancy == 0 && !rots ? classes : classes.first(4), kReplicatedAfterlife, redundancy,
                      rots);
  return run.drive(registers.body(), std::chrono::hours(4));
}

Outcome run_registers(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  Registers registers(run, kSingleClasses, kAfterlife);
  return run.drive(registers.body(), std::chrono::hours(4));
}

}  // namespace cenote::sim
