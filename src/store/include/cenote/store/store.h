#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "cenote/base/error.h"
#include "cenote/base/secret_key.h"
#include "cenote/base/uuid.h"
#include "cenote/media/block_device.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/batch.h"
#include "cenote/store/types.h"
#include "cenote/store/view.h"

namespace cenote::store {

/// The devices that play the three roles; all three may be the same one. Not owned; must outlive the store.
struct Devices {
  media::BlockDevice* wal = nullptr;
  media::BlockDevice* meta = nullptr;
  media::BlockDevice* data = nullptr;
  static Devices one(media::BlockDevice& device) { return {&device, &device, &device}; }
};

struct FormatOptions {
  Uuid system;  ///< Whose store this is; `open` refuses another's.
  Uuid target;
  std::uint64_t log_bytes = 64ull << 20;  ///< Size of the log ring.
  bool overwrite = false;                 ///< Format although the media holds a store already.
  /// The master key of a store that is encrypted from its beginning; none: not encrypted.
  std::optional<SecretKey> key = std::nullopt;
};

struct OpenOptions {
  Uuid system;  ///< Null: any (inspection).
  Uuid target;
  std::uint64_t cache_bytes = 64ull << 20;  ///< Page cache budget, copies for a running checkpoint included.
  /// A checkpoint starts when this part of the log is used, the later the fewer times a page is written; earlier when
  /// the log could else run full before the checkpoint ends, going by how much was logged during the last one. 1: only
  /// when it is full.
  double checkpoint_log_fill = 0.8;
  double checkpoint_dirty = 0.4;  ///< It also starts when this part of the cache is dirty.
  std::uint32_t log_writes_in_flight = 4;
  /// Tells the data device which blocks freed extents took: in the background, in slices, only while nothing refers to
  /// them. Best effort: what waits at a crash, or is needed again at once, is not discarded.
  bool discard = false;
  bool read_only = false;  ///< Inspection: replays in memory, writes nothing.
  /// Called when the store fences itself, with the reason.
  std::function<void(const Error&)> fenced = nullptr;
  /// The master key. An encrypted store opens with its own only; one that is not becomes encrypted: what is written
  /// from now on, not what it holds.
  std::optional<SecretKey> key = std::nullopt;
};

/// Which master key is replaced by which.
struct RekeyOptions {
  Uuid system;  ///< As of OpenOptions.
  Uuid target;
  SecretKey from;
  SecretKey to;
};

/// Numbers for metrics, tools and tests.
struct StoreStatus {
  Lsn applied, durable, checkpoint;
  std::uint64_t checkpoints = 0, log_writes = 0, log_blocks = 0, batches = 0;
  std::uint64_t page_reads = 0, page_writes = 0, page_hits = 0, page_misses = 0;
  std::uint64_t cache_bytes = 0, dirty_bytes = 0;
  std::uint64_t data_blocks_total = 0, data_blocks_free = 0, meta_blocks_used = 0;
  std::uint64_t spare_page_groups = 0;  ///< room for more pages, beside the reserve, in groups of kGroupBlocks
  std::uint64_t discarded_blocks = 0, discard_failures = 0;
  std::uint64_t replayed_records = 0;
  Duration replay_time{};
  bool fenced = false;    ///< it takes no changes any more ...
  std::string fenced_by;  ///< ... for this reason
  bool sealed = false;    ///< what is written is encrypted
};

/// Keeps blocks that were readable when it was taken from being reused, while extents found by a lookup are read. Taken
/// before the lookup or in the same turn. Move-only; short-lived; must be gone before the store is destroyed.
class ExtentGuard {
 public:
  ExtentGuard(ExtentGuard&& other) noexcept : store_(std::exchange(other.store_, nullptr)), ticket_(other.ticket_) {}
  ExtentGuard& operator=(ExtentGuard&& other) noexcept {
    std::swap(store_, other.store_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~ExtentGuard();

 private:
  friend class StoreImpl;
  ExtentGuard(StoreImpl& store, std::uint64_t ticket) : store_(&store), ticket_(ticket) {}

  StoreImpl* store_;
  std::uint64_t ticket_;
};

/// One call of `Store::run`: lets it wait between attempts for what the last one lacked.
class Attempts {
 public:
  explicit Attempts(StoreImpl& store);
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;
  ~Attempts();

  /// kStopped once `close` has begun.
  Result<> admitted() const;
  View view();
  /// Whether an attempt that ended with this error is to be made again; it must not have changed anything.
  static bool again(const Error& error, const View& view);
  /// Waits for what the attempt that ended with this error lacked.
  Task<Result<>> resolve(Error reason, Until until);

 private:
  struct Waits;
  StoreImpl& store_;
  bool entered_;
  std::unique_ptr<Waits> waits_;  // made by the first wait
};

/// The metadata engine of one target: an ordered map from byte strings to byte strings in many named trees, with atomic
/// batches over any of them, durable through a write-ahead log, plus the allocator of data extents. Larger than memory:
/// pages live in a cache with a fixed budget. One reactor only.
///
/// A failed write or flush *fences* it: it takes no changes from then on (kFenced), and acknowledges none that was not
/// durable. What is durable can still be read; whoever meets a page with changes that are not gets kFenced from
/// `durable`. Only opening it again, on media that work, ends that.
class Store {
 public:
  /// Writes an empty store. Destroys what the devices held; kExists when that is a store and `overwrite` is not set.
  static Task<Result<>> format(Reactor& reactor, Devices devices, FormatOptions options);
  /// Recovers: newest valid superblock, then the log from its checkpoint. kCorrupt names the damage, kForeign another
  /// system's media, kNewerFormat a newer version's, kKeyNeeded and kWrongKey what `options.key` has to be; then
  /// nothing was written.
  static Task<Result<std::unique_ptr<Store>>> open(Reactor& reactor, Devices devices, OpenOptions options);
  ~Store();
  /// Puts another master key in the place of the present one, durably; nobody has the store open. Writes superblocks
  /// only. After a crash the store has the one key or the other, and the call can be made again: when the store has
  /// the new key already, that is no error. kWrongKey: it has neither; kInvalidArgument: it is not encrypted.
  static Task<Result<>> rekey(Reactor& reactor, Devices devices, RekeyOptions options);

  /// Waits for running operations, makes everything durable, writes a checkpoint. Must be awaited before destruction,
  /// also after an error; on dead media it fails quickly instead of hanging. Later calls of the store fail with
  /// kStopped.
  Task<Result<>> close();

  /// Calls `attempt(view)`, a plain function returning Result<R>, as often as it takes to run without meeting a missing
  /// page or a full log, and returns its result. Between its last lookup and its `apply` nothing else runs, so checks
  /// and the change they guard are atomic. What it returns may not be durable yet: see `durable` and View::seen.
  template <typename Attempt>
  auto run(Attempt attempt, Until until = Until::forever()) -> Task<std::invoke_result_t<Attempt&, View&>>;

  /// Returns when everything up to `lsn` would survive a crash; kFenced when it may never.
  Task<Result<>> durable(Lsn lsn);
  /// True without waiting, for the fast path.
  bool is_durable(Lsn lsn) const;
  /// `run` of one apply, then `durable`.
  Task<Result<Lsn>> commit(Batch batch);

  /// May name a tree whose creation is not durable yet; what becomes a reply uses View::find_tree.
  std::optional<TreeId> find_tree(std::string_view name) const;
  /// A fresh id for Batch::create_tree. One that is never used is lost at the next open, when others may get it.
  TreeId next_tree_id();

  /// Sets aside up to `blocks` (at most kGroupBlocks) contiguous blocks; may return a shorter extent when space is
  /// fragmented. Nothing is durable until a batch claims it; `cancel` gives it back. kNoSpace when full; near that,
  /// perhaps only until the next checkpoint or until what was released becomes reusable. A part of a reserved extent
  /// can be claimed and the rest cancelled.
  Result<Extent> reserve(std::uint32_t blocks, SpaceClass space_class);
  void cancel(Extent extent);
  ExtentGuard guard_extents();
  // Compaction. Pages need whole groups of blocks, so they may find no room while many blocks are free in holes between
  // extents. Then groups become whole again when what lies in them is moved into holes of others. Whoever knows who
  // refers to the extents moves them: copies the data, and in one batch claims the new place and releases the old one.
  // One at a time.
  /// Whether `begin_compaction` may choose anything, or what it chose is not whole yet. Cheap.
  bool may_compact(CompactionNeed need) const;
  /// Chooses the groups that cost least, as many as the need and the holes elsewhere allow: nothing new is put there
  /// until `end_compaction`, or while there is other room. Returns how many; 0: nothing can be gained, and nothing has
  /// begun.
  std::uint64_t begin_compaction(CompactionNeed need);
  /// Whether the extent lies in one of them.
  bool is_in_the_way(Extent extent) const;
  /// Blocks that are still to be moved.
  std::uint64_t compaction_left() const;
  /// A place for data that is moved, like `reserve`: a hole in no such group, shorter than `blocks` where none is long
  /// enough. kNoSpace: there is none at all.
  Result<Extent> reserve_hole(std::uint32_t blocks);
  /// Returns how many of them nothing lies in any more; pages can have them as soon as what was released is reusable.
  /// `tried_all`: what is left cannot be moved, and its groups are not chosen again until something in them is
  /// released.
  std::uint64_t end_compaction(bool tried_all);

  /// Device of the data role, for reading and writing reserved or owned extents. A batch that claims an extent is
  /// applied only after the write to it has completed. Where the device prefers durable writes the data is written so;
  /// otherwise plainly, and the store flushes the device before the log record of the claim goes out.
  media::BlockDevice& data_device();

  /// Whether what the store writes is encrypted. Data in extents is the caller's to encrypt; for that, and for whatever
  /// else has to be as secret, an encrypted store has a key for each purpose that a label names, the same every time.
  /// It does not change with the master key.
  bool sealed() const;
  SecretKey derive_key(std::string_view label) const;
  /// Takes into use what the devices have become larger by, durably when it returns; nothing to do is no error. A crash
  /// leaves the old or the new size. kOutOfRange when a device became smaller, or too large; kNoSpace when the larger
  /// maps find no place on the meta device; kBusy while another call runs. Then nothing has changed.
  Task<Result<>> grow();

  /// Fences the store, for a failure on its devices that a caller has met: of the data role.
  void refuse_changes(const Error& cause);

  /// Writes a checkpoint now and returns when it is durable.
  Task<Result<>> checkpoint();
  StoreStatus status() const;
  Reactor& reactor();

 private:
  friend class StoreChecker;
  explicit Store(std::unique_ptr<StoreImpl> impl);
  std::unique_ptr<StoreImpl> impl_;
};

template <typename Attempt>
auto Store::run(Attempt attempt, Until until) -> Task<std::invoke_result_t<Attempt&, View&>> {
  Attempts attempts(*impl_);
  CO_CHECK_OK(attempts.admitted());
  for (;;) {
    std::optional<Error> lacked;
    {
      View view = attempts.view();
      auto result = attempt(view);
      if (result || !Attempts::again(result.error(), view)) co_return result;
      lacked = std::move(result).error();
    }
    CO_CHECK_OK(co_await attempts.resolve(*std::move(lacked), until));
  }
}

}  // namespace cenote::store
