#include "cenote/engine/control_recovery.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>

#include "cenote/base/format.h"
#include "containers.h"
#include "control_import.h"
#include "control_records.h"

namespace cenote::engine {

using cluster::KeyValue;

namespace {

/// More object numbers than can have been leased since the copy was made.
constexpr std::uint64_t kObjectNumberStep = std::uint64_t{1} << 40;
constexpr std::string_view kStartsPrefix = "engine/";
constexpr std::string_view kObjectNumbersPrefix = "oid/";

const KeyValue* find(const ControlCopyFile& file, std::string_view key) {
  const auto found = std::ranges::lower_bound(file.entries, key, {}, &KeyValue::key);
  return found == file.entries.end() || found->key != key ? nullptr : &*found;
}

Result<std::uint64_t> recoveries_of(const ControlCopyFile& file) {
  const KeyValue* const entry = find(file, kRecoveredKey);
  if (entry == nullptr) return 0;
  TRY(const RecoveryRecord record, decode_recovery(entry->value));
  return record.count;
}

Result<> check_one_system(std::span<const GivenCopy> copies) {
  for (const GivenCopy& copy : copies) {
    if (copy.file.head.system == copies.front().file.head.system) continue;
    return failf(Code::kForeign, "{} is of system {}, {} of system {}: give copies of one system only",
                 copies.front().source, copies.front().file.head.system.to_string(), copy.source,
                 copy.file.head.system.to_string());
  }
  return {};
}

/// Revisions of one coordinator tell which copy is newer; those of one that was recovered begin anew.
Result<std::size_t> newest_of(std::span<const GivenCopy> copies) {
  std::size_t newest = 0;
  std::tuple<std::uint64_t, cluster::Revision, WallTime> best;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const ControlCopyFile& file = copies[i].file;
    const auto recoveries = recoveries_of(file);
    if (!recoveries) return fail(recoveries.error().with_context(copies[i].source));
    const std::tuple rank(*recoveries, file.head.revision, file.head.written);
    if (i > 0 && rank <= best) continue;
    best = rank;
    newest = i;
  }
  return newest;
}

std::uint64_t raised(std::uint64_t number, std::uint64_t step) {
  return number > std::numeric_limits<std::uint64_t>::max() - step ? std::numeric_limits<std::uint64_t>::max()
                                                                   : number + step;
}

/// Every container gets one, as it may have leased its first numbers since.
Result<> raise_object_numbers(std::vector<KeyValue>& state) {
  std::map<std::string, std::string> numbers;
  for (const KeyValue& entry : state) {
    if (!entry.key.starts_with(kContainerPrefix)) continue;
    TRY(const Uuid container, id_of_key(entry.key));
    numbers.emplace(oid_key(container), std::to_string(raised(kFirstLeasedObject, kObjectNumberStep)));
  }
  for (const KeyValue& entry : state) {
    if (!entry.key.starts_with(kObjectNumbersPrefix)) continue;
    TRY(const std::uint64_t next, decode_number(entry.key, entry.value));
    numbers[entry.key] = std::to_string(raised(std::max(next, kFirstLeasedObject), kObjectNumberStep));
  }
  std::erase_if(state, [&](const KeyValue& entry) { return numbers.contains(entry.key); });
  for (auto& [key, value] : numbers) state.push_back({key, std::move(value), {}});
  return {};
}

Result<> raise_starts(std::vector<KeyValue>& state) {
  for (KeyValue& entry : state) {
    if (!entry.key.starts_with(kStartsPrefix)) continue;
    TRY(const std::uint64_t starts, decode_number(entry.key, entry.value));
    entry.value = std::to_string(raised(starts, cluster::kRecoveryStep));
  }
  return {};
}

/// That all records can be read, before anything is written.
Result<> count_records(RecoveryPlan& plan) {
  for (const KeyValue& entry : plan.state) {
    if (entry.key.starts_with(kPoolPrefix)) {
      TRY(const Uuid id, id_of_key(entry.key));
      CHECK_OK(decode_pool(id, entry.value));
      ++plan.pools;
    } else if (entry.key.starts_with(kContainerPrefix)) {
      TRY(const Uuid id, id_of_key(entry.key));
      CHECK_OK(decode_container(id, entry.value));
      ++plan.containers;
    } else if (entry.key.starts_with(kSnapshotPrefix)) {
      CHECK_OK(decode_snapshot(entry.key, entry.value));
      ++plan.snapshots;
    }
  }
  return {};
}

Result<> fill_in(RecoveryPlan& plan, const GivenCopy& newest) {
  const KeyValue* const system = find(newest.file, kSystemKey);
  if (system == nullptr) return fail(Code::kCorrupt, "it has no record of the system");
  TRY(plan.system, decode_system(system->value));
  if (plan.system.id != newest.file.head.system)
    return fail(Code::kCorrupt, "it is of another system than its head says");
  TRY(plan.recoveries, recoveries_of(newest.file));
  TRY(const auto engines, cluster::engines_of_copy(newest.file.entries));
  for (const cluster::CopiedEngine& engine : engines) plan.engines.push_back({.engine = engine});
  plan.state = newest.file.entries;
  std::erase_if(plan.state, [](const KeyValue& entry) {
    return entry.key == kSystemKey || entry.key == kImportKey || entry.key == kRecoveredKey;
  });
  CHECK_OK(count_records(plan));
  CHECK_OK(cluster::raise_membership(plan.state));
  CHECK_OK(raise_starts(plan.state));
  CHECK_OK(raise_object_numbers(plan.state));
  plan.state.push_back(
      {kRecoveredKey,
       encode(RecoveryRecord{
           .count = plan.recoveries + 1, .keeps_unknown = true, .of_revision = newest.file.head.revision.value()}),
       {}});
  return {};
}

}  // namespace

std::vector<cluster::Rank> RecoveryPlan::missing() const {
  std::vector<cluster::Rank> ranks;
  for (const Engine& each : engines)
    if (!each.given && each.engine.pools > 0) ranks.push_back(each.engine.place.rank);
  return ranks;
}

Result<RecoveryPlan> plan_recovery(std::span<const GivenCopy> copies) {
  if (copies.empty()) return fail(Code::kInvalidArgument, "no control copy was given");
  CHECK_OK(check_one_system(copies));
  RecoveryPlan plan;
  TRY(plan.newest, newest_of(copies));
  const GivenCopy& newest = copies[plan.newest];
  if (auto filled = fill_in(plan, newest); !filled) return fail(filled.error().with_context(newest.source));
  for (RecoveryPlan::Engine& each : plan.engines) {
    each.given = std::ranges::any_of(copies, [&](const GivenCopy& copy) {
      // One of before an earlier recovery says nothing of what its engine has done since.
      const auto recoveries = recoveries_of(copy.file);
      return copy.file.head.engine == each.engine.place.engine && recoveries == plan.recoveries;
    });
  }
  return plan;
}

Task<Result<>> carry_out(const RecoveryPlan& plan, cluster::Coordinator& to, Until until) {
  co_return co_await import_control_state(plan.state, to, plan.system, until);
}

Task<Result<>> check_recovery(const RecoveryPlan& plan, cluster::Coordinator& to, Until until) {
  co_return co_await check_importable(to, plan.system, until);
}

Task<Result<>> check_not_newer(cluster::Coordinator& coordinator, const Uuid& system, ByteView copy, Until until) {
  CO_TRY(const auto entry, co_await coordinator.get(kRecoveredKey, until));
  if (!entry) co_return Result<>();
  CO_TRY(const RecoveryRecord record, decode_recovery(entry->value));
  // A damaged one tells nothing, nor does one of another life of the coordinator.
  const auto file = decode_control_copy(copy);
  if (!file || file->head.system != system) co_return Result<>();
  const auto before = recoveries_of(*file);
  if (!record.keeps_unknown || record.of_revision == 0 || !before || *before + 1 != record.count) co_return Result<>();
  if (file->head.revision.value() <= record.of_revision) co_return Result<>();
  co_return failf(Code::kConditionFailed,
                  "the coordinator was made anew of a copy of revision {}, and the copy of this engine is newer, of "
                  "revision {}: as long as no engine has started with it recover again, into another root, of this "
                  "copy, too; what came between is given up by 'cenote system recover --forget-unknown'",
                  record.of_revision, file->head.revision.value());
}

Task<Result<>> end_recovery(cluster::Coordinator& coordinator, Until until) {
  CO_TRY(const auto entry, co_await coordinator.get(kRecoveredKey, until));
  if (!entry) co_return fail(Code::kNotFound, "this coordinator was never recovered");
  CO_TRY(RecoveryRecord record, decode_recovery(entry->value));
  record.keeps_unknown = false;
  cluster::Transaction change;
  change.require(entry->key, entry->modified).put(entry->key, encode(record));
  CO_CHECK_OK(co_await coordinator.commit(std::move(change), until));
  co_return Result<>();
}

}  // namespace cenote::engine
