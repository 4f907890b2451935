#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"
#include "replication/entry_plan.h"

namespace cenote::engine {
namespace {

CommitRequest change_of(UpdateRequest update) {
  CommitRequest change;
  change.container = update.container;
  change.id = std::exchange(update.id, {});
  change.updates.push_back(std::move(update));
  return change;
}

}  // namespace

Task<rpc::Response> ObjectService::update(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kUpdate, reactor_);
  auto outcome = co_await run_update(request, timer);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<UpdateReply>> ObjectService::run_update(rpc::Request& request, OpTimer& timer) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(UpdateRequest update, decode_update_request(request.body()));
  update.id = request_id(request);
  const std::uint32_t bytes = request.bulk_bytes();
  if (bytes > kMaxPayloadBytes) {
    co_return failf(Code::kOutOfRange, "{} bytes of payload: one update carries at most {}", bytes, kMaxPayloadBytes);
  }
  const RoutedContainer* container = containers_.find(update.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, update.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  CO_CHECK_OK(cluster::check_class(update.object, container->redundancy()));
  CO_CHECK_OK(check_home(*target, *container, update.object, update.dkey.view()));

  CO_TRY(const bool led, needs_entry(update.object, update.dkey.view(), *container->layout, container->seed));
  const bool leased = container->leased;
  RoutedContainer routed;
  if (led) routed = *container;  // for after the payload has come

  const Instant deadline = this->deadline(request);
  media::Buffer payload;
  if (bytes != 0) {
    CO_TRY(rpc::PulledBulk pulled, co_await request.pull(Until{deadline, &request.cancel_source()}));
    timer.received(pulled.bytes());
    payload = pulled.take(0);
  }
  if (led) {
    co_return co_await lead(request, *target, std::move(routed), change_of(std::move(update)), payload);
  }
  const bool same_reactor = &target->reactor() == &reactor_;
  auto run = [&] {
    return target->objects().update(update, lend(payload, same_reactor), bytes,
                                    Until{deadline, &target->cancel_source()});
  };
  const PoolServing* const serving = serving_of(request);
  auto updated = co_await call_on(reactor_, target->reactor(),
                                  [&] { return fenced(*target, serving, leased, update, deadline, run); });
  if (!updated && updated.error() == Code::kUndecided)
    co_return fail(co_await busy_until_settled(*target, update, deadline));
  co_return updated;
}

}  // namespace cenote::engine
