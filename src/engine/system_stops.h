#pragma once

#include "cenote/cluster/coordinator.h"
#include "cenote/protocol/system_stop.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// Stops the system as a whole, and lets it go on (docs/adr/0021-stop-and-start.md). What engines do about it they do
/// by themselves, as they hear of it from the coordinator. Control reactor only.
class SystemStops {
 public:
  /// Both outlive it.
  SystemStops(Reactor& reactor, cluster::Coordinator& coordinator) : reactor_(reactor), coordinator_(coordinator) {}

  /// Durable; whoever is up hears of it then. Of a system that is stopped: changes nothing.
  Task<Result<SystemStopInfo>> stop();
  /// Durable. kConditionFailed: engines are missing, unless it is to start without them; then those are gone from this
  /// moment on. Of a system that is not stopped: changes nothing.
  Task<Result<SystemStopInfo>> start(StartSystem request);
  /// The engines of a system that has one only are left out.
  Task<Result<SystemStopInfo>> query();
  /// kNotReady: the system is stopped.
  Task<Result<>> check_running();

 private:
  Reactor& reactor_;
  cluster::Coordinator& coordinator_;
};

}  // namespace cenote::engine
