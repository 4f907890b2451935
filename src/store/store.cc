#include "cenote/store/store.h"

#include <algorithm>

#include "recovery.h"
#include "store_impl.h"

namespace cenote::store {

/// What a run holds that has met a missing page.
struct Attempts::Waits {
  explicit Waits(StoreImpl& the_store) : store(the_store), pins(the_store.state().cache) {}
  ~Waits() { give_back(); }

  void give_back() {
    pins.release();
    if (units == 0) return;
    store.pin_units().release(std::exchange(units, 0));
    store.room_changed();
  }

  /// Makes sure that one more page may be pinned. Whoever needs more than it has gives all back first and asks for the
  /// larger amount at once, so nobody holds some and waits for more.
  Task<Result<>> allow_pin(Until until) {
    if (pins.count() < units) co_return Result<>{};
    const std::uint64_t wanted = units == 0 ? 8 : units == 8 ? 64 : store.pin_limit();
    if (units == store.pin_limit()) {
      co_return fail(Code::kResourceExhausted, "the operation needs more pages at a time than the page cache allows");
    }
    give_back();
    const auto acquired = co_await store.pin_units().acquire(wanted, until);
    if (acquired) units = wanted;
    co_return acquired;
  }

  StoreImpl& store;
  PagePins pins;
  std::uint64_t units = 0;
};

Attempts::Attempts(StoreImpl& store) : store_(store), entered_(store.admit().has_value()) {}

Attempts::~Attempts() {
  waits_.reset();
  if (entered_) store_.leave();
}

Result<> Attempts::admitted() const {
  if (!entered_) return fail(Code::kStopped, "the store is closed");
  return {};
}

View Attempts::view() { return store_.view(); }

bool Attempts::again(const Error& error, const View& view) {
  if (error != Code::kPageFault && error != Code::kMustWait) return false;
  ASSERT(!view.applied_);  // `apply` is the last thing an attempt does
  return true;
}

Task<Result<>> Attempts::resolve(Error reason, Until until) {
  const PageId missing = store_.state().trees.fault();
  if (!waits_) waits_ = std::make_unique<Waits>(store_);
  if (reason == Code::kMustWait) {
    waits_->give_back();
    co_return co_await store_.wait_for_room(until);
  }
  CO_CHECK_OK(co_await waits_->allow_pin(until));
  co_return co_await waits_->pins.fetch(missing, until);
}

ExtentGuard::~ExtentGuard() {
  if (store_ != nullptr) store_->close_guard(ticket_);
}

std::optional<TreeId> View::find_tree(std::string_view name) {
  seen_ = std::max(seen_, trees_.roots_changed());
  return store_.state().catalog.find(name);
}

Result<Lsn> View::apply(const Batch& batch) { return store_.apply(*this, batch); }

Store::Store(std::unique_ptr<StoreImpl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Task<Result<std::unique_ptr<Store>>> Store::open(Reactor& reactor, Devices devices, OpenOptions options) {
  if (options.cache_bytes < kMinCacheBytes) {
    co_return fail(Code::kOutOfRange, "the page cache of a store needs at least 16 MiB");
  }
  SuperblockIo superblocks(devices);
  CO_TRY(Superblock superblock, co_await find_store(devices, options, superblocks));
  CO_TRY(auto seal, seal_of(reactor, superblock, options.key, options.read_only, devices.meta->name()));
  auto impl =
      std::make_unique<StoreImpl>(reactor, devices, options, std::move(superblock), std::move(seal), superblocks);
  options.key.reset();
  auto started = co_await impl->start();
  if (!started) {
    static_cast<void>(co_await impl->close());
    co_return fail(std::move(started).error());
  }
  co_return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Task<Result<>> Store::close() { co_return co_await impl_->close(); }
Task<Result<>> Store::durable(Lsn lsn) { return impl_->durable(lsn); }
bool Store::is_durable(Lsn lsn) const { return impl_->is_durable(lsn); }

Task<Result<Lsn>> Store::commit(Batch batch) {
  const auto attempt = [&batch](View& view) { return view.apply(batch); };
  CO_TRY(const Lsn lsn, co_await run(attempt));
  CO_CHECK_OK(co_await durable(lsn));
  co_return lsn;
}

std::optional<TreeId> Store::find_tree(std::string_view name) const { return impl_->state().catalog.find(name); }
TreeId Store::next_tree_id() { return impl_->state().catalog.take_id(); }
Result<Extent> Store::reserve(std::uint32_t blocks, SpaceClass space_class) {
  return impl_->reserve(blocks, space_class);
}
void Store::cancel(Extent extent) { impl_->cancel(extent); }
bool Store::may_compact(CompactionNeed need) const { return impl_->may_compact(need); }
std::uint64_t Store::begin_compaction(CompactionNeed need) { return impl_->begin_compaction(need); }
bool Store::is_in_the_way(Extent extent) const { return impl_->state().allocator.is_vacating(extent); }
std::uint64_t Store::compaction_left() const { return impl_->state().allocator.vacating_left(); }
Result<Extent> Store::reserve_hole(std::uint32_t blocks) { return impl_->reserve_hole(blocks); }
std::uint64_t Store::end_compaction(bool tried_all) { return impl_->state().allocator.end_vacating(tried_all); }
ExtentGuard Store::guard_extents() { return impl_->guard_extents(); }
media::BlockDevice& Store::data_device() { return *impl_->state().devices.data; }
void Store::refuse_changes(const Error& cause) { impl_->fence(cause); }
Task<Result<>> Store::checkpoint() { co_return co_await impl_->checkpoint(); }
bool Store::sealed() const { return impl_->state().seal != nullptr; }
SecretKey Store::derive_key(std::string_view label) const {
  ASSERT(sealed());
  return impl_->state().seal->derive(label);
}
Task<Result<>> Store::grow() { co_return co_await impl_->grow(); }
StoreStatus Store::status() const { return impl_->status(); }
Reactor& Store::reactor() { return impl_->state().reactor; }

}  // namespace cenote::store
