#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "batch_apply.h"
#include "cenote/runtime/scope.h"
#include "cenote/store/store.h"
#include "checkpoint.h"
#include "log_writer.h"
#include "page_pins.h"
#include "store_state.h"
#include "superblock_io.h"

namespace cenote::store {

/// An open store: its state, its log, and what goes on in the background (checkpoints, giving back the pages of dropped
/// trees).
///
/// Invariants: the state is what the applied batches make of it, in order of their Lsn; a checkpoint on the media never
/// holds a batch that is not durable; when `fenced`, nothing more is applied and nothing more becomes durable.
class StoreImpl final : private LogListener {
 public:
  StoreImpl(Reactor& reactor, Devices devices, const OpenOptions& options, Superblock superblock,
            std::unique_ptr<StoreSeal> seal, SuperblockIo superblocks);
  ~StoreImpl();

  Task<Result<>> start();
  Task<Result<>> close();

  Result<Lsn> apply(View& view, const Batch& batch);
  Task<Result<>> durable(Lsn lsn);
  bool is_durable(Lsn lsn) const { return lsn <= durable_lsn(); }
  Task<Result<>> checkpoint();
  Task<Result<>> grow();

  Result<Extent> reserve(std::uint32_t blocks, SpaceClass space_class);
  void cancel(Extent extent) { state_.allocator.cancel(extent); }
  bool may_compact(CompactionNeed need) const;
  std::uint64_t begin_compaction(CompactionNeed need);
  Result<Extent> reserve_hole(std::uint32_t blocks);
  ExtentGuard guard_extents() { return {*this, state_.allocator.open_guard()}; }
  void close_guard(std::uint64_t ticket);

  StoreStatus status() const;
  StoreState& state() { return state_; }
  const StoreState& state() const { return state_; }

  // For Attempts.
  Result<> admit();
  void leave() { gate_.leave(); }
  Result<> usable() const;
  View view() { return {*this, state_.trees}; }
  /// Frames that running operations may pin, all together.
  Semaphore& pin_units() { return pin_units_; }
  std::uint64_t pin_limit() const { return pin_limit_; }
  /// Waits for what the last kMustWait was about.
  Task<Result<>> wait_for_room(Until until);
  void room_changed() { room_.notify_all(); }
  void fence(const Error& cause);
  /// Makes the clean page of `frame` one that the next checkpoint, which is asked for, writes anew. kMustWait.
  Result<> rewrite(Frame& frame);
  /// Until `resume_background` no checkpoint and no reclaiming runs; returns when what runs has ended.
  Task<> pause_background();
  void resume_background();
  void check_invariants() const;

 private:
  enum class Lack { kLogWrites, kCheckpoint, kPins };

  void log_advanced() override;
  void log_failed(const Error& cause) override;

  /// Pages that running operations may have pinned.
  std::uint64_t pins_granted() const { return pin_limit_ - pin_units_.available(); }
  Lsn durable_lsn() const { return log_ ? log_->durable() : state_.applied; }
  std::unexpected<Error> must_wait(Lack lack);
  Result<> check_log_room(const Batch& batch);
  Result<> check_page_room(BatchApply::Need need, SpaceClass space_class);

  bool log_used_enough() const;
  bool checkpoint_due() const;
  Task<> checkpoint_loop();
  Task<Result<>> write_checkpoint();
  Task<Result<>> wait_for_checkpoint();
  Task<Result<std::optional<Geometry>>> measure_growth();
  static Task<Result<std::uint64_t>> measure(media::BlockDevice* device);
  std::optional<Geometry> place_growth();
  Task<> discard_loop();
  Task<> discard(const std::vector<Extent>* run);
  Task<> reclaim_loop();
  Task<Result<bool>> reclaim_slice(DroppedTree tree);
  Result<bool> try_reclaim_slice(DroppedTree tree);

  StoreState state_;
  SuperblockIo superblocks_;
  BatchApply batch_apply_;
  std::optional<LogWriter> log_;
  std::optional<Error> fenced_;
  Lack lack_ = Lack::kLogWrites;

  Gate gate_;
  Condition room_;  // log, cache or space may have room again
  Condition work_;  // the background loops look again
  std::uint64_t pin_limit_;
  Semaphore pin_units_;

  // A checkpoint that begins after a request answers it.
  std::uint64_t checkpoints_requested_ = 0;
  std::uint64_t checkpoints_begun_for_ = 0;
  std::uint64_t checkpoints_done_for_ = 0;
  bool checkpoint_running_ = false;
  std::uint64_t logged_during_checkpoint_ = 0;  // the last one
  /// What the next checkpoint is to make of the store, and what came of it.
  struct Growth {
    Geometry larger;
    std::optional<Error> failure;
  };
  std::optional<Growth> growth_;
  bool reclaiming_ = false;
  std::uint32_t pauses_ = 0;

  std::uint64_t checkpoints_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t discarded_blocks_ = 0;
  std::uint64_t discard_failures_ = 0;
  std::uint64_t replayed_records_ = 0;
  Duration replay_time_{};
  Scope scope_;
};

}  // namespace cenote::store
