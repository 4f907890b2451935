#pragma once

#include <string>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"
#include "containers.h"
#include "target_messages.h"

namespace cenote::engine {

/// What the request handlers need of the engine's control side. All but `control_reactor` is called on that reactor.
class EngineServices {
 public:
  virtual Reactor& control_reactor() = 0;
  /// kContainerNotFound unless it is ready for use.
  virtual Task<Result<>> check_container(Uuid container) = 0;
  virtual Task<Result<std::string>> admin(AdminMethod method, std::string path, std::string body, Uuid new_id,
                                          Until until) = 0;
  virtual Task<Result<OidLease>> lease_oids(Uuid container, Until until) = 0;
  /// See TargetsService.
  virtual Task<Result<TargetsReply>> ask_targets(TargetsRequest request, Until until) = 0;

 protected:
  ~EngineServices() = default;
};

}  // namespace cenote::engine
