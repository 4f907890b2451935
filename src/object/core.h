#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "akey_cache.h"
#include "cenote/object/object_store.h"
#include "cenote/object/space_account.h"
#include "cenote/runtime/scope.h"
#include "entries.h"
#include "epoch_clock.h"
#include "history_walks.h"
#include "lookup.h"
#include "pack.h"
#include "records.h"
#include "sessions.h"
#include "watches.h"

namespace cenote::object {

/// A container in memory.
struct Container {
  Uuid id;
  ContainerProperties properties;
  store::TreeId tree;
  Usage used;                   ///< what its tree holds, as of the last applied batch
  bool counts_objects = false;  ///< of a loaded one: its record knew their number
  /// An object that the tree holds something of; none: not known of any.
  std::optional<ObjectId> present;
  Epoch bound;                ///< readers below it are refused: aggregation may have merged their versions
  Epoch changed;              ///< newest update or punch
  Epoch unmerged;             ///< oldest one that no pass of aggregation has covered; zero: none
  std::uint64_t punches = 0;  ///< of objects, dkeys and akeys, and rollbacks, since the store opened
  store::Lsn lsn;             ///< of the last batch that changed it
  /// What `used` is charged to; null: nobody counts it.
  std::shared_ptr<SpaceAccount> account;
  std::uint64_t refusals = 0;           ///< of the account, when they were looked at last ...
  Instant wanted_until{};               ///< ... and until when its old versions are worth less than their space
  std::vector<Epoch> snapshots;         ///< ascending: epochs whose readers see what they always saw
  std::uint64_t releases = 0;           ///< snapshots that were removed, and late changes, since the store opened
  std::vector<RolledBack> rolled_back;  ///< ascending and apart
  /// Of an encrypted container.
  std::optional<SealedKey> key;
  std::shared_ptr<Sealer> sealer;
  /// Of a clone: what it is one of, and the containers that its readers look into, the nearest first.
  std::optional<CloneSource> source;
  std::vector<Layer> ancestors;
  std::vector<Epoch> clones;    ///< ascending: what clones of this container see of it, once for each
  bool kept = false;            ///< destroyed, but for what the clones see
  Epoch cut;                    ///< kept: everything newer was taken back
  std::uint64_t relinks = 0;    ///< changes of `ancestors` since the store opened
  Uuid last_rollback;           ///< request that made the last one; null: none ever
  std::uint64_t rollbacks = 0;  ///< since the store opened
  Epoch last_rollback_at;       ///< when it was known to be the last one; zero: not since the store opened
  /// A part of its history is still to be copied here (history.h): nothing is merged, since what newer entries hide
  /// may come later.
  bool incomplete = false;
  Bytes progress;  ///< what whoever copies it has noted
  /// It may have entries that were prepared while it was.
  bool filled = false;
  /// Of a clone that is being flattened.
  std::shared_ptr<FlattenStatus> flattening;

  /// Up to where data that is hidden has gone.
  Epoch thinned;

  void note_change(Epoch epoch) {
    // What took long to be decided: a pass of aggregation that is under way may have missed it.
    if (epoch < changed) ++releases;
    changed = std::max(changed, epoch);
    unmerged = unmerged == kEpochZero ? epoch : std::min(unmerged, epoch);
  }
  /// Good until the attempt ends.
  Reader reader(store::View& view, Epoch epoch) const { return {view, tree, epoch, rolled_back, ancestors}; }
  /// What a reader at `epoch` looks from: of what is of one moment it sees all. Snapshots that older builds made may be
  /// of an even epoch, and mean it.
  Epoch looked_from(Epoch epoch) const { return is_retained(epoch) ? epoch : end_of_moment(epoch); }
  bool is_snapshot(Epoch epoch) const { return std::ranges::binary_search(snapshots, epoch); }
  /// Whether aggregation keeps what readers at `epoch` see, however old it is.
  bool is_retained(Epoch epoch) const {
    return is_snapshot(epoch) || std::ranges::binary_search(clones, epoch) || (source && source->epoch == epoch);
  }
  /// All such epochs, ascending.
  std::vector<Epoch> retained() const;
  /// The oldest of its readers, but for those that only the link of a clone to its source retains.
  Epoch first_reader() const {
    Epoch first = bound;
    if (!snapshots.empty()) first = std::min(first, snapshots.front());
    if (!clones.empty()) first = std::min(first, clones.front());
    return first;
  }
  /// A snapshot or clone went: what only it needed waits for a pass, which must not be one that began before.
  void note_release(Epoch snapshot) {
    ++releases;
    unmerged = unmerged == kEpochZero ? snapshot : std::min(unmerged, snapshot);
  }
  /// What was there is no more: nothing that is known of its akeys holds.
  void note_rollback(const Uuid& request, std::vector<RolledBack> ranges) {
    rolled_back = std::move(ranges);
    last_rollback = request;
    last_rollback_at = rolled_back.back().upto;
    ++rollbacks;
    ++punches;
    note_change(rolled_back.back().upto);
    unmerged = std::min(unmerged, rolled_back.back().after);
  }
  /// A pass of aggregation that began after `releases_before` releases has covered everything up to `upto`.
  void merged(Epoch upto, std::uint64_t releases_before) {
    if (releases == releases_before) unmerged = changed > upto ? Epoch(upto.value() + 1) : kEpochZero;
  }
};

/// Who was refused for want of room, and compaction, which may make some, tell each other so.
struct CompactionCalls {
  explicit CompactionCalls(Reactor& reactor) : wanted(reactor), progress(reactor) {}

  Condition wanted;         ///< somebody was refused
  Condition progress;       ///< there may be room now, or there is nothing more to be gained
  Instant refused_until{};  ///< until then compaction takes all the trouble that is worth it
  Instant retry_at{};       ///< a pass failed: none before then
  bool running = false;
};

/// What the operations of one target share. All of it is used on the store's reactor only.
///
/// Invariants: containers, sessions and the clock's ceiling equal their trees as of the last applied batch: an attempt
/// changes them right after `apply` succeeded and nowhere else. `batch` is used inside one attempt at a time.
struct Core {
  Core(store::Store& s, media::BufferPool& b, ObjectStoreOptions o);

  store::Store& store;
  Reactor& reactor;
  media::BufferPool& buffers;
  ObjectStoreOptions options;
  EpochClock clock;
  Sessions sessions;
  std::unordered_map<Uuid, Container> containers;
  /// Trees whose space is being given back, and where each goes on.
  std::unordered_map<store::TreeId, Bytes> destroying;
  store::Lsn containers_lsn;  ///< of the last batch that created or destroyed a container
  store::Lsn ceiling_lsn;     ///< of the last batch that raised the clock's ceiling
  store::TreeId system_tree;
  store::TreeId request_tree;
  /// Of redundancy groups. The tree is made with the first of them.
  Entries entries;
  std::optional<store::TreeId> entry_tree;
  store::TreeId new_entry_tree;
  store::Lsn entry_lsn;  ///< of the last batch with which an entry went altogether
  /// The highest epoch at which anything was read that is not the latest: nothing is prepared at or below it.
  Epoch closed;
  AkeyCache akeys;
  Watches watches;
  HistoryWalks walks;
  Packer packer;
  store::Batch batch;
  /// Where data is copied that cannot be written from where it lies. Memory of its own: an update that holds its
  /// payload may wait for it without holding up whoever frees the payloads.
  media::BufferPool bounce;
  /// Bounds what fetches hold of `buffers` while they wait for more of it.
  Semaphore fetch_bytes;
  Gate gate;
  CompactionCalls compaction;
  Scope background;
  std::uint64_t foreground = 0;  ///< running requests; background work gives way to them
  ObjectStoreCounters counters;
  Event answers_released;           ///< not set: answers are held ...
  Instant held_until{};             ///< ... but no longer than this
  std::uint32_t merging_holds = 0;  ///< nothing may be merged anywhere while there are any

  WallTime wall_now() const { return options.clock == nullptr ? reactor.wall_now() : options.clock->now(reactor); }
  /// Whether nothing in the container's tree may be merged, split or moved at the moment: its history is being read, or
  /// it is incomplete, or what it is a clone of is.
  bool is_at_rest(const Container& container) const;
  /// kContainerNotFound; `seen` is raised so that the answer waits until the container's state is durable.
  Result<Container*> find_container(const Uuid& id, store::Lsn& seen);
  /// As Container::looked_from, of a container that need not exist.
  Epoch looked_from(const Uuid& container, Epoch epoch) const {
    const auto found = containers.find(container);
    return found == containers.end() ? epoch : found->second.looked_from(epoch);
  }
  /// Whether no clock could have got there that is as exact as it has to be, not even one that began again at its
  /// ceiling.
  bool is_in_future(Epoch epoch) const;
  /// kUndecided: something that is prepared and not decided touches the place, and would be seen by a reader at
  /// `epoch`.
  Result<> check_decided(const Uuid& container, const Place& place, Epoch epoch) const {
    if (entries.none_undecided()) [[likely]]
      return {};
    return find_undecided(container, place, epoch);
  }
  /// The same of all that a request is about.
  template <typename Request>
  Result<> check_decided(const Request& request, Epoch epoch) const {
    if (entries.none_undecided()) [[likely]]
      return {};
    Result<> decided;
    each_place(request, [&](const Place& place) {
      if (decided) decided = find_undecided(request.container, place, epoch);
    });
    return decided;
  }
  Result<> find_undecided(const Uuid& container, const Place& place, Epoch epoch) const;
  /// What `check_decided` finds; nullptr: nothing.
  template <typename Request>
  const HeldEntry* undecided_before(const Request& request, Epoch epoch) const {
    const HeldEntry* found = nullptr;
    each_place(request, [&](const Place& place) {
      if (found == nullptr) found = entries.touching(request.container, place, epoch);
    });
    return found;
  }
  /// Before any answer that depends on `seen`: returns when that is durable and answers are not held.
  Task<Result<>> settle(store::Lsn seen);
  /// Passes on what came of writing data. A target whose device could not be written takes no more changes.
  Result<> data_written(Result<> outcome);
  /// The first half of it, for those who hold the answers.
  Task<Result<>> make_durable(store::Lsn seen);

  // Parts of the batch of every change. `stamp` adds the request's result, the container's usage and, when needed, the
  // clock's ceiling; `stamped` takes them into memory once the batch is applied.
  struct Stamp {
    RequestId request;
    Epoch epoch;
    Usage added;
    std::optional<Epoch> ceiling;
  };
  void stamp(const Container& container, Stamp& stamp);
  void put_container(const Container& container, bool has_snapshots, bool has_rollbacks);
  void put_usage(const Container& container, Usage used);
  /// Marks a container that has none of it yet as incomplete; `note_incomplete` follows once the batch is applied.
  void put_incomplete(const Container& container);
  static void note_incomplete(Container& container) { container.incomplete = container.filled = true; }
  void stamped(Container& container, const Stamp& stamp, store::Lsn lsn);
  /// Applies the batch, charged to the container's account; takes the stamp into memory. Of no effect where it fails.
  Result<store::Lsn> apply_charged(Container& container, const Stamp& stamp, store::View& view);
  /// Whether what is added has to fit the limits of the container's account. A copy of what was let in elsewhere does
  /// not: it takes the place of a copy that was lost.
  enum class Limits : std::uint8_t { kCount, kIgnored };
  /// Applies a batch that adds `added` to the container's tree.
  Result<> apply_added(Container& container, Usage added, store::View& view, Limits limits = Limits::kCount);
  /// Applies a batch that removes `removed` from the container's tree, which the account gets back.
  Result<> apply_refunded(Container& container, Usage removed, store::View& view);
  /// Entries that `stamp` adds at most.
  static constexpr std::uint32_t kStampEntries = Sessions::kBatchEntries + 2;

  void check_invariants() const;
};

/// The akeys of one dkey in one attempt, from the cache where it knows them.
class AkeyLookup {
 public:
  /// `path` holds the dkey. `seen` is raised to what the answers depend on.
  AkeyLookup(Core& core, const Container& container, const Reader& reader, KeyPath& path, store::Lsn& seen)
      : core_(core), container_(container), reader_(reader), path_(path), seen_(seen) {}

  /// State of the path's akey at the reader's epoch.
  Result<AkeyState> state();

 private:
  Core& core_;
  const Container& container_;
  const Reader& reader_;
  KeyPath& path_;
  store::Lsn& seen_;
  std::optional<Epoch> hidden_;  // of the dkey, once it was needed
};

/// Counts a running request for as long as it lives. Not entered: the store is closing.
class ForegroundGuard {
 public:
  explicit ForegroundGuard(Core& core) : core_(core), entered_(core.gate.enter()) {
    if (entered_) ++core_.foreground;
  }
  ForegroundGuard(const ForegroundGuard&) = delete;
  ForegroundGuard& operator=(const ForegroundGuard&) = delete;
  ~ForegroundGuard() {
    if (!entered_) return;
    --core_.foreground;
    core_.gate.leave();
  }
  Result<> check() const {
    if (entered_) return {};
    return fail(Code::kStopped, "the target is closing");
  }

 private:
  Core& core_;
  bool entered_;
};

// One file per operation. Each sets `seen` to what its answer depends on, errors included; the caller settles it.
Task<Result<>> create_container(Core& core, Uuid id, ContainerProperties properties, std::optional<CloneSource> source,
                                store::Lsn& seen);
Task<Result<>> destroy_container(Core& core, Uuid id, store::Lsn& seen);
Task<Result<>> add_snapshot(Core& core, Uuid container, Epoch epoch, store::Lsn& seen);
Task<Result<>> remove_snapshot(Core& core, Uuid container, Epoch epoch, store::Lsn& seen);
Task<Result<>> roll_back(Core& core, Uuid container, Epoch to, Uuid request, store::Lsn& seen);
/// The part of it inside an attempt: everything newer than `to` is gone for all readers. kQuotaExceeded.
Result<> take_back(Core& core, Container& container, Epoch to, const Uuid& request, store::View& view);
Task<Result<UpdateReply>> update(Core& core, const UpdateRequest& request, media::Buffer& payload,
                                 std::uint64_t payload_bytes, Until until, store::Lsn& seen);
/// At `epoch` instead of the request's.
Task<Result<>> fetch(Core& core, const FetchRequest& request, Epoch epoch, Fetched& into, Until until,
                     store::Lsn& seen);
/// The same of a valid request, at an epoch that may be read at.
Task<Result<>> fetch_admitted(Core& core, const FetchRequest& request, Epoch epoch, Fetched& into, Until until,
                              store::Lsn& seen);
Task<Result<UpdateReply>> punch(Core& core, const PunchRequest& request, Until until, store::Lsn& seen);
Task<Result<BeginReply>> begin(Core& core, const BeginRequest& request, Until until, store::Lsn& seen);
/// `payload` is whole blocks; its last one may be changed behind the payload.
Task<Result<UpdateReply>> commit(Core& core, const CommitRequest& request, media::Buffer& payload,
                                 std::uint64_t payload_bytes, Until until, store::Lsn& seen);
Task<Result<ListReply>> list(Core& core, const ListRequest& request, const HistoryFilter& shown, Until until,
                             store::Lsn& seen);
Task<Result<QueryReply>> query(Core& core, const QueryRequest& request, const HistoryFilter& shown, Until until,
                               store::Lsn& seen);

/// Makes `epoch` one that may be read at: not below the container's bound, not in the future beyond clock error, and
/// below every later update, also after a restart. Latest is always fine.
Task<Result<>> admit_epoch(Core& core, Epoch epoch, Until until, store::Lsn& seen);
/// The part of it that concerns the clock: whatever comes later is above `epoch`, also after a restart.
Task<Result<>> reach_epoch(Core& core, Epoch epoch, Until until, store::Lsn& seen);
/// kEpochTooOld below the container's bound, unless it is a snapshot's. Inside the attempt that reads.
Result<> check_bound(const Container& container, Epoch epoch);

// Clones (clones.cc).
/// Whether the container `source` names can have one more clone of that epoch.
Result<> check_clone(Core& core, const CloneSource& source);
/// What would keep everything newer than `to` from being taken back, beside snapshots: kConditionFailed, what clones of
/// the container see is newer; kQuotaExceeded, too much is being taken back already.
Result<> check_taking_back(const Container& container, Epoch to);
/// Ties a clone to its source, or unties it: in memory, with the batch that does it in the trees.
void link_clone(Core& core, Container& clone);
void unlink_clone(Core& core, const Container& clone);
/// A clone that shows nothing of its source any more: it is none from now on, nor are those below it clones of what
/// lies above. After the batch that says so.
void end_link(Core& core, Container& clone);
/// Ties all clones. kCorrupt names those whose source is missing or cannot be what they were made of.
Result<> link_clones(Core& core);

/// Loads the system tree and the request results; creates both in an empty store.
Task<Result<>> load(Core& core);

Task<Result<std::vector<store::Extent>>> owned_extents(Core& core);

// Background work, in slices that give way to the foreground; when several run at once they do each other's work.
/// Of attempts that do not depend on each other, the first failure counts.
inline void keep_first(Result<>& outcome, Result<> next) {
  if (outcome) outcome = std::move(next);
}

/// Merges what no reader at or above `bound` can tell apart. A container that is gone meanwhile is no error.
Task<Result<>> aggregate_container(Core& core, Uuid id, Epoch bound, bool polite);
/// The same up to where the background would go now, whether it would be worth it or not.
Task<Result<>> aggregate_now(Core& core, Uuid id);
/// Removes what rollbacks took back; returns when nothing of that is left.
Task<Result<>> purge_rolled_back(Core& core, Uuid container, bool polite);
/// Of what is kept for clones, ends what no clone needs any more.
Task<Result<>> reclaim_kept(Core& core, bool polite);
/// Copies what a clone shows of its ancestors into its own tree, until it is no clone any more (flatten.cc).
Task<Result<>> flatten_container(Core& core, Uuid id, bool polite);
/// The same without giving up for what may pass, lack of space for one; says in the container's status how it goes.
Task<> keep_flattening(Core& core, Uuid id, std::shared_ptr<FlattenStatus> status);
/// What flattening would add to the clone, as it is now; at least that if the time comes first.
Task<Result<Usage>> measure_flattening(Core& core, Uuid id, Instant end);
/// Gives back the space of destroyed containers.
Task<Result<>> reclaim_destroyed(Core& core, bool polite);
/// Forgets expired results.
Task<Result<>> reclaim_requests(Core& core);
/// Compaction (compact.cc): moves data so that groups of blocks become whole for pages, in passes, as long as that is
/// wanted and gains something. Another that runs meanwhile does all of it.
Task<Result<>> compact_all(Core& core, store::CompactionNeed need, bool polite);
/// The same whenever it is needed, until the scope stops.
Task<> run_compaction(Core& core);
/// For one who was refused with kNoSpace: returns when it is worth trying again. False: it is not, or it was tried for
/// long enough, since `began`.
Task<bool> room_was_made(Core& core, Instant began, Until until);
/// An operation that may be refused for want of room that compaction makes. It must have no effect when it fails.
template <typename Operation>
auto with_room(Core& core, Until until, Operation operation) -> std::invoke_result_t<Operation&> {
  const Instant began = core.reactor.now();
  for (;;) {
    auto result = co_await operation();
    if (result || !(result.error() == Code::kNoSpace)) co_return result;
    if (!co_await room_was_made(core, began, until)) co_return result;
  }
}
/// All but compaction, once.
Task<Result<>> aggregate_all(Core& core, Epoch bound);
/// The same, again and again until the scope stops.
Task<> run_background(Core& core);
/// Between two slices: lets others run; polite ones pause while there are requests. kStopped, kCancelled: give up.
Task<Result<>> end_slice(Core& core, bool polite);
/// After work of some length: while there are requests, a pause of so many times that length that the work takes a
/// tenth of what the target can do.
Task<Result<>> give_way(Core& core, Instant began, std::uint64_t requests_before);

}  // namespace cenote::object
