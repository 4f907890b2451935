#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::pool_view(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kPoolView, reactor_);
  const auto view = co_await run_pool_view(request);
  if (!view) co_return failed(request, timer, view.error());
  co_return answered(*view);
}

Task<Result<PoolView>> ObjectService::run_pool_view(rpc::Request& request) {
  CO_TRY(const PoolViewRequest wanted, decode_pool_view_request(request.body()));
  const Until until = Until::at(deadline(request));
  co_return co_await call_on(reactor_, services_.control_reactor(),
                             [&] { return services_.view_pool(wanted.pool, until); });
}

}  // namespace cenote::engine
