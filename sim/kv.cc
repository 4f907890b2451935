// Several clients share one map, each with keys of its own prefix, and change, read and list them while everything
// fails. Each client's part must equal its std::map; listings are in order, complete, and without strangers.

#include "cenote/client/kv.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "client_node.h"
#include "faults.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

/// One client's keys. Members run on its node.
class KvClient {
 public:
  KvClient(Run& run, std::uint32_t index)
      : run_(run), node_(run, fmt::format("client-{}", index)), prefix_(fmt::format("{}/", index)) {}

  Task<Result<>> work();
  /// Compares all keys with the map.
  Task<Result<>> verify();
  ClientNode& node() { return node_; }

 private:
  Until patience() { return Until::at(node_.node().now() + 10min); }
  std::string any_key();
  Bytes any_value();
  Task<Result<>> put(async::Kv kv);
  Task<Result<>> remove(async::Kv kv);
  Task<Result<>> get(async::Kv kv, std::string key);
  Task<Result<>> list(async::Kv kv, std::string prefix, std::uint32_t limit);
  async::Kv kv() { return async::Kv(*container_, async::Kv::default_object(container_->redundancy())); }

  Run& run_;
  ClientNode node_;
  std::string prefix_;
  std::optional<async::Container> container_;
  std::map<std::string, Bytes> expected_;
};

Error wrong(std::string text) { return Error(Code::kCorrupt, std::move(text)); }

std::string KvClient::any_key() {
  if (!expected_.empty() && run_.chance(1, 2)) {
    return std::next(expected_.begin(), static_cast<std::ptrdiff_t>(run_.below(expected_.size())))->first;
  }
  std::string key = prefix_;
  // Few letters, so that keys are prefixes of others; zero bytes are stored escaped; some keys are long.
  static constexpr char kLetters[] = {'a', 'b', '\0', '\xff'};
  for (std::uint64_t i = run_.below(5); i > 0; --i) key += kLetters[run_.below(std::size(kLetters))];
  if (run_.chance(1, 20)) key.append(400, 'k');
  return key;
}

Bytes KvClient::any_value() {
  static constexpr std::size_t kMost[] = {1, 100, 3000, 70000};
  Bytes value(run_.below(kMost[run_.below(std::size(kMost))] + 1));
  for (std::byte& byte : value) byte = static_cast<std::byte>(run_.below(256));
  return value;
}

Task<Result<>> KvClient::work() {
  CO_CHECK_OK(co_await node_.connect(patience()));
  CO_TRY(container_, co_await open_test_container(node_, "kv", patience()));
  for (std::uint64_t left = 50 + run_.below(50); left > 0 && !run_.failed(); --left) {
    run_.count("operations");
    const std::uint64_t dice = run_.below(10);
    if (dice < 5) {
      CO_CHECK_OK(co_await put(kv()));
    } else if (dice < 7) {
      CO_CHECK_OK(co_await remove(kv()));
    } else if (dice < 8) {
      CO_CHECK_OK(co_await get(kv(), any_key()));
    } else {
      const std::string prefix = any_key().substr(0, prefix_.size() + run_.below(3));
      CO_CHECK_OK(co_await list(kv(), prefix, static_cast<std::uint32_t>(1 + run_.below(12))));
    }
  }
  co_return Result<>();
}

Task<Result<>> KvClient::put(async::Kv kv) {
  const std::string key = any_key();
  const Bytes value = any_value();
  const auto condition = static_cast<Precondition>(run_.below(3));
  const bool present = expected_.contains(key);
  const bool holds = condition == Precondition::kNone || present == (condition == Precondition::kPresent);
  const Result<> put = co_await kv.put(key, value, condition, patience());
  if (put && holds) {
    expected_[key] = value;
    co_return Result<>();
  }
  if (!put && put.error() == Code::kConditionFailed && !holds) co_return Result<>();
  if (!put && put.error() != Code::kConditionFailed) co_return put;
  co_return cenote::fail(
      wrong(fmt::format("put of '{}', condition {}, present {}: {}", printable(as_bytes(key)),
                        static_cast<int>(condition), present, put ? "ok" : put.error().to_string())));
}

Task<Result<>> KvClient::remove(async::Kv kv) {
  const std::string key = any_key();
  const Result<> removed = co_await kv.remove(key, patience());
  if (!removed && removed.error() != Code::kNotFound) co_return removed;
  if (expected_.erase(key) == (removed ? 1U : 0U)) co_return Result<>();
  co_return cenote::fail(
      wrong(fmt::format("removal of '{}': {}", printable(as_bytes(key)), removed ? "ok" : "not found")));
}

Task<Result<>> KvClient::get(async::Kv kv, std::string key) {
  CO_TRY(const auto value, co_await kv.get(key, patience()));
  const auto found = expected_.find(key);
  const bool same = found == expected_.end() ? !value : value && equal(*value, found->second);
  if (same) co_return Result<>();
  co_return cenote::fail(wrong(fmt::format("get of '{}': {}, expected {}", printable(as_bytes(key)),
                                           value ? fmt::format("{} bytes", value->size()) : "nothing",
                                           found == expected_.end() ? "nothing" : "another value")));
}

Task<Result<>> KvClient::list(async::Kv kv, std::string prefix, std::uint32_t limit) {
  std::vector<std::string> listed;
  std::string after;
  do {
    CO_TRY(auto page, co_await kv.list(prefix, after, limit, patience()));
    if (page.keys.size() > limit) co_return cenote::fail(wrong("a page is longer than its limit"));
    listed.insert(listed.end(), page.keys.begin(), page.keys.end());
    after = std::move(page.after);
  } while (!after.empty());
  std::vector<std::string> wanted;
  for (const auto& [key, value] : expected_) {
    if (key.starts_with(prefix)) wanted.push_back(key);
  }
  // The map compares chars as bytes; so does the store.
  const auto as_unsigned = [](const std::string& a, const std::string& b) {
    return compare(as_bytes(a), as_bytes(b)) < 0;
  };
  std::ranges::sort(wanted, as_unsigned);
  if (listed == wanted) co_return Result<>();
  co_return cenote::fail(wrong(fmt::format("listing of '{}' in pages of {}: {} keys, expected {}",
                                           printable(as_bytes(prefix)), limit, listed.size(), wanted.size())));
}

Task<Result<>> KvClient::verify() {
  CO_CHECK_OK(co_await list(kv(), prefix_, 1 + static_cast<std::uint32_t>(run_.below(kMaxListEntries))));
  const auto keys = expected_;
  for (const auto& [key, value] : keys) CO_CHECK_OK(co_await get(kv(), key));
  co_return Result<>();
}

Task<> worker(Run& run, KvClient* client) {
  const auto worked = co_await on_node(run, client->node().node(), [client] { return client->work(); });
  if (!worked) run.fail(fmt::format("{}: {}", client->node().name(), worked.error().to_string()));
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  roughen_network(run);
  std::vector<std::unique_ptr<KvClient>> clients;
  std::vector<std::string> names;
  Scope workers(run.director());
  for (std::uint32_t i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<KvClient>(run, i));
    names.push_back(clients.back()->node().name());
    workers.spawn(worker(run, clients.back().get()));
  }
  CancelSource stop;
  Scope faults(run.director());
  faults.spawn(inject_faults(run, random_plan(run), names, &stop));
  co_await workers.drain();
  stop.cancel();
  co_await faults.drain();
  run.network().set_default_rules({});
  for (const auto& client : clients) {
    if (!run.failed()) {
      const auto verified = co_await on_node(run, client->node().node(), [&client] { return client->verify(); });
      if (!verified) run.fail("in the end: " + verified.error().to_string());
    }
    co_await on_node(run, client->node().node(), [&client] { return client->node().close(); });
  }
  co_await stop_engine(run);
}

}  // namespace

Outcome run_kv(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  return run.drive(body(run), std::chrono::hours(24));
}

}  // namespace cenote::sim
