#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote {

// What the control service of a system speaks of. On the wire these are JSON, the same over the control port's HTTP
// (docs/protocols/admin.md) and over the rpc opcode `kAdmin`, so that one address is enough for every tool.

inline constexpr std::uint32_t kMaxLabelBytes = 127;
inline constexpr std::uint32_t kMaxPropertyBytes = 1024;
inline constexpr std::uint32_t kMaxProperties = 64;

/// What an admin request does; the numbers travel in Opcode::kAdmin, the names are HTTP's.
enum class AdminMethod : std::uint8_t { kGet = 1, kPost = 2, kPatch = 3, kDelete = 4 };

struct TargetInfo {
  std::uint32_t index = 0;
  Uuid id;
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::string state;       ///< "up", "fenced: <reason>"
  bool encrypted = false;  ///< what its store writes
};

/// What EngineInfo::state says: whether an engine has a valid registration, or that the coordinator was not there to
/// ask.
inline constexpr const char* kEngineUp = "up";
inline constexpr const char* kEngineGone = "gone";
inline constexpr const char* kEngineUnknown = "unknown";

/// One engine of the system, whether it runs or not.
struct EngineInfo {
  std::uint32_t rank = 0;  ///< its number within the system
  Uuid id;
  // Of one that is gone: empty.
  std::vector<std::string> addresses = {};  ///< where clients reach it
  std::string control_address = {};
  std::string fault_domain = {};
  std::string state;
  /// Its targets are these among those of the system: so many from this one on.
  std::uint32_t first_target = 0;
  std::uint32_t targets = 0;
  bool leader = false;  ///< the control service, which changes pools and containers, runs there
  friend bool operator==(const EngineInfo&, const EngineInfo&) = default;
};

/// A pool with engines that are lost, or gone.
struct PoolTrouble {
  Uuid id;
  std::string label;  ///< "" while the coordinator cannot be asked
  std::string state;  ///< as of PoolInfo
  friend bool operator==(const PoolTrouble&, const PoolTrouble&) = default;
};

struct SystemInfo {
  Uuid system;
  std::string name;
  std::string version;
  std::uint32_t map_version = 0;
  std::vector<TargetInfo> targets;
  std::string data_address;
  std::string control_address;
  bool encrypted = false;  ///< what the control store writes: names and properties of pools and containers
  /// Of the control store, as of a target: "up", or why pools and containers cannot be changed.
  std::string control_state = "up";
  /// By rank; the rest is about the one that was asked. Empty from an engine of before 0.3.
  std::vector<EngineInfo> engines = {};
  /// The pools of that engine that are not as they should be.
  std::vector<PoolTrouble> degraded_pools = {};
  /// Since when the system is stopped (system_stop.h), in seconds since 1970; 0: it is not.
  std::uint64_t stopped_since_s = 0;
};

/// Where the coordinator of a system is.
struct CoordinatorInfo {
  Uuid system;
  std::string name;                         ///< of the system
  std::vector<std::string> endpoints = {};  ///< of etcd; none: the one engine of the system has it in itself
  std::string root = {};                    ///< what all keys of the system begin with there
  bool managed = false;                     ///< engines of the system run etcd themselves
  friend bool operator==(const CoordinatorInfo&, const CoordinatorInfo&) = default;
};

/// Takes into use what the devices of targets have become larger by.
struct GrowTargets {
  std::optional<std::uint32_t> target;  ///< none: all
  /// Makes the files that hold the data so large first; 0: leaves them as they are.
  std::uint64_t size_bytes = 0;
};

/// An engine in the map of a pool.
struct MappedEngineInfo {
  std::uint32_t rank = 0;
  std::string state;        ///< of its targets: "up-in"; "down": it was lost, and is excluded
  std::uint64_t since = 0;  ///< the version of the map in which that changed last
  friend bool operator==(const MappedEngineInfo&, const MappedEngineInfo&) = default;
};

struct PoolInfo {
  Uuid id;
  std::string label;
  std::uint64_t size_bytes = 0;  ///< what was promised to the pool
  std::uint64_t used_bytes = 0;
  std::uint32_t containers = 0;
  std::uint64_t used_objects = 0;                 ///< as of ContainerInfo
  std::map<std::string, std::string> properties;  ///< limits beside the size
  std::uint32_t redundancy = 0;                   ///< engines that can be lost without loss of data
  /// "up"; "degraded: ", and which engines are lost or gone; "changing: ", while engines switch to a new map;
  /// "stopped", with the system, perhaps with one of those in brackets.
  std::string state = "up";
  // Of the newest map; none of a pool that was made before pools had maps.
  std::uint64_t map_version = 0;
  std::vector<MappedEngineInfo> engines = {};  ///< by rank
};

struct CreatePool {
  std::string label;
  std::uint64_t size_bytes = 0;  ///< 0: all that is free
  std::map<std::string, std::string> properties = {};
  std::uint32_t redundancy = 0;  ///< as of PoolInfo: 0 to 5
};

/// What a clone was made of.
struct CloneOf {
  Uuid container;  ///< which may be gone meanwhile
  Epoch epoch;
  friend bool operator==(const CloneOf&, const CloneOf&) = default;
};

/// How far the flattening of a clone is, over all targets, since it began or since the engine started.
struct FlattenInfo {
  std::uint64_t copied_bytes = 0, copied_objects = 0;
  std::uint64_t left_bytes = 0, left_objects = 0;  ///< about; grows while it is being counted, at the beginning
  std::uint64_t damaged = 0;                       ///< parts of objects that cannot be read, and so keep it a clone
  std::string obstacle;                            ///< why it does not go on at the moment; empty: nothing does
  friend bool operator==(const FlattenInfo&, const FlattenInfo&) = default;
};

struct ContainerInfo {
  Uuid id;
  Uuid pool;
  std::string label;
  std::string type;  ///< "kv", "posix" or "" for untyped
  std::map<std::string, std::string> properties;
  std::uint64_t used_bytes = 0;  ///< of a clone: what it holds itself
  std::optional<CloneOf> clone_of = std::nullopt;
  /// Each object counts once for every target that holds something of it.
  std::uint64_t used_objects = 0;
  /// Of a clone that is being flattened.
  std::optional<FlattenInfo> flattening = std::nullopt;
  /// Enters into where its objects are placed: a clone has that of its source. Of no meaning in
  /// pools that were made without a map.
  std::uint64_t placement_seed = 0;
  /// Engines that may be lost without loss of data, as its pool asks for: below kMaxReplicas. Every object of it is of
  /// a class that keeps that much.
  std::uint32_t redundancy = 0;
};

struct CreateContainer {
  std::string pool;
  std::string label;
  std::string type;
  std::map<std::string, std::string> properties;  ///< "checksum": "crc32c" | "off"; user properties start with "user."
};

/// A new container that shows what another one of the same pool shows.
struct CloneContainer {
  std::string pool;
  std::string source;    ///< label or UUID
  std::string snapshot;  ///< of the source; empty: as it is now
  std::string label;     ///< of the new one
};

/// A named state of a container: what readers at its epoch see is kept until it is destroyed.
struct SnapshotInfo {
  std::string name;
  Epoch epoch;  ///< near the time of its creation, in nanoseconds since 1970
};

/// Labels: 1 to kMaxLabelBytes of letters, digits, '.', '_', '-', ':'; not the form of a UUID.
Result<> validate_label(std::string_view what, std::string_view label);

// JSON forms. Readers ignore members they do not know (later versions add some) and refuse missing or mistyped ones
// (kMalformed, naming the member).
std::string to_json(const SystemInfo& info);
std::string to_json(const CoordinatorInfo& info);
std::string to_json(const GrowTargets& request);
std::string to_json(const PoolInfo& info);
std::string to_json(const std::vector<PoolInfo>& pools);
std::string to_json(const CreatePool& request);
std::string to_json(const ContainerInfo& info);
std::string to_json(const std::vector<ContainerInfo>& containers);
std::string to_json(const CreateContainer& request);
/// The body of a POST on the clones of a container: label and snapshot.
std::string to_json(const CloneContainer& request);
std::string to_json(const SnapshotInfo& info);
std::string to_json(const std::vector<SnapshotInfo>& snapshots);
/// The body of a POST on the snapshots of a container.
std::string snapshot_request_to_json(std::string_view name);
/// An object of strings: the body of a PATCH on a container.
std::string to_json(const std::map<std::string, std::string>& properties);
Result<SystemInfo> system_info_from_json(std::string_view json);
Result<CoordinatorInfo> coordinator_info_from_json(std::string_view json);
Result<GrowTargets> grow_targets_from_json(std::string_view json);
Result<PoolInfo> pool_info_from_json(std::string_view json);
Result<std::vector<PoolInfo>> pools_from_json(std::string_view json);
Result<CreatePool> create_pool_from_json(std::string_view json);
Result<ContainerInfo> container_info_from_json(std::string_view json);
Result<std::vector<ContainerInfo>> containers_from_json(std::string_view json);
Result<CreateContainer> create_container_from_json(std::string_view json);
Result<CloneContainer> clone_container_from_json(std::string_view json);
Result<std::map<std::string, std::string>> properties_from_json(std::string_view json);
Result<SnapshotInfo> snapshot_info_from_json(std::string_view json);
Result<std::vector<SnapshotInfo>> snapshots_from_json(std::string_view json);
Result<std::string> snapshot_request_from_json(std::string_view json);

}  // namespace cenote
