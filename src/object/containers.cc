#include <algorithm>
#include <span>

#include "cenote/base/format.h"
#include "container_key.h"
#include "core.h"

namespace cenote::object {
namespace {

/// What a new container is like.
struct Creation {
  Uuid id;
  ContainerProperties properties;
  std::optional<CloneSource> source;
  ContainerKey key;
  store::TreeId tree;
};

Result<> create(Core& core, const Creation& creation, store::View& view) {
  const auto& [id, properties, source, key, tree] = creation;
  if (const auto found = core.containers.find(id); found != core.containers.end()) {
    // Created already, by this request's first arrival or by someone else.
    if (!found->second.kept && found->second.source == source) return {};
    return failf(Code::kExists, "there is another container {} on this target", id.to_string());
  }
  if (source) CHECK_OK(check_clone(core, *source));
  core.batch.clear();
  core.batch.create_tree(tree, container_tree_name(tree));
  ContainerRecord record{.properties = properties, .tree = tree, .clone = source};
  if (properties.encrypted) record.key = key.sealed;
  core.batch.put(core.system_tree, container_key(RecordKind::kContainer, id), encode_container(record));
  // What was before is the source's business.
  const Epoch bound = source ? source->epoch : kEpochZero;
  if (source) core.batch.put(core.system_tree, container_key(RecordKind::kBound, id), encode_number(bound.value()));
  TRY(core.containers_lsn, view.apply(core.batch));
  Container container;
  container.id = id;
  container.properties = properties;
  container.tree = tree;
  container.key = record.key;
  container.sealer = key.sealer;
  container.lsn = core.containers_lsn;
  container.bound = bound;
  container.source = source;
  const auto added = core.containers.emplace(id, container).first;
  if (source) link_clone(core, added->second);
  return {};
}

/// Removes the newest snapshots of a container that is being destroyed, as many as one batch takes together with what
/// else goes.
void take_snapshots(Core& core, Container& container, std::size_t count) {
  for (const Epoch epoch : std::span(container.snapshots).last(count))
    core.batch.erase(core.system_tree, snapshot_key(container.id, epoch));
}

/// Of a container that has clones stays what they see. Its snapshots are in the batch already.
Result<> keep_for_clones(Core& core, Container& container, store::View& view) {
  container.kept = true;
  core.put_container(container, false, !container.last_rollback.is_null());
  container.kept = false;
  TRY(core.containers_lsn, view.apply(core.batch));
  container.kept = true;
  container.lsn = core.containers_lsn;
  container.snapshots.clear();
  container.note_release(container.clones.front());
  if (container.account) container.account->refund(container.used);
  container.account.reset();
  return {};
}

/// True: it is gone. False: some of its snapshots are. `kept`: one that was destroyed before, and has no clones any
/// more.
Result<bool> destroy(Core& core, const Uuid& id, bool kept, store::View& view) {
  constexpr std::size_t kSnapshotsPerBatch = 200;
  static_assert(kSnapshotsPerBatch + 8 <= store::kMaxBatchEntries);
  const auto found = core.containers.find(id);
  if (found == core.containers.end() || found->second.kept != kept)
    return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
  Container& container = found->second;
  const store::TreeId tree = container.tree;
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  const std::size_t snapshots = std::min(container.snapshots.size(), kSnapshotsPerBatch);
  take_snapshots(core, container, snapshots);
  if (snapshots < container.snapshots.size()) {
    TRY(container.lsn, view.apply(core.batch));
    container.snapshots.resize(container.snapshots.size() - snapshots);
    return false;
  }
  if (!container.clones.empty()) {
    CHECK_OK(keep_for_clones(core, container, view));
    return true;
  }
  for (const RecordKind kind :
       {RecordKind::kContainer, RecordKind::kUsage, RecordKind::kBound, RecordKind::kRollback, RecordKind::kIncomplete})
    core.batch.erase(core.system_tree, container_key(kind, id));
  core.batch.put(core.system_tree, destroying_key(tree), encode_destroying({}));
  TRY(core.containers_lsn, view.apply(core.batch));
  if (container.account) container.account->refund(container.used);
  if (container.source) unlink_clone(core, container);
  core.containers.erase(found);
  core.watches.note_all(id);
  core.destroying.emplace(tree, Bytes());
  return true;
}

/// Ends a kept container without clones: true. Of others, takes back what is newer than all that the clones see.
Result<bool> end_kept(Core& core, const Uuid& id, store::View& view) {
  const auto found = core.containers.find(id);
  if (found == core.containers.end()) return false;
  Container& container = found->second;
  if (container.clones.empty()) return destroy(core, id, true, view);
  if (container.cut == container.clones.back()) return false;
  const Epoch cut = container.clones.back();
  // Too many ranges are no more than a reason to wait for the pass that removes them.
  if (const auto taken = take_back(core, container, cut, container.id, view); !taken) {
    if (taken.error() == Code::kQuotaExceeded) return false;
    return fail(taken.error());
  }
  container.cut = cut;
  return false;
}

/// Gives back the extents of some entries of a destroyed container and remembers, in the same batch, where to go on;
/// the entries themselves go with the tree. True: the tree is gone.
Result<bool> reclaim_slice(Core& core, store::TreeId tree, store::View& view) {
  constexpr std::uint32_t kEntries = 512, kExtents = 2048;
  const auto found = core.destroying.find(tree);
  if (found == core.destroying.end()) return true;
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  store::Cursor cursor(view, tree);
  TRY(bool more, cursor.seek(found->second));
  Bytes next;
  std::uint64_t blocks = 0;
  for (std::uint32_t entries = 0, extents = 0; more && entries < kEntries && extents < kExtents; ++entries) {
    TRY(const Entry entry, decode_entry(cursor.value()));
    for (const store::Extent& extent : entry.extents()) {
      core.batch.release(extent);
      blocks += extent.blocks;
    }
    extents += entry.extent_count;
    next = to_bytes(cursor.key());
    next.push_back(std::byte{0});  // the next key is greater than this one
    TRY(more, cursor.next());
  }
  if (more) {
    core.batch.put(core.system_tree, destroying_key(tree), encode_destroying(next));
  } else {
    core.batch.drop_tree(tree);
    core.batch.erase(core.system_tree, destroying_key(tree));
  }
  TRY(core.containers_lsn, view.apply(core.batch));
  core.counters.reclaimed_blocks += blocks;
  if (more) {
    core.destroying[tree] = std::move(next);
  } else {
    core.destroying.erase(tree);
  }
  return !more;
}

Task<Result<>> reclaim_tree(Core& core, store::TreeId tree, bool polite) {
  for (bool done = false; !done;) {
    CO_TRY(done, co_await core.store.run([&core, tree](store::View& view) { return reclaim_slice(core, tree, view); }));
    CO_CHECK_OK(co_await end_slice(core, polite));
  }
  co_return Result<>();
}

}  // namespace

Task<Result<>> create_container(Core& core, Uuid id, ContainerProperties properties, std::optional<CloneSource> source,
                                store::Lsn& seen) {
  if (id.is_null()) co_return fail(Code::kInvalidArgument, "container: the null id");
  Creation creation{.id = id, .properties = properties, .source = source, .key = {}, .tree = {}};
  if (properties.encrypted) {
    CO_TRY(creation.key, draw_container_key(core, id));
  }
  creation.tree = core.store.next_tree_id();
  auto result = co_await core.store.run([&](store::View& view) { return create(core, creation, view); });
  // A refusal may be due to what just happened to the source.
  if (source) {
    if (const auto found = core.containers.find(source->container); found != core.containers.end())
      seen = std::max(seen, found->second.lsn);
  }
  seen = std::max(seen, core.containers_lsn);
  co_return result;
}

Task<Result<>> destroy_container(Core& core, Uuid id, store::Lsn& seen) {
  Result<> result;
  for (bool done = false; result && !done;) {
    auto step = co_await core.store.run([&core, &id](store::View& view) { return destroy(core, id, false, view); });
    done = step.value_or(false);
    if (!step) result = fail(std::move(step).error());
  }
  seen = std::max(seen, core.containers_lsn);
  co_return result;
}

Task<Result<>> reclaim_kept(Core& core, bool polite) {
  // Where the last clone goes, its source may be the last clone of another.
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<Uuid> kept;
    for (const auto& [id, container] : core.containers)
      if (container.kept) kept.push_back(id);
    for (const Uuid& id : kept) {
      CO_TRY(const bool ended,
             co_await core.store.run([&core, &id](store::View& view) { return end_kept(core, id, view); }));
      changed = changed || ended;
      CO_CHECK_OK(co_await end_slice(core, polite));
    }
  }
  co_return Result<>();
}

Task<Result<>> reclaim_destroyed(Core& core, bool polite) {
  std::vector<store::TreeId> trees;
  for (const auto& [tree, container] : core.destroying) trees.push_back(tree);
  Result<> outcome;
  for (const store::TreeId tree : trees) {
    if (core.background.stopping()) break;
    keep_first(outcome, co_await reclaim_tree(core, tree, polite));
  }
  co_return outcome;
}

}  // namespace cenote::object
