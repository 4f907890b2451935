#pragma once

#include <string>

#include "admin_api.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"
#include "containers.h"
#include "serving_lease.h"

namespace cenote::engine {

/// What the request handlers need of the engine's control side. Where nothing else is said, called on its reactor.
class EngineServices {
 public:
  /// Any reactor.
  virtual Reactor& control_reactor() = 0;
  /// kContainerNotFound unless it is ready for use.
  virtual Task<Result<>> check_container(Uuid container) = 0;
  virtual Task<Result<std::string>> admin(AdminRequest request, Until until) = 0;
  virtual Task<Result<OidLease>> lease_oids(Uuid container, Until until) = 0;
  /// Without which nothing is served; nullptr: this engine needs none. Any reactor.
  virtual const ServingLease* serving_lease() const = 0;

 protected:
  ~EngineServices() = default;
};

}  // namespace cenote::engine
