#pragma once

#include <set>
#include <string>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "containers.h"

namespace cenote::engine {

/// Flattening of clones: begun at a user's wish, done by the targets, and ended here when all of them have. The wish is
/// in the container's record, so a start goes on with it. Control reactor only.
class Flattenings {
 public:
  /// `turn` orders the changes of the control state.
  Flattenings(Reactor& reactor, ControlStore& store, Containers& containers, ContainerTargets& targets, Semaphore& turn)
      : reactor_(reactor), store_(store), containers_(containers), targets_(targets), turn_(turn), scope_(reactor) {}

  /// Begins to copy what the container shows of its source, if all of it fits its quotas, and returns how that goes;
  /// the container is no clone any more when it is done. One that is none, or is being flattened, is no error.
  /// kQuotaExceeded.
  Task<Result<ContainerInfo>> begin(std::string pool, std::string container, Until until);
  /// Goes on with those that were begun.
  Task<Result<>> resume();
  /// Awaited before destruction. What the targets do goes on.
  Task<> stop() { return scope_.stop(); }

 private:
  void watch(const Uuid& container);
  Task<> run();
  Task<Result<bool>> end(Uuid container);

  Reactor& reactor_;
  ControlStore& store_;
  Containers& containers_;
  ContainerTargets& targets_;
  Semaphore& turn_;
  Scope scope_;
  std::set<Uuid> going_on_;
  bool watching_ = false;
  Duration pause_{};
};

}  // namespace cenote::engine
