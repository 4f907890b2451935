// Invariants: head, pieces and everything else of one version are written in one transaction; the active version is
// never above the wanted one, and both only grow.

#include "cenote/cluster/pool_map_store.h"

#include "cenote/base/format.h"
#include "cenote/cluster/system_stop.h"
#include "membership_format.h"

namespace cenote::cluster {
namespace {

/// Head, and pieces: at most 96 operations, so that 20 are left for what the caller requires.
constexpr std::size_t kMaxPieces = kMaxStoredMapBytes / kMaxStateValueBytes;
static_assert(kMaxPieces + 1 + 20 < kMaxTransactionOperations);
constexpr std::size_t kReportsErased = 8;
static_assert(kMaxPieces + 5 <= kMaxRangeEntries, "a map is read in one page, which is one moment");

Result<Bytes> encode_bounded(const PoolMap& map) {
  Bytes bytes = encode_pool_map(map);
  if (bytes.size() <= kMaxStoredMapBytes) return bytes;
  return failf(Code::kOutOfRange, "the map of pool {} has {} bytes: at most {} can be kept", map.pool().to_string(),
               bytes.size(), kMaxStoredMapBytes);
}

ByteView piece_of(const Bytes& bytes, std::size_t index) {
  const std::size_t from = std::min(index * kMaxStateValueBytes, bytes.size());
  return ByteView(bytes).subspan(from, std::min(kMaxStateValueBytes, bytes.size() - from));
}

std::size_t pieces_of(const Bytes& bytes) { return (bytes.size() + kMaxStateValueBytes - 1) / kMaxStateValueBytes; }

/// A change of a few targets rewrites the pieces that they lie in, and the first, which has version and checksum.
void put_pieces(Transaction& change, Uuid pool, const Bytes& before, const Bytes& after) {
  for (std::size_t i = 0; i < pieces_of(after); ++i) {
    const ByteView piece = piece_of(after, i);
    if (!equal(piece, piece_of(before, i))) change.put(piece_key(pool, i), to_text(piece));
  }
}

/// What one page of the coordinator says of a pool.
struct Entries {
  std::optional<HeadRecord> head;
  ActiveRecord active;
  std::vector<Rank> suspended;
  std::vector<Loss> losses;
  bool paused = false;
  Revision head_revision;
  Revision active_revision;
  Revision suspended_revision;
  Revision losses_revision;
  Bytes bytes;
};

Result<> take_entry(const KeyValue& entry, Uuid pool, Entries& found) {
  if (entry.key == head_key(pool)) {
    TRY(found.head, decode_head(entry.value));
    found.head_revision = entry.modified;
  } else if (entry.key == active_key(pool)) {
    TRY(found.active, decode_active(entry.value));
    found.active_revision = entry.modified;
  } else if (entry.key == suspended_key(pool)) {
    TRY(auto suspended, decode_suspended(entry.value));
    found.suspended = std::move(suspended.ranks);
    found.suspended_revision = entry.modified;
  } else if (entry.key == losses_key(pool)) {
    TRY(auto losses, decode_losses(entry.value));
    found.losses = std::move(losses.losses);
    found.losses_revision = entry.modified;
  } else if (entry.key == paused_key(pool)) {
    found.paused = true;
  } else if (entry.key == piece_key(pool, found.bytes.size() / kMaxStateValueBytes)) {
    const ByteView piece = as_bytes(entry.value);
    found.bytes.insert(found.bytes.end(), piece.begin(), piece.end());
  }
  return {};
}

Result<StoredMap> assemble(Uuid pool, const std::vector<KeyValue>& entries) {
  Entries found;
  for (const KeyValue& entry : entries) CHECK_OK(take_entry(entry, pool, found));
  if (!found.head || found.active.version == MapVersion(0) || found.bytes.size() != found.head->bytes)
    return failf(Code::kMalformed, "the map of pool {} is not whole", pool.to_string());
  TRY(PoolMap map, decode_pool_map(found.bytes));
  if (map.pool() != pool || map.version() != found.head->version || found.active.version > map.version())
    return failf(Code::kMalformed, "the map of pool {} is not the one that its head names", pool.to_string());
  return StoredMap{.map = std::move(map),
                   .redundancy = found.head->redundancy,
                   .active = found.active.version,
                   .closed = found.active.closed,
                   .suspended = std::move(found.suspended),
                   .losses = std::move(found.losses),
                   .paused = found.paused,
                   .head_revision = found.head_revision,
                   .active_revision = found.active_revision,
                   .suspended_revision = found.suspended_revision,
                   .losses_revision = found.losses_revision};
}

HeadRecord head_of(const PoolMap& map, const Bytes& bytes, std::uint32_t redundancy) {
  return {.version = map.version(), .bytes = static_cast<std::uint32_t>(bytes.size()), .redundancy = redundancy};
}

}  // namespace

Task<Result<>> create_stored_map(Coordinator& coordinator, PoolMap map, std::uint32_t redundancy, Transaction also,
                                 Until until) {
  CO_TRY(const Bytes bytes, encode_bounded(map));
  also.require(head_key(map.pool()), Revision(0))
      .put(head_key(map.pool()), encode(head_of(map, bytes, redundancy)))
      .put(active_key(map.pool()), encode(ActiveRecord{.version = map.version(), .closed = {}}));
  put_pieces(also, map.pool(), {}, bytes);
  CO_CHECK_OK(co_await coordinator.commit(std::move(also), until));
  co_return Result<>();
}

Task<Result<>> erase_stored_map(Coordinator& coordinator, Uuid pool, Transaction& change, Until until) {
  CO_TRY(const auto entries, co_await coordinator.range(pool_prefix(pool), "", kMaxRangeEntries, until));
  for (const KeyValue& entry : entries) {
    if (entry.key == head_key(pool)) change.require(entry.key, entry.modified);
    change.erase(entry.key);
  }
  // As many as there is room for: what stays is of no meaning without the map.
  CO_TRY(const auto moved, co_await coordinator.range(moved_prefix(pool), "", kReportsErased, until));
  for (const KeyValue& entry : moved) change.erase(entry.key);
  co_return Result<>();
}

Task<Result<std::optional<StoredMap>>> load_stored_map(Coordinator& coordinator, Uuid pool, Until until) {
  CO_TRY(const auto entries, co_await coordinator.range(pool_prefix(pool), "", kMaxRangeEntries, until));
  if (entries.empty()) co_return std::optional<StoredMap>();
  CO_TRY(auto stored, assemble(pool, entries));
  co_return std::optional(std::move(stored));
}

Result<StoredMap> stored_map_of(Uuid pool, const std::vector<KeyValue>& entries) { return assemble(pool, entries); }

Result<std::map<std::string, std::string>> values_of_map(const PoolMap& map, std::uint32_t redundancy) {
  TRY(const Bytes bytes, encode_bounded(map));
  std::map<std::string, std::string> values{{head_key(map.pool()), encode(head_of(map, bytes, redundancy))}};
  for (std::size_t i = 0; i < pieces_of(bytes); ++i)
    values.emplace(piece_key(map.pool(), i), to_text(piece_of(bytes, i)));
  return values;
}

Task<Result<std::vector<Uuid>>> list_stored_maps(Coordinator& coordinator, Until until) {
  std::vector<Uuid> pools;
  std::string after;
  for (;;) {
    CO_TRY(const auto first, co_await coordinator.range(std::string(kPoolPrefix), after, 1, until));
    if (first.empty()) co_return pools;
    CO_TRY(const Uuid pool, pool_of_key(first.front().key));
    pools.push_back(pool);
    after = pool_prefix(pool) + "~";  // behind every key of the pool
  }
}

Result<StoredMapWatch> StoredMapWatch::open(Coordinator& coordinator, Revision after) {
  TRY(auto watch, coordinator.watch(std::string(kMapsPrefix), after));
  return StoredMapWatch(std::move(watch));
}

Task<Result<std::set<Uuid>>> StoredMapWatch::next(Until until) {
  CO_TRY(const auto events, co_await watch_->next(until));
  std::set<Uuid> changed;
  stop_changed_ = false;
  for (const WatchEvent& event : events) {
    if (event.key == kStoppedKey) {
      stop_changed_ = true;
      continue;
    }
    CO_TRY(const Uuid pool, pool_of_key(event.key));
    changed.insert(pool);
  }
  co_return changed;
}

Task<Result<>> publish_map(Coordinator& coordinator, StoredMap from, PoolMap next, Transaction also, Until until) {
  ASSERT(next.pool() == from.map.pool() && next.version() > from.map.version());
  CO_TRY(const Bytes bytes, encode_bounded(next));
  const std::string head = head_key(next.pool());
  also.require(head, from.head_revision).put(head, encode(head_of(next, bytes, from.redundancy)));
  put_pieces(also, next.pool(), encode_pool_map(from.map), bytes);
  require_running(also);
  CO_CHECK_OK(co_await coordinator.commit(std::move(also), until));
  co_return Result<>();
}

Task<Result<>> pause_moves(Coordinator& coordinator, Uuid pool, bool paused, Until until) {
  CO_TRY(const auto head, co_await coordinator.get(head_key(pool), until));
  if (!head) co_return failf(Code::kPoolNotFound, "pool {} has no map", pool.to_string());
  Transaction change;
  // Only that there is one: which version it is does not matter.
  change.require(head->key, head->modified);
  if (paused) {
    change.put(paused_key(pool), "");
  } else {
    change.erase(paused_key(pool));
  }
  CO_CHECK_OK(co_await coordinator.commit(std::move(change), until));
  co_return Result<>();
}

Task<Result<>> report_moved(Coordinator& coordinator, Uuid pool, MapVersion version, TargetId target, Until until) {
  // Two targets of the engine may report at the same time.
  for (std::size_t attempt = 0; attempt <= kMaxEngineTargets; ++attempt) {
    CO_TRY(const auto stored, co_await load_stored_map(coordinator, pool, until));
    if (!stored) co_return failf(Code::kPoolNotFound, "pool {} has no map", pool.to_string());
    if (stored->map.version() != version)
      co_return failf(Code::kStaleMap, "pool {}: version {} of the map was replaced by {}", pool.to_string(),
                      version.value(), stored->map.version().value());
    const MapTarget& found = stored->map.target(target);
    const std::string key = moved_key(pool, stored->map.engines()[found.engine].rank);
    CO_TRY(const auto before, co_await coordinator.get(key, until));
    MovedRecord record{.version = version};
    if (before) {
      CO_TRY(const MovedRecord known, decode_moved(before->value));
      if (known.version == version) record = known;
    }
    const std::uint64_t bit = std::uint64_t{1} << found.index;
    if ((record.targets & bit) != 0) co_return Result<>();
    record.targets |= bit;
    Transaction change;
    change.require(head_key(pool), stored->head_revision)
        .require(key, before ? before->modified : Revision(0))
        .put(key, encode(record));
    const auto done = co_await coordinator.commit(std::move(change), until);
    if (done) co_return Result<>();
    if (!(done.error() == Code::kConditionFailed)) co_return fail(done.error());
  }
  co_return fail(Code::kBusy, "others reported at the same time: try again");
}

}  // namespace cenote::cluster
