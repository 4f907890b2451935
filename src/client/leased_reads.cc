// Reads that ask for a lease of what they find. They go to who leads it, as nobody else gives any; whoever else answers
// gives a good answer without one.

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "payload.h"
#include "whole_object.h"

namespace cenote::async {

Task<Result<Leased<FetchReply>>> Container::fetch_leased(FetchRequest request, std::vector<MutableBytes> into,
                                                         Until until) {
  const auto state = state_;
  if (!state->can_lease()) {
    CO_TRY(FetchReply plain, co_await fetch(std::move(request), std::move(into), until));
    co_return Leased<FetchReply>{std::move(plain)};
  }
  request.container = state->info.id;
  CO_CHECK_OK(validate(request));
  Leases::Asking asking(state->impl->leases, {state->info.id, request.object, request.dkey});
  Bytes body;
  encode(LeasedFetchRequest{.token = asking.token(), .fetch = request}, body);
  const Scattered<std::byte> room{std::span<const MutableBytes>(into)};
  PoolRoutes::Place answered;
  Destination place = state->reader(request.object, request.dkey);
  place.answered = &answered;
  auto reply = co_await state->impl->call(Opcode::kLeasedFetch, body, {},
                                          rpc::BulkSink(std::span<const MutableBytes>(into)), std::move(place), until);
  if (!reply && reply.error() == Code::kUnknownOpcode) {  // an engine of an earlier version
    CO_TRY(FetchReply plain, co_await fetch(std::move(request), std::move(into), until));
    co_return Leased<FetchReply>{std::move(plain)};
  }
  if (!reply) co_return fail(std::move(reply).error());
  CO_TRY(LeasedFetchReply fetched, decode_leased_fetch_reply(reply->body));
  auto settled = settle_payload(request, fetched.fetched, reply->bulk_bytes, room, state->checksums);
  if (!settled) {
    co_return fail(settled.error().with_context(
        fmt::format("object {}, dkey '{}'", request.object.to_string(), printable(request.dkey))));
  }
  co_return Leased<FetchReply>{std::move(fetched.fetched),
                               asking.take({answered.peer, answered.target}, fetched.grant)};
}

Task<Result<Leased<QueryReply>>> Container::query_leased(QueryRequest request, Until until) {
  const auto state = state_;
  request.container = state->info.id;
  CO_CHECK_OK(validate(request));
  std::vector<Destination> places;
  if (state->can_lease()) {
    if (request.dkey.empty()) {
      CO_TRY(places, whole_object(*state->routes, request.object, state->seed()));
    } else {
      places.push_back(state->reader(request.object, request.dkey));
    }
  }
  // What several targets answer together none of them can promise.
  if (places.size() != 1) {
    CO_TRY(QueryReply plain, co_await query(std::move(request), until));
    co_return Leased<QueryReply>{std::move(plain)};
  }
  LeaseKey key{.container = state->info.id, .object = request.object};
  if (!request.dkey.empty()) key.dkey = request.dkey;
  Leases::Asking asking(state->impl->leases, std::move(key));
  Bytes body;
  encode(LeasedQueryRequest{.token = asking.token(), .query = request}, body);
  PoolRoutes::Place answered;
  places.front().answered = &answered;
  auto reply = co_await state->impl->call(Opcode::kLeasedQuery, body, {}, {}, std::move(places.front()), until);
  if (!reply && (reply.error() == Code::kUnknownOpcode || reply.error() == Code::kStaleMap)) {
    CO_TRY(QueryReply plain, co_await query(std::move(request), until));
    co_return Leased<QueryReply>{std::move(plain)};
  }
  if (!reply) co_return fail(std::move(reply).error());
  CO_TRY(LeasedQueryReply found, decode_leased_query_reply(reply->body));
  co_return Leased<QueryReply>{std::move(found.found), asking.take({answered.peer, answered.target}, found.grant)};
}

}  // namespace cenote::async
