#pragma once

#include <memory>
#include <string>

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

}  // namespace cenote::engine
