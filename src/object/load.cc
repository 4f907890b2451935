#include <algorithm>

#include "container_key.h"
#include "core.h"
#include "prepare.h"
#include "tree_scan.h"

namespace cenote::object {
namespace {

/// Keys of bounds and snapshots come before those of rollbacks.
Result<> check_rolled_back(const Core& core, const Container& container) {
  const bool fits = container.rolled_back.empty() ||
                    (container.rolled_back.back().upto <= std::min(container.bound, core.clock.ceiling()) &&
                     std::ranges::none_of(container.snapshots, [&container](Epoch snapshot) {
                       return lost_its_view(container.rolled_back, snapshot);
                     }));
  if (fits) return {};
  return fail(Code::kCorrupt, "a rollback of container " + container.id.to_string() +
                                  " took back a snapshot, or reaches above what may still be read");
}

Result<> take_system_entry(Core& core, ByteView key_bytes, ByteView value) {
  TRY(const SystemKey key, parse_system_key(key_bytes));
  switch (key.kind) {
    case RecordKind::kCeiling: {
      TRY(const std::uint64_t ceiling, decode_number(value));
      core.clock.load(Epoch(ceiling));
      return {};
    }
    case RecordKind::kContainer: {
      TRY(const ContainerRecord record, decode_container(value));
      Container& container = core.containers[key.container];
      container.id = key.container;
      container.properties = record.properties;
      container.key = record.key;
      if (record.key) {
        TRY(container.sealer, open_container_key(core, key.container, *record.key));
      }
      container.tree = record.tree;
      container.source = record.clone;
      container.kept = record.kept;
      return {};
    }
    case RecordKind::kUsage:
    case RecordKind::kBound: {
      // Keys of containers come first, so a number without its container is damage.
      const auto found = core.containers.find(key.container);
      if (found == core.containers.end())
        return fail(Code::kCorrupt, "the system tree has a record of container " + key.container.to_string() +
                                        ", but not the container");
      if (key.kind == RecordKind::kUsage) {
        TRY(const UsageRecord usage, decode_usage(value));
        found->second.used = {.bytes = usage.bytes, .objects = usage.objects.value_or(0)};
        found->second.counts_objects = usage.objects.has_value();
      } else {
        TRY(const std::uint64_t number, decode_number(value));
        found->second.bound = Epoch(number);
      }
      return {};
    }
    case RecordKind::kSnapshot: {
      const auto found = core.containers.find(key.container);
      if (found == core.containers.end())
        return fail(Code::kCorrupt, "the system tree has a snapshot of container " + key.container.to_string() +
                                        ", but not the container");
      CHECK_OK(decode_snapshot(value));
      // The ceiling has the first key. Above it, later versions could come before the snapshot.
      if (key.epoch > core.clock.ceiling() || found->second.snapshots.size() == kMaxSnapshots)
        return fail(Code::kCorrupt,
                    "a snapshot of container " + key.container.to_string() + " lies in the future, or is one too many");
      found->second.snapshots.push_back(key.epoch);
      return {};
    }
    case RecordKind::kRollback: {
      const auto found = core.containers.find(key.container);
      if (found == core.containers.end())
        return fail(Code::kCorrupt, "the system tree has a rollback of container " + key.container.to_string() +
                                        ", but not the container");
      TRY(RollbackRecord record, decode_rollback(value));
      found->second.last_rollback = record.request;
      found->second.rolled_back = std::move(record.ranges);
      return check_rolled_back(core, found->second);
    }
    case RecordKind::kIncomplete: {
      TRY(Bytes progress, decode_incomplete(value));
      const auto found = core.containers.find(key.container);
      if (found == core.containers.end())
        return fail(Code::kCorrupt, "the system tree says that container " + key.container.to_string() +
                                        " is incomplete, but has none");
      found->second.progress = std::move(progress);
      found->second.incomplete = found->second.filled = true;
      return {};
    }
    case RecordKind::kDestroying: {
      TRY(const ByteView position, decode_destroying(value));
      core.destroying[key.tree] = to_bytes(position);
      return {};
    }
  }
  return {};
}

/// Of a container that was made by a build that did not count them: one search for each object.
Task<Result<>> count_objects(Core& core, Container& container) {
  constexpr std::uint32_t kObjectsPerRun = 64;
  container.used.objects = 0;
  Bytes position;
  for (bool done = false; !done;) {
    CO_TRY(done, co_await core.store.run([&](store::View& view) -> Result<bool> {
      Bytes next = position;
      std::uint64_t objects = 0;
      store::Cursor cursor(view, container.tree);
      TRY(bool more, cursor.seek(next));
      while (more && objects < kObjectsPerRun) {
        CHECK_OK(parse_key(cursor.key()));
        ++objects;
        next = after_prefix(cursor.key().first(KeyPath::kObjectEnd));
        more = false;
        if (next.empty()) break;
        TRY(more, cursor.seek(next));
      }
      position = std::move(next);
      container.used.objects += objects;
      return !more;
    }));
    if (!done) co_await core.reactor.yield();
  }
  container.counts_objects = true;
  co_return Result<>();
}

Result<> take_request_entry(Core& core, ByteView key_bytes, ByteView value) {
  TRY(const RequestKey key, parse_request_key(key_bytes));
  TRY(const RequestRecord record, decode_request(value));
  core.sessions.load(key, record);
  return {};
}

Task<Result<>> create_trees(Core& core) {
  store::Batch batch;
  core.system_tree = core.store.next_tree_id();
  core.request_tree = core.store.next_tree_id();
  batch.create_tree(core.system_tree, kSystemTreeName);
  batch.create_tree(core.request_tree, kRequestTreeName);
  CO_CHECK_OK(co_await core.store.commit(std::move(batch)));
  co_return Result<>();
}

}  // namespace

Task<Result<>> load(Core& core) {
  const auto system = core.store.find_tree(kSystemTreeName);
  const auto requests = core.store.find_tree(kRequestTreeName);
  if (!system && !requests) co_return co_await create_trees(core);
  if (!system || !requests) co_return fail(Code::kCorrupt, "one of the two system trees of the target is missing");
  core.system_tree = *system;
  core.request_tree = *requests;
  const auto take_system = [&core](ByteView key, ByteView value) { return take_system_entry(core, key, value); };
  const auto take_request = [&core](ByteView key, ByteView value) { return take_request_entry(core, key, value); };
  CO_CHECK_OK(co_await scan_tree(core, core.system_tree, {}, take_system));
  CO_CHECK_OK(co_await scan_tree(core, core.request_tree, {}, take_request));
  CO_CHECK_OK(link_clones(core));
  for (auto& [id, container] : core.containers)
    if (!container.counts_objects) CO_CHECK_OK(co_await count_objects(core, container));
  CO_CHECK_OK(co_await load_entries(core));
  core.entries.each([&core](const HeldEntry& entry) {
    const auto found = core.containers.find(entry.header.container);
    if (entry.header.state == EntryState::kPrepared && found != core.containers.end()) found->second.filled = true;
  });
  // What changed since the last pass of aggregation is not known, only when at the earliest: every container gets one.
  for (auto& [id, container] : core.containers) {
    container.changed = core.clock.last();
    container.unmerged = Epoch(container.bound.value() + 1);
  }
  core.check_invariants();
  co_return Result<>();
}

Task<Result<std::vector<store::Extent>>> owned_extents(Core& core) {
  std::vector<store::Extent> extents;
  const auto take = [&extents](ByteView, ByteView value) -> Result<> {
    TRY(const Entry entry, decode_entry(value));
    for (const store::Extent& extent : entry.extents()) extents.push_back(extent);
    return {};
  };
  std::vector<std::pair<store::TreeId, Bytes>> trees;
  for (const auto& [id, container] : core.containers) trees.emplace_back(container.tree, Bytes());
  // What lies before the position of a container that is being reclaimed was given back already.
  for (const auto& [tree, position] : core.destroying) trees.emplace_back(tree, position);
  for (const auto& [tree, position] : trees) CO_CHECK_OK(co_await scan_tree(core, tree, position, take));
  std::vector<std::pair<EntryName, std::uint16_t>> prepared;
  core.entries.each([&prepared](const HeldEntry& entry) {
    if (entry.header.state == EntryState::kPrepared) prepared.emplace_back(entry.name, entry.header.pieces);
  });
  for (const auto& [name, pieces] : prepared) {
    Bytes changes;
    CO_CHECK_OK(co_await core.store.run(
        [&](store::View& view) { return read_entry_changes(view, *core.entry_tree, name, pieces, changes); }));
    CO_TRY(const EntryChanges parts, decode_entry_changes(changes));
    std::ranges::copy(parts.claims, std::back_inserter(extents));
  }
  co_return extents;
}

}  // namespace cenote::object
