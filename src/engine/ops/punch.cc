#include "cenote/cluster/pool_redundancy.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"
#include "replication/entry_plan.h"

namespace cenote::engine {
namespace {

CommitRequest change_of(PunchRequest punch) {
  CommitRequest change;
  change.container = punch.container;
  change.id = std::exchange(punch.id, {});
  change.punches.push_back(std::move(punch));
  return change;
}

}  // namespace

Task<rpc::Response> ObjectService::punch(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
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
  CO_CHECK_OK(cluster::check_class(punch.object, container->redundancy()));
  const bool whole = punch.level == PunchLevel::kObject;
  const std::optional<ByteView> part = whole ? std::nullopt : std::optional(punch.dkey.view());
  CO_TRY(const bool led, needs_entry(punch.object, part, *container->layout, container->seed));
  if (led) {
    const ByteView dkey = part.value_or(ByteView());
    CO_CHECK_OK(check_home(*target, *container, punch.object, dkey));
    co_return co_await lead(request, *target, *container, change_of(std::move(punch)), {});
  }
  // A whole object is punched at every target.
  if (!whole) CO_CHECK_OK(check_home(*target, *container, punch.object, punch.dkey.view()));
  const bool leased = container->leased;
  const Instant deadline = this->deadline(request);
  auto run = [&] { return target->objects().punch(punch, Until{deadline, &target->cancel_source()}); };
  const PoolServing* const serving = serving_of(request);
  auto punched = co_await call_on(reactor_, target->reactor(),
                                  [&] { return fenced(*target, serving, leased, punch, deadline, run); });
  if (!punched && punched.error() == Code::kUndecided)
    co_return fail(co_await busy_until_settled(*target, punch, deadline));
  co_return punched;
}

}  // namespace cenote::engine
