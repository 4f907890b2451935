#include <algorithm>
#include <span>

#include "cenote/base/format.h"
#include "container_key.h"
#include "core.h"

namespace cenote::object {
namespace {

Result<> create(Core& core, const Uuid& id, ContainerProperties properties, const ContainerKey& key, store::TreeId tree,
                store::View& view) {
  // Created already, by this request's first arrival or by someone else.
  if (core.containers.contains(id)) return {};
  core.batch.clear();
  core.batch.create_tree(tree, container_tree_name(tree));
  ContainerRecord record{.properties = properties, .tree = tree};
  if (properties.encrypted) record.key = key.sealed;
  core.batch.put(core.system_tree, container_key(RecordKind::kContainer, id), encode_container(record));
  TRY(core.containers_lsn, view.apply(core.batch));
  Container container;
  container.id = id;
  container.properties = properties;
  container.tree = tree;
  container.key = record.key;
  container.sealer = key.sealer;
  container.lsn = core.containers_lsn;
  core.containers.emplace(id, container);
  return {};
}

/// Removes the newest snapshots of a container that is being destroyed, as many as one batch takes together with what
/// else goes.
void take_snapshots(Core& core, Container& container, std::size_t count) {
  for (const Epoch epoch : std::span(container.snapshots).last(count))
    core.batch.erase(core.system_tree, snapshot_key(container.id, epoch));
}

/// True: it is gone. False: some of its snapshots are.
Result<bool> destroy(Core& core, const Uuid& id, store::View& view) {
  constexpr std::size_t kSnapshotsPerBatch = 200;
  static_assert(kSnapshotsPerBatch + 8 <= store::kMaxBatchEntries);
  const auto found = core.containers.find(id);
  if (found == core.containers.end())
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
  for (const RecordKind kind : {RecordKind::kContainer, RecordKind::kUsage, RecordKind::kBound, RecordKind::kRollback})
    core.batch.erase(core.system_tree, container_key(kind, id));
  core.batch.put(core.system_tree, destroying_key(tree), encode_destroying({}));
  TRY(core.containers_lsn, view.apply(core.batch));
  if (found->second.account) found->second.account->refund(found->second.logical_bytes);
  core.containers.erase(found);
  core.watches.note_all(id);
  core.destroying.emplace(tree, Bytes());
  return true;
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

Task<Result<>> create_container(Core& core, Uuid id, ContainerProperties properties, store::Lsn& seen) {
  if (id.is_null()) co_return fail(Code::kInvalidArgument, "container: the null id");
  ContainerKey key;
  if (properties.encrypted) {
    CO_TRY(key, draw_container_key(core, id));
  }
  const store::TreeId tree = core.store.next_tree_id();
  auto result = co_await core.store.run([&core, &id, properties, &key, tree](store::View& view) {
    return create(core, id, properties, key, tree, view);
  });
  seen = std::max(seen, core.containers_lsn);
  co_return result;
}

Task<Result<>> destroy_container(Core& core, Uuid id, store::Lsn& seen) {
  Result<> result;
  for (bool done = false; result && !done;) {
    auto step = co_await core.store.run([&core, &id](store::View& view) { return destroy(core, id, view); });
    done = step.value_or(false);
    if (!step) result = fail(std::move(step).error());
  }
  seen = std::max(seen, core.containers_lsn);
  co_return result;
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
