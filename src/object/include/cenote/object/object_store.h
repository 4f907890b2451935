#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cenote/media/buffer_pool.h"
#include "cenote/object/compression.h"
#include "cenote/object/examine.h"
#include "cenote/object/history.h"
#include "cenote/object/replica_entry.h"
#include "cenote/object/space_account.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/trusted_clock.h"
#include "cenote/store/store.h"

namespace cenote::object {

struct Core;

struct ObjectStoreOptions {
  /// Values and extents up to this many bytes live in the leaf and in the log record; larger ones go to extents, in
  /// blocks of 4 KiB. Below, one device write per update and no waste of space; above, the tree stays small, and data
  /// is written once (docs/performance.md, "Inline or not").
  std::uint32_t inline_bytes = 512;
  /// Versions older than this may be merged by aggregation; those older than 5 s while less than `scarce_space` of the
  /// data space is free, and of containers that are at rest while it is.
  Duration retention = std::chrono::seconds(60);
  double scarce_space = 1.0 / 8;
  bool aggregation = true;  ///< and what else goes on by itself, compaction too
  /// How far the clocks of servers and clients may differ.
  Duration max_clock_offset = std::chrono::seconds(1);
  /// What epochs go by; outlives the store. nullptr: the wall clock of its reactor.
  const TrustedClock* clock = nullptr;
};

/// How the data of a container is stored; fixed at its creation.
struct ContainerProperties {
  bool checksums = true;
  Compression compression = Compression::kNone;
  /// Data is sealed with a key of the container's own; for that the store has to be sealed itself.
  bool encrypted = false;
};

/// Snapshots that one container can have at a time.
inline constexpr std::size_t kMaxSnapshots = 1024;

/// What a clone is a clone of: a container of the same target as its readers at `epoch` see it.
struct CloneSource {
  Uuid container;
  Epoch epoch;
  friend bool operator==(const CloneSource&, const CloneSource&) = default;
};

/// Clones that one container can have at a time, and clones of clones of ... until one that is none.
inline constexpr std::size_t kMaxClones = 1024;
inline constexpr std::size_t kMaxCloneDepth = 8;

/// How far a clone's flattening is on its target.
struct FlattenStatus {
  Usage copied;               ///< since it began here, or since the store opened
  Usage left;                 ///< about what is to be copied yet; counted first, as far as `counted` says
  bool counted = false;       ///< all that is left
  std::uint64_t damaged = 0;  ///< parts of objects that could not be read, so that the clone needs its source
  std::string obstacle;       ///< why it does not go on at the moment; empty: nothing does
};

/// What the store has done since it opened, for metrics, tools and tests.
struct ObjectStoreCounters {
  std::uint64_t updates = 0, fetches = 0, punches = 0;
  std::uint64_t commits = 0;              ///< transactions that took effect ...
  std::uint64_t restarts = 0;             ///< ... and that met a conflict
  std::uint64_t repeated = 0;             ///< retries answered with the kept result
  std::uint64_t copied_bytes = 0;         ///< payload copied because it could not be written from where it lay
  std::uint64_t packed_bytes = 0;         ///< of data that was stored packed ...
  std::uint64_t packed_stored_bytes = 0;  ///< ... and what it took
  std::uint64_t merged_entries = 0;       ///< removed by aggregation
  std::uint64_t reclaimed_blocks = 0;     ///< given back by aggregation and destroyed containers
  std::uint64_t compacted_blocks = 0;     ///< moved, so that whole groups of blocks became free ...
  std::uint64_t compacted_groups = 0;     ///< ... so many of them
  std::uint64_t background_failures = 0;  ///< slices that ended in an error; they are tried again

  std::uint64_t requests() const { return updates + fetches + punches + repeated; }
};

/// A piece of a fetch's payload, in payload order. `data` points into one of Fetched::buffers, into
/// Fetched::inline_data or at zeroes that live as long as the program.
struct PayloadPiece {
  ByteView data;
};

struct Fetched {
  FetchReply reply;
  SmallVector<PayloadPiece, 2> payload;
  SmallVector<media::Buffer, 1> buffers;
  /// Owns what lay inline. Each element is allocated once and never grows, so pieces may point into it.
  SmallVector<Bytes, 1> inline_data;
};

/// The versioned object store of one target: containers, objects, dkeys, akeys, values and array extents over one
/// Store. All members run on the store's reactor. Every answer is durable: nothing returned here, failures included,
/// could be lost by a crash (I4).
class ObjectStore {
 public:
  static Task<Result<std::unique_ptr<ObjectStore>>> open(store::Store& store, media::BufferPool& buffers,
                                                         ObjectStoreOptions options);
  ~ObjectStore();
  /// Stops background work; must be awaited before destruction. The Store is closed by its owner afterwards.
  Task<Result<>> close();

  // Containers. Creating one that exists with the same id is no error (retries); destroying hides it at once and
  // reclaims in slices; of one that has clones stays what they see, which nobody else finds, until the last one went.
  Task<Result<>> create_container(Uuid container, ContainerProperties properties);
  /// Creates a container whose readers see what readers of the source at its epoch see, and what the container itself
  /// holds over that. Copies nothing, whatever the size. The epoch is that of a snapshot, or one of another clone's;
  /// what it sees stays for as long as the clone. kConditionFailed: no such snapshot. kQuotaExceeded: kMaxClones,
  /// kMaxCloneDepth.
  Task<Result<>> clone_container(Uuid container, ContainerProperties properties, CloneSource source);
  Task<Result<>> destroy_container(Uuid container);
  Task<Result<ContainerProperties>> container_properties(Uuid container);
  Task<Result<Usage>> container_usage(Uuid container);
  /// Those that are only kept for their clones included.
  Task<Result<std::vector<Uuid>>> list_containers();
  /// Of a clone, what it is a clone of.
  Task<Result<std::optional<CloneSource>>> clone_source(Uuid container);
  /// The same, also of a container that is only kept for its clones.
  Task<Result<std::optional<CloneSource>>> tree_source(Uuid container);
  // Flattening: what a clone shows of its ancestors is copied into it, with the same epochs, and charged to it, while
  // requests go on and see no difference; then it is no clone any more, and only what its other readers keep of the
  // past remains: those at the epoch that it was made of are no more. A container that is none is no error.
  /// Begins that, or goes on with it, in the background; nothing of it is kept over a restart but what is copied. What
  /// stands in the way is tried again. `left`: what measure_flattening said, if it was asked.
  Task<Result<>> start_flattening(Uuid container, std::optional<Usage> left);
  /// nullopt: the container is not being flattened.
  Task<Result<std::optional<FlattenStatus>>> flattening(Uuid container);
  /// What it would copy. Looks at all keys of the ancestors, or at as many as it can in so long: then it is that much
  /// at least.
  Task<Result<Usage>> measure_flattening(Uuid container, Duration most);
  /// All of it, now. kNoSpace, kQuotaExceeded, kCorrupt or kIoError (of data that cannot be read): some of it is done,
  /// and it can go on.
  Task<Result<>> flatten(Uuid container);

  /// Charges the container's bytes to `account`, those that are stored already included, in place of whatever they were
  /// charged to before. An update that does not fit is refused with kQuotaExceeded. One that is not there is no error.
  void charge_to(Uuid container, std::shared_ptr<SpaceAccount> account);

  /// Keeps what readers at `epoch` see, for as long as the snapshot stands, and makes every later version newer than
  /// it. The epoch is trusted: it moves the clock, however far ahead it lies. One that is there is no error (retries).
  /// kEpochTooOld below the bound of aggregation, but of an incomplete container, to which what it keeps is copied;
  /// kQuotaExceeded beyond kMaxSnapshots.
  Task<Result<>> add_snapshot(Uuid container, Epoch epoch);
  /// No request is answered from now on until `release_answers`, or for so long, but those that make or remove
  /// snapshots and roll back: what is done meanwhile is of one moment for whoever is not this target.
  void hold_answers(Duration most);
  void release_answers();
  /// What only this snapshot needed returns with the next passes of aggregation. One that is not there is no error.
  Task<Result<>> remove_snapshot(Uuid container, Epoch epoch);
  /// Ascending.
  Task<Result<std::vector<Epoch>>> list_snapshots(Uuid container);
  /// Takes back every version newer than `to`, at once for all readers; their space returns with the next passes of
  /// aggregation. `to` is the epoch of the newest snapshot, or a later one that can still be read; readers between it
  /// and now get kEpochTooOld from then on. Takes effect once for each `request`. kEpochTooOld, kInvalidArgument (in
  /// the future), kConditionFailed (a later snapshot or clone is in the way), kQuotaExceeded (kMaxRolledBack). A clone
  /// can always go back to the epoch of its source, too.
  Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request);
  /// The request of the last rollback of a container, also of one that is only kept for its clones; null: none.
  Task<Result<Uuid>> last_rollback(Uuid container);
  /// Whether it could be done now, but for snapshots: clones, also those that were destroyed and are kept for clones of
  /// their own, may be in the way (kConditionFailed), or too many rollbacks (kQuotaExceeded). Once it can, it can until
  /// a clone is made.
  Task<Result<>> check_rollback(Uuid container, Epoch to);

  /// `payload` holds the akeys' bytes in request order, its memory block-aligned; the buffer may be written straight to
  /// the media. Checksums of the request are verified against it before anything is stored (kChecksumMismatch).
  /// `request` stays where it is until the call returns.
  Task<Result<UpdateReply>> update(const UpdateRequest& request, media::Buffer payload, std::uint64_t payload_bytes,
                                   Until until);
  /// Data is verified against the stored checksums; kCorrupt names object, key and range. `request` stays where it is
  /// until the call returns, `into` is empty before and holds the answer after a success.
  Task<Result<>> fetch(const FetchRequest& request, Fetched& into, Until until);
  Task<Result<UpdateReply>> punch(PunchRequest request, Until until);
  /// Where a transaction reads: what was applied is in it, and nothing will be that is applied later.
  Task<Result<BeginReply>> begin(BeginRequest request, Until until);
  /// Applies all changes of a transaction at one moment, if what it read at its snapshot is still the same then: so
  /// transactions are serialisable, in the order of their commits. `payload` as of an update. kTxRestart: something
  /// that was read has changed, or is too old to tell.
  Task<Result<UpdateReply>> commit(const CommitRequest& request, media::Buffer payload, std::uint64_t payload_bytes,
                                   Until until);
  /// `shown`: leaves out objects and dkeys that it does not name, as if they were not there; empty: none. For a target
  /// that may hold parts of what it is no complete member of. Not asked about what is below a dkey that was named.
  Task<Result<ListReply>> list(ListRequest request, Until until, HistoryFilter shown = {});
  Task<Result<QueryReply>> query(QueryRequest request, Until until, HistoryFilter shown = {});

  // Entries of redundancy groups (docs/protocols/replication.md). Nobody sees what is prepared before it is committed;
  // whoever would see it then is refused until it is decided (kUndecided): reads at its epoch or later, and whatever
  // would change the same.
  /// An epoch that was never given before, also after a crash, and that nothing was read at yet.
  Task<Result<Epoch>> draw_epoch(Until until);
  /// Takes in the changes of an entry and the space that they need, if nothing has changed what it read, its conditions
  /// hold, and it would be the newest version of all that it changes. Returns what is held of it; kPrepared also when
  /// it was before. Fails without an effect: kConditionFailed, kUndecided (others are in the way, or another attempt of
  /// the request), kExists (another attempt took effect), kEpochTooOld (a later epoch is needed, above `now`),
  /// kTxRestart, kNoSpace, kQuotaExceeded and what else a commit may meet.
  /// Conditions are checked by some members; they count for what the entry touches at all. An incomplete member
  /// punches also what it does not have: what is copied later is seen as at a member that had it all along. What
  /// was read is to be named to those only who have all of it, so of an entry that reads there may be nothing left but
  /// a vote. It marks the container as incomplete.
  Task<Result<EntryState>> prepare(const CommitRequest& request, EntryName name, ByteView note, media::Buffer payload,
                                   std::uint64_t payload_bytes, Until until, Member member = Member::kChecking);
  /// What becomes of an entry, by the table of the protocol (`next_state`), for all events that bring no changes;
  /// returns what is held of it then. A commit needs no space that was not taken before. kInternal: what must never
  /// happen, such as the commit of what was refused; nothing is changed then.
  Task<Result<EntryState>> change_entry(EntryName name, EntryEvent event);
  /// A commit that is applied when it returns, and durable at some time: for who knows that all others have it prepared
  /// durably, so that it cannot end otherwise. `entry_state` waits until it is durable.
  Task<Result<EntryState>> apply_commit(EntryName name);
  /// The same of many entries, each with an outcome of its own; what is to be forgotten comes last, and goes in few
  /// batches. Returns what has to be durable before anybody is told of an outcome.
  Task<Result<store::Lsn>> apply_changes(std::span<EntryChange> changes);
  Task<Result<>> durable(store::Lsn changes);
  /// What is held of an entry. The first waits until that is durable.
  Task<Result<EntryState>> entry_state(EntryName name);
  EntryState held_state(EntryName name) const;
  /// All that are prepared.
  Task<Result<std::vector<UndecidedEntry>>> undecided_entries();
  /// All that are held, as they are at this moment, durable or not.
  std::vector<HeldEntryInfo> held_entries() const;
  EntryCounts entry_counts() const;
  /// What made a call answer kUndecided: a prepared entry that is in the way of the request. Nothing: it has been
  /// decided meanwhile.
  std::optional<UndecidedEntry> undecided_before(const CommitRequest& request) const;
  std::optional<UndecidedEntry> undecided_before(const UpdateRequest& request) const;
  std::optional<UndecidedEntry> undecided_before(const PunchRequest& request) const;
  std::optional<UndecidedEntry> undecided_before(const FetchRequest& request) const;
  std::optional<UndecidedEntry> undecided_before(const ListRequest& request) const;
  std::optional<UndecidedEntry> undecided_before(const QueryRequest& request) const;
  /// The same of whatever concerns all of a container up to an epoch.
  std::optional<UndecidedEntry> undecided_in(const Uuid& container, Epoch epoch) const;
  /// Whether all arrays that the changes write to are known to exist. A hint: those that do not may be known by the
  /// time the changes are carried out, and the other way round.
  bool knows_arrays(const CommitRequest& request) const;
  /// An attempt of the request that is prepared.
  std::optional<UndecidedEntry> undecided_of(const RequestId& request) const;
  /// The result of a request that took effect, if it is kept. kRequestExpired and what else `update` says of an id.
  Task<Result<std::optional<UpdateReply>>> kept_result(RequestId request);

  // History: what a container's own tree holds, copied to another target with its epochs, so that all reads there give
  // the same answers. Of a clone that is not what it shows of its ancestors: those are containers that are copied on
  // their own, before it. Snapshots are added by the caller.
  /// The next entries in the order of their keys, about 1 MiB of them, as they are once they are durable. `from` is
  /// empty or the `next` of the page before. From the first page to the last, but at most for 30 s after a page was
  /// read, nothing in the container is merged but hidden data; another walk may begin at the `resume` of a page of an
  /// earlier one; kLeaseExpired: it was longer, the target was restarted or the container destroyed: begin anew.
  /// kResourceExhausted: too many are being read. kCorrupt, kIoError: what comes next cannot be read, the message names
  /// it, and so does `*damage`, if there is one, and where to go on. Of data that is not newer
  /// than `have`, which the other target may hold already, the page has checksums instead: a stub, for which nothing is
  /// read from the device (where there are checksums). While there are stubs in a page it is not the last one, so that
  /// it can be read again, from its `again` on. A walk of a `reader` (not 0) ends the one before that this reader has
  /// begun through the container and perhaps given up.
  Task<Result<HistoryPage>> read_history(Uuid container, Bytes from, HistoryFilter wanted, Until until,
                                         HistoryDamage* damage = nullptr, Epoch have = kEpochZero,
                                         std::uint64_t reader = 0);
  /// Puts the entries of a page, durably when it returns; those that are there stay as they are, so again is no error.
  /// Marks the container as incomplete. May fail when some of it is done. kMalformed; kConditionFailed: a snapshot or
  /// clone would lose what it shows by a rollback of the source; kNoSpace, kQuotaExceeded.
  /// With a cover the page is the truth: what this target has left from earlier times in the page's range, of what the
  /// cover names and not newer than it says, goes, unless it is in the page as it is here; but for punches of objects
  /// that are named in part only. What is newer comes from entries alone (`prepare`), and what the page has of it is
  /// left out. All pages of one walk, in any order and again, and nothing is here that the source does not have. The
  /// caller sees to it that nothing up to that epoch is still to come here, that this target takes part in all that is
  /// newer, as incomplete member, and that nobody reads it here. kBusy: an array changes too fast; try again.
  /// Returns how many stubs of the page are not here, or with other content: then that page has to be read again
  /// without `have` and put before the walk goes on, with the `next` of the page that was read again.
  Task<Result<std::uint64_t>> put_history(Uuid container, Bytes entries, Until until,
                                          std::optional<HistoryCover> cover = std::nullopt);
  /// Gives back what this target is to hold no more: all of the container that `kept` does not name, from `from` on,
  /// empty or what the call before returned; durably when it returns. Returns where to go on; empty: all is done.
  /// Whatever the container's snapshots and clones would show of it goes, too. Of objects that are kept in part, what
  /// is of the object as a whole stays. The caller sees to it that nobody reads or changes here what is not kept, now
  /// or later, and that nothing of it is undecided; the rest may be in use. Again is no error. kMalformed.
  Task<Result<Bytes>> discard_history(Uuid container, Bytes from, HistoryFilter kept, Until until);
  /// Marks the container as incomplete, as its first page would, and keeps a note of how far its copy is, in place of
  /// the one before: at most kMaxHistoryProgressBytes, of any content.
  Task<Result<>> begin_history(Uuid container, Bytes progress);
  /// That note. Empty: there is none, or the container is not incomplete.
  Task<Result<Bytes>> history_progress(Uuid container);
  /// Nothing is merged or flattened in any container until as many releases, as if all were incomplete.
  void hold_merging();
  void release_merging();
  /// Nothing is merged in an incomplete container, until this says that all is there. Of one that is not incomplete it
  /// is no error.
  Task<Result<>> end_history(Uuid container);
  Task<Result<bool>> is_incomplete(Uuid container);
  /// The results of requests that are kept, in pages, and for another target's to keep: a request that took effect here
  /// and is sent again finds its result there. They are about all containers.
  Task<Result<ResultsPage>> read_results(Bytes from, Until until);
  Task<Result<>> put_results(Bytes results, Until until);

  // Repair of damaged data from a target that holds the same. An entry of a key has the same content wherever it is
  // held, so a copy needs no order with anything else; its checksums prove that it is one.
  /// The entries below a dkey, of all retained versions, whose data cannot be read or differs from its
  /// checksums; some of them, if there are many. Reads all data of the dkey.
  Task<Result<std::vector<DamagedEntry>>> find_damaged(Uuid container, ObjectId object, Bytes dkey, Until until);
  /// The entry of a key, with its data, as a page of history. kNotFound: there is none that holds data; kMalformed;
  /// kCorrupt, kIoError: it cannot be read here.
  Task<Result<Bytes>> read_entry(Uuid container, Bytes key, Until until);
  /// Puts such a page in the place of the entry here, if that is damaged; durably when it returns. False: it is not, or
  /// not there any more. kConditionFailed: it is another content; kUnsupported: it has no checksums; kMalformed,
  /// kChecksumMismatch: the page is no copy; kNoSpace.
  Task<Result<bool>> replace_damaged(Uuid container, Bytes copy, Until until);

  /// Highest epoch used or seen; `observe` takes in one from elsewhere.
  Epoch now();
  void observe(Epoch epoch);

  /// Runs aggregation and reclamation over everything once, up to `bound`; returns when nothing more can be merged.
  /// Leaves out what is incomplete and whose history is being read.
  Task<Result<>> aggregate(Epoch bound);
  /// What the background does in a container now and then, at once.
  Task<Result<>> aggregate_now(Uuid container);

  /// Moves data together until no group of blocks can be made whole any more, whether pages want one or not. Nobody
  /// sees a difference.
  Task<Result<>> compact();

  /// Every extent that the containers refer to, those being destroyed included: with store::check_store it proves that
  /// no block is lost or used twice. Reads all entries; nothing may change meanwhile.
  Task<Result<std::vector<store::Extent>>> owned_extents();
  ObjectStoreCounters counters() const;
  void check_invariants() const;

 private:
  explicit ObjectStore(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace cenote::object
