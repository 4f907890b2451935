#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::punch(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kPunch, reactor_);
  auto outcome = co_await run_punch(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<UpdateReply>> ObjectService::run_punch(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(PunchRequest punch, decode_punch_request(request.body()));
  punch.id = request_id(request);
  const RoutedContainer* container = containers_.find(punch.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, punch.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  // A whole object is punched at every target.
  if (punch.level != PunchLevel::kObject) CO_CHECK_OK(check_home(*target, *container, punch.object, punch.dkey.view()));
  const Instant deadline = this->deadline(request);
  co_return co_await call_on(reactor_, target->reactor(), [&] {
    return target->objects().punch(std::move(punch), Until{deadline, &target->cancel_source()});
  });
}

}  // namespace cenote::engine
