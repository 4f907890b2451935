// Pools and containers are made and destroyed while connections break and the engine crashes. An operation that
// succeeded has its effect, one that was retried counts once, nothing half-made shows, and the space of what was
// destroyed comes back.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "client_node.h"
#include "faults.h"
#include "workloads.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

Error wrong(std::string text) { return Error(Code::kCorrupt, std::move(text)); }

/// Members run on the client's node.
class Admin {
 public:
  Admin(Run& run, ClientNode& client) : run_(run), client_(client) {}

  Task<Result<>> work();
  Task<Result<>> verify();
  /// Fills a container, destroys it, and waits until its space is free again.
  Task<Result<>> check_space_returns();

 private:
  Until patience() { return Until::at(client_.node().now() + 10min); }
  std::string any_pool() { return fmt::format("pool-{}", run_.below(3)); }
  std::string any_container() { return fmt::format("container-{}", run_.below(4)); }
  Result<> expect(const std::string& what, const Result<>& actual, Code expected, bool may_be_repeated);
  Task<Result<>> create_pool();
  Task<Result<>> destroy_pool();
  Task<Result<>> create_container();
  Task<Result<>> destroy_container();
  Task<Result<>> set_property();
  Task<Result<>> use_container();
  Task<Result<std::uint64_t>> free_bytes();

  struct Container {
    std::string type;
    std::map<std::string, std::string> properties;
    std::set<std::uint64_t> objects;  // every number that was ever leased
    std::optional<Bytes> value;
  };
  using Pool = std::map<std::string, Container>;

  Run& run_;
  ClientNode& client_;
  std::map<std::string, Pool> pools_;
};

template <typename T>
Result<> without_value(const Result<T>& result) {
  if (result) return {};
  return fail(result.error());
}

/// A destruction that is repeated after its answer was lost with the engine finds nothing any more, and cannot tell
/// why.
Result<> Admin::expect(const std::string& what, const Result<>& actual, Code expected, bool may_be_repeated) {
  run_.note(fmt::format("{}: {}", what, actual ? "ok" : actual.error().to_string()));
  const Code code = actual ? Code::kOk : actual.error().code();
  if (code == expected) return {};
  const bool gone = code == Code::kPoolNotFound || code == Code::kContainerNotFound;
  if (expected == Code::kOk && gone && may_be_repeated) return {};
  return cenote::fail(wrong(
      fmt::format("{}: expected {}, got {}", what, code_name(expected), actual ? "ok" : actual.error().to_string())));
}

Task<Result<>> Admin::work() {
  CO_CHECK_OK(co_await client_.connect(patience()));
  for (std::uint64_t left = 40 + run_.below(40); left > 0 && !run_.failed(); --left) {
    run_.count("operations");
    const std::uint64_t dice = run_.below(20);
    if (dice < 3) {
      CO_CHECK_OK(co_await create_pool());
    } else if (dice < 5) {
      CO_CHECK_OK(co_await destroy_pool());
    } else if (dice < 11) {
      CO_CHECK_OK(co_await create_container());
    } else if (dice < 14) {
      CO_CHECK_OK(co_await destroy_container());
    } else if (dice < 16) {
      CO_CHECK_OK(co_await set_property());
    } else {
      CO_CHECK_OK(co_await use_container());
    }
    if (run_.chance(1, 20)) CO_CHECK_OK(co_await verify());
  }
  co_return Result<>();
}

Task<Result<>> Admin::create_pool() {
  const std::string label = any_pool();
  const Code expected = pools_.contains(label) ? Code::kExists : Code::kOk;
  const auto made = co_await client_.client().create_pool({.label = label, .size_bytes = 8u << 20}, patience());
  CO_CHECK_OK(expect("create " + label, without_value(made), expected, false));
  if (made) pools_[label];
  co_return Result<>();
}

Task<Result<>> Admin::destroy_pool() {
  const std::string label = any_pool();
  const bool force = run_.chance(1, 2);
  const auto pool = pools_.find(label);
  Code expected = Code::kOk;
  if (pool == pools_.end()) {
    expected = Code::kPoolNotFound;
  } else if (!pool->second.empty() && !force) {
    expected = Code::kNotEmpty;
  }
  const auto destroyed = co_await client_.client().destroy_pool(label, force, patience());
  CO_CHECK_OK(expect("destroy " + label, destroyed, expected, true));
  if (expected == Code::kOk) pools_.erase(label);
  co_return Result<>();
}

Task<Result<>> Admin::create_container() {
  const std::string pool = any_pool();
  const std::string label = any_container();
  const std::string type = run_.chance(1, 2) ? "kv" : "posix";
  const auto found = pools_.find(pool);
  Code expected = Code::kOk;
  if (found == pools_.end()) {
    expected = Code::kPoolNotFound;
  } else if (found->second.contains(label)) {
    expected = Code::kExists;
  }
  const auto made = co_await client_.client().create_container(
      {.pool = pool, .label = label, .type = type, .properties = {{"user.owner", label}}}, patience());
  CO_CHECK_OK(expect(fmt::format("create {}/{}", pool, label), without_value(made), expected, false));
  if (made) {
    pools_[pool][label] = {
        .type = type, .properties = {{"checksum", "crc32c"}, {"user.owner", label}}, .objects = {}, .value = {}};
  }
  co_return Result<>();
}

Task<Result<>> Admin::destroy_container() {
  const std::string pool = any_pool();
  const std::string label = any_container();
  const auto found = pools_.find(pool);
  Code expected = Code::kOk;
  if (found == pools_.end()) {
    expected = Code::kPoolNotFound;
  } else if (!found->second.contains(label)) {
    expected = Code::kContainerNotFound;
  }
  const auto destroyed = co_await client_.client().destroy_container(pool, label, patience());
  CO_CHECK_OK(expect(fmt::format("destroy {}/{}", pool, label), destroyed, expected, true));
  if (expected == Code::kOk) pools_[pool].erase(label);
  co_return Result<>();
}

Task<Result<>> Admin::set_property() {
  const std::string pool = any_pool();
  const std::string label = any_container();
  if (!pools_.contains(pool) || !pools_[pool].contains(label)) co_return Result<>();
  const std::string value = fmt::format("value {}", run_.below(1000));
  CO_CHECK_OK(co_await client_.client().set_property(pool, label, "user.note", value, patience()));
  pools_[pool][label].properties["user.note"] = value;
  co_return Result<>();
}

/// Object numbers are never given twice; what was written is there as long as the container is.
Task<Result<>> Admin::use_container() {
  const std::string pool = any_pool();
  const std::string label = any_container();
  if (!pools_.contains(pool) || !pools_[pool].contains(label)) co_return Result<>();
  Container& model = pools_[pool][label];
  CO_TRY(async::Container container, co_await client_.client().open_container(pool, label, patience()));
  CO_TRY(const ObjectId object,
         co_await container.allocate_object(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, patience()));
  if (!model.objects.insert(object.low()).second) {
    co_return cenote::fail(wrong(fmt::format("object number {} of {}/{} was given twice", object.low(), pool, label)));
  }
  const ObjectId fixed = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0);
  FetchRequest fetch;
  fetch.object = fixed;
  fetch.dkey = to_bytes(as_bytes("dkey"));
  fetch.akeys.push_back({.akey = to_bytes(as_bytes("akey")), .max_bytes = 5000});
  Bytes memory(5000);
  CO_TRY(const FetchReply reply, co_await container.fetch(fetch, {MutableBytes(memory)}, patience()));
  const bool same = reply.akeys[0].exists == model.value.has_value() &&
                    (!model.value || equal(*model.value, ByteView(memory).first(reply.akeys[0].bytes)));
  if (!same) co_return cenote::fail(wrong(fmt::format("{}/{} does not hold what was written", pool, label)));
  Bytes value(1 + run_.below(5000), static_cast<std::byte>(run_.below(256)));
  UpdateRequest update;
  update.object = fixed;
  update.dkey = fetch.dkey;
  update.akeys.push_back({.akey = fetch.akeys[0].akey, .bytes = value.size()});
  CO_CHECK_OK(co_await container.update(update, {ByteView(value)}, patience()));
  model.value = std::move(value);
  co_return Result<>();
}

Task<Result<>> Admin::verify() {
  CO_TRY(const auto listed, co_await client_.client().list_pools(patience()));
  std::set<std::string> labels;
  for (const PoolInfo& pool : listed) labels.insert(pool.label);
  if (labels.size() != listed.size() || labels.size() != pools_.size()) {
    co_return cenote::fail(wrong(fmt::format("{} pools are listed, {} exist", listed.size(), pools_.size())));
  }
  CO_TRY(const SystemInfo system, co_await client_.client().system(patience()));
  for (const auto& [label, containers] : pools_) {
    if (!labels.contains(label)) co_return cenote::fail(wrong(label + " is not listed"));
    CO_TRY(const PoolInfo info, co_await client_.client().query_pool(label, patience()));
    CO_TRY(const auto inside, co_await client_.client().list_containers(label, patience()));
    if (inside.size() != containers.size() || info.containers != containers.size()) {
      co_return cenote::fail(wrong(fmt::format("{} lists {} containers and counts {}, there are {}", label,
                                               inside.size(), info.containers, containers.size())));
    }
    for (const ContainerInfo& container : inside) {
      const auto expected = containers.find(container.label);
      // What the engine adds where its stores are encrypted.
      auto properties = container.properties;
      if ((properties.erase("encryption") != 0) != system.encrypted) {
        co_return cenote::fail(wrong(fmt::format("{}/{} is encrypted, or is not", label, container.label)));
      }
      const bool same = expected != containers.end() && expected->second.type == container.type &&
                        expected->second.properties == properties;
      if (!same) co_return cenote::fail(wrong(fmt::format("{}/{} is not as it was made", label, container.label)));
    }
  }
  co_return Result<>();
}

Task<Result<std::uint64_t>> Admin::free_bytes() {
  CO_TRY(const SystemInfo system, co_await client_.client().system(patience()));
  std::uint64_t bytes = 0;
  for (const TargetInfo& target : system.targets) bytes += target.free_bytes;
  co_return bytes;
}

Task<Result<>> Admin::check_space_returns() {
  const auto labels = pools_;
  for (const auto& [label, containers] : labels) {
    CO_CHECK_OK(co_await client_.client().destroy_pool(label, true, patience()));
    pools_.erase(label);
  }
  co_await client_.node().sleep_for(10min);
  CO_TRY(const std::uint64_t before, co_await free_bytes());
  CO_TRY(async::Container container, co_await open_test_container(client_, "", patience()));
  const Bytes data(1u << 20, std::byte{7});
  constexpr std::uint64_t kWrites = 8;
  for (std::uint64_t i = 0; i < kWrites; ++i) {
    UpdateRequest update;
    update.object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 5000);
    update.dkey = to_bytes(as_bytes(fmt::format("dkey {}", i)));
    update.akeys.push_back({.akey = to_bytes(as_bytes("akey")), .bytes = data.size()});
    CO_CHECK_OK(co_await container.update(update, {ByteView(data)}, patience()));
  }
  CO_TRY(const std::uint64_t full, co_await free_bytes());
  if (full + kWrites * data.size() > before) {
    co_return cenote::fail(
        wrong(fmt::format("{} bytes were free, {} were written, {} are free", before, kWrites * data.size(), full)));
  }
  CO_CHECK_OK(co_await client_.client().destroy_container("pool", "data", patience()));
  CO_CHECK_OK(co_await client_.client().destroy_pool("pool", false, patience()));
  // Reclaimed in the background, and free for good with the next checkpoints.
  constexpr std::uint64_t kTolerance = 1u << 20;
  std::uint64_t after = 0;
  for (int minute = 0; minute < 30; ++minute) {
    co_await client_.node().sleep_for(1min);
    CO_TRY(after, co_await free_bytes());
    if (after + kTolerance >= before) co_return Result<>();
  }
  co_return cenote::fail(wrong(fmt::format(
      "{} bytes were free before a container was filled, {} half an hour after it was destroyed", before, after)));
}

Task<Result<>> finish(Admin& admin) {
  CO_CHECK_OK(co_await admin.verify());
  co_return co_await admin.check_space_returns();
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  roughen_network(run);
  ClientNode client(run, "client");
  Admin admin(run, client);
  co_await work_under_faults(run, client, [&] { return admin.work(); }, [&] { return finish(admin); });
  co_await stop_engine(run);
}

}  // namespace

Outcome run_admin(std::uint64_t seed, const Options& options) {
  Run run(seed, options, shape_engine(seed));
  return run.drive(body(run), std::chrono::hours(24));
}

}  // namespace cenote::sim
