#include "store_impl.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "recovery.h"

namespace cenote::store {
namespace {

/// Part of the cache that running operations may pin. With what may be dirty it leaves frames to read into.
constexpr double kPinShare = 0.375;

std::uint64_t pin_limit_of(const PageCache& cache) {
  return static_cast<std::uint64_t>(static_cast<double>(cache.frames_total()) * kPinShare);
}

}  // namespace

StoreImpl::StoreImpl(Reactor& reactor, Devices devices, const OpenOptions& options, Superblock superblock,
                     std::unique_ptr<StoreSeal> seal, SuperblockIo superblocks)
    : state_(reactor, devices, options, std::move(superblock), std::move(seal)),
      superblocks_(superblocks),
      batch_apply_(state_, BatchApply::Mode::kLive),
      gate_(reactor),
      room_(reactor),
      work_(reactor),
      pin_limit_(pin_limit_of(state_.cache)),
      pin_units_(reactor, pin_limit_),
      scope_(reactor) {}

StoreImpl::~StoreImpl() { ASSERT(gate_.closed()); }

/// Recovers, then begins to work.
Task<Result<>> StoreImpl::start() {
  Recovery recovery(state_, superblocks_);
  CO_TRY(const Recovery::Outcome recovered, co_await recovery.run());
  replayed_records_ = recovered.records;
  replay_time_ = recovered.time;
  if (state_.options.read_only) co_return Result<>{};
  const Superblock& superblock = state_.superblock;
  LogWriterOptions log;
  log.device = state_.devices.wal;
  log.flush_first = state_.devices.data->prefers_durable_writes() ? nullptr : state_.devices.data;
  log.ring = superblock.geometry.log;
  log.incarnation = superblock.incarnation;
  log.generation = superblock.generation;
  log.superblock = superblock.sequence;
  log.sealer = state_.seal ? &state_.seal->sealer() : nullptr;
  log.start = recovered.end;
  log.tail = superblock.replay_from.position;
  log.writes_in_flight = std::max(1u, state_.options.log_writes_in_flight);
  log.pending_bytes_max =
      std::clamp(state_.options.cache_bytes / 20, frame_bytes(kMaxSealedPayload), log.pending_bytes_max);
  log_.emplace(state_.reactor, static_cast<LogListener&>(*this), log);
  logged_during_checkpoint_ = log_->ring_bytes() / 3;  // a guess: the first one starts at half of the log
  scope_.spawn(checkpoint_loop());
  scope_.spawn(reclaim_loop());
  if (state_.options.discard) {
    state_.allocator.keep_freed();
    scope_.spawn(discard_loop());
  }
  co_return Result<>{};
}

Task<Result<>> StoreImpl::close() {
  co_await gate_.close();
  if (log_ && !fenced_ && !scope_.stopping()) {
    ++checkpoints_requested_;
    work_.notify_all();
    while (!fenced_ && checkpoints_done_for_ < checkpoints_requested_) {
      static_cast<void>(co_await room_.wait(Until::forever()));
    }
  }
  co_await scope_.stop();
  if (log_) co_await log_->close();
  co_return usable();
}

Result<> StoreImpl::admit() {
  if (!gate_.enter()) return fail(Code::kStopped, "the store is closed");
  return {};
}

Result<> StoreImpl::usable() const {
  if (fenced_) return fail(*fenced_);
  return {};
}

void StoreImpl::log_advanced() {
  state_.allocator.reclaim(log_->durable());
  room_.notify_all();
  if (state_.allocator.has_freed()) work_.notify_all();
}

void StoreImpl::log_failed(const Error& cause) { fence(cause); }

/// What is in memory may never become durable: take no more changes, and let everybody who waits know. Reading goes on:
/// whoever has seen what is not durable never gets to answer (I4), and all else is as good as before.
void StoreImpl::fence(const Error& cause) {
  if (fenced_) return;
  fenced_ = fenced_by(cause);
  if (log_) log_->fence(cause);
  room_.notify_all();
  work_.notify_all();
  if (state_.options.fenced) state_.options.fenced(*fenced_);
}

std::unexpected<Error> StoreImpl::must_wait(Lack lack) {
  lack_ = lack;
  return fail(Code::kMustWait);
}

Task<Result<>> StoreImpl::wait_for_room(Until until) {
  CO_CHECK_OK(usable());
  if (lack_ != Lack::kLogWrites) {
    if (checkpoints_requested_ == checkpoints_begun_for_) ++checkpoints_requested_;
    work_.notify_all();
  }
  CO_CHECK_OK(co_await room_.wait(until));
  co_return usable();
}

Result<> StoreImpl::check_log_room(const Batch& batch) {
  switch (log_->room(static_cast<std::uint32_t>(batch.encoded().size()))) {
    case LogWriter::Room::kYes:
      return {};
    case LogWriter::Room::kBusy:
      return must_wait(Lack::kLogWrites);
    case LogWriter::Room::kFull:
      return must_wait(Lack::kCheckpoint);
  }
  return fail(Code::kInternal);
}

Result<> StoreImpl::check_page_room(BatchApply::Need need, SpaceClass space_class) {
  const PageCache& cache = state_.cache;
  const std::uint64_t dirty = cache.frames_dirty();
  const std::uint64_t occupied = dirty + cache.frames_frozen();
  // What a batch may need is a rough bound. One that may need more than the limit goes when nothing else is dirty.
  if (occupied > 0 && occupied + need.frames > state_.dirty_limit()) return must_wait(Lack::kCheckpoint);
  if (need.frames > cache.frames_total()) {
    return failf(Code::kResourceExhausted, "the batch may change {} pages, the page cache has {}", need.frames,
                 cache.frames_total());
  }
  if (need.frames > cache.writable_frames()) return must_wait(Lack::kPins);
  state_.sync_allocator();
  // A page that is clean and pinned becomes dirty without taking a frame.
  const std::uint64_t touched = need.frames + pins_granted();
  const auto room = [&] { return state_.allocator.page_room(need.created, touched, dirty, space_class); };
  auto found = room();
  if (found != Allocator::PageRoom::kYes && state_.allocator.give_up_freed()) found = room();
  switch (found) {
    case Allocator::PageRoom::kYes:
      return {};
    case Allocator::PageRoom::kAfterCheckpoint:
      return must_wait(Lack::kCheckpoint);
    case Allocator::PageRoom::kFull:
      break;
  }
  return fail(Code::kNoSpace, "no space for new pages: delete something or add media");
}

Result<Lsn> StoreImpl::apply(View& view, const Batch& batch) {
  ASSERT(!view.applied_);
  CHECK_OK(usable());
  if (!log_) return fail(Code::kPermissionDenied, "the store was opened read-only");
  if (batch.flaw() != Code::kOk) return fail(batch.flaw(), "the batch holds more than the store's limits allow");
  if (batch.empty()) return state_.applied;
  CHECK_OK(check_log_room(batch));
  const auto need = batch_apply_.prepare(batch.encoded());
  // What it says about trees that exist or do not is an answer like any other.
  if (!need) view.seen_ = std::max(view.seen_, state_.trees.roots_changed());
  CHECK_OK(need);
  CHECK_OK(check_page_room(*need, batch.space_class()));
  const std::uint64_t most_dirty = state_.cache.frames_dirty() + need->frames + pins_granted();
  const Lsn lsn = log_->append(batch.encoded(), batch.claims());
  const Result<> applied = batch_apply_.apply(batch.encoded(), lsn);
  ASSERT(applied.has_value() && state_.cache.frames_dirty() <= most_dirty);
  view.applied_ = true;
  view.seen_ = lsn;
  ++batches_;
  state_.sync_allocator();
  if (checkpoint_due() || !state_.catalog.dropped().empty()) work_.notify_all();
  return lsn;
}

Task<Result<>> StoreImpl::durable(Lsn lsn) {
  if (is_durable(lsn)) co_return Result<>{};
  CO_CHECK_OK(admit());
  auto outcome = co_await log_->wait_durable(lsn, Until::forever());
  leave();
  co_return outcome;
}

Result<Extent> StoreImpl::reserve(std::uint32_t blocks, SpaceClass space_class) {
  CHECK_OK(usable());
  state_.sync_allocator();
  return state_.allocator.reserve(blocks, space_class);
}

bool StoreImpl::may_compact(CompactionNeed need) const {
  if (!log_ || fenced_) return false;
  return state_.allocator.may_vacate(need) || state_.allocator.closed_groups() > 0;
}

std::uint64_t StoreImpl::begin_compaction(CompactionNeed need) {
  if (!log_ || fenced_) return 0;
  state_.sync_allocator();
  return state_.allocator.begin_vacating(need);
}

Result<Extent> StoreImpl::reserve_hole(std::uint32_t blocks) {
  CHECK_OK(usable());
  return state_.allocator.reserve_hole(blocks);
}

void StoreImpl::close_guard(std::uint64_t ticket) {
  state_.allocator.close_guard(ticket);
  state_.allocator.reclaim(durable_lsn());
  if (state_.allocator.has_freed()) work_.notify_all();
}

StoreStatus StoreImpl::status() const {
  StoreStatus status;
  status.applied = state_.applied;
  status.durable = durable_lsn();
  status.checkpoint = state_.superblock.checkpoint;
  status.checkpoints = checkpoints_;
  status.batches = batches_;
  status.discarded_blocks = discarded_blocks_;
  status.discard_failures = discard_failures_;
  if (log_) {
    status.log_writes = log_->writes();
    status.log_blocks = log_->blocks_written();
  }
  status.page_reads = state_.page_reads;
  status.page_writes = state_.page_writes;
  status.page_hits = state_.cache.hits();
  status.page_misses = state_.cache.misses();
  status.cache_bytes = state_.cache.frames_used() * kPageBytes;
  status.dirty_bytes = state_.cache.frames_dirty() * kPageBytes;
  status.data_blocks_total = state_.allocator.data_blocks_total();
  status.data_blocks_free = state_.allocator.data_blocks_free();
  status.meta_blocks_used = state_.map.live() * kPageBlocks;
  status.spare_page_groups = state_.allocator.spare_groups();
  status.replayed_records = replayed_records_;
  status.replay_time = replay_time_;
  status.fenced = fenced_.has_value();
  if (fenced_) status.fenced_by = fenced_->message();
  status.sealed = state_.seal != nullptr;
  return status;
}

void StoreImpl::check_invariants() const {
  state_.check_invariants();
  if (!log_) return;
  log_->check_invariants();
  ASSERT(log_->durable() >= state_.superblock.checkpoint);
  ASSERT(fenced_ || state_.cache.frames_dirty() <= state_.allocator.meta().slots_available());
}

}  // namespace cenote::store
