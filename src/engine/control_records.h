#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/engine/identity.h"
#include "cenote/protocol/control_requests.h"

namespace cenote::engine {

// What the engine keeps in the coordinator (docs/formats/control-state.md):
//
//   system                    SystemIdentity, where several engines share the coordinator
//   recovered                 RecoveryRecord, where the coordinator was lost once
//   import                    SystemIdentity, until everything of a system is there that is brought from elsewhere
//   pool/<pool>               PoolRecord
//   pool-label/<label>        the pool's UUID
//   promised                  sum of the sizes of all pools; its revision orders creations and destructions of pools
//   container/<container>     ContainerRecord
//   container-label/<pool>/<label>   the container's UUID
//   member/<pool>/<container>        empty: the containers of a pool
//   property/<container>/<name>      value of a property
//   snapshot/<container>/<name>      SnapshotRecord
//   rollback/<container>             RollbackRecord
//   oid/<container>           first object number that was never leased
//   engine/<engine>           number of this engine's starts

struct PoolRecord {
  Uuid id;
  std::string label;
  std::uint64_t size_bytes = 0;
  std::uint32_t containers = 0;                        ///< that are being created or ready
  bool destroying = false;                             ///< tombstone: no label any more, its containers are going
  std::map<std::string, std::string> properties = {};  ///< limits beside the size
  std::uint32_t redundancy = 0;                        ///< engines that can be lost without loss of data
  friend bool operator==(const PoolRecord&, const PoolRecord&) = default;
};

struct ContainerRecord {
  enum class State : std::uint8_t {
    kCreating,  ///< some targets may not know it yet; nobody was told that it exists
    kReady,
    kDestroying,  ///< tombstone: some targets may still have it; its label is free
  };
  Uuid id;
  Uuid pool;
  std::string label;
  std::string type;
  State state = State::kCreating;
  std::optional<CloneOf> clone_of = std::nullopt;
  bool flattening = false;           ///< the clone is to become none
  std::uint64_t placement_seed = 0;  ///< as of cluster::PlacementSeed
  friend bool operator==(const ContainerRecord&, const ContainerRecord&) = default;
};

struct SnapshotRecord {
  enum class State : std::uint8_t {
    kCreating,  ///< some targets may not have it yet; nobody was told that it exists
    kReady,
    kDestroying,  ///< some targets may still have it; nobody sees it any more
  };
  Uuid container;
  std::string name;
  Uuid id;  ///< of the request that made it
  Epoch epoch;
  State state = State::kCreating;
  friend bool operator==(const SnapshotRecord&, const SnapshotRecord&) = default;
};

/// The last rollback of a container.
struct RollbackRecord {
  Uuid container;
  Uuid id;  ///< of the request
  Epoch to;
  bool done = false;  ///< no: some targets may not have rolled back yet
  friend bool operator==(const RollbackRecord&, const RollbackRecord&) = default;
};

/// That the coordinator was lost and made anew of copies (control_recovery.h).
struct RecoveryRecord {
  std::uint64_t count = 0;        ///< how often
  bool keeps_unknown = true;      ///< what targets hold and no record knows is kept, as the copy may have been too old
  std::uint64_t of_revision = 0;  ///< of the copy that was taken; 0: an earlier version did not note it
  friend bool operator==(const RecoveryRecord&, const RecoveryRecord&) = default;
};

std::string encode(const SystemIdentity& system);
std::string encode(const PoolRecord& record);
std::string encode(const ContainerRecord& record);
std::string encode(const SnapshotRecord& record);
std::string encode(const RollbackRecord& record);
std::string encode(const RecoveryRecord& record);
/// kCorrupt; kNewerFormat where only a newer version can read it.
Result<SystemIdentity> decode_system(std::string_view value);
/// kCorrupt naming the record; `id` is the one its key names.
Result<PoolRecord> decode_pool(const Uuid& id, std::string_view value);
Result<ContainerRecord> decode_container(const Uuid& id, std::string_view value);
Result<RollbackRecord> decode_rollback(const Uuid& container, std::string_view value);
Result<RecoveryRecord> decode_recovery(std::string_view value);
/// Container and name come from the key.
Result<SnapshotRecord> decode_snapshot(std::string_view key, std::string_view value);
/// A decimal number kept under `key`.
Result<std::uint64_t> decode_number(std::string_view key, std::string_view value);

inline constexpr const char* kSystemKey = "system";
inline constexpr const char* kImportKey = "import";
inline constexpr const char* kRecoveredKey = "recovered";
inline constexpr const char* kPromisedKey = "promised";
inline constexpr const char* kPoolPrefix = "pool/";
inline constexpr const char* kContainerPrefix = "container/";
std::string pool_key(const Uuid& pool);
std::string pool_label_key(std::string_view label);
std::string container_key(const Uuid& container);
std::string container_label_key(const Uuid& pool, std::string_view label);
std::string member_prefix(const Uuid& pool);
std::string member_key(const Uuid& pool, const Uuid& container);
std::string property_prefix(const Uuid& container);
inline constexpr const char* kSnapshotPrefix = "snapshot/";
std::string snapshot_prefix(const Uuid& container);
std::string snapshot_key(const Uuid& container, std::string_view name);
inline constexpr const char* kRollbackPrefix = "rollback/";
std::string rollback_key(const Uuid& container);
std::string oid_key(const Uuid& container);
std::string engine_key(const Uuid& engine);
/// The UUID that a key ends with.
Result<Uuid> id_of_key(std::string_view key);

}  // namespace cenote::engine
