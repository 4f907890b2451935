#include "control_records.h"

#include <charconv>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "json_fields.h"

namespace cenote::engine {
namespace {

constexpr const char* kStates[] = {"creating", "ready", "destroying"};

/// Containers and snapshots go through the same states.
template <typename State>
Result<State> decode_state(std::string_view name) {
  for (std::size_t number = 0; number < std::size(kStates); ++number) {
    if (name == kStates[number]) return static_cast<State>(number);
  }
  return failf(Code::kMalformed, "state is '{}'", printable(as_bytes(name)));
}

constexpr std::uint64_t kSystemFormat = 1;

Result<SystemIdentity> parse_system(std::string_view value) {
  TRY(const Json json, parse_object(value));
  TRY(const std::uint64_t oldest, number_field(json, "oldest_reader"));
  if (oldest > kSystemFormat) {
    return failf(Code::kNewerFormat, "the system's coordinator needs a Cenote that reads format {}; this one reads {}",
                 oldest, kSystemFormat);
  }
  SystemIdentity system;
  TRY(system.id, uuid_field(json, "id"));
  TRY(system.name, text_field(json, "name"));
  return system;
}

Result<PoolRecord> parse_pool(const Uuid& id, std::string_view value) {
  TRY(const Json json, parse_object(value));
  PoolRecord record;
  record.id = id;
  TRY(record.label, text_field(json, "label"));
  TRY(record.size_bytes, number_field(json, "size"));
  TRY(const std::uint64_t containers, number_field(json, "containers"));
  record.containers = static_cast<std::uint32_t>(containers);
  TRY(const std::uint64_t destroying, number_field(json, "destroying"));
  if (containers > UINT32_MAX || destroying > 1) return fail(Code::kMalformed, "a number is out of its range");
  record.destroying = destroying != 0;
  if (json.contains("properties")) {
    TRY(record.properties, texts_field(json, "properties"));
  }
  if (json.contains("redundancy")) {
    TRY(const std::uint64_t redundancy, number_field(json, "redundancy"));
    if (redundancy > cluster::kMaxPoolRedundancy) return fail(Code::kMalformed, "a number is out of its range");
    record.redundancy = static_cast<std::uint32_t>(redundancy);
  }
  return record;
}

Result<ContainerRecord> parse_container(const Uuid& id, std::string_view value) {
  TRY(const Json json, parse_object(value));
  ContainerRecord record;
  record.id = id;
  TRY(record.pool, uuid_field(json, "pool"));
  TRY(record.label, text_field(json, "label"));
  TRY(record.type, text_field(json, "type"));
  TRY(const std::string state, text_field(json, "state"));
  TRY(record.state, decode_state<ContainerRecord::State>(state));
  if (json.contains("placement")) {
    TRY(record.placement_seed, number_field(json, "placement"));
  }
  if (!json.contains("clone_of")) return record;
  CloneOf& clone_of = record.clone_of.emplace();
  TRY(clone_of.container, uuid_field(json, "clone_of"));
  TRY(const std::uint64_t epoch, number_field(json, "cloned_at"));
  clone_of.epoch = Epoch(epoch);
  if (!json.contains("flattening")) return record;
  TRY(const std::uint64_t flattening, number_field(json, "flattening"));
  if (flattening > 1) return fail(Code::kMalformed, "a number is out of its range");
  record.flattening = flattening != 0;
  return record;
}

Result<SnapshotRecord> parse_snapshot(std::string_view key, std::string_view value) {
  SnapshotRecord record;
  const std::size_t slash = key.rfind('/');
  const std::size_t start = std::string_view(kSnapshotPrefix).size();
  if (!key.starts_with(kSnapshotPrefix) || slash == std::string_view::npos || slash < start)
    return fail(Code::kMalformed, "its key is none");
  TRY(record.container, Uuid::parse(key.substr(start, slash - start)));
  record.name = key.substr(slash + 1);
  TRY(const Json json, parse_object(value));
  TRY(record.id, uuid_field(json, "id"));
  TRY(const std::uint64_t epoch, number_field(json, "epoch"));
  record.epoch = Epoch(epoch);
  TRY(const std::string state, text_field(json, "state"));
  TRY(record.state, decode_state<SnapshotRecord::State>(state));
  return record;
}

Result<RollbackRecord> parse_rollback(const Uuid& container, std::string_view value) {
  TRY(const Json json, parse_object(value));
  RollbackRecord record;
  record.container = container;
  TRY(record.id, uuid_field(json, "id"));
  TRY(const std::uint64_t epoch, number_field(json, "epoch"));
  record.to = Epoch(epoch);
  TRY(const std::uint64_t done, number_field(json, "done"));
  if (done > 1) return fail(Code::kMalformed, "a number is out of its range");
  record.done = done != 0;
  return record;
}

Result<RecoveryRecord> parse_recovery(std::string_view value) {
  TRY(const Json json, parse_object(value));
  RecoveryRecord record;
  TRY(record.count, number_field(json, "count"));
  TRY(const std::uint64_t keeps, number_field(json, "keeps_unknown"));
  if (keeps > 1) return fail(Code::kMalformed, "a number is out of its range");
  record.keeps_unknown = keeps != 0;
  if (json.contains("of_revision")) {
    TRY(record.of_revision, number_field(json, "of_revision"));
  }
  return record;
}

}  // namespace

std::string encode(const SystemIdentity& system) {
  return json_text(Json{{"format", kSystemFormat},
                        {"oldest_reader", kSystemFormat},
                        {"id", system.id.to_string()},
                        {"name", system.name}});
}

std::string encode(const PoolRecord& record) {
  Json json{{"label", record.label},
            {"size", record.size_bytes},
            {"containers", record.containers},
            {"destroying", record.destroying ? 1U : 0U}};
  if (!record.properties.empty()) json["properties"] = record.properties;
  if (record.redundancy != 0) json["redundancy"] = record.redundancy;
  return json_text(json);
}

std::string encode(const ContainerRecord& record) {
  Json json{{"pool", record.pool.to_string()},
            {"label", record.label},
            {"type", record.type},
            {"state", kStates[static_cast<std::uint8_t>(record.state)]}};
  if (record.placement_seed != 0) json["placement"] = record.placement_seed;
  if (record.clone_of) {
    json["clone_of"] = record.clone_of->container.to_string();
    json["cloned_at"] = record.clone_of->epoch.value();
    if (record.flattening) json["flattening"] = 1U;
  }
  return json_text(json);
}

std::string encode(const SnapshotRecord& record) {
  return json_text(Json{{"id", record.id.to_string()},
                        {"epoch", record.epoch.value()},
                        {"state", kStates[static_cast<std::uint8_t>(record.state)]}});
}

std::string encode(const RollbackRecord& record) {
  return json_text(Json{{"id", record.id.to_string()}, {"epoch", record.to.value()}, {"done", record.done ? 1U : 0U}});
}

std::string encode(const RecoveryRecord& record) {
  Json json{{"count", record.count}, {"keeps_unknown", record.keeps_unknown ? 1U : 0U}};
  if (record.of_revision != 0) json["of_revision"] = record.of_revision;
  return json_text(json);
}

Result<SystemIdentity> decode_system(std::string_view value) {
  auto system = parse_system(value);
  if (!system && !(system.error() == Code::kNewerFormat))
    return failf(Code::kCorrupt, "the record of the system is damaged: {}", system.error().message());
  return system;
}

Result<RecoveryRecord> decode_recovery(std::string_view value) {
  auto record = parse_recovery(value);
  if (!record) return failf(Code::kCorrupt, "the record of a recovery is damaged: {}", record.error().message());
  return record;
}

Result<RollbackRecord> decode_rollback(const Uuid& container, std::string_view value) {
  auto record = parse_rollback(container, value);
  if (!record) {
    return failf(Code::kCorrupt, "the record of a rollback of container {} is damaged: {}", container.to_string(),
                 record.error().message());
  }
  return record;
}

Result<PoolRecord> decode_pool(const Uuid& id, std::string_view value) {
  auto record = parse_pool(id, value);
  if (!record)
    return failf(Code::kCorrupt, "the record of pool {} is damaged: {}", id.to_string(), record.error().message());
  return record;
}

Result<ContainerRecord> decode_container(const Uuid& id, std::string_view value) {
  auto record = parse_container(id, value);
  if (!record) {
    return failf(Code::kCorrupt, "the record of container {} is damaged: {}", id.to_string(), record.error().message());
  }
  return record;
}

Result<SnapshotRecord> decode_snapshot(std::string_view key, std::string_view value) {
  auto record = parse_snapshot(key, value);
  if (!record) {
    return failf(Code::kCorrupt, "the record of a snapshot under '{}' is damaged: {}", printable(as_bytes(key)),
                 record.error().message());
  }
  return record;
}

Result<std::uint64_t> decode_number(std::string_view key, std::string_view value) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    return failf(Code::kCorrupt, "the number under '{}' in the control state is damaged", key);
  }
  return number;
}

std::string pool_key(const Uuid& pool) { return kPoolPrefix + pool.to_string(); }
std::string pool_label_key(std::string_view label) { return fmt::format("pool-label/{}", label); }
std::string container_key(const Uuid& container) { return kContainerPrefix + container.to_string(); }
std::string container_label_key(const Uuid& pool, std::string_view label) {
  return fmt::format("container-label/{}/{}", pool.to_string(), label);
}
std::string member_prefix(const Uuid& pool) { return fmt::format("member/{}/", pool.to_string()); }
std::string member_key(const Uuid& pool, const Uuid& container) { return member_prefix(pool) + container.to_string(); }
std::string property_prefix(const Uuid& container) { return fmt::format("property/{}/", container.to_string()); }
std::string snapshot_prefix(const Uuid& container) { return kSnapshotPrefix + container.to_string() + "/"; }
std::string snapshot_key(const Uuid& container, std::string_view name) {
  return snapshot_prefix(container) + std::string(name);
}
std::string rollback_key(const Uuid& container) { return kRollbackPrefix + container.to_string(); }
std::string oid_key(const Uuid& container) { return "oid/" + container.to_string(); }
std::string engine_key(const Uuid& engine) { return "engine/" + engine.to_string(); }

Result<Uuid> id_of_key(std::string_view key) {
  auto id = Uuid::parse(key.substr(key.rfind('/') + 1));
  if (!id)
    return failf(Code::kCorrupt, "the control state has a key '{}' that names no UUID", printable(as_bytes(key)));
  return id;
}

}  // namespace cenote::engine
