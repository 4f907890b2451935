// Reads that are promised to stay true until their client was asked (docs/protocols/leases.md).

#include "cenote/protocol/lease_requests.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

namespace {

/// What a read under a lease is of, and for whom. All of it is the caller's; on the target's reactor.
struct Offered {
  LeaseTable& leases;
  const Uuid& container;
  const LeaseTopic& topic;
  const LeaseClient& client;
  LeaseToken token;
  Instant end;  ///< of the engine's own lease
  Until until;
};

/// The offer is made before what it is of is read.
Task<Result<>> fetch_offered(Target& target, const Offered& what, const FetchRequest& fetch, HeldFetch*& into,
                             LeaseGrant& grant) {
  LeaseTable::Offer offer(what.leases, what.container, what.topic, what.client, what.token);
  HeldFetch* const held = target.take_held();
  if (held == nullptr) co_return failf(Code::kStopped, "target {} is closing", target.index());
  if (auto fetched = co_await target.objects().fetch(fetch, held->fetched(), what.until); !fetched) {
    held->give_up();
    co_return fail(std::move(fetched).error());
  }
  into = held;
  grant = offer.settle(what.end);
  co_return Result<>();
}

Task<Result<>> query_offered(Target& target, const Offered* what, const QueryRequest& query, Until until,
                             const object::HistoryFilter& shown, LeasedQueryReply& reply) {
  std::optional<LeaseTable::Offer> offer;
  if (what != nullptr) offer.emplace(what->leases, what->container, what->topic, what->client, what->token);
  CO_TRY(reply.found, co_await target.objects().query(query, until, shown));
  if (offer) reply.grant = offer->settle(what->end);
  co_return Result<>();
}

Task<Result<>> renew_at(LeaseTable& leases, const LeaseClient& client, const RenewLeasesRequest& renewal, Instant end,
                        RenewLeasesReply& reply) {
  reply = leases.renew(client, renewal, end);
  co_return Result<>();
}

}  // namespace

struct ObjectService::LeasedFetch {
  LeaseGrant grant;
  HeldFetch* held = nullptr;
};

LeaseClient ObjectService::lease_client(const rpc::Request& request) const {
  return {.session = request.session_id().value(), .home = &reactor_, .way = request.session()};
}

bool ObjectService::gives_leases(const Target& target, const RoutedContainer& container, const ObjectId& object,
                                 ByteView dkey) const {
  return container.leased && check_home(target, container, object, dkey).has_value();
}

Task<rpc::Response> ObjectService::leased_fetch(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kFetch, reactor_);
  auto outcome = co_await run_leased_fetch(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  HeldFetch& held = *outcome->held;
  encoded_.clear();
  encode(outcome->grant, held.fetched().reply, encoded_);
  rpc::Response response = succeeded(encoded_);
  held.add_to(response.payload);
  timer.sending(response.payload.bytes());
  co_return response;
}

Task<Result<ObjectService::LeasedFetch>> ObjectService::run_leased_fetch(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(const LeasedFetchRequest leased, decode_leased_fetch_request(request.body()));
  const FetchRequest& fetch = leased.fetch;
  const RoutedContainer* container = containers_.find(fetch.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, fetch.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  CO_CHECK_OK(check_reader(*target, *container, fetch.object, fetch.dkey.view()));
  const Instant deadline = this->deadline(request);
  if (!gives_leases(*target, *container, fetch.object, fetch.dkey.view()) || fetch.epoch != kEpochLatest) {
    CO_TRY(HeldFetch* const held, co_await fetch_at(*target, fetch, deadline));
    co_return LeasedFetch{{}, held};
  }
  const LeaseTopic topic{fetch.object, fetch.dkey};
  const LeaseClient client = lease_client(request);
  LeaseTable& leases = groups_of(*target).leases;
  for (;;) {
    LeasedFetch outcome;
    const Offered what{.leases = leases,
                       .container = fetch.container,
                       .topic = topic,
                       .client = client,
                       .token = leased.token,
                       .end = leases_end(),
                       .until = {deadline, &target->cancel_source()}};
    auto done = co_await call_on(reactor_, target->reactor(),
                                 [&] { return fetch_offered(*target, what, fetch, outcome.held, outcome.grant); });
    if (done) co_return outcome;
    if (!(done.error() == Code::kUndecided)) {
      // Damage, for instance: the plain way knows what to do.
      CO_TRY(HeldFetch* const held, co_await fetch_at(*target, fetch, deadline));
      co_return LeasedFetch{{}, held};
    }
    CO_CHECK_OK(co_await settle_before(*target, fetch, deadline));
  }
}

Task<rpc::Response> ObjectService::leased_query(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kQuery, reactor_);
  auto outcome = co_await run_leased_query(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<LeasedQueryReply>> ObjectService::run_leased_query(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(const LeasedQueryRequest leased, decode_leased_query_request(request.body()));
  const QueryRequest& query = leased.query;
  const RoutedContainer* container = containers_.find(query.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, query.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  const bool whole = query.dkey.empty();
  if (!whole) CO_CHECK_OK(check_reader(*target, *container, query.object, query.dkey.view()));
  object::HistoryFilter shown;
  if (whole) shown = shown_at(*target, *container);
  const bool gives = query.epoch == kEpochLatest && gives_leases(*target, *container, query.object, query.dkey.view());
  const Instant deadline = this->deadline(request);
  LeaseTopic topic{.object = query.object};
  if (!whole) topic.dkey = query.dkey;
  const LeaseClient client = lease_client(request);
  LeaseTable& leases = groups_of(*target).leases;
  for (;;) {
    LeasedQueryReply reply;
    const Until until{deadline, &target->cancel_source()};
    const Offered what{.leases = leases,
                       .container = query.container,
                       .topic = topic,
                       .client = client,
                       .token = leased.token,
                       .end = leases_end(),
                       .until = until};
    auto done = co_await call_on(reactor_, target->reactor(), [&] {
      return query_offered(*target, gives ? &what : nullptr, query, until, shown, reply);
    });
    if (done) co_return reply;
    if (!(done.error() == Code::kUndecided)) co_return fail(std::move(done).error());
    CO_CHECK_OK(co_await settle_before(*target, query, deadline));
  }
}

Task<rpc::Response> ObjectService::renew_leases(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kQuery, reactor_);
  auto outcome = co_await run_renew_leases(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<RenewLeasesReply>> ObjectService::run_renew_leases(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(const RenewLeasesRequest renewal, decode_renew_leases_request(request.body()));
  RenewLeasesReply reply;
  const LeaseClient client = lease_client(request);
  LeaseTable& leases = groups_of(*target).leases;
  const Instant end = leases_end();
  CO_CHECK_OK(
      co_await call_on(reactor_, target->reactor(), [&] { return renew_at(leases, client, renewal, end, reply); }));
  co_return reply;
}

}  // namespace cenote::engine
