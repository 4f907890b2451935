#pragma once

#include <map>
#include <string>
#include <vector>

#include "cenote/runtime/sync.h"
#include "container_checks.h"
#include "containers.h"
#include "control_store.h"
#include "flattenings.h"
#include "pool_operations.h"
#include "pools.h"
#include "snapshots.h"
#include "system_stops.h"

namespace cenote::engine {

/// Pools and containers of the system, as the admin API and the data path use them: changes one at a time, in the order
/// of their arrival. Control reactor only.
class ControlService {
 public:
  /// Coordinator and targets outlive it.
  ControlService(Reactor& reactor, cluster::Coordinator& coordinator, ContainerTargets& targets)
      : store_(coordinator),
        containers_(store_, targets, accounts_),
        snapshots_(store_, targets),
        pools_(store_, containers_, targets, accounts_),
        operations_(store_, containers_, targets),
        targets_(targets),
        checks_(reactor, targets),
        stops_(reactor, coordinator),
        turn_(reactor, 1),
        flattenings_(reactor, store_, containers_, targets, turn_) {}

  /// Until `resume`, whatever would change something waits.
  void hold() { held_ = turn_.try_acquire(); }
  /// Completes what a crash interrupted; before anything else.
  Task<Result<>> resume();
  /// The same at any later time: what failed while some targets could not be reached is completed, and targets that
  /// have started anew are told what they are charged to.
  Task<Result<>> settle(Until until);
  /// Ends what goes on in the background; awaited before destruction.
  Task<> stop();

  // See Pools and Containers. A change that `until` ends while it waits for its turn has had no effect.
  Task<Result<PoolInfo>> create_pool(CreatePool request, Uuid id, Until until);
  Task<Result<PoolInfo>> set_pool_properties(std::string name, std::map<std::string, std::string> properties,
                                             Until until);
  Task<Result<>> destroy_pool(std::string name, bool force, Until until);
  // See PoolOperations.
  Task<Result<PoolChanged>> change_engines(std::string pool, ChangeEngines request, Until until);
  Task<Result<PoolChanged>> take_back(Uuid pool, std::vector<cluster::Rank> engines, Until until);
  Task<Result<>> forget_losses(Uuid pool, std::vector<cluster::Rank> engines, Until until);
  Task<Result<>> empty_left(Uuid pool, cluster::Rank engine, Until until);
  Task<Result<PoolMoves>> pause_moves(std::string pool, bool paused, Until until);
  Task<Result<PoolMoves>> query_moves(std::string pool) { return operations_.moves(std::move(pool)); }
  Task<Result<ContainerInfo>> create_container(CreateContainer request, Uuid id, Until until);
  /// A clone shows what its source shows at one moment over all targets, or what a snapshot of it shows.
  Task<Result<ContainerInfo>> clone_container(CloneContainer request, Uuid id, Until until);
  /// See Flattenings.
  Task<Result<ContainerInfo>> flatten_container(std::string pool, std::string container, Until until) {
    return flattenings_.begin(std::move(pool), std::move(container), until);
  }
  Task<Result<>> destroy_container(std::string pool, std::string container, Until until);
  Task<Result<ContainerInfo>> set_properties(std::string pool, std::string container,
                                             std::map<std::string, std::string> properties, Until until);
  Task<Result<OidLease>> lease_oids(Uuid container, Until until);
  Task<Result<SnapshotInfo>> create_snapshot(std::string pool, std::string container, std::string name, Uuid id,
                                             Until until);
  Task<Result<>> destroy_snapshot(std::string pool, std::string container, std::string name, Until until);
  Task<Result<SnapshotInfo>> roll_back(std::string pool, std::string container, std::string name, bool force, Uuid id,
                                       Until until);

  Task<Result<std::vector<PoolInfo>>> list_pools() { return pools_.list(); }
  Task<Result<PoolInfo>> query_pool(std::string name) { return pools_.query(std::move(name)); }
  Task<Result<std::vector<ContainerInfo>>> list_containers(std::string pool) {
    return containers_.list(std::move(pool));
  }
  Task<Result<ContainerInfo>> query_container(std::string pool, std::string container) {
    return containers_.query(std::move(pool), std::move(container));
  }
  Task<Result<std::vector<SnapshotInfo>>> list_snapshots(std::string pool, std::string container) {
    return snapshots_.list(std::move(pool), std::move(container));
  }
  Task<Result<SnapshotInfo>> query_snapshot(std::string pool, std::string container, std::string name) {
    return snapshots_.query(std::move(pool), std::move(container), std::move(name));
  }
  // See SystemStops. What changes something ends before the stop, but for what goes on in the background.
  Task<Result<SystemStopInfo>> stop_system(Until until);
  Task<Result<SystemStopInfo>> start_system(StartSystem request, Until until);
  Task<Result<SystemStopInfo>> query_stop() { return stops_.query(); }
  Task<Result<>> check_running() { return stops_.check_running(); }
  // See ContainerChecks.
  Task<Result<ContainerCheck>> begin_check(std::string pool, std::string container, BeginCheck request, Uuid id);
  Task<Result<ContainerCheck>> query_check(std::string pool, std::string container);
  Task<Result<ContainerCheck>> cancel_check(std::string pool, std::string container, Until until);
  /// kPoolNotFound unless it is ready for use.
  Task<Result<>> check_pool(Uuid pool) { return pools_.check(pool); }
  Task<Result<std::vector<Uuid>>> containers_of(Uuid pool) { return containers_.ids(pool); }
  Task<Result<OpenContainer>> open_container(Uuid container) { return containers_.open(container); }

  /// What the targets of an engine hold and no record knows, if that is kept: after a recovery of the coordinator.
  Task<Result<std::vector<Uuid>>> kept_unknown(cluster::Rank engine);

  /// Asserts, and reports as kCorrupt, the invariants of the control state at rest: for tests and `debug check`.
  Task<Result<>> check();

 private:
  ControlStore store_;
  SpaceAccounts accounts_;
  Containers containers_;
  Snapshots snapshots_;
  Pools pools_;
  PoolOperations operations_;
  ContainerTargets& targets_;
  ContainerChecks checks_;
  SystemStops stops_;
  Semaphore turn_;
  bool held_ = false;
  Flattenings flattenings_;
};

}  // namespace cenote::engine
