#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/cluster/coordinator.h"
#include "control_records.h"

namespace cenote::engine {

/// A record with the revision that a change of it must name.
template <typename T>
struct Versioned {
  T record;
  cluster::Revision revision;
};

/// Typed reads of the control state. Control reactor only; the coordinator outlives it.
class ControlStore {
 public:
  explicit ControlStore(cluster::Coordinator& coordinator) : coordinator_(coordinator) {}

  cluster::Coordinator& coordinator() { return coordinator_; }

  /// Also a tombstone; nullopt when there is no record.
  Task<Result<std::optional<Versioned<PoolRecord>>>> pool(Uuid id);
  Task<Result<std::optional<Versioned<ContainerRecord>>>> container(Uuid id);
  /// By label or UUID, tombstones excluded. kPoolNotFound.
  Task<Result<Versioned<PoolRecord>>> find_pool(std::string name);
  /// By label or UUID within a pool, whatever its state but a tombstone. kContainerNotFound.
  Task<Result<Versioned<ContainerRecord>>> find_container(PoolRecord pool, std::string name);
  Task<Result<std::vector<PoolRecord>>> pools();
  Task<Result<std::vector<ContainerRecord>>> containers();
  /// The containers of a pool, tombstones included.
  Task<Result<std::vector<Uuid>>> members(Uuid pool);
  /// Whatever its state.
  Task<Result<std::optional<Versioned<SnapshotRecord>>>> snapshot(Uuid container, std::string name);
  /// Those below a prefix, whatever their state, by container and name.
  Task<Result<std::vector<SnapshotRecord>>> snapshots(std::string prefix);
  /// The last one of the container.
  Task<Result<std::optional<Versioned<RollbackRecord>>>> rollback(Uuid container);
  Task<Result<std::vector<RollbackRecord>>> rollbacks();
  /// Removes everything below a prefix, in as many transactions as it takes.
  Task<Result<>> erase_all(std::string prefix);
  /// Whether the coordinator was made anew of a copy that may have been too old, so that what targets hold and no
  /// record knows may be data (`end_recovery`).
  Task<Result<bool>> keeps_unknown();
  /// A number that is 0 while nobody has written it.
  Task<Result<Versioned<std::uint64_t>>> number(std::string key);

 private:
  Task<Result<std::optional<Uuid>>> resolve(std::string label_key, std::string name);

  cluster::Coordinator& coordinator_;
};

/// Runs `attempt` again when somebody else changed what it was decided on, as often as is sensible.
template <typename T, typename Attempt>
Task<Result<T>> without_conflict(Attempt attempt) {
  constexpr int kAttempts = 8;
  for (int count = 0; count < kAttempts; ++count) {
    Result<T> outcome = co_await attempt();
    if (outcome || !(outcome.error() == Code::kConditionFailed)) co_return outcome;
  }
  co_return fail(Code::kBusy, "the control state keeps changing: try again");
}

}  // namespace cenote::engine
