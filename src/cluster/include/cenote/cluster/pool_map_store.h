#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cenote/base/epoch.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/cluster/watch.h"

// Pool maps in the coordinator (docs/formats/membership.md).
namespace cenote::cluster {

/// Most bytes of a map that the coordinator takes: every version is published in one transaction, and all of it is read
/// in one page. About 4,500 targets.
inline constexpr std::size_t kMaxStoredMapBytes = 96 * kMaxStateValueBytes;
/// Most ranks that a suspended pool names.
inline constexpr std::size_t kMaxSuspendedRanks = 256;
/// Most engines of a pool whose losses are remembered.
inline constexpr std::size_t kMaxLosses = 255;

/// An engine that the supervisor has excluded from a pool (pool_losses.h).
struct Loss {
  Rank rank;
  std::uint32_t times = 1;  ///< since somebody decided about it, or it stayed for long
  friend bool operator==(const Loss&, const Loss&) = default;
};

/// A pool's map as it is in the coordinator, all of one moment.
struct StoredMap {
  PoolMap map;  ///< the wanted version
  /// How many engines the pool can lose, with their data, before data is lost.
  std::uint32_t redundancy = 0;
  /// The version that engines serve; lower than that of `map` while engines switch.
  MapVersion active;
  /// What was begun under an earlier version than the active one has epochs up to this; what is begun under it, later
  /// ones. 0: nothing was begun before, or by a Cenote that did not say.
  Epoch closed;
  /// Engines that are gone and could not be excluded, as more would be lost than `redundancy`: `degraded: suspended`.
  std::vector<Rank> suspended;
  std::vector<Loss> losses;     ///< by rank: of engines that come back by themselves, or did
  bool paused = false;          ///< no data is to be moved (pause_moves)
  Revision head_revision;       ///< of the wanted version: what a change of the map is compared with
  Revision active_revision;     ///< what an activation is compared with
  Revision suspended_revision;  ///< 0: not suspended
  Revision losses_revision;     ///< 0: there are none
};

/// The first version of a pool's map, which is active at once, together with what `also` requires and changes.
/// kConditionFailed: the pool has one, or something of `also` does not hold.
Task<Result<>> create_stored_map(Coordinator& coordinator, PoolMap map, std::uint32_t redundancy, Transaction also = {},
                                 Until until = {});
/// Adds to `change` what erases the map of a pool, whatever its version is at that moment. Nothing where it has none.
Task<Result<>> erase_stored_map(Coordinator& coordinator, Uuid pool, Transaction& change, Until until = {});
/// nullopt: no such pool.
Task<Result<std::optional<StoredMap>>> load_stored_map(Coordinator& coordinator, Uuid pool, Until until = {});
/// The same of what is below the pool's prefix in a copy of the coordinator's state, in the order of keys. kMalformed,
/// kNewerFormat.
Result<StoredMap> stored_map_of(Uuid pool, const std::vector<KeyValue>& entries);
/// Head and pieces of a map, by key. kOutOfRange: it is too large.
Result<std::map<std::string, std::string>> values_of_map(const PoolMap& map, std::uint32_t redundancy);
/// The pools that have a map.
Task<Result<std::vector<Uuid>>> list_stored_maps(Coordinator& coordinator, Until until = {});
/// Makes `next` the wanted version if `from` still is, and what `also` requires holds. It is not active before every
/// engine has switched (`Supervisor`). kConditionFailed: something changed, or the system is stopped; kOutcomeUnknown
/// as of `commit`. What `also` changes is changed with it.
Task<Result<>> publish_map(Coordinator& coordinator, StoredMap from, PoolMap next, Transaction also = {},
                           Until until = {});

/// Says that a target of this engine has all that it should under this version of a pool's map. When all of them have,
/// the move ends (Supervisor). kStaleMap: the map has changed since. kPoolNotFound. Only the engine itself says so.
Task<Result<>> report_moved(Coordinator& coordinator, Uuid pool, MapVersion version, TargetId target, Until until = {});
/// Whether data of the pool is not to be copied to where it should be until that is said again. It is no part of the
/// map: who is complete stays so, and who is not stays so, too. kPoolNotFound.
Task<Result<>> pause_moves(Coordinator& coordinator, Uuid pool, bool paused, Until until = {});

/// News of pools' maps: that they were published, activated, suspended or erased; and that the system was stopped, or
/// goes on.
class StoredMapWatch {
 public:
  /// Of what happens after `after`; the coordinator outlives it.
  static Result<StoredMapWatch> open(Coordinator& coordinator, Revision after);
  /// The pools that something has happened to; may be none. Fails as Watch::next; then everything has to be read again.
  Task<Result<std::set<Uuid>>> next(Until until);
  /// Whether what `next` returned last came with news of a stop of the system (load_stop).
  bool stop_changed() const { return stop_changed_; }

 private:
  explicit StoredMapWatch(std::unique_ptr<Watch> watch) : watch_(std::move(watch)) {}
  std::unique_ptr<Watch> watch_;
  bool stop_changed_ = false;
};

}  // namespace cenote::cluster
