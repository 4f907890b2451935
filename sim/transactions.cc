// Several clients run transactions over the same keys while everything fails. Whatever took effect must be what some
// order of the transactions, one after the other, would have come to: no cycle of who saw whose values, no half of a
// transaction, no acknowledged one lost, no name given twice to what a listing showed as free. Some of them are change
// sets, which prove by conditions what the others prove by reads.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <vector>

#include "cenote/base/codec.h"
#include "cenote/client/kv.h"
#include "cenote/protocol/object_class.h"
#include "chains.h"
#include "client_node.h"
#include "faults.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

/// Of one target, and those that may lie on several.
constexpr std::array<std::string_view, 1> kOneTarget{"S1"};
constexpr std::array<std::string_view, 5> kSeveralTargets{"S1", "SX", "RP_2G1", "RP_2GX", "RP_3G1"};
/// The log is listed in transactions, which only objects of one group can be.
constexpr std::array<std::string_view, 3> kLogClasses{"S1", "RP_2G1", "RP_3G1"};
constexpr std::uint64_t kFirstObject = 7;
constexpr std::uint32_t kKeys = 5;

std::string name_of(std::uint32_t key) { return fmt::format("key-{}", key); }
std::string log_name(std::uint64_t number) { return fmt::format("log-{:06}", number); }

/// A version of a key: the number of the transaction that wrote it, and of the one whose value that replaced. 0: none.
struct Version {
  std::uint64_t writer = 0, before = 0;
};

Bytes encode_version(Version version, std::size_t bytes) {
  Bytes value(bytes);
  store_le(value.data(), version.writer);
  store_le(value.data() + 8, version.before);
  return value;
}
Version decode_version(const std::optional<Bytes>& value) {
  if (!value || value->size() < 16) return {};
  return {load_le<std::uint64_t>(value->data()), load_le<std::uint64_t>(value->data() + 8)};
}

/// What a transaction saw and did in the run of its function that counts, the last.
struct Transaction {
  std::uint64_t number = 0;
  std::array<std::optional<std::uint64_t>, kKeys> read;
  std::array<bool, kKeys> written{};
  std::optional<std::uint64_t> appended;
  Chains::Moves moved;
  enum class Is : std::uint8_t { kCommitted, kFailed, kUnknown } is = Is::kUnknown;
};

/// Who must come before whom; a cycle means that no order explains what was seen.
class Order {
 public:
  explicit Order(std::size_t transactions) : after_(transactions + 1) {}
  void add(std::uint64_t before, std::uint64_t after) {
    if (before != after) after_[before].push_back(after);
  }
  bool has_cycle() {
    std::vector<std::size_t> open(after_.size());
    for (const auto& edges : after_)
      for (const std::uint64_t to : edges) ++open[to];
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < open.size(); ++i)
      if (open[i] == 0) ready.push_back(i);
    std::size_t done = 0;
    while (!ready.empty()) {
      const std::size_t next = ready.back();
      ready.pop_back();
      ++done;
      for (const std::uint64_t to : after_[next])
        if (--open[to] == 0) ready.push_back(to);
    }
    return done != after_.size();
  }

 private:
  std::vector<std::vector<std::uint64_t>> after_;
};

class Transactions {
 public:
  /// The keys lie in objects of these classes, the log in another one. `afterlife`: how long what was sent may still
  /// take effect.
  Transactions(Run& run, std::span<const std::string_view> classes, std::span<const std::string_view> log_classes,
               Duration afterlife)
      : run_(run),
        log_object_(draw(log_classes, 0)),
        afterlife_(afterlife),
        chains_({draw(classes, 3), draw(classes, 4), draw(classes, 5)}) {
    for (std::uint32_t key = 0; key < kKeys; ++key)
      objects_[key] = classes.size() == 1 ? log_object_ : draw(classes, 1 + run_.below(2));
  }
  Task<> body();

 private:
  ObjectId draw(std::span<const std::string_view> classes, std::uint64_t number) {
    const ObjectClass object_class = *parse_class(classes[run_.below(classes.size())]);
    return ObjectId::make(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, kFirstObject + number);
  }
  Task<> worker(ClientNode* client);
  Task<Result<>> work(ClientNode* client);
  Task<Result<>> plain_read(async::Container container, Until until);
  Task<Result<>> run_once(async::Container view, Transaction* transaction, Until until);
  Task<Result<>> move(async::Container container, Transaction* transaction, Until until);
  Task<Result<>> append(async::Container view, Transaction* transaction, Until until);
  Task<Result<>> read_all(ClientNode* client);
  void check();
  void check_key(std::uint32_t key, Order& order);
  void check_log();
  void check_chain(std::uint32_t chain, Order& order);
  void wrong(std::string what) { run_.fail(std::move(what)); }

  Run& run_;
  const ObjectId log_object_;
  const Duration afterlife_;
  const Chains chains_;
  std::array<ObjectId, kKeys> objects_;    // by key
  std::vector<Transaction> transactions_;  // by number - 1
  std::array<Version, kKeys> last_;
  std::vector<std::uint64_t> log_;  // who appended, by place
  Chains::Takers takers_;
};

/// Reads some keys and writes some of those it read.
Task<Result<>> Transactions::run_once(async::Container view, Transaction* transaction, Until until) {
  const std::uint64_t number = transaction->number;
  *transaction = Transaction{.number = number, .read = {}, .appended = {}, .moved = {}};
  for (std::uint32_t key = 0; key < kKeys; ++key) {
    if (run_.chance(1, 2)) continue;
    async::Kv kv(view, objects_[key]);
    CO_TRY(const auto value, co_await kv.get(name_of(key), until));
    const std::uint64_t before = decode_version(value).writer;
    transaction->read[key] = before;
    if (run_.chance(1, 3)) co_await view.client().reactor().sleep_for(run_.random_duration(5ms));
    if (run_.chance(1, 2)) continue;
    const Bytes next = encode_version({number, before}, 16 + (run_.chance(1, 3) ? 6000 : 0));
    if (run_.chance(1, 4)) {
      const Result<> removed = co_await kv.remove(name_of(key), until);
      if (!removed && removed.error() != Code::kNotFound) co_return removed;
    }
    CO_CHECK_OK(co_await kv.put(name_of(key), next, Precondition::kNone, until));
    transaction->written[key] = true;
    CO_TRY(const auto again, co_await kv.get(name_of(key), until));
    if (again != next) co_return cenote::fail(Code::kCorrupt, "a transaction does not see what it wrote");
  }
  if (run_.chance(1, 4)) CO_CHECK_OK(co_await append(view, transaction, until));
  if (!run_.chance(1, 4)) co_return Result<>();
  const auto moved = co_await move(view, transaction, until);
  if (!moved && moved.error() == Code::kConditionFailed)
    co_return cenote::fail(Code::kCorrupt, "a transaction does not see one moment: " + moved.error().message());
  co_return moved;
}

/// Takes the next places in some chains, in a transaction or at once.
Task<Result<>> Transactions::move(async::Container container, Transaction* transaction, Until until) {
  Chains::Moves moves;
  const std::uint64_t several = run_.below(kChains);
  for (std::uint32_t chain = 0; chain < kChains; ++chain)
    if (chain == several || run_.chance(1, 2)) moves[chain] = 0;
  CO_CHECK_OK(co_await chains_.look(container, &moves, until));
  transaction->moved = moves;
  co_return co_await chains_.move(container, moves, transaction->number, 8 + (run_.chance(1, 4) ? 6000 : 0), until);
}

/// Puts itself behind everything that is listed.
Task<Result<>> Transactions::append(async::Container view, Transaction* transaction, Until until) {
  async::Kv kv(view, log_object_);
  std::uint64_t next = 0;
  std::string after;
  do {
    CO_TRY(auto page, co_await kv.list("log-", after, 20, until));
    next += page.keys.size();
    after = std::move(page.after);
  } while (!after.empty());
  transaction->appended = next;
  co_return co_await kv.put(log_name(next), encode_version({transaction->number, 0}, 16), Precondition::kAbsent, until);
}

/// A transaction that only reads sees one moment, too.
Task<Result<>> Transactions::plain_read(async::Container container, Until until) {
  const auto key = static_cast<std::uint32_t>(run_.below(kKeys));
  CO_CHECK_OK(co_await async::Kv(container, objects_[key]).get(name_of(key), until));
  co_return Result<>();
}

Task<Result<>> Transactions::work(ClientNode* client) {
  CO_CHECK_OK(co_await client->connect(Until::at(client->node().now() + 10min)));
  CO_TRY(async::Container container,
         co_await open_test_container(*client, "kv", Until::at(client->node().now() + 10min)));
  for (std::uint64_t left = 20 + run_.below(30); left > 0 && !run_.failed(); --left) {
    const std::size_t index = transactions_.size();
    transactions_.emplace_back().number = index + 1;
    Transaction made{.number = index + 1, .read = {}, .appended = {}, .moved = {}};
    const Duration patience = run_.chance(1, 4) ? run_.random_duration(2s) : Duration(2min);
    const Until until = Until::at(client->node().now() + patience);
    Result<> outcome;
    if (run_.chance(1, 3)) {
      outcome = co_await move(container, &made, until);
      run_.count(!outcome && outcome.error() == Code::kConditionFailed ? "sets_in_vain" : "sets");
    } else {
      outcome =
          co_await container.transact([&](async::Container& view) { return run_once(view, &made, until); }, until);
      run_.count("transactions");
    }
    made.is = Transaction::Is::kCommitted;
    if (!outcome) {
      const Code code = outcome.error().code();
      if (code == Code::kCorrupt || code == Code::kInternal || code == Code::kUnsupported) co_return outcome;
      run_.count(code == Code::kTxRestart ? "restarted_to_the_end" : "failed");
      // Only then is it sure that nothing was sent, or that it was refused.
      made.is = code == Code::kTxRestart || code == Code::kConditionFailed ? Transaction::Is::kFailed
                                                                           : Transaction::Is::kUnknown;
    }
    transactions_[index] = made;
    std::string told =
        fmt::format("transaction {}: {}", made.number, outcome ? "committed" : outcome.error().to_string());
    for (std::uint32_t key = 0; key < kKeys; ++key)
      if (made.read[key])
        told += fmt::format(", {} after {}{}", name_of(key), *made.read[key], made.written[key] ? " written" : "");
    for (std::uint32_t chain = 0; chain < kChains; ++chain)
      if (made.moved[chain]) told += fmt::format(", place {} of chain {}", *made.moved[chain], chain);
    run_.note(told);
    if (run_.chance(1, 5)) static_cast<void>(co_await plain_read(container, until));
  }
  co_return Result<>();
}

Task<> Transactions::worker(ClientNode* client) {
  const auto worked = co_await on_node(run_, client->node(), [this, client] { return work(client); });
  if (!worked) wrong(fmt::format("{}: {}", client->name(), worked.error().to_string()));
}

Task<Result<>> Transactions::read_all(ClientNode* client) {
  const Until until = Until::at(client->node().now() + 10min);
  if (!client->connected()) CO_CHECK_OK(co_await client->connect(until));
  CO_TRY(async::Container container, co_await open_test_container(*client, "kv", until));
  for (std::uint32_t key = 0; key < kKeys; ++key) {
    CO_TRY(const auto value, co_await async::Kv(container, objects_[key]).get(name_of(key), until));
    last_[key] = decode_version(value);
  }
  while (true) {
    CO_TRY(const auto value, co_await async::Kv(container, log_object_).get(log_name(log_.size()), until));
    if (!value) break;
    log_.push_back(decode_version(value).writer);
  }
  CO_TRY(takers_, co_await chains_.read(container, until));
  co_return Result<>();
}

/// Follows the versions of a key back from the last one. Each is of a transaction that may have taken effect, and every
/// acknowledged one is among them.
void Transactions::check_key(std::uint32_t key, Order& order) {
  std::vector<std::uint64_t> versions;  // newest first; 0: never written
  for (std::uint64_t at = last_[key].writer; at != 0;) {
    if (at > transactions_.size() || versions.size() > transactions_.size())
      return wrong(fmt::format("{}: a value of nobody: {} versions of {}, {} after {}", name_of(key), versions.size(),
                               transactions_.size(), at,
                               at <= transactions_.size() ? transactions_[at - 1].read[key].value_or(9999) : 0));
    const Transaction& writer = transactions_[at - 1];
    if (!writer.written[key] || writer.is == Transaction::Is::kFailed)
      return wrong(fmt::format("{}: a value of transaction {}, which failed", name_of(key), at));
    versions.push_back(at);
    at = *writer.read[key];
  }
  versions.push_back(0);
  for (std::size_t i = 0; i + 1 < versions.size(); ++i) order.add(versions[i + 1], versions[i]);
  for (const Transaction& transaction : transactions_) {
    const bool is_version = std::ranges::find(versions, transaction.number) != versions.end();
    if (transaction.is == Transaction::Is::kCommitted && transaction.written[key] && !is_version)
      return wrong(fmt::format("{}: what transaction {} wrote is lost", name_of(key), transaction.number));
    // What a transaction saw that did not take effect is not held against anybody.
    if (transaction.is != Transaction::Is::kCommitted || !transaction.read[key]) continue;
    const auto seen = std::ranges::find(versions, *transaction.read[key]);
    if (seen == versions.end())
      return wrong(fmt::format("{}: transaction {} saw what was never there", name_of(key), transaction.number));
    order.add(*seen, transaction.number);
    if (seen != versions.begin()) order.add(transaction.number, *std::prev(seen));
  }
}

void Transactions::check_log() {
  for (const Transaction& transaction : transactions_) {
    if (transaction.is != Transaction::Is::kCommitted || !transaction.appended) continue;
    const std::uint64_t place = *transaction.appended;
    if (place >= log_.size() || log_[place] != transaction.number)
      return wrong(fmt::format("transaction {} is not at place {} of the log", transaction.number, place));
  }
}

/// Each place was taken by one who took all that it had to take, and every acknowledged one has its places.
void Transactions::check_chain(std::uint32_t chain, Order& order) {
  const std::vector<std::uint64_t>& takers = takers_[chain];
  for (std::size_t place = 0; place < takers.size(); ++place) {
    if (takers[place] == 0 || takers[place] > transactions_.size())
      return wrong(fmt::format("chain {}: place {} was taken by nobody", chain, place));
    const Transaction& taker = transactions_[takers[place] - 1];
    if (taker.moved[chain] != place || taker.is == Transaction::Is::kFailed)
      return wrong(fmt::format("chain {}: place {} is of {}, which did not take it", chain, place, taker.number));
    for (std::uint32_t other = 0; other < kChains; ++other) {
      const auto& wanted = taker.moved[other];
      if (wanted && (*wanted >= takers_[other].size() || takers_[other][*wanted] != taker.number))
        return wrong(fmt::format("{} took place {} of chain {}, and not {} of chain {}", taker.number, place, chain,
                                 *wanted, other));
    }
    if (place > 0) order.add(takers[place - 1], takers[place]);
  }
  for (const Transaction& transaction : transactions_) {
    const auto& place = transaction.moved[chain];
    if (transaction.is != Transaction::Is::kCommitted || !place) continue;
    if (*place >= takers.size() || takers[*place] != transaction.number)
      return wrong(fmt::format("chain {}: {} is not at its place {}", chain, transaction.number, *place));
  }
}

void Transactions::check() {
  Order order(transactions_.size());
  for (std::uint32_t key = 0; key < kKeys && !run_.failed(); ++key) check_key(key, order);
  for (std::uint32_t chain = 0; chain < kChains && !run_.failed(); ++chain) check_chain(chain, order);
  if (!run_.failed()) check_log();
  if (!run_.failed() && order.has_cycle()) wrong("no order of the transactions explains what they saw");
}

Task<> Transactions::body() {
  if (!co_await start_engines(run_)) co_return;
  if (run_.engine_count() > 1) co_await make_test_container(run_, "kv");
  roughen_network(run_);
  std::vector<std::unique_ptr<ClientNode>> clients;
  std::vector<std::string> names;
  Scope workers(run_.director());
  for (std::uint32_t i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<ClientNode>(run_, fmt::format("client-{}", i)));
    names.push_back(clients.back()->name());
    workers.spawn(worker(clients.back().get()));
  }
  CancelSource stop;
  Scope faults(run_.director());
  faults.spawn(inject_faults(run_, random_plan(run_), names, &stop));
  co_await workers.drain();
  stop.cancel();
  co_await faults.drain();
  run_.network().set_default_rules({});
  // What nobody waits for any more may still arrive and take effect, within what clocks may differ by.
  co_await run_.director().sleep_for(afterlife_);
  if (!run_.failed()) {
    ClientNode* reader = clients.front().get();
    const auto read = co_await on_node(run_, reader->node(), [this, reader] { return read_all(reader); });
    if (!read) wrong("in the end: " + read.error().to_string());
  }
  if (!run_.failed()) check();
  for (const auto& client : clients) {
    if (client->connected()) co_await on_node(run_, client->node(), [&client] { return client->close(); });
  }
  co_await stop_engines(run_);
}

}  // namespace

Outcome run_distributed(std::uint64_t seed, const Options& options) {
  constexpr std::uint32_t kEngines = 3;
  Run run(seed, options, shape_engine(seed), kEngines);
  Transactions transactions(run, kSeveralTargets, kLogClasses, 90s);
  return run.drive(transactions.body(), std::chrono::hours(24));
}

Outcome run_transactions(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  Transactions transactions(run, kOneTarget, kOneTarget, 5s);
  return run.drive(transactions.body(), std::chrono::hours(24));
}

}  // namespace cenote::sim
