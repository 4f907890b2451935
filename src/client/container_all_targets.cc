// Requests that one target cannot answer alone: the dkeys of a wide object are spread over all of them.

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "merge_pages.h"
#include "transaction.h"

namespace cenote::async {
namespace {

/// Where a punch has to go. One of a whole object that is replicated, or whose data moves, is a transaction of all its
/// groups, which one leader runs: that of the empty dkey, which no data has. Else all parts are punched, one after
/// another.
template <typename State>
Result<std::vector<Destination>> punched_at(const State& state, const PunchRequest& request) {
  const ObjectId& object = request.object;
  const bool wide = request.level == PunchLevel::kObject && object.object_class() != ObjectClass::kS1;
  if (!wide || redundancy_of(object) > 0 || state.routes->layout().is_moving())
    return std::vector{state.home(object, request.dkey)};
  TRY(const auto targets, state.routes->layout().all());
  std::vector<Destination> found;
  found.reserve(targets.size());
  for (const cluster::TargetId target : targets) found.push_back(state.at(target));
  return found;
}

/// Who has to be asked for what a list names.
template <typename State>
Result<std::vector<Destination>> listed_at(const State& state, const ListRequest& request) {
  if (request.level == ListLevel::kObjects) return whole_pool(*state.routes, state.info.redundancy);
  if (request.level == ListLevel::kDkeys) return whole_object(*state.routes, request.object, state.seed());
  return std::vector{state.reader(request.object, request.dkey)};
}

template <typename State>
Result<std::vector<Destination>> queried_at(const State& state, const QueryRequest& request) {
  if (request.dkey.empty()) return whole_object(*state.routes, request.object, state.seed());
  return std::vector{state.reader(request.object, request.dkey)};
}

/// Asks all whom `plan` names, and all anew when the map has changed meanwhile: others have to be asked then.
template <typename State, typename Request>
Task<Result<std::vector<rpc::Reply>>> ask_all(const State& state, Opcode opcode, const Request& request,
                                              Result<std::vector<Destination>> (*plan)(const State&, const Request&),
                                              Until until) {
  Bytes body;
  encode(request, body);
  for (;;) {
    const auto layout = state.routes->share_layout();
    CO_TRY(const auto places, plan(state, request));
    std::vector<rpc::Reply> replies;
    std::optional<Error> failure;
    for (const Destination& place : places) {
      auto reply = co_await state.impl->call(opcode, body, {}, {}, place, until);
      if (reply) {
        replies.push_back(*std::move(reply));
      } else {
        failure = std::move(reply).error();
        break;
      }
    }
    if (!failure) co_return replies;
    if (*failure != Code::kStaleMap || layout == state.routes->share_layout()) co_return fail(*std::move(failure));
  }
}

}  // namespace

Task<Result<UpdateReply>> Container::punch(PunchRequest request, Until until) {
  const auto state = state_;
  if (state->transaction) co_return co_await state->transaction->punch(std::move(request), until);
  CO_CHECK_OK(check_writable());
  request.container = state->info.id;
  CO_CHECK_OK(validate(request));
  Bytes body;
  encode(request, body);
  UpdateReply newest{};
  bool found = false;
  Result<> absent;
  CO_TRY(const auto places, punched_at(*state, request));
  until = state->impl->bounded(until);
  Leases::Changing changing(state->impl->leases, request);
  for (const Destination& place : places) {
    auto reply = co_await state->impl->call(Opcode::kPunch, body, {}, {}, place, until);
    changing.ended(reply, until);
    // A wide object exists when a part of it does, on any target.
    if (!reply && reply.error() == Code::kConditionFailed) {
      absent = fail(std::move(reply).error());
      continue;
    }
    if (!reply) co_return fail(std::move(reply).error());
    CO_TRY(const UpdateReply punched, decode_update_reply(reply->body));
    newest.epoch = std::max(newest.epoch, punched.epoch);
    found = true;
  }
  if (!found) CO_CHECK_OK(std::move(absent));
  co_return newest;
}

Task<Result<ListReply>> Container::list(ListRequest request, Until until) {
  const auto state = state_;
  if (state->transaction) co_return co_await state->transaction->list(std::move(request), until);
  request.container = state->info.id;
  request.epoch = std::min(request.epoch, state->epoch);
  CO_CHECK_OK(validate(request));
  CO_TRY(const auto replies,
         co_await ask_all(*state, Opcode::kList, request, listed_at<State>, state->impl->bounded(until)));
  std::vector<ListReply> pages;
  for (const rpc::Reply& reply : replies) {
    CO_TRY(ListReply page, decode_list_reply(reply.body));
    pages.push_back(std::move(page));
  }
  if (pages.size() == 1) co_return std::move(pages.front());
  co_return merge_pages(std::move(pages), request);
}

Task<Result<QueryReply>> Container::query(QueryRequest request, Until until) {
  const auto state = state_;
  if (state->transaction) co_return co_await state->transaction->query(std::move(request), until);
  request.container = state->info.id;
  request.epoch = std::min(request.epoch, state->epoch);
  CO_CHECK_OK(validate(request));
  CO_TRY(const auto replies,
         co_await ask_all(*state, Opcode::kQuery, request, queried_at<State>, state->impl->bounded(until)));
  QueryReply last;
  for (const rpc::Reply& reply : replies) {
    CO_TRY(QueryReply found, decode_query_reply(reply.body));
    if (!found.exists) continue;
    const bool integers = found.dkey.size() == sizeof(std::uint64_t) && last.dkey.size() == sizeof(std::uint64_t);
    const bool later =
        !last.exists || (integers ? load_le<std::uint64_t>(found.dkey.data()) > load_le<std::uint64_t>(last.dkey.data())
                                  : compare(found.dkey, last.dkey) > 0);
    if (later) last = std::move(found);
  }
  co_return last;
}

}  // namespace cenote::async
