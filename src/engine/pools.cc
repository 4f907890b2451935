#include "pools.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/cluster/system_stop.h"

namespace cenote::engine {

using cluster::Revision;
using cluster::Transaction;

namespace {

Result<> validate_properties(const std::map<std::string, std::string>& properties) {
  for (const auto& [name, value] : properties) {
    if (name == kQuotaProperty)
      return failf(Code::kInvalidArgument, "the bytes that a pool may hold are its size, fixed when it is created");
    if (!is_quota(name)) {
      return failf(Code::kInvalidArgument, "there is no property '{}' of pools: '{}', '{}' or '{}'",
                   printable(as_bytes(name)), kSoftQuotaProperty, kObjectQuotaProperty, kSoftObjectQuotaProperty);
    }
    CHECK_OK(parse_quota(name, value));
  }
  return {};
}

/// Users name domains, not the kinds of them.
Result<std::vector<std::string>> levels_of(const std::vector<cluster::EngineSpec>& engines) {
  if (engines.empty()) return fail(Code::kNotReady, "no engine can be asked for its targets: try again");
  const auto depth = [](const cluster::EngineSpec& engine) { return std::ranges::count(engine.path, '/'); };
  const auto other = std::ranges::find_if(
      engines, [&](const cluster::EngineSpec& engine) { return depth(engine) != depth(engines.front()); });
  if (other != engines.end()) {
    return failf(Code::kInvalidArgument,
                 "engine {} is in fault domain '{}' and engine {} in '{}': give all engines as many levels",
                 engines.front().rank.value(), engines.front().path, other->rank.value(), other->path);
  }
  std::vector<std::string> levels;
  for (auto level = 1; level <= depth(engines.front()); ++level) levels.push_back(fmt::format("level{}", level));
  return levels;
}

void describe_map(const cluster::StoredMap& stored, PoolInfo& info) {
  info.redundancy = stored.redundancy;
  info.map_version = stored.map.version().value();
  info.state = cluster::pool_state(stored);
  for (const cluster::MappedEngine& engine : cluster::mapped_engines(stored.map)) {
    info.engines.push_back({.rank = engine.rank.value(),
                            .state = std::string(cluster::state_name(engine.state)),
                            .since = engine.since.value()});
  }
}

}  // namespace

Task<Result<PoolInfo>> Pools::create(CreatePool request, Uuid id) {
  CO_CHECK_OK(validate_label("pool", request.label));
  CO_CHECK_OK(validate_properties(request.properties));
  CO_TRY(auto record, co_await without_conflict<PoolRecord>([&] { return try_create(request, id); }));
  co_return co_await info(std::move(record));
}

Task<Result<PoolRecord>> Pools::try_create(CreatePool request, Uuid id) {
  CO_TRY(auto existing, co_await store_.pool(id));
  if (existing && !existing->record.destroying && existing->record.label == request.label) {
    co_return std::move(existing->record);
  }
  const std::string label_key = pool_label_key(request.label);
  CO_TRY(const auto label, co_await store_.coordinator().get(label_key));
  if (existing || label) co_return failf(Code::kExists, "there is a pool '{}' already", request.label);

  CO_TRY(const auto promised, co_await store_.number(kPromisedKey));
  const std::uint64_t capacity = targets_.capacity_bytes();
  const std::uint64_t left = capacity > promised.record ? capacity - promised.record : 0;
  if (left == 0) {
    co_return failf(Code::kNoSpace, "nothing is left for a pool: all {} bytes are promised to pools; destroy one first",
                    capacity);
  }
  if (request.size_bytes > left) {
    co_return failf(
        Code::kNoSpace,
        "a pool of {} bytes does not fit: {} of {} bytes are promised to pools, {} are left; choose a smaller "
        "size or destroy a pool",
        request.size_bytes, promised.record, capacity, left);
  }
  const PoolRecord record{.id = id,
                          .label = request.label,
                          .size_bytes = request.size_bytes != 0 ? request.size_bytes : left,
                          .properties = request.properties,
                          .redundancy = request.redundancy};
  const auto engines = targets_.engines();
  CO_TRY(const auto levels, levels_of(engines));
  CO_TRY(auto map, cluster::PoolMap::create(id, levels, engines));
  CO_CHECK_OK(cluster::check_redundancy(map, record.redundancy));
  Transaction change;
  change.require(pool_key(id), Revision(0)).put(pool_key(id), encode(record));
  change.require(label_key, Revision(0)).put(label_key, id.to_string());
  change.require(kPromisedKey, promised.revision)
      .put(kPromisedKey, std::to_string(promised.record + record.size_bytes));
  CO_CHECK_OK(
      co_await cluster::create_stored_map(store_.coordinator(), std::move(map), record.redundancy, std::move(change)));
  co_return record;
}

Task<Result<std::vector<PoolInfo>>> Pools::list() {
  CO_TRY(auto records, co_await store_.pools());
  std::vector<PoolInfo> infos;
  for (PoolRecord& record : records) {
    if (record.destroying) continue;
    CO_TRY(auto entry, co_await info(std::move(record)));
    infos.push_back(std::move(entry));
  }
  co_return infos;
}

Task<Result<PoolInfo>> Pools::query(std::string name) {
  CO_TRY(auto pool, co_await store_.find_pool(std::move(name)));
  co_return co_await info(std::move(pool.record));
}

Task<Result<PoolInfo>> Pools::set_properties(std::string name, std::map<std::string, std::string> properties) {
  CO_CHECK_OK(validate_properties(properties));
  CO_TRY(auto record, co_await without_conflict<PoolRecord>([&] { return put_properties(name, properties); }));
  // Whoever holds the account goes by its new limits from here on; who does not is told.
  CO_TRY(const auto account, accounts_.set_limits(record));
  CO_CHECK_OK(co_await targets_.limits_changed(account));
  co_return co_await info(std::move(record));
}

Task<Result<PoolRecord>> Pools::put_properties(std::string name, std::map<std::string, std::string> properties) {
  CO_TRY(auto pool, co_await store_.find_pool(std::move(name)));
  for (const auto& [property, value] : properties) pool.record.properties.insert_or_assign(property, value);
  Transaction change;
  change.require(pool_key(pool.record.id), pool.revision).put(pool_key(pool.record.id), encode(pool.record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return std::move(pool.record);
}

Task<Result<>> Pools::destroy(std::string name, bool force) {
  CO_TRY(const auto record, co_await without_conflict<PoolRecord>([&] { return bury(name, force); }));
  co_return co_await clear(record.id);
}

// Makes the pool a tombstone: no new containers, no label, and a crash from here on leads to its end.
Task<Result<PoolRecord>> Pools::bury(std::string name, bool force) {
  CO_TRY(auto pool, co_await store_.find_pool(std::move(name)));
  PoolRecord& record = pool.record;
  if (record.containers != 0 && !force) {
    co_return failf(Code::kNotEmpty, "pool '{}' has {} containers: destroy them first, or all at once with --force",
                    record.label, record.containers);
  }
  record.destroying = true;
  Transaction change;
  change.require(pool_key(record.id), pool.revision).put(pool_key(record.id), encode(record));
  change.erase(pool_label_key(record.label));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return std::move(record);
}

Task<Result<>> Pools::clear(Uuid pool) {
  CO_TRY(const auto members, co_await store_.members(pool));
  for (const Uuid& container : members) CO_CHECK_OK(co_await containers_.destroy_record(container));
  co_return co_await without_conflict<void>([&] { return erase(pool); });
}

Task<Result<>> Pools::erase(Uuid pool) {
  CO_TRY(const auto found, co_await store_.pool(pool));
  if (!found) co_return Result<>();
  CO_TRY(const auto promised, co_await store_.number(kPromisedKey));
  if (promised.record < found->record.size_bytes) {
    co_return failf(Code::kCorrupt, "pools promise {} bytes in all, less than pool '{}' with {} bytes", promised.record,
                    found->record.label, found->record.size_bytes);
  }
  Transaction change;
  change.require(pool_key(pool), found->revision).erase(pool_key(pool));
  change.require(kPromisedKey, promised.revision)
      .put(kPromisedKey, std::to_string(promised.record - found->record.size_bytes));
  CO_CHECK_OK(co_await cluster::erase_stored_map(store_.coordinator(), pool, change));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  accounts_.forget_pool(pool);
  co_return Result<>();
}

Task<Result<>> Pools::check(Uuid pool) {
  CO_TRY(const auto found, co_await store_.pool(pool));
  if (!found || found->record.destroying) co_return failf(Code::kPoolNotFound, "no pool {}", pool.to_string());
  co_return Result<>();
}

Task<Result<>> Pools::resume() {
  CO_TRY(const auto records, co_await store_.pools());
  for (const PoolRecord& record : records) {
    if (record.destroying) CO_CHECK_OK(co_await clear(record.id));
  }
  co_return Result<>();
}

Task<Result<PoolInfo>> Pools::info(PoolRecord record) {
  PoolInfo info{.id = record.id,
                .label = record.label,
                .size_bytes = record.size_bytes,
                .containers = record.containers,
                .properties = record.properties,
                .redundancy = record.redundancy};
  CO_TRY(const auto members, co_await store_.members(record.id));
  for (const Uuid& container : members) {
    CO_TRY(const object::Usage used, co_await targets_.used(container));
    info.used_bytes += used.bytes;
    info.used_objects += used.objects;
  }
  CO_TRY(const auto stored, co_await cluster::load_stored_map(store_.coordinator(), record.id));
  if (stored) describe_map(*stored, info);
  CO_TRY(const auto stopped, co_await cluster::load_stop(store_.coordinator()));
  if (stopped) info.state = info.state == "up" ? "stopped" : fmt::format("stopped ({})", info.state);
  co_return info;
}

}  // namespace cenote::engine
