#include <algorithm>

#include "store_impl.h"

/// What an open store does by itself: checkpoints, and giving back the pages of dropped trees.
namespace cenote::store {
namespace {

/// Pages given back in one go, without letting anybody else run.
constexpr std::uint64_t kReclaimPages = 64;
/// Pages that one slice of reclaiming may change: one inner page for each page given back, and a path of the catalog.
constexpr std::uint64_t kReclaimFrames = kReclaimPages + 2 * kPageLevels;
/// Pages that a slice pins: the path it walks.
constexpr std::uint64_t kReclaimPins = 2 * kPageLevels;
/// Room that a checkpoint finds in the log, as a multiple of what was logged during the last one.
constexpr double kLogRoom = 1.5;
/// However slow checkpoints are, one takes along at least this part of the log.
constexpr double kLogUsedLeast = 0.25;

}  // namespace

bool StoreImpl::log_used_enough() const {
  const double fill = state_.options.checkpoint_log_fill;
  const auto used = static_cast<double>(log_->head() - log_->tail());
  const auto ring = static_cast<double>(log_->ring_bytes());
  if (fill >= 1) return used >= ring;
  const double room = kLogRoom * static_cast<double>(logged_during_checkpoint_);
  return used >= std::min(fill * ring, std::max(ring - room, kLogUsedLeast * ring));
}

bool StoreImpl::checkpoint_due() const {
  if (checkpoint_running_ || fenced_ || pauses_ > 0) return false;
  if (checkpoints_requested_ > checkpoints_begun_for_) return true;
  const auto dirty = static_cast<double>(state_.cache.frames_dirty());
  return log_used_enough() ||
         dirty >= state_.options.checkpoint_dirty * static_cast<double>(state_.cache.frames_total());
}

Task<> StoreImpl::checkpoint_loop() {
  const Until until{kNoDeadline, &scope_.cancel_source()};
  while (!fenced_ && !scope_.stopping()) {
    if (!checkpoint_due()) {
      static_cast<void>(co_await work_.wait(until));
      continue;
    }
    checkpoint_running_ = true;
    const auto written = co_await write_checkpoint();
    checkpoint_running_ = false;
    room_.notify_all();
    if (!written) fence(written.error().with_context("checkpoint failed"));
  }
}

Task<Result<>> StoreImpl::write_checkpoint() {
  const std::uint64_t answers = checkpoints_begun_for_ = checkpoints_requested_;
  const std::optional<Geometry> larger = place_growth();
  Checkpoint checkpoint = larger ? Checkpoint(state_, *larger) : Checkpoint(state_);
  const std::uint64_t cut = log_->cut();
  checkpoint.freeze();
  state_.sync_allocator();
  // First, since a page that was written can be evicted and read again, and then no longer tells what it waits for
  // (I4).
  CO_CHECK_OK(co_await log_->wait_durable(Lsn(cut), Until::forever()));
  CO_CHECK_OK(co_await checkpoint.write([this] { room_.notify_all(); }));
  Superblock next = state_.superblock;
  checkpoint.describe(next);
  ++next.sequence;
  next.replay_from = log_->point_at_cut();
  next.records_done = 0;
  CO_CHECK_OK(co_await superblocks_.write(next));
  state_.superblock = next;
  checkpoint.finish();
  // A checkpoint that another request brings before this one is answered has nothing to grow by.
  if (larger) growth_->larger = state_.superblock.geometry;
  logged_during_checkpoint_ = log_->head() - cut;
  log_->release(cut, next.sequence);
  ++checkpoints_;
  checkpoints_done_for_ = answers;
  room_.notify_all();
  co_return Result<>{};
}

Task<Result<>> StoreImpl::checkpoint() {
  CO_CHECK_OK(admit());
  auto outcome = co_await wait_for_checkpoint();
  leave();
  co_return outcome;
}

/// Asks for a checkpoint that begins after now and waits until it is durable. The gate was entered.
Task<Result<>> StoreImpl::wait_for_checkpoint() {
  Result<> outcome = usable();
  if (outcome && !log_) outcome = fail(Code::kPermissionDenied, "the store was opened read-only");
  const std::uint64_t ticket = ++checkpoints_requested_;
  work_.notify_all();
  while (outcome && checkpoints_done_for_ < ticket) {
    static_cast<void>(co_await room_.wait(Until::forever()));
    outcome = usable();
  }
  co_return outcome;
}

Task<> StoreImpl::pause_background() {
  // A slice of reclaiming may wait for a checkpoint, so it ends first.
  while (reclaiming_) static_cast<void>(co_await room_.wait(Until::forever()));
  ++pauses_;
  while (checkpoint_running_) static_cast<void>(co_await room_.wait(Until::forever()));
}

void StoreImpl::resume_background() {
  --pauses_;
  work_.notify_all();
}

Task<> StoreImpl::reclaim_loop() {
  const Until until{kNoDeadline, &scope_.cancel_source()};
  std::size_t stuck = 0;  // trees at the front whose pages cannot be read; the next open tries again
  while (!fenced_ && !scope_.stopping()) {
    if (pauses_ > 0 || state_.catalog.dropped().size() <= stuck) {
      static_cast<void>(co_await work_.wait(until));
      continue;
    }
    const DroppedTree tree = state_.catalog.dropped()[stuck];
    reclaiming_ = true;
    const auto done = co_await reclaim_slice(tree);
    reclaiming_ = false;
    room_.notify_all();
    if (!done && !fenced_ && !scope_.stopping()) ++stuck;
    co_await state_.reactor.yield();
  }
}

/// One slice with all the reading it needs. True: all pages of the tree are given back.
Task<Result<bool>> StoreImpl::reclaim_slice(DroppedTree tree) {
  const Until until{kNoDeadline, &scope_.cancel_source()};
  CO_CHECK_OK(co_await pin_units_.acquire(kReclaimPins, until));
  Result<bool> outcome = false;
  {
    PagePins pins(state_.cache);
    for (;;) {
      outcome = try_reclaim_slice(tree);
      if (outcome) break;
      Result<> waited = fail(outcome.error());
      if (outcome.error() == Code::kPageFault && pins.count() < kReclaimPins) {
        waited = co_await pins.fetch(state_.trees.fault(), until);
      } else if (outcome.error() == Code::kMustWait) {
        pins.release();
        waited = co_await wait_for_room(until);
      }
      if (!waited) {
        outcome = fail(waited.error());
        break;
      }
    }
  }
  pin_units_.release(kReclaimPins);
  co_return outcome;
}

// Not logged, since the contents stay: a crash goes back to the image that is there now.
Result<> StoreImpl::rewrite(Frame& frame) {
  CHECK_OK(usable());
  if (!log_) return fail(Code::kPermissionDenied, "the store was opened read-only");
  ASSERT(frame.current && !frame.dirty && !frame.frozen);
  const PageCache& cache = state_.cache;
  const std::uint64_t occupied = cache.frames_dirty() + cache.frames_frozen();
  const std::uint64_t dirty_after = cache.frames_dirty() + 1 + pins_granted();
  if (occupied + 1 > state_.dirty_limit() || cache.frames_to_modify(frame) > cache.writable_frames() ||
      dirty_after > state_.allocator.meta().slots_available()) {
    return must_wait(Lack::kCheckpoint);
  }
  state_.cache.modify(frame, frame.modified);
  state_.sync_allocator();
  if (checkpoints_requested_ == checkpoints_begun_for_) ++checkpoints_requested_;
  work_.notify_all();
  return {};
}

/// Not logged: it changes no contents, and a crash goes back to the tree as the last checkpoint has it, dropped and
/// whole.
Result<bool> StoreImpl::try_reclaim_slice(DroppedTree tree) {
  CHECK_OK(usable());
  const PageCache& cache = state_.cache;
  const std::uint64_t occupied = cache.frames_dirty() + cache.frames_frozen();
  const std::uint64_t dirty_after = cache.frames_dirty() + kReclaimFrames + pins_granted();
  if (occupied + kReclaimFrames > state_.dirty_limit() || kReclaimFrames > cache.writable_frames() ||
      dirty_after > state_.allocator.meta().slots_available()) {
    return must_wait(Lack::kCheckpoint);
  }
  // The catalog's page must be here before the last page goes, so that both change in one step.
  std::uint64_t frames = 0;
  const Bytes key = Catalog::dropped_key(tree.id);
  state_.trees.begin_batch();
  CHECK_OK(state_.trees.prepare_erase(kCatalogTree, key, frames));
  TRY(const bool done, state_.trees.reclaim(tree.root, kReclaimPages, state_.applied));
  if (done) {
    state_.trees.erase(kCatalogTree, key, state_.applied);
    state_.catalog.forget_dropped(tree.id);
  }
  state_.trees.finish_batch();
  state_.sync_allocator();
  return done;
}

}  // namespace cenote::store
