#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::query(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kQuery, reactor_);
  auto outcome = co_await run_query(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<QueryReply>> ObjectService::run_query(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(QueryRequest query, decode_query_request(request.body()));
  const RoutedContainer* container = containers_.find(query.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, query.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  // Without a dkey each target answers for the dkeys it has.
  if (!query.dkey.empty()) CO_CHECK_OK(check_reader(*target, *container, query.object, query.dkey.view()));
  object::HistoryFilter shown;
  if (query.dkey.empty()) shown = shown_at(*target, *container);
  const Instant deadline = this->deadline(request);
  for (;;) {
    auto found = co_await call_on(reactor_, target->reactor(), [&] {
      return target->objects().query(query, Until{deadline, &target->cancel_source()}, shown);
    });
    if (found || !(found.error() == Code::kUndecided)) co_return found;
    CO_CHECK_OK(co_await settle_before(*target, query, deadline));
  }
}

}  // namespace cenote::engine
