#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// Where an engine gets the coordinator that it shares with others. Engines know no kind of it: whoever starts one
/// hands this in (EngineOptions::coordinator).
class CoordinatorSource {
 public:
  /// On the reactor that will use it, which outlives it. The caller closes it.
  virtual Task<Result<std::unique_ptr<cluster::Coordinator>>> open(Reactor& control, Logger logger) = 0;
  /// For messages: "http://10.0.0.1:2379 (root 'cenote/')".
  virtual std::string place() const = 0;

 protected:
  ~CoordinatorSource() = default;
};

/// How others get at the coordinator of an engine, so that they can join its system. Whoever starts an engine that can
/// take others in hands this in (EngineOptions::sharing).
class CoordinatorSharing {
 public:
  struct Place {
    std::vector<std::string> endpoints;  ///< none: it is within this engine
    std::string root;
    bool managed = false;  ///< engines of the system run it themselves
  };
  virtual Place where() = 0;
  /// The same, once others can reach it. Where they cannot yet, that is begun, and goes on without the caller:
  /// kNotReady. Else why it cannot be. Does not wait. On the control reactor.
  virtual Result<Place> share() = 0;

 protected:
  ~CoordinatorSharing() = default;
};

}  // namespace cenote::engine
