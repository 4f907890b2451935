#include <algorithm>

#include "cenote/base/format.h"
#include "core.h"

namespace cenote::object {
namespace {

/// Far beyond any clock, and near enough to zero that sums with durations do not overflow.
constexpr Epoch kLastSnapshotEpoch{INT64_MAX};

Result<> check_addition(const Core& core, const Container& container, Epoch epoch) {
  if (epoch == kEpochZero || epoch > kLastSnapshotEpoch)
    return failf(Code::kInvalidArgument, "a snapshot cannot be of epoch {}", epoch.value());
  // What an incomplete container shows of the past is copied to it, with what the snapshot keeps elsewhere.
  if (epoch < container.bound && !container.is_retained(epoch) && !container.incomplete)
    return failf(Code::kEpochTooOld, "epoch {} lies below {}: its versions may have been merged", epoch.value(),
                 container.bound.value());
  // It could show half of a transaction.
  if (epoch != end_of_moment(epoch) && epoch < core.clock.last())
    return failf(Code::kInvalidArgument, "a snapshot of the past cannot be of epoch {}, which is even", epoch.value());
  if (container.snapshots.size() >= kMaxSnapshots)
    return failf(Code::kQuotaExceeded, "the container has {} snapshots, the most that are possible: destroy some",
                 container.snapshots.size());
  return {};
}

Result<> add(Core& core, const Uuid& id, Epoch epoch, store::View& view, store::Lsn& seen) {
  TRY(Container * container, core.find_container(id, seen));
  seen = std::max(seen, container->lsn);
  // Added already, by this request's first arrival.
  if (container->is_snapshot(epoch)) return {};
  CHECK_OK(check_addition(core, *container, epoch));
  CHECK_OK(core.check_decided(id, Place{}, epoch));
  // Later updates must be newer, also after a restart.
  const std::optional<Epoch> ceiling = core.clock.raise_for(epoch);
  core.batch.clear();
  core.batch.put(core.system_tree, snapshot_key(id, epoch), encode_snapshot());
  if (container->snapshots.empty()) core.put_container(*container, true, !container->last_rollback.is_null());
  if (ceiling) core.batch.put(core.system_tree, ceiling_key(), encode_number(ceiling->value()));
  TRY(container->lsn, view.apply(core.batch));
  core.clock.observe(epoch);
  core.closed = std::max(core.closed, epoch);
  if (ceiling) {
    core.clock.raised(*ceiling);
    core.ceiling_lsn = container->lsn;
  }
  container->snapshots.insert(std::ranges::lower_bound(container->snapshots, epoch), epoch);
  seen = std::max(seen, container->lsn);
  return {};
}

Result<> remove(Core& core, const Uuid& id, Epoch epoch, store::View& view, store::Lsn& seen) {
  TRY(Container * container, core.find_container(id, seen));
  seen = std::max(seen, container->lsn);
  if (!container->is_snapshot(epoch)) return {};
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  core.batch.erase(core.system_tree, snapshot_key(id, epoch));
  if (container->snapshots.size() == 1) core.put_container(*container, false, !container->last_rollback.is_null());
  TRY(container->lsn, view.apply(core.batch));
  container->snapshots.erase(std::ranges::lower_bound(container->snapshots, epoch));
  container->note_release(epoch);
  seen = std::max(seen, container->lsn);
  return {};
}

}  // namespace

Task<Result<>> add_snapshot(Core& core, Uuid container, Epoch epoch, store::Lsn& seen) {
  co_return co_await core.store.run([&](store::View& view) { return add(core, container, epoch, view, seen); });
}

Task<Result<>> remove_snapshot(Core& core, Uuid container, Epoch epoch, store::Lsn& seen) {
  co_return co_await core.store.run([&](store::View& view) { return remove(core, container, epoch, view, seen); });
}

}  // namespace cenote::object
