#include "cenote/base/codec.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::oid_range(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kOidRange, reactor_);
  const auto lease = co_await run_oid_range(request);
  if (!lease) co_return failed(request, timer, lease.error());
  Bytes body;
  Encoder encoder(body);
  encoder.integer(lease->first);
  encoder.integer(lease->count);
  co_return succeeded(body);
}

Task<Result<OidLease>> ObjectService::run_oid_range(rpc::Request& request) {
  Decoder decoder(request.body());
  const ByteView bytes = decoder.raw(Uuid().bytes().size());
  CO_CHECK_OK(decoder.finish("request for object numbers"));
  const Uuid container = Uuid::from_bytes(std::span<const std::byte, 16>(bytes));
  const Until until = Until::at(deadline(request));
  co_return co_await call_on(reactor_, services_.control_reactor(),
                             [&] { return services_.lease_oids(container, until); });
}

}  // namespace cenote::engine
