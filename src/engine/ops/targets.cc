#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::targets(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kTargets, reactor_);
  auto body = co_await run_targets(request);
  if (!body) co_return failed(request, timer, std::move(body).error());
  co_return succeeded(*body);
}

Task<Result<Bytes>> ObjectService::run_targets(rpc::Request& request) {
  CO_TRY(TargetsRequest call, decode_targets_request(request.body()));
  const TargetsOp op = call.op;
  // Questions are run again when they are resent, and the answers to changes are kept.
  if (is_change(op) != (static_cast<Opcode>(request.opcode()) == Opcode::kTargets))
    co_return failf(Code::kMalformed, "call {} to targets under opcode {}", static_cast<unsigned>(op),
                    request.opcode());
  // A cancellation does not cross reactors; the deadline bounds the wait.
  const Until until = Until::at(deadline(request));
  CO_TRY(const TargetsReply reply, co_await call_on(reactor_, services_.control_reactor(),
                                                    [&] { return services_.ask_targets(std::move(call), until); }));
  Bytes body;
  encode(op, reply, body);
  co_return body;
}

}  // namespace cenote::engine
