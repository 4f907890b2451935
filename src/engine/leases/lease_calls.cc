#include "lease_calls.h"

#include "cenote/protocol/opcodes.h"
#include "cenote/runtime/cross_core.h"

namespace cenote::engine {
namespace {

// On the reactor of the client's connection. Instants are of one clock.
Task<bool> ask_there(const std::weak_ptr<rpc::Session>& way, const Bytes& body, Until until) {
  const std::shared_ptr<rpc::Session> session = way.lock();
  if (session == nullptr || session->ended()) co_return false;
  const auto reply = co_await session->call(static_cast<rpc::Opcode>(Opcode::kRecallLeases), body, {.until = until});
  co_return reply.has_value();
}

Task<bool> ask_client(Reactor& reactor, LeaseClient client, RecallRequest request, Until until) {
  Bytes body;
  encode(request, body);
  co_return co_await call_on(reactor, *client.home, until,
                             [&](Until there) { return ask_there(client.way, body, there); });
}

}  // namespace

LeaseTable::Ask ask_client_from(Reactor& reactor) {
  return [&reactor](LeaseClient client, RecallRequest request, Until until) {
    return ask_client(reactor, std::move(client), std::move(request), until);
  };
}

}  // namespace cenote::engine
