#include "cenote/base/format.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {
namespace {

// On the target's reactor.
Task<Result<HeldFetch*>> fetch_and_hold(Target& target, const FetchRequest& request, Instant deadline) {
  HeldFetch* const held = target.take_held();
  if (held == nullptr) co_return failf(Code::kStopped, "target {} is closing", target.index());
  const Until until{deadline, &target.cancel_source()};
  if (auto fetched = co_await target.objects().fetch(request, held->fetched(), until); !fetched) {
    held->give_up();
    co_return fail(std::move(fetched).error());
  }
  co_return held;
}

bool is_damage(const Error& error) { return error == Code::kCorrupt || error == Code::kIoError; }

}  // namespace

/// The reader turns to another member; here it is made good.
Task<> ObjectService::suspect(Target& target, Uuid container, object::EntryPlace place) {
  groups_of(target).repairer.suspect(container, place.object, std::move(place.dkey));
  co_return;
}

Task<rpc::Response> ObjectService::fetch(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kFetch, reactor_);
  auto outcome = co_await run_fetch(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  HeldFetch& held = **outcome;
  rpc::Response response = answered(held.fetched().reply);
  held.add_to(response.payload);
  timer.sending(response.payload.bytes());
  co_return response;
}

Task<Result<HeldFetch*>> ObjectService::run_fetch(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(FetchRequest fetch, decode_fetch_request(request.body()));
  const RoutedContainer* container = containers_.find(fetch.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, fetch.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  CO_CHECK_OK(check_reader(*target, *container, fetch.object, fetch.dkey.view()));
  co_return co_await fetch_at(*target, fetch, this->deadline(request));
}

Task<Result<HeldFetch*>> ObjectService::fetch_at(Target& target, const FetchRequest& fetch, Instant deadline) {
  for (;;) {
    auto held = co_await call_on(reactor_, target.reactor(), [&] { return fetch_and_hold(target, fetch, deadline); });
    if (!held && has_replicas(fetch.object) && is_damage(held.error())) {
      const object::EntryPlace place{fetch.object, to_bytes(fetch.dkey.view())};
      co_await call_on(reactor_, target.reactor(), [&] { return suspect(target, fetch.container, place); });
    }
    if (held || !(held.error() == Code::kUndecided)) co_return held;
    CO_CHECK_OK(co_await settle_before(target, fetch, deadline));
  }
}

}  // namespace cenote::engine
