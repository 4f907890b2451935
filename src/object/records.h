#pragma once

// What a target's object store keeps beside the containers' own trees (docs/formats/object.md): the system tree (clock
// ceiling, containers, their usage and aggregation bounds, containers being reclaimed) and the tree of request results.

#include <array>
#include <optional>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/sealer.h"
#include "cenote/base/uuid.h"
#include "cenote/object/object_store.h"
#include "cenote/object/space_account.h"
#include "cenote/store/types.h"
#include "rolled_back.h"

namespace cenote::object {

inline constexpr std::string_view kSystemTreeName = "object.system";
inline constexpr std::string_view kRequestTreeName = "object.requests";
/// Trees of containers are named by their number: a destroyed container keeps its name while its space is reclaimed.
std::string container_tree_name(store::TreeId tree);

using RecordBytes = SmallVector<std::byte, 48>;

enum class RecordKind : std::uint8_t {
  kCeiling = 1,     ///< no epoch above it was ever used
  kContainer = 2,   ///< by container id
  kUsage = 3,       ///< by container id
  kBound = 4,       ///< by container id: readers below it are refused
  kDestroying = 5,  ///< by tree number
  kSnapshot = 6,    ///< by container id and epoch: what readers at it see is kept
  kRollback = 7,    ///< by container id: its last rollback, and what is still to be removed
  kIncomplete = 8,  ///< by container id: a part of its history is still to be copied here
};

RecordBytes ceiling_key();
RecordBytes container_key(RecordKind kind, const Uuid& container);
RecordBytes destroying_key(store::TreeId tree);
/// 25 bytes: the epoch is big-endian, so that the snapshots of a container stand in their order.
RecordBytes snapshot_key(const Uuid& container, Epoch epoch);
/// 16 bytes: session, sequence, big-endian.
RecordBytes request_key(std::uint64_t session, std::uint64_t sequence);

struct SystemKey {
  RecordKind kind = RecordKind::kCeiling;
  Uuid container;
  store::TreeId tree;
  Epoch epoch;
};
Result<SystemKey> parse_system_key(ByteView key);

/// kCorrupt, kNewerFormat: no entry of the system tree, or not one that this build reads. Each by itself: whether the
/// entries fit each other only an examination of the whole tree tells.
Result<> check_system_record(ByteView key, ByteView value);

/// The key of a container, sealed under a key of its store's.
struct SealedKey {
  std::array<std::byte, kEnvelopeBytes> envelope{};
  std::array<std::byte, SecretKey::kBytes> key{};
  friend bool operator==(const SealedKey&, const SealedKey&) = default;
};

struct ContainerRecord {
  ContainerProperties properties;
  store::TreeId tree;
  /// Makes it a record of version 2, which builds that would merge what snapshots keep refuse.
  bool has_snapshots = false;
  /// Makes it one of version 3, which builds that would show what was taken back refuse.
  bool has_rollbacks = false;
  std::optional<SealedKey> key = std::nullopt;  ///< there exactly if the properties say encrypted
  // Either makes it one of version 5, which builds that would not look into the ancestors of a clone, or show what is
  // only kept for one, refuse.
  std::optional<CloneSource> clone = std::nullopt;
  bool kept = false;  ///< destroyed, but for what its clones see
};
RecordBytes encode_container(const ContainerRecord& record);
Result<ContainerRecord> decode_container(ByteView value);

/// Ceiling and bound: one number.
RecordBytes encode_number(std::uint64_t number);
Result<std::uint64_t> decode_number(ByteView value);

/// What a container holds. Builds that did not count objects left records without their number.
struct UsageRecord {
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> objects;
};
RecordBytes encode_usage(const Usage& used);
Result<UsageRecord> decode_usage(ByteView value);

/// A snapshot's record holds nothing but its version.
RecordBytes encode_snapshot();
Result<> decode_snapshot(ByteView value);

/// Nor does that of an incomplete container.
/// Carries what whoever copies to it has noted, at most kMaxHistoryProgressBytes.
Bytes encode_incomplete(ByteView progress);
Result<Bytes> decode_incomplete(ByteView value);

struct RollbackRecord {
  Uuid request;                    ///< that made the last rollback
  std::vector<RolledBack> ranges;  ///< ascending and apart
};
Bytes encode_rollback(const RollbackRecord& record);
Result<RollbackRecord> decode_rollback(ByteView value);

/// Where the reclamation of a destroyed container continues; empty: at its first key.
Bytes encode_destroying(ByteView position);
Result<ByteView> decode_destroying(ByteView value);

struct RequestRecord {
  Epoch epoch;  ///< the result
  WallTime expiry{};
  WallTime keep_until{};           ///< latest expiry of any request of the session so far
  std::uint64_t acknowledged = 0;  ///< of the session when this request ran
};
RecordBytes encode_request(const RequestRecord& record);
Result<RequestRecord> decode_request(ByteView value);

struct RequestKey {
  std::uint64_t session = 0, sequence = 0;
};
Result<RequestKey> parse_request_key(ByteView key);

}  // namespace cenote::object
