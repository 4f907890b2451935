#include "snapshots.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

using cluster::Revision;
using cluster::Transaction;
using State = SnapshotRecord::State;

SnapshotInfo info_of(const SnapshotRecord& record) { return {record.name, record.epoch}; }

std::unexpected<Error> no_such_snapshot(const ContainerRecord& container, std::string_view name) {
  return failf(Code::kNotFound, "container '{}' has no snapshot '{}': list them with 'cenote container snapshot list'",
               container.label, printable(as_bytes(name)));
}

}  // namespace

Task<Result<Versioned<ContainerRecord>>> Snapshots::find_container(std::string pool, std::string container) {
  CO_TRY(auto owner, co_await store_.find_pool(std::move(pool)));
  CO_TRY(auto found, co_await store_.find_container(std::move(owner.record), container));
  if (found.record.state != ContainerRecord::State::kReady) {
    co_return failf(Code::kContainerNotFound, "container '{}' is being created: try again",
                    printable(as_bytes(container)));
  }
  co_return found;
}

Task<Result<SnapshotInfo>> Snapshots::create(std::string pool, std::string container, std::string name, Uuid id) {
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_TRY(auto found, co_await find_container(std::move(pool), std::move(container)));
  CO_CHECK_OK(co_await settle_rollback(found.record.id));
  CO_TRY(const auto existing, co_await store_.snapshot(found.record.id, name));
  if (existing && existing->record.state == State::kReady) {
    if (existing->record.id == id) co_return info_of(existing->record);
    co_return failf(Code::kExists, "container '{}' has a snapshot '{}' already", found.record.label, name);
  }
  // One that a failure left half-made or half-destroyed is nobody's; its epoch must not come back under its name.
  if (existing) CO_CHECK_OK(co_await end(existing->record));
  CO_TRY(const SnapshotRecord record, co_await add(std::move(found), name, id));
  if (const auto finished = co_await put_state(record, State::kCreating, State::kReady); !finished) {
    // What this undo cannot do now the next start does; the first failure is the one to tell.
    static_cast<void>(co_await end(record));
    co_return fail(finished.error().with_context(fmt::format("creating snapshot '{}'", name)));
  }
  co_return info_of(record);
}

/// One that is still `creating`, kept by every target.
Task<Result<SnapshotRecord>> Snapshots::add(Versioned<ContainerRecord> container, std::string name, Uuid id) {
  // Of two changes on two targets, one of which came before the other for some client, the snapshot must not have the
  // later one alone: so nobody hears of either until all targets have closed the epoch.
  const Uuid held = container.record.id;
  CO_CHECK_OK(co_await targets_.hold_answers(held));
  const auto begun = co_await begin_create(std::move(container), name, id);
  if (!begun) {
    static_cast<void>(co_await targets_.release_answers(held));
    co_return fail(begun.error());
  }
  const SnapshotRecord& record = *begun;
  Result<> finished = co_await targets_.add_snapshot(record.container, record.epoch);
  const auto released = co_await targets_.release_answers(held);
  if (finished) finished = released;
  if (!finished) {
    // A target that cannot take it must not leave half a snapshot behind. What this undo cannot do now the next start
    // does; the first failure is the one to tell.
    static_cast<void>(co_await end(record));
    co_return fail(finished.error().with_context(fmt::format("creating snapshot '{}'", name)));
  }
  co_return record;
}

Task<Result<Snapshots::Moment>> Snapshots::begin_moment(std::string pool, std::string container, std::string snapshot,
                                                        Uuid id) {
  CO_TRY(auto found, co_await find_container(std::move(pool), std::move(container)));
  const Uuid source = found.record.id;
  CO_CHECK_OK(co_await settle_rollback(source));
  if (!snapshot.empty()) {
    CO_TRY(const SnapshotRecord record, co_await find_ready(found.record, std::move(snapshot)));
    co_return Moment{.container = source, .epoch = record.epoch};
  }
  // No name that a user can give; and it never becomes ready, so nobody sees it.
  std::string name = "~" + id.to_string();
  CO_TRY(const auto left, co_await store_.snapshot(source, name));
  if (left) CO_CHECK_OK(co_await end(left->record));
  CO_TRY(SnapshotRecord kept, co_await add(std::move(found), std::move(name), id));
  const Epoch epoch = kept.epoch;
  co_return Moment{.container = source, .epoch = epoch, .kept = std::move(kept)};
}

Task<Result<>> Snapshots::end_moment(Moment moment) {
  if (!moment.kept) co_return Result<>();
  co_return co_await end(*moment.kept);
}

/// Above everything that was answered for, and unlike the epochs of the container's other snapshots.
Task<Result<Epoch>> Snapshots::choose_epoch(const ContainerRecord& container) {
  CO_TRY(const auto others, co_await store_.snapshots(snapshot_prefix(container.id)));
  if (others.size() >= object::kMaxSnapshots) {
    co_return failf(Code::kQuotaExceeded, "container '{}' has {} snapshots, the most that are possible: destroy some",
                    container.label, others.size());
  }
  CO_TRY(Epoch newest, co_await targets_.newest_epoch(container.id));
  for (const SnapshotRecord& other : others) newest = std::max(newest, other.epoch);
  // Odd, as no transaction lies across it (docs/formats/object.md).
  co_return Epoch((newest.value() + 1) | 1);
}

Task<Result<SnapshotRecord>> Snapshots::begin_create(Versioned<ContainerRecord> container, std::string name, Uuid id) {
  CO_TRY(const Epoch epoch, co_await choose_epoch(container.record));
  SnapshotRecord record{container.record.id, std::move(name), id, epoch, State::kCreating};
  const std::string key = snapshot_key(record.container, record.name);
  const std::string container_at = container_key(record.container);
  Transaction change;
  // Written again unchanged, so that a destruction of the container at the same time is a conflict.
  change.require(container_at, container.revision).put(container_at, encode(container.record));
  change.require(key, Revision(0)).put(key, encode(record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return record;
}

Task<Result<>> Snapshots::put_state(SnapshotRecord record, State from, State to) {
  CO_TRY(auto found, co_await store_.snapshot(record.container, record.name));
  if (!found || found->record.epoch != record.epoch || found->record.state != from) {
    co_return failf(Code::kConditionFailed, "snapshot '{}' has changed meanwhile", record.name);
  }
  found->record.state = to;
  const std::string key = snapshot_key(record.container, record.name);
  Transaction change;
  change.require(key, found->revision).put(key, encode(found->record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<std::vector<SnapshotInfo>>> Snapshots::list(std::string pool, std::string container) {
  CO_TRY(const auto found, co_await find_container(std::move(pool), std::move(container)));
  CO_TRY(const auto records, co_await store_.snapshots(snapshot_prefix(found.record.id)));
  std::vector<SnapshotInfo> infos;
  for (const SnapshotRecord& record : records)
    if (record.state == State::kReady) infos.push_back(info_of(record));
  co_return infos;
}

Task<Result<SnapshotInfo>> Snapshots::query(std::string pool, std::string container, std::string name) {
  CO_TRY(const auto found, co_await find_container(std::move(pool), std::move(container)));
  CO_TRY(const SnapshotRecord snapshot, co_await find_ready(found.record, std::move(name)));
  co_return info_of(snapshot);
}

Task<Result<SnapshotRecord>> Snapshots::find_ready(ContainerRecord container, std::string name) {
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_TRY(const auto snapshot, co_await store_.snapshot(container.id, name));
  if (!snapshot || snapshot->record.state != State::kReady) co_return no_such_snapshot(container, name);
  co_return snapshot->record;
}

Task<Result<>> Snapshots::destroy(std::string pool, std::string container, std::string name) {
  CO_TRY(const auto found, co_await find_container(std::move(pool), std::move(container)));
  CO_CHECK_OK(validate_label("snapshot", name));
  CO_CHECK_OK(co_await settle_rollback(found.record.id));
  CO_TRY(const auto snapshot, co_await store_.snapshot(found.record.id, name));
  if (!snapshot) co_return no_such_snapshot(found.record, name);
  CO_CHECK_OK(co_await end(snapshot->record));
  // Nobody was told of one that was still being created.
  if (snapshot->record.state == State::kCreating) co_return no_such_snapshot(found.record, name);
  co_return Result<>();
}

/// Removes a snapshot of any state. A ready one is hidden first, since readers may no longer rely on the targets.
Task<Result<>> Snapshots::end(SnapshotRecord record) {
  CO_TRY(auto found, co_await store_.snapshot(record.container, record.name));
  if (!found || found->record.epoch != record.epoch) co_return Result<>();
  if (found->record.state == State::kReady) {
    CO_CHECK_OK(co_await put_state(record, State::kReady, State::kDestroying));
  }
  CO_CHECK_OK(co_await targets_.remove_snapshot(record.container, record.epoch));
  Transaction change;
  change.erase(snapshot_key(record.container, record.name));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<std::vector<SnapshotRecord>>> Snapshots::newer_snapshots(Uuid container, Epoch epoch) {
  CO_TRY(auto records, co_await store_.snapshots(snapshot_prefix(container)));
  std::erase_if(records, [epoch](const SnapshotRecord& record) { return record.epoch <= epoch; });
  co_return records;
}

Task<Result<SnapshotInfo>> Snapshots::roll_back(std::string pool, std::string container, std::string name, bool force,
                                                Uuid id) {
  CO_TRY(auto found, co_await find_container(std::move(pool), std::move(container)));
  CO_CHECK_OK(co_await settle_rollback(found.record.id));
  CO_TRY(const SnapshotRecord snapshot, co_await find_ready(found.record, std::move(name)));
  CO_TRY(const auto last, co_await store_.rollback(found.record.id));
  if (last && last->record.id == id) co_return info_of(snapshot);
  CO_TRY(const auto newer, co_await newer_snapshots(found.record.id, snapshot.epoch));
  if (!newer.empty() && !force) {
    co_return failf(Code::kConditionFailed,
                    "container '{}' has {} newer than '{}', '{}' for instance: destroy them, or roll back by force",
                    found.record.label, newer.size() == 1 ? "a snapshot" : "snapshots", snapshot.name,
                    newer.front().name);
  }
  CO_CHECK_OK(co_await check_clones(found.record, snapshot));
  const RollbackRecord record{.container = found.record.id, .id = id, .to = snapshot.epoch};
  CO_CHECK_OK(co_await begin_rollback(std::move(found), record));
  if (const auto finished = co_await finish_rollback(record); !finished) {
    co_return fail(finished.error().with_context(
        fmt::format("rolling back to snapshot '{}', which is completed by the next rollback or start", snapshot.name)));
  }
  co_return info_of(snapshot);
}

/// What clones see cannot be taken back, whatever the force; of those that are being created or destroyed neither.
Task<Result<>> Snapshots::check_clones(ContainerRecord container, SnapshotRecord to) {
  CO_TRY(const auto all, co_await store_.containers());
  std::string names;
  for (const ContainerRecord& other : all) {
    if (!other.clone_of || other.clone_of->container != container.id || other.clone_of->epoch <= to.epoch) continue;
    names += (names.empty() ? "'" : ", '") + other.label + "'";
  }
  if (!names.empty())
    co_return failf(Code::kConditionFailed, "container '{}' has clones that are newer than '{}': destroy {} first",
                    container.label, to.name, names);
  // One that was destroyed is kept while it has clones, and nobody knows it any more but the targets.
  const auto free = co_await targets_.check_rollback(container.id, to.epoch);
  if (free || !(free.error() == Code::kConditionFailed)) co_return free;
  for (const ContainerRecord& other : all) {
    const auto is_source = [&other](const ContainerRecord& record) { return record.id == other.clone_of->container; };
    if (!other.clone_of || std::ranges::any_of(all, is_source)) continue;
    names += (names.empty() ? "'" : ", '") + other.label + "'";
  }
  co_return failf(
      Code::kConditionFailed,
      "container '{}' had a clone newer than '{}', which was destroyed and is kept for clones of its own{}: "
      "try again when those are gone",
      container.label, to.name, names.empty() ? "" : " (" + names + " may be such)");
}

/// From here on the rollback happens, whatever fails.
Task<Result<>> Snapshots::begin_rollback(Versioned<ContainerRecord> container, RollbackRecord record) {
  const std::string container_at = container_key(record.container);
  Transaction change;
  // Written again unchanged, so that a destruction of the container at the same time is a conflict.
  change.require(container_at, container.revision).put(container_at, encode(container.record));
  change.put(rollback_key(record.container), encode(record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

Task<Result<>> Snapshots::finish_rollback(RollbackRecord record) {
  CO_TRY(const auto newer, co_await newer_snapshots(record.container, record.to));
  for (const SnapshotRecord& snapshot : newer) CO_CHECK_OK(co_await end(snapshot));
  // As with a snapshot: of what others change meanwhile nothing stays that came after something that goes.
  CO_CHECK_OK(co_await targets_.hold_answers(record.container));
  const auto rolled_back = co_await targets_.roll_back(record.container, record.to, record.id);
  const auto released = co_await targets_.release_answers(record.container);
  CO_CHECK_OK(rolled_back);
  CO_CHECK_OK(released);
  record.done = true;
  Transaction change;
  change.put(rollback_key(record.container), encode(record));
  CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  co_return Result<>();
}

/// Completes a rollback that a failure interrupted.
Task<Result<>> Snapshots::settle_rollback(Uuid container) {
  CO_TRY(const auto last, co_await store_.rollback(container));
  if (!last || last->record.done) co_return Result<>();
  co_return co_await finish_rollback(last->record);
}

Task<Result<>> Snapshots::resume() {
  CO_TRY(const auto records, co_await store_.snapshots(kSnapshotPrefix));
  for (const SnapshotRecord& record : records) {
    // Nobody was told of one that is being created, and the versions since then may have been merged.
    if (record.state != State::kReady) CO_CHECK_OK(co_await end(record));
  }
  CO_TRY(const auto rollbacks, co_await store_.rollbacks());
  for (RollbackRecord record : rollbacks) {
    if (record.done) continue;
    const auto free = co_await targets_.check_rollback(record.container, record.to);
    if (free || !(free.error() == Code::kConditionFailed)) {
      CO_CHECK_OK(co_await finish_rollback(record));
      continue;
    }
    // None that is begun now can be refused; earlier builds began what some clone did not let. It must not come later,
    // over what was written since.
    record.done = true;
    Transaction change;
    change.put(rollback_key(record.container), encode(record));
    CO_CHECK_OK(co_await store_.coordinator().commit(std::move(change)));
  }
  co_return Result<>();
}

Task<Result<>> Snapshots::check() {
  CO_TRY(const auto records, co_await store_.snapshots(kSnapshotPrefix));
  std::set<std::pair<Uuid, Epoch>> epochs;
  for (const SnapshotRecord& record : records) {
    CO_TRY(const auto container, co_await store_.container(record.container));
    if (!container) {
      co_return failf(Code::kCorrupt, "snapshot '{}' belongs to a container that does not exist", record.name);
    }
    if (!epochs.emplace(record.container, record.epoch).second) {
      co_return failf(Code::kCorrupt, "two snapshots of container '{}' have one epoch", container->record.label);
    }
  }
  CO_TRY(const auto rollbacks, co_await store_.rollbacks());
  for (const RollbackRecord& record : rollbacks) {
    CO_TRY(const auto container, co_await store_.container(record.container));
    if (!container) {
      co_return failf(Code::kCorrupt, "a rollback belongs to container {}, which does not exist",
                      record.container.to_string());
    }
  }
  co_return Result<>();
}

}  // namespace cenote::engine
