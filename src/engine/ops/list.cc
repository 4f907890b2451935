#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::list(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kList, reactor_);
  auto outcome = co_await run_list(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<ListReply>> ObjectService::run_list(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(ListRequest list, decode_list_request(request.body()));
  // Objects and dkeys are spread over all targets, what lies below a dkey is at its home.
  const bool below_dkey = list.level == ListLevel::kAkeys || list.level == ListLevel::kExtents;
  const RoutedContainer* container = containers_.find(list.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, list.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  if (below_dkey) CO_CHECK_OK(check_reader(*target, *container, list.object, list.dkey.view()));
  object::HistoryFilter shown;
  if (!below_dkey) shown = shown_at(*target, *container);
  const Instant deadline = this->deadline(request);
  for (;;) {
    auto listed = co_await call_on(reactor_, target->reactor(), [&] {
      return target->objects().list(list, Until{deadline, &target->cancel_source()}, shown);
    });
    if (listed || !(listed.error() == Code::kUndecided)) co_return listed;
    CO_CHECK_OK(co_await settle_before(*target, list, deadline));
  }
}

}  // namespace cenote::engine
