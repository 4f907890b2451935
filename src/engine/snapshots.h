#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/protocol/control_requests.h"
#include "container_targets.h"
#include "control_store.h"

namespace cenote::engine {

/// Named snapshots of containers. Every answer is durable. Control reactor only; calls that change something are to be
/// made one at a time (ControlService does).
///
/// A snapshot has one epoch for all targets. It is above every version that was answered for when its creation began,
/// and once it is ready no target gives a version at or below it, so readers at it see the same moment everywhere.
///
/// Invariants, at rest: what a ready snapshot's readers see is kept by every target; the targets have no snapshot that
/// is not in the control state; the epochs of a container's snapshots differ, so that one can go without another. A
/// crash leaves records that are `creating` or `destroying`, which `resume` removes, and rollbacks that are not done,
/// which it completes. A rollback that a failure left like that is completed before anything else happens to the
/// container's snapshots.
class Snapshots {
 public:
  Snapshots(ControlStore& store, ContainerTargets& targets) : store_(store), targets_(targets) {}

  /// One that was made by the same request `id` is the answer to a repeated request. kExists for another with this
  /// name, kContainerNotFound, kInvalidArgument, kQuotaExceeded.
  Task<Result<SnapshotInfo>> create(std::string pool, std::string container, std::string name, Uuid id);
  /// By name.
  Task<Result<std::vector<SnapshotInfo>>> list(std::string pool, std::string container);
  /// kNotFound.
  Task<Result<SnapshotInfo>> query(std::string pool, std::string container, std::string name);
  Task<Result<>> destroy(std::string pool, std::string container, std::string name);

  /// Takes the container back to a snapshot: what is newer is gone for all readers. Newer snapshots are refused with
  /// kConditionFailed, or destroyed with `force`. Takes effect once for each request `id`, also when a crash comes
  /// between: the next start completes it. kNotFound.
  Task<Result<SnapshotInfo>> roll_back(std::string pool, std::string container, std::string name, bool force, Uuid id);

  /// A container as it is at one moment over all targets, or as a ready snapshot of it shows it: what a clone of it is
  /// made of. Kept until `end_moment`, which the next start does for those that have not come to it.
  /// kContainerNotFound, kNotFound.
  struct Moment {
    Uuid container;
    Epoch epoch;
    std::optional<SnapshotRecord> kept = std::nullopt;  ///< by this nameless snapshot
  };
  Task<Result<Moment>> begin_moment(std::string pool, std::string container, std::string snapshot, Uuid id);
  Task<Result<>> end_moment(Moment moment);

  /// Completes what a crash interrupted.
  Task<Result<>> resume();
  /// kCorrupt: the invariants of the control state at rest do not hold.
  Task<Result<>> check();

 private:
  Task<Result<Versioned<ContainerRecord>>> find_container(std::string pool, std::string container);
  Task<Result<SnapshotRecord>> add(Versioned<ContainerRecord> container, std::string name, Uuid id);
  Task<Result<>> check_clones(ContainerRecord container, SnapshotRecord to);
  Task<Result<SnapshotRecord>> begin_create(Versioned<ContainerRecord> container, std::string name, Uuid id);
  Task<Result<Epoch>> choose_epoch(const ContainerRecord& container);
  Task<Result<>> end(SnapshotRecord record);
  Task<Result<SnapshotRecord>> find_ready(ContainerRecord container, std::string name);
  Task<Result<std::vector<SnapshotRecord>>> newer_snapshots(Uuid container, Epoch epoch);
  Task<Result<>> begin_rollback(Versioned<ContainerRecord> container, RollbackRecord record);
  Task<Result<>> finish_rollback(RollbackRecord record);
  Task<Result<>> settle_rollback(Uuid container);
  Task<Result<>> put_state(SnapshotRecord record, SnapshotRecord::State from, SnapshotRecord::State to);

  ControlStore& store_;
  ContainerTargets& targets_;
};

}  // namespace cenote::engine
