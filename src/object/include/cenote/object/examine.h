#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/epoch.h"
#include "cenote/base/uuid.h"
#include "cenote/object/compression.h"
#include "cenote/protocol/object_id.h"
#include "cenote/store/examine.h"

/// Looking into the store of a target that nobody has open: reads only, and goes on after damage.
namespace cenote::object {

/// One entry of a container's tree, in words.
struct EntryDescription {
  ObjectId object;
  std::optional<std::string> dkey, akey;  ///< printable; nullopt where the entry is of a level above
  std::string type;                       ///< "punch", "array", "single", "extent", "hole"
  Epoch epoch;
  std::optional<std::uint64_t> first;  ///< record, of extents and holes
  std::optional<std::uint64_t> records;
  std::uint32_t record_bytes = 0;  ///< of arrays and extents
  std::uint64_t bytes = 0;         ///< of data
  bool holds_data = false;
  bool is_inline = false;
  bool checksummed = false;
  Compression compression = Compression::kNone;  ///< of data that became smaller by it
  bool encrypted = false;
  std::vector<store::Extent> extents;
};
/// kCorrupt or kNewerFormat: these bytes are no entry of a container, or the value does not fit its key.
Result<EntryDescription> describe_entry(ByteView key, ByteView value);
/// Where an entry of a container's tree stands.
struct EntryPlace {
  ObjectId object;
  Bytes dkey;
};
/// Of a key in the tree. kMalformed: it is none below a dkey.
Result<EntryPlace> dkey_of(ByteView key);
/// An entry of a container's tree whose data is damaged.
struct DamagedEntry {
  Bytes key;
  EntryDescription entry;
};
/// "object 0002..., dkey 'x', akey 'y', record 12": as much as the beginning of a key tells, also a cut one.
std::string describe_key_prefix(ByteView key);
/// Whether a tree of this name holds a container's entries.
bool is_container_tree(std::string_view name);
/// The container that each tree belongs to, destroyed ones left out; empty if the store is no target's.
Task<std::vector<std::pair<store::TreeId, Uuid>>> container_trees(store::Examination& examination);

/// A finding and, where it is about what users stored, whose and what.
struct TargetFinding {
  store::Finding finding;
  std::optional<Uuid> container;
  std::optional<ObjectId> object;
  std::optional<std::string> dkey, akey;
  std::optional<Epoch> epoch;
  std::optional<std::uint64_t> first, records;  ///< of an array, those that cannot be read
  /// Of damaged data: its entry's key in the container's tree. Not kept; empty: not known.
  Bytes key = {};
};

struct TargetCheckOptions {
  Uuid system;  ///< Whose it has to be; null: anyone's.
  Uuid target;
  std::uint64_t cache_bytes = 256ull << 20;
  std::optional<SecretKey> key = std::nullopt;  ///< of an encrypted store
  bool data = true;                             ///< Read all stored data and compare it with its checksums.
  std::function<void(const TargetFinding&)> found = [](const TargetFinding&) {};
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = [](std::uint64_t, std::uint64_t) {};
};

struct TargetCheckReport {
  bool recovered = false;  ///< false: the store does not open, and this is about its checkpoint
  store::ExamineTotals store;
  std::uint64_t containers = 0, objects = 0, dkeys = 0, akeys = 0, entries = 0;
  std::uint64_t inline_bytes = 0, stored_bytes = 0;
  std::uint64_t verified_bytes = 0;     ///< read and equal to their checksums
  std::uint64_t unprotected_bytes = 0;  ///< of containers without checksums: read, if data is read
  std::uint64_t skipped_bytes = 0;      ///< perhaps overwritten by what the log says, which could not be replayed
  std::uint64_t damages = 0, warnings = 0;
};

/// Proves that a target's store is whole, or names everything that is not: superblocks, log, maps, every page of every
/// tree, every block used exactly once or free, every entry, and the data of every entry. Errors as of
/// store::Examination::open; damage is in the findings. Memory: as of store::Examination, and 32 MiB for data.
Task<Result<TargetCheckReport>> check_target(Reactor& reactor, store::Devices devices, TargetCheckOptions options);

/// What the versions of one container take.
struct ContainerSpace {
  store::TreeId tree{};
  std::optional<Uuid> container;  ///< nullopt: destroyed and being reclaimed, or its record cannot be read
  std::uint64_t versions = 0;
  std::uint64_t inline_bytes = 0, stored_bytes = 0;
  std::uint64_t extents = 0, blocks = 0;
};
/// Of every container tree, by tree. Reads all entries.
Task<std::vector<ContainerSpace>> container_space(store::Examination& examination);

/// One version that is stored of an object, and what reading its data gave.
struct StoredVersion {
  EntryDescription entry;
  std::string data;  ///< "ok", "no checksum", "none", "damaged: ..."
};
struct ShowObjectOptions {
  Uuid container;
  ObjectId object;
  std::optional<std::string> dkey;  ///< printable; only this one
  std::function<void(const StoredVersion&)> found = [](const StoredVersion&) {};
};
/// Every version of one object that is stored, newest first at each place. kContainerNotFound, kNotFound.
Task<Result<>> show_object(store::Examination& examination, ShowObjectOptions options);

/// The kept result of a request that may be resent: what makes an update, a punch or a transaction take effect once.
struct KeptRequest {
  std::uint64_t session = 0, sequence = 0;
  Epoch epoch;                      ///< of what it changed
  WallTime expiry{};                ///< it is not executed after this
  bool acknowledged = false;        ///< its client has seen the answer, as far as the store knows
  std::optional<std::string> flaw;  ///< set: it cannot be read, and this is why
};
struct ShowRequestsOptions {
  std::optional<std::uint64_t> session;  ///< only this one
  std::function<void(const KeptRequest&)> found = [](const KeptRequest&) {};
};
/// All of them, by session and sequence. kNotFound: the store is no target's.
Task<Result<>> show_requests(store::Examination& examination, ShowRequestsOptions options);

}  // namespace cenote::object
