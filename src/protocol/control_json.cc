#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_class.h"
#include "json_members.h"
#include "mapped_engine_json.h"

namespace cenote {
namespace {

using namespace json;

Json json_of(const TargetInfo& target) {
  return {{"index", target.index},           {"id", target.id.to_string()}, {"total_bytes", target.total_bytes},
          {"free_bytes", target.free_bytes}, {"state", target.state},       {"encrypted", target.encrypted}};
}

Json json_of(const EngineInfo& engine) {
  return {{"rank", engine.rank},
          {"id", engine.id.to_string()},
          {"addresses", engine.addresses},
          {"control_address", engine.control_address},
          {"fault_domain", engine.fault_domain},
          {"state", engine.state},
          {"first_target", engine.first_target},
          {"targets", engine.targets},
          {"leader", engine.leader}};
}

Json json_of(const PoolTrouble& pool) {
  return {{"id", pool.id.to_string()}, {"label", pool.label}, {"state", pool.state}};
}

Json json_of(const PoolInfo& pool) {
  Json json{{"id", pool.id.to_string()},
            {"label", pool.label},
            {"size_bytes", pool.size_bytes},
            {"used_bytes", pool.used_bytes},
            {"used_objects", pool.used_objects},
            {"containers", pool.containers},
            {"properties", pool.properties},
            {"redundancy", pool.redundancy},
            {"state", pool.state}};
  if (pool.map_version == 0) return json;
  json["map_version"] = pool.map_version;
  Json& engines = json["engines"] = Json::array();
  for (const MappedEngineInfo& engine : pool.engines) engines.push_back(json::json_of(engine));
  return json;
}

Json json_of(const ContainerInfo& container) {
  Json json{{"id", container.id.to_string()},
            {"pool", container.pool.to_string()},
            {"label", container.label},
            {"type", container.type},
            {"properties", container.properties},
            {"used_bytes", container.used_bytes},
            {"used_objects", container.used_objects},
            {"placement_seed", container.placement_seed}};
  if (container.redundancy != 0) json["redundancy"] = container.redundancy;
  if (container.clone_of)
    json["clone_of"] = {{"container", container.clone_of->container.to_string()},
                        {"epoch", container.clone_of->epoch.value()}};
  if (const auto& flattening = container.flattening)
    json["flattening"] = {{"copied_bytes", flattening->copied_bytes}, {"copied_objects", flattening->copied_objects},
                          {"left_bytes", flattening->left_bytes},     {"left_objects", flattening->left_objects},
                          {"damaged", flattening->damaged},           {"obstacle", flattening->obstacle}};
  return json;
}

Json json_of(const SnapshotInfo& snapshot) { return {{"name", snapshot.name}, {"epoch", snapshot.epoch.value()}}; }

Result<TargetInfo> target_from(const Json& json) {
  Members members("target", json);
  TargetInfo target;
  target.index = members.small("index");
  target.id = members.uuid("id");
  target.total_bytes = members.number("total_bytes");
  target.free_bytes = members.number("free_bytes");
  target.state = members.text("state");
  target.encrypted = members.flag_or("encrypted", false);
  CHECK_OK(members.finish());
  return target;
}

Result<EngineInfo> engine_from(const Json& json) {
  Members members("engine", json);
  EngineInfo engine;
  engine.rank = members.small("rank");
  engine.id = members.uuid("id");
  if (const Json* addresses = members.array("addresses")) {
    for (const Json& address : *addresses) {
      if (!address.is_string()) return fail(Code::kMalformed, "engine: an address is no string");
      engine.addresses.push_back(address.get<std::string>());
    }
  }
  engine.control_address = members.text("control_address");
  engine.fault_domain = members.text_or("fault_domain", "");
  engine.state = members.text("state");
  engine.first_target = members.small("first_target");
  engine.targets = members.small("targets");
  engine.leader = members.flag_or("leader", false);
  CHECK_OK(members.finish());
  return engine;
}

Result<PoolTrouble> trouble_from(const Json& json) {
  Members members("degraded pool", json);
  PoolTrouble pool;
  pool.id = members.uuid("id");
  pool.label = members.text("label");
  pool.state = members.text("state");
  CHECK_OK(members.finish());
  return pool;
}

Result<PoolInfo> pool_from(const Json& json) {
  Members members("pool", json);
  PoolInfo pool;
  pool.id = members.uuid("id");
  pool.label = members.text("label");
  pool.size_bytes = members.number("size_bytes");
  pool.used_bytes = members.number("used_bytes");
  pool.containers = members.small("containers");
  // Servers of before 0.2 do not know these.
  pool.used_objects = members.number_or("used_objects", 0);
  pool.properties = members.texts("properties");
  // Nor those of before 0.3 these.
  pool.redundancy = members.small_or("redundancy", 0);
  pool.state = members.text_or("state", "up");
  pool.map_version = members.number_or("map_version", 0);
  CHECK_OK(read_list(json, "engines", members, mapped_engine_from, pool.engines));
  CHECK_OK(members.finish());
  return pool;
}

Result<SnapshotInfo> snapshot_from(const Json& json) {
  Members members("snapshot", json);
  SnapshotInfo snapshot;
  snapshot.name = members.text("name");
  snapshot.epoch = Epoch(members.number("epoch"));
  CHECK_OK(members.finish());
  return snapshot;
}

Result<ContainerInfo> container_from(const Json& json) {
  Members members("container", json);
  ContainerInfo container;
  container.id = members.uuid("id");
  container.pool = members.uuid("pool");
  container.label = members.text("label");
  container.type = members.text("type");
  container.properties = members.texts("properties");
  container.used_bytes = members.number("used_bytes");
  container.used_objects = members.number_or("used_objects", 0);
  container.placement_seed = members.number_or("placement_seed", 0);
  const std::uint64_t redundancy = members.number_or("redundancy", 0);
  if (redundancy >= kMaxReplicas) members.note("member 'redundancy' is too large");
  container.redundancy = static_cast<std::uint32_t>(redundancy);
  CHECK_OK(members.finish());
  if (const auto found = json.find("clone_of"); found != json.end()) {
    Members source("clone_of", *found);
    CloneOf& clone_of = container.clone_of.emplace();
    clone_of.container = source.uuid("container");
    clone_of.epoch = Epoch(source.number("epoch"));
    CHECK_OK(source.finish());
  }
  if (const auto found = json.find("flattening"); found != json.end()) {
    Members progress("flattening", *found);
    FlattenInfo& flattening = container.flattening.emplace();
    flattening.copied_bytes = progress.number("copied_bytes");
    flattening.copied_objects = progress.number("copied_objects");
    flattening.left_bytes = progress.number("left_bytes");
    flattening.left_objects = progress.number("left_objects");
    flattening.damaged = progress.number("damaged");
    flattening.obstacle = progress.text("obstacle");
    CHECK_OK(progress.finish());
  }
  return container;
}

/// Lists travel as {"<name>": [...]}, so that members can be added beside them.
template <typename T>
std::string list_to_json(const char* name, const std::vector<T>& list) {
  Json array = Json::array();
  for (const T& entry : list) array.push_back(json_of(entry));
  return dump({{name, std::move(array)}});
}

template <typename T>
Result<std::vector<T>> list_from_json(const char* name, std::string_view text, Result<T> (*read)(const Json&)) {
  TRY(const Json json, parse(name, text));
  Members members(name, json);
  std::vector<T> list;
  if (const Json* array = members.array(name)) {
    for (const Json& entry : *array) {
      TRY(auto value, read(entry));
      list.push_back(std::move(value));
    }
  }
  CHECK_OK(members.finish());
  return list;
}

}  // namespace

Result<> validate_label(std::string_view what, std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes) {
    return failf(Code::kInvalidArgument, "the {}'s label '{}' has {} bytes; allowed are 1 to {}", what, label,
                 label.size(), kMaxLabelBytes);
  }
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";
  if (label.find_first_not_of(kAllowed) != std::string_view::npos) {
    return failf(Code::kInvalidArgument, "the {}'s label '{}' may hold letters, digits, '.', '_', '-' and ':' only",
                 what, printable(as_bytes(label)));
  }
  // What neither a shell's user nor a path could name.
  if (label.front() == '-' || label == "." || label == "..")
    return failf(Code::kInvalidArgument, "the {}'s label '{}' may not be '.' or '..', nor begin with '-'", what, label);
  if (Uuid::parse(label))
    return failf(Code::kInvalidArgument, "the {}'s label '{}' has the form of a UUID", what, label);
  return {};
}

std::string to_json(const SystemInfo& info) {
  Json targets = Json::array();
  for (const TargetInfo& target : info.targets) targets.push_back(json_of(target));
  Json engines = Json::array();
  for (const EngineInfo& engine : info.engines) engines.push_back(json_of(engine));
  Json degraded = Json::array();
  for (const PoolTrouble& pool : info.degraded_pools) degraded.push_back(json_of(pool));
  return dump({{"system", info.system.to_string()},
               {"name", info.name},
               {"version", info.version},
               {"map_version", info.map_version},
               {"targets", std::move(targets)},
               {"engines", std::move(engines)},
               {"degraded_pools", std::move(degraded)},
               {"stopped_since_s", info.stopped_since_s},
               {"data_address", info.data_address},
               {"control_address", info.control_address},
               {"encrypted", info.encrypted},
               {"control_state", info.control_state}});
}

std::string to_json(const CoordinatorInfo& info) {
  return dump({{"system", info.system.to_string()},
               {"name", info.name},
               {"endpoints", info.endpoints},
               {"root", info.root},
               {"managed", info.managed}});
}

std::string to_json(const GrowTargets& request) {
  Json json{{"size_bytes", request.size_bytes}};
  if (request.target) json["target"] = *request.target;
  return dump(json);
}
std::string to_json(const PoolInfo& info) { return dump(json_of(info)); }
std::string to_json(const std::vector<PoolInfo>& pools) { return list_to_json("pools", pools); }
std::string to_json(const CreatePool& request) {
  return dump({{"label", request.label},
               {"size_bytes", request.size_bytes},
               {"properties", request.properties},
               {"redundancy", request.redundancy}});
}
std::string to_json(const ContainerInfo& info) { return dump(json_of(info)); }
std::string to_json(const std::vector<ContainerInfo>& containers) { return list_to_json("containers", containers); }
std::string to_json(const CreateContainer& request) {
  return dump(
      {{"pool", request.pool}, {"label", request.label}, {"type", request.type}, {"properties", request.properties}});
}
std::string to_json(const CloneContainer& request) {
  return dump({{"label", request.label}, {"snapshot", request.snapshot}});
}
std::string to_json(const SnapshotInfo& info) { return dump(json_of(info)); }
std::string to_json(const std::vector<SnapshotInfo>& snapshots) { return list_to_json("snapshots", snapshots); }
std::string snapshot_request_to_json(std::string_view name) { return dump({{"name", name}}); }
std::string to_json(const std::map<std::string, std::string>& properties) { return dump({{"properties", properties}}); }

Result<SystemInfo> system_info_from_json(std::string_view json) {
  TRY(const Json document, parse("system", json));
  Members members("system", document);
  SystemInfo info;
  info.system = members.uuid("system");
  info.name = members.text("name");
  info.version = members.text("version");
  info.map_version = members.small("map_version");
  info.data_address = members.text("data_address");
  info.control_address = members.text("control_address");
  info.encrypted = members.flag_or("encrypted", false);
  info.control_state = members.text_or("control_state", "up");
  info.stopped_since_s = members.number_or("stopped_since_s", 0);
  if (const Json* targets = members.array("targets")) {
    for (const Json& entry : *targets) {
      TRY(auto target, target_from(entry));
      info.targets.push_back(std::move(target));
    }
  }
  CHECK_OK(read_list(document, "engines", members, engine_from, info.engines));
  CHECK_OK(read_list(document, "degraded_pools", members, trouble_from, info.degraded_pools));
  CHECK_OK(members.finish());
  return info;
}

Result<CoordinatorInfo> coordinator_info_from_json(std::string_view json) {
  TRY(const Json document, parse("coordinator", json));
  Members members("coordinator", document);
  CoordinatorInfo info;
  info.system = members.uuid("system");
  info.name = members.text("name");
  if (const Json* endpoints = members.array("endpoints")) {
    for (const Json& endpoint : *endpoints) {
      if (!endpoint.is_string()) return fail(Code::kMalformed, "coordinator: an endpoint is no string");
      info.endpoints.push_back(endpoint.get<std::string>());
    }
  }
  info.root = members.text("root");
  info.managed = members.flag_or("managed", false);
  CHECK_OK(members.finish());
  return info;
}

Result<GrowTargets> grow_targets_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  GrowTargets request;
  if (document.is_object() && document.contains("target")) request.target = members.small("target");
  request.size_bytes = members.number_or("size_bytes", 0);
  CHECK_OK(members.finish());
  return request;
}

Result<PoolInfo> pool_info_from_json(std::string_view json) {
  TRY(const Json document, parse("pool", json));
  return pool_from(document);
}

Result<std::vector<PoolInfo>> pools_from_json(std::string_view json) {
  return list_from_json("pools", json, pool_from);
}

Result<CreatePool> create_pool_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  CreatePool request;
  request.label = members.text("label");
  request.size_bytes = members.number_or("size_bytes", 0);
  request.properties = members.texts("properties");
  request.redundancy = members.small_or("redundancy", 0);
  CHECK_OK(members.finish());
  return request;
}

Result<ContainerInfo> container_info_from_json(std::string_view json) {
  TRY(const Json document, parse("container", json));
  return container_from(document);
}

Result<std::vector<ContainerInfo>> containers_from_json(std::string_view json) {
  return list_from_json("containers", json, container_from);
}

Result<CreateContainer> create_container_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  CreateContainer request;
  request.pool = members.text_or("pool", "");
  request.label = members.text("label");
  request.type = members.text_or("type", "");
  request.properties = members.texts("properties");
  CHECK_OK(members.finish());
  return request;
}

Result<CloneContainer> clone_container_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  CloneContainer request;
  request.label = members.text("label");
  request.snapshot = members.text_or("snapshot", "");
  CHECK_OK(members.finish());
  return request;
}

Result<std::map<std::string, std::string>> properties_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  auto properties = members.texts("properties");
  CHECK_OK(members.finish());
  return properties;
}

Result<SnapshotInfo> snapshot_info_from_json(std::string_view json) {
  TRY(const Json document, parse("snapshot", json));
  return snapshot_from(document);
}

Result<std::vector<SnapshotInfo>> snapshots_from_json(std::string_view json) {
  return list_from_json("snapshots", json, snapshot_from);
}

Result<std::string> snapshot_request_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  std::string name = members.text("name");
  CHECK_OK(members.finish());
  return name;
}

}  // namespace cenote
