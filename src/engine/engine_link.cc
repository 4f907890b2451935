#include "engine_link.h"

#include "cenote/protocol/opcodes.h"

namespace cenote::engine {

Task<Result<TargetsReply>> RpcEngineLink::call(TargetsRequest request, Until until) {
  Bytes body;
  encode(request, body);
  const Opcode opcode = is_change(request.op) ? Opcode::kTargets : Opcode::kTargetsQuery;
  rpc::CallOptions options;
  options.until = until;
  CO_TRY(const rpc::Reply reply, co_await caller_.call(static_cast<rpc::Opcode>(opcode), body, options));
  co_return decode_targets_reply(request.op, reply.body);
}

}  // namespace cenote::engine
