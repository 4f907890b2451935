// Invariant: when `run` has succeeded every target of the engine has every ready container of the pool, as its record
// says, with the snapshots of its records and no others; none has a container without a record. (After a recovery of
// the coordinator whatever else there is stays, until an operator ends that.)

#include "engine_briefing.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

using State = ContainerRecord::State;

/// What the engine has of the container does not allow it; made anew it would.
bool is_remedied_anew(const Error& error) {
  return error == Code::kExists || error == Code::kEpochTooOld || error == Code::kConditionFailed;
}

}  // namespace

std::vector<ContainerRecord> in_clone_order(std::vector<ContainerRecord> records) {
  std::map<Uuid, std::optional<CloneOf>> sources;
  for (const ContainerRecord& record : records) sources.emplace(record.id, record.clone_of);
  const auto depth = [&sources](const ContainerRecord& record) {
    std::size_t depth = 0;
    for (std::optional<CloneOf> source = record.clone_of; source && depth <= object::kMaxCloneDepth; ++depth) {
      const auto found = sources.find(source->container);
      source = found == sources.end() ? std::nullopt : found->second;
    }
    return depth;
  };
  std::ranges::sort(records, {}, [&](const ContainerRecord& record) { return std::pair(depth(record), record.id); });
  return records;
}

Task<Result<std::map<Uuid, std::vector<HeldContainer>>>> held_containers(ContainerTargets& engine) {
  std::map<Uuid, std::vector<HeldContainer>> all;
  for (Uuid after;;) {
    CO_TRY(const auto page, co_await engine.list_containers(after));
    if (page.empty()) co_return all;
    for (const HeldContainer& held : page) all[held.id].push_back(held);
    if (page.back().id <= after) co_return fail(Code::kProtocolError, "an engine lists its containers out of order");
    after = page.back().id;
  }
}

Task<Result<std::vector<Uuid>>> unknown_containers(ControlStore& store, ContainerTargets& engine) {
  // In this order: what is made meanwhile has a record first.
  CO_TRY(const auto held, co_await held_containers(engine));
  CO_TRY(const auto records, co_await store.containers());
  std::vector<Uuid> unknown;
  for (const auto& [id, ways] : held) {
    if (std::ranges::find(records, id, &ContainerRecord::id) != records.end()) continue;
    if (!std::ranges::all_of(ways, &HeldContainer::kept)) unknown.push_back(id);
  }
  co_return unknown;
}

Task<Result<>> EngineBriefing::run() {
  CO_TRY(keeps_unknown_, co_await store_.keeps_unknown());
  CO_TRY(all_records_, co_await store_.containers());
  Records mine;
  // What is being made or destroyed is told when that is completed, to all.
  std::ranges::copy_if(all_records_, std::back_inserter(mine), [this](const ContainerRecord& record) {
    return record.pool == map_.pool() && record.state == State::kReady;
  });
  mine = in_clone_order(std::move(mine));
  for (const ContainerRecord& record : mine) {
    CO_TRY(const auto rollback, co_await store_.rollback(record.id));
    if (rollback) rollbacks_.emplace(record.id, rollback->record.id);
  }
  CO_TRY(held_, co_await held_containers(engine_));
  CO_CHECK_OK(check(mine));
  CO_CHECK_OK(co_await forget_strangers());
  co_return co_await bring(mine);
}

Result<> EngineBriefing::check(const Records& mine) const {
  for (const ContainerRecord& record : mine) {
    if (record.flattening)
      return failf(Code::kInvalidArgument,
                   "container '{}' is being flattened: wait until it is done ('cenote container query'), or destroy it",
                   record.label);
    if (!held_.contains(record.id) || differs(record)) CHECK_OK(check_source(record));
  }
  return {};
}

/// A clone can be made where its source is; one that was destroyed is kept where it was, and for the clones it had.
Result<> EngineBriefing::check_source(const ContainerRecord& record) const {
  if (!record.clone_of) return {};
  const auto source = std::ranges::find(all_records_, record.clone_of->container, &ContainerRecord::id);
  if (source != all_records_.end() && source->state == State::kReady) return {};
  return failf(Code::kInvalidArgument,
               "container '{}' is a clone whose source was destroyed, so that engine {} cannot have it: flatten it "
               "first ('cenote container flatten')",
               record.label, rank_.value());
}

bool EngineBriefing::differs(const ContainerRecord& record) const {
  const auto held = held_.find(record.id);
  if (held == held_.end()) return false;
  const auto source = record.clone_of
                          ? std::optional(object::CloneSource{record.clone_of->container, record.clone_of->epoch})
                          : std::nullopt;
  const auto rollback = rollbacks_.find(record.id);
  const Uuid last = rollback == rollbacks_.end() ? Uuid() : rollback->second;
  return std::ranges::any_of(held->second, [&](const HeldContainer& way) {
    return way.kept || way.source != source || way.last_rollback != last;
  });
}

Task<Result<>> EngineBriefing::forget_strangers() {
  if (keeps_unknown_) co_return Result<>();
  const auto is_wanted = [this](const Uuid& id) {
    const auto record = std::ranges::find(all_records_, id, &ContainerRecord::id);
    return record != all_records_.end() && (record->pool != map_.pool() || record->state != State::kDestroying);
  };
  for (const auto& [id, ways] : held_) {
    if (is_wanted(id) || std::ranges::all_of(ways, &HeldContainer::kept)) continue;
    CO_CHECK_OK(co_await engine_.destroy(id));
  }
  co_return Result<>();
}

Task<Result<>> EngineBriefing::bring(const Records& mine) {
  for (std::size_t i = 0; i < mine.size(); ++i)
    if (differs(mine[i])) CO_CHECK_OK(co_await forget_with_clones(mine, i));
  for (std::size_t i = 0; i < mine.size();) {
    auto told = co_await tell(mine[i]);
    const auto stale = told || !is_remedied_anew(told.error()) ? std::nullopt : to_remake(mine, i);
    if (stale) {
      CO_CHECK_OK(co_await forget_with_clones(mine, *stale));
      i = *stale;
      continue;
    }
    if (!told) co_return fail(std::move(told).error().with_context(fmt::format("container '{}'", mine[i].label)));
    ++i;
  }
  co_return Result<>();
}

/// What stands in the way of a container that cannot be told: what the engine has of it, or of its source. Nothing, if
/// both are new there.
std::optional<std::size_t> EngineBriefing::to_remake(const Records& mine, std::size_t which) const {
  if (held_.contains(mine[which].id)) return which;
  if (!mine[which].clone_of || !held_.contains(mine[which].clone_of->container)) return std::nullopt;
  const auto source = std::ranges::find(mine, mine[which].clone_of->container, &ContainerRecord::id);
  if (source == mine.end()) return std::nullopt;
  return static_cast<std::size_t>(source - mine.begin());
}

/// The last of its clones first, so that nothing is kept for them.
Task<Result<>> EngineBriefing::forget_with_clones(const Records& mine, std::size_t which) {
  std::vector<const ContainerRecord*> family{&mine[which]};
  for (std::size_t i = which + 1; i < mine.size(); ++i) {
    const auto is_source = [&](const ContainerRecord* each) {
      return mine[i].clone_of && mine[i].clone_of->container == each->id;
    };
    if (std::ranges::any_of(family, is_source)) family.push_back(&mine[i]);
  }
  for (const ContainerRecord* each : family) CO_CHECK_OK(check_source(*each));
  for (const ContainerRecord* each : std::views::reverse(family)) {
    CO_CHECK_OK(co_await engine_.destroy(each->id));
    held_.erase(each->id);
  }
  co_return Result<>();
}

Task<Result<>> EngineBriefing::tell(ContainerRecord record) {
  CO_CHECK_OK(co_await create(record));
  co_return co_await tell_snapshots(record);
}

Task<Result<>> EngineBriefing::create(const ContainerRecord& record) {
  CO_TRY(Containers::Terms terms, co_await containers_.terms(record));
  terms.account = all_.share_of(*terms.account, map_, rank_);
  if (terms.source && !held_.contains(record.id)) co_return co_await create_clone(record, terms);
  co_return co_await engine_.create(record.id, terms.properties, terms.source, std::move(terms.account));
}

/// The source has to keep what the clone shows until it does so for the clone.
Task<Result<>> EngineBriefing::create_clone(const ContainerRecord& record, const Containers::Terms& terms) {
  const object::CloneSource source = *terms.source;
  CO_CHECK_OK(co_await engine_.add_snapshot(source.container, source.epoch));
  const auto created = co_await engine_.create(record.id, terms.properties, source, terms.account);
  CO_TRY(const auto snapshots, co_await store_.snapshots(snapshot_prefix(source.container)));
  // It has a snapshot of its own where the clone was made of one. What stays after a failure goes when the engine is
  // told again.
  if (std::ranges::find(snapshots, source.epoch, &SnapshotRecord::epoch) == snapshots.end())
    CO_CHECK_OK(co_await engine_.remove_snapshot(source.container, source.epoch));
  co_return created;
}

Task<Result<>> EngineBriefing::tell_snapshots(const ContainerRecord& record) {
  CO_TRY(const auto records, co_await store_.snapshots(snapshot_prefix(record.id)));
  CO_TRY(const std::vector<Epoch> kept, co_await engine_.list_snapshots(record.id));
  std::set<Epoch> wanted;
  for (const SnapshotRecord& snapshot : records)
    if (snapshot.state == SnapshotRecord::State::kReady) wanted.insert(snapshot.epoch);
  for (const Epoch epoch : kept)
    if (!wanted.contains(epoch) && !keeps_unknown_) CO_CHECK_OK(co_await engine_.remove_snapshot(record.id, epoch));
  // Also those that some target keeps: others may not.
  for (const Epoch epoch : wanted) CO_CHECK_OK(co_await engine_.add_snapshot(record.id, epoch));
  co_return Result<>();
}

}  // namespace cenote::engine
