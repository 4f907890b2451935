#pragma once

#include "cenote/rpc/call.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"
#include "target_messages.h"

namespace cenote::engine {

/// The way from the leader of the control state to the targets of one engine: its own, or another's.
class EngineLink {
 public:
  virtual ~EngineLink() = default;
  /// Errors of TargetsService, and of the way.
  virtual Task<Result<TargetsReply>> call(TargetsRequest request, Until until) = 0;
};

/// To another engine.
class RpcEngineLink final : public EngineLink {
 public:
  /// `caller`, a Peer of the engine on the control reactor, outlives it.
  explicit RpcEngineLink(rpc::Caller& caller) : caller_(caller) {}
  Task<Result<TargetsReply>> call(TargetsRequest request, Until until) override;

 private:
  rpc::Caller& caller_;
};

}  // namespace cenote::engine
