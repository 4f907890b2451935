#pragma once

#include <map>
#include <string>
#include <vector>

#include "cenote/protocol/control_requests.h"
#include "container_targets.h"
#include "containers.h"
#include "control_store.h"
#include "space_accounts.h"

namespace cenote::engine {

/// Pools: space promised to somebody, over all targets. Every answer is durable. Control reactor only; calls that
/// change something are to be made one at a time (ControlService does).
///
/// Invariants, at rest: the sizes of all pools add up to `promised`, which never exceeds the capacity of the targets;
/// labels differ; a tombstone has no label. Between: a tombstone keeps its promise until its last container is gone.
class Pools {
 public:
  Pools(ControlStore& store, Containers& containers, ContainerTargets& targets, SpaceAccounts& accounts)
      : store_(store), containers_(containers), targets_(targets), accounts_(accounts) {}

  /// Creates pool `id`. One that exists under this id with the same label is the answer to a repeated request. kExists
  /// for another with this label, kNoSpace when less than its size is left to promise.
  Task<Result<PoolInfo>> create(CreatePool request, Uuid id);
  Task<Result<std::vector<PoolInfo>>> list();
  Task<Result<PoolInfo>> query(std::string name);
  /// Sets the given limits and leaves the others. kInvalidArgument for what is no limit of a pool.
  Task<Result<PoolInfo>> set_properties(std::string name, std::map<std::string, std::string> properties);
  /// kNotEmpty while it has containers, unless `force`.
  Task<Result<>> destroy(std::string name, bool force);
  /// kPoolNotFound unless it is ready for use.
  Task<Result<>> check(Uuid pool);
  /// Completes the destructions that a crash interrupted.
  Task<Result<>> resume();

 private:
  Task<Result<PoolRecord>> try_create(CreatePool request, Uuid id);
  Task<Result<PoolRecord>> put_properties(std::string name, std::map<std::string, std::string> properties);
  Task<Result<PoolRecord>> bury(std::string name, bool force);
  Task<Result<>> clear(Uuid pool);
  Task<Result<>> erase(Uuid pool);
  Task<Result<PoolInfo>> info(PoolRecord record);

  ControlStore& store_;
  Containers& containers_;
  ContainerTargets& targets_;
  SpaceAccounts& accounts_;
};

}  // namespace cenote::engine
