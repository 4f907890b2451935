#include "control_store.h"

namespace cenote::engine {

using cluster::KeyValue;
using cluster::Revision;

Task<Result<std::optional<Versioned<PoolRecord>>>> ControlStore::pool(Uuid id) {
  CO_TRY(const auto entry, co_await coordinator_.get(pool_key(id)));
  if (!entry) co_return std::optional<Versioned<PoolRecord>>();
  CO_TRY(auto record, decode_pool(id, entry->value));
  co_return std::optional(Versioned<PoolRecord>{std::move(record), entry->modified});
}

Task<Result<std::optional<Versioned<ContainerRecord>>>> ControlStore::container(Uuid id) {
  CO_TRY(const auto entry, co_await coordinator_.get(container_key(id)));
  if (!entry) co_return std::optional<Versioned<ContainerRecord>>();
  CO_TRY(auto record, decode_container(id, entry->value));
  co_return std::optional(Versioned<ContainerRecord>{std::move(record), entry->modified});
}

Task<Result<std::optional<Uuid>>> ControlStore::resolve(std::string label_key, std::string name) {
  if (const auto id = Uuid::parse(name)) co_return std::optional(*id);
  CO_TRY(const auto entry, co_await coordinator_.get(std::move(label_key)));
  if (!entry) co_return std::optional<Uuid>();
  CO_TRY(const Uuid id, id_of_key(entry->value));
  co_return std::optional(id);
}

Task<Result<Versioned<PoolRecord>>> ControlStore::find_pool(std::string name) {
  CO_TRY(const auto id, co_await resolve(pool_label_key(name), name));
  std::optional<Versioned<PoolRecord>> found;
  if (id) {
    CO_TRY(found, co_await pool(*id));
  }
  if (!found || found->record.destroying) {
    co_return failf(Code::kPoolNotFound, "no pool '{}': list them with 'cenote pool list'", printable(as_bytes(name)));
  }
  co_return *std::move(found);
}

Task<Result<Versioned<ContainerRecord>>> ControlStore::find_container(PoolRecord pool, std::string name) {
  CO_TRY(const auto id, co_await resolve(container_label_key(pool.id, name), name));
  std::optional<Versioned<ContainerRecord>> found;
  if (id) {
    CO_TRY(found, co_await container(*id));
  }
  if (!found || found->record.pool != pool.id || found->record.state == ContainerRecord::State::kDestroying) {
    co_return failf(Code::kContainerNotFound, "pool '{}' has no container '{}': list them with 'cenote container list'",
                    pool.label, printable(as_bytes(name)));
  }
  co_return *std::move(found);
}

Task<Result<std::vector<PoolRecord>>> ControlStore::pools() {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, kPoolPrefix));
  std::vector<PoolRecord> records;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Uuid id, id_of_key(entry.key));
    CO_TRY(auto record, decode_pool(id, entry.value));
    records.push_back(std::move(record));
  }
  co_return records;
}

Task<Result<std::vector<ContainerRecord>>> ControlStore::containers() {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, kContainerPrefix));
  std::vector<ContainerRecord> records;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Uuid id, id_of_key(entry.key));
    CO_TRY(auto record, decode_container(id, entry.value));
    records.push_back(std::move(record));
  }
  co_return records;
}

Task<Result<std::vector<Uuid>>> ControlStore::members(Uuid pool) {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, member_prefix(pool)));
  std::vector<Uuid> ids;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Uuid id, id_of_key(entry.key));
    ids.push_back(id);
  }
  co_return ids;
}

Task<Result<std::optional<Versioned<SnapshotRecord>>>> ControlStore::snapshot(Uuid container, std::string name) {
  const std::string key = snapshot_key(container, name);
  CO_TRY(const auto entry, co_await coordinator_.get(key));
  if (!entry) co_return std::optional<Versioned<SnapshotRecord>>();
  CO_TRY(auto record, decode_snapshot(key, entry->value));
  co_return std::optional(Versioned<SnapshotRecord>{std::move(record), entry->modified});
}

Task<Result<std::vector<SnapshotRecord>>> ControlStore::snapshots(std::string prefix) {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, std::move(prefix)));
  std::vector<SnapshotRecord> records;
  for (const KeyValue& entry : entries) {
    CO_TRY(auto record, decode_snapshot(entry.key, entry.value));
    records.push_back(std::move(record));
  }
  co_return records;
}

Task<Result<std::optional<Versioned<RollbackRecord>>>> ControlStore::rollback(Uuid container) {
  CO_TRY(const auto entry, co_await coordinator_.get(rollback_key(container)));
  if (!entry) co_return std::optional<Versioned<RollbackRecord>>();
  CO_TRY(auto record, decode_rollback(container, entry->value));
  co_return std::optional(Versioned<RollbackRecord>{record, entry->modified});
}

Task<Result<std::vector<RollbackRecord>>> ControlStore::rollbacks() {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, kRollbackPrefix));
  std::vector<RollbackRecord> records;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Uuid id, id_of_key(entry.key));
    CO_TRY(auto record, decode_rollback(id, entry.value));
    records.push_back(record);
  }
  co_return records;
}

Task<Result<>> ControlStore::erase_all(std::string prefix) {
  CO_TRY(const auto entries, co_await cluster::range_all(coordinator_, std::move(prefix)));
  for (std::size_t next = 0; next < entries.size();) {
    cluster::Transaction change;
    // Room for what a leader's transactions require besides.
    for (; next < entries.size() && change.changes().size() + 1 < cluster::kMaxTransactionOperations; ++next)
      change.erase(entries[next].key);
    CO_CHECK_OK(co_await coordinator_.commit(std::move(change)));
  }
  co_return Result<>();
}

Task<Result<bool>> ControlStore::keeps_unknown() {
  CO_TRY(const auto entry, co_await coordinator_.get(kRecoveredKey));
  if (!entry) co_return false;
  CO_TRY(const RecoveryRecord record, decode_recovery(entry->value));
  co_return record.keeps_unknown;
}

Task<Result<Versioned<std::uint64_t>>> ControlStore::number(std::string key) {
  CO_TRY(const auto entry, co_await coordinator_.get(key));
  if (!entry) co_return Versioned<std::uint64_t>{0, Revision(0)};
  CO_TRY(const std::uint64_t value, decode_number(key, entry->value));
  co_return Versioned<std::uint64_t>{value, entry->modified};
}

}  // namespace cenote::engine
