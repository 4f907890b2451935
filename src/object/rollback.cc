#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "object_count.h"

namespace cenote::object {
namespace {

/// What is left to roll back to, and what must not be lost on the way.
Result<> check_rollback(const Container& container, Epoch to, Epoch now) {
  if (to > now) return failf(Code::kInvalidArgument, "epoch {} lies in the future", to.value());
  CHECK_OK(check_bound(container, to));
  if (!container.snapshots.empty() && container.snapshots.back() > to)
    return failf(Code::kConditionFailed, "the container has a snapshot of epoch {}, later than {}: destroy it first",
                 container.snapshots.back().value(), to.value());
  return check_taking_back(container, to);
}

/// The ranges once everything above `to` is taken back, too. Ranges above it are part of the new one.
std::vector<RolledBack> with_rollback(const std::vector<RolledBack>& ranges, RolledBack added) {
  std::vector<RolledBack> result;
  for (const RolledBack& range : ranges)
    if (range.upto <= added.after) result.push_back(range);
  result.push_back(added);
  return result;
}

Result<> check_room(const std::vector<RolledBack>& ranges) {
  if (ranges.size() <= kMaxRolledBack) return {};
  return failf(Code::kQuotaExceeded, "{} rollbacks of the container are still being cleaned up: try again later",
               kMaxRolledBack);
}

Result<> roll_back(Core& core, const Uuid& id, Epoch to, const Uuid& request, store::View& view, store::Lsn& seen) {
  TRY(Container * container, core.find_container(id, seen));
  seen = std::max(seen, container->lsn);
  if (container->last_rollback == request) return {};
  if (to < core.clock.last()) to = container->looked_from(to);
  CHECK_OK(check_rollback(*container, to, core.clock.last()));
  CHECK_OK(core.check_decided(id, Place{}, kEpochLatest));
  CHECK_OK(take_back(core, *container, to, request, view));
  core.watches.note_all(id);
  seen = std::max(seen, container->lsn);
  return {};
}

/// One pass over a container that removes what rollbacks took back, punches included, in slices.
///
/// Invariant: a slice removes only what no reader sees, so a pass may stop anywhere, and several may run at once. What
/// a rollback takes back while a pass runs may lie behind it: then the pass starts again.
class Purge {
 public:
  Purge(Core& core, const Uuid& container) : core_(core), container_(container) {}

  /// True: nothing is left to remove.
  Result<bool> slice(store::View& view);

 private:
  static constexpr std::uint32_t kLookedAt = 512, kRemoved = 128, kExtents = 1024;
  static constexpr std::uint64_t kLookedAtBytes = 256u << 10;

  Result<bool> collect(store::View& view, const Container& container, PathBytes& position);
  Result<> remove(store::TreeId tree, ByteView key, ByteView value);
  Result<bool> finish(Container& container, store::View& view);

  Core& core_;
  Uuid container_;
  std::uint64_t rollbacks_ = UINT64_MAX;  // of the container when this pass started
  PathBytes position_;
  std::uint32_t entries_ = 0, extents_ = 0;
  std::uint64_t bytes_ = 0, blocks_ = 0;
  Emptied emptied_;
};

Result<> Purge::remove(store::TreeId tree, ByteView key, ByteView value) {
  TRY(const Entry entry, decode_entry(value));
  core_.batch.erase(tree, key);
  emptied_.removed(key);
  ++entries_;
  if (!entry.holds_data()) return {};
  bytes_ += entry.bytes;
  for (const store::Extent& extent : entry.extents()) {
    core_.batch.release(extent);
    blocks_ += extent.blocks;
    ++extents_;
  }
  return {};
}

/// True: the end of the tree.
Result<bool> Purge::collect(store::View& view, const Container& container, PathBytes& position) {
  store::Cursor cursor(view, container.tree);
  TRY(bool more, cursor.seek(position));
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; more && i < kLookedAt && bytes < kLookedAtBytes; ++i) {
    if (entries_ >= kRemoved || extents_ >= kExtents) return false;
    TRY(const ParsedKey key, parse_key(cursor.key()));
    bytes += cursor.key().size() + cursor.value().size();
    if (find_rolled_back(container.rolled_back, key.epoch) != nullptr)
      CHECK_OK(remove(container.tree, cursor.key(), cursor.value()));
    position.assign(cursor.key());
    position.push_back(std::byte{0});  // the next key is greater than this one
    TRY(more, cursor.next());
  }
  return !more;
}

Result<bool> Purge::finish(Container& container, store::View& view) {
  core_.batch.put(core_.system_tree, container_key(RecordKind::kRollback, container_),
                  encode_rollback({.request = container.last_rollback, .ranges = {}}));
  TRY(container.lsn, view.apply(core_.batch));
  container.rolled_back.clear();
  return true;
}

Result<bool> Purge::slice(store::View& view) {
  const auto found = core_.containers.find(container_);
  if (found == core_.containers.end() || found->second.rolled_back.empty() || core_.is_at_rest(found->second))
    return true;
  Container& container = found->second;
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  entries_ = extents_ = 0;
  bytes_ = blocks_ = 0;
  emptied_.clear();
  PathBytes position = rollbacks_ == container.rollbacks ? position_ : PathBytes();
  TRY(const bool end, collect(view, container, position));
  if (end && entries_ == 0) return finish(container, view);
  if (entries_ > 0) {
    TRY(const std::uint64_t objects, emptied_.count(view, container.tree));
    CHECK_OK(core_.apply_refunded(container, {.bytes = bytes_, .objects = objects}, view));
    core_.counters.merged_entries += entries_;
    core_.counters.reclaimed_blocks += blocks_;
  }
  position_ = std::move(position);
  rollbacks_ = container.rollbacks;
  return false;
}

}  // namespace

Result<> check_taking_back(const Container& container, Epoch to) {
  if (!container.clones.empty() && container.clones.back() > to)
    return failf(Code::kConditionFailed, "the container has a clone of epoch {}, later than {}: destroy it first",
                 container.clones.back().value(), to.value());
  return check_room(with_rollback(container.rolled_back, {to, kEpochLatest}));
}

Result<> take_back(Core& core, Container& container, Epoch to, const Uuid& request, store::View& view) {
  const Epoch now = core.clock.next(core.wall_now());
  RollbackRecord record{.request = request, .ranges = with_rollback(container.rolled_back, {to, now})};
  CHECK_OK(check_room(record.ranges));
  const std::optional<Epoch> ceiling = core.clock.raise_for(now);
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  core.batch.put(core.system_tree, container_key(RecordKind::kRollback, container.id), encode_rollback(record));
  // Readers between the two epochs saw what is no more.
  core.batch.put(core.system_tree, container_key(RecordKind::kBound, container.id), encode_number(now.value()));
  core.put_container(container, !container.snapshots.empty(), true);
  if (ceiling) core.batch.put(core.system_tree, ceiling_key(), encode_number(ceiling->value()));
  TRY(container.lsn, view.apply(core.batch));
  if (ceiling) {
    core.clock.raised(*ceiling);
    core.ceiling_lsn = container.lsn;
  }
  container.bound = now;
  container.note_rollback(request, std::move(record.ranges));
  return {};
}

Task<Result<>> roll_back(Core& core, Uuid container, Epoch to, Uuid request, store::Lsn& seen) {
  co_return co_await core.store.run(
      [&](store::View& view) { return roll_back(core, container, to, request, view, seen); });
}

Task<Result<>> purge_rolled_back(Core& core, Uuid container, bool polite) {
  Purge purge(core, container);
  while (true) {
    CO_TRY(const bool done, co_await core.store.run([&purge](store::View& view) { return purge.slice(view); }));
    if (done) co_return Result<>();
    CO_CHECK_OK(co_await end_slice(core, polite));
  }
}

}  // namespace cenote::object
