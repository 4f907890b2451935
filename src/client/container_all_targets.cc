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

bool is_spread(const ObjectId& object) { return object.object_class() != ObjectClass::kS1; }

/// Wherever a part of what the request names can be. `object` and `dkey` stay the caller's.
template <typename State>
Result<std::vector<Destination>> destinations(const State& state, const ObjectId& object, bool whole_object,
                                              ByteView dkey) {
  if (!whole_object || !is_spread(object)) return std::vector{state.home(object, dkey)};
  TRY(const auto targets, state.routes->layout().all());
  std::vector<Destination> found;
  for (const cluster::TargetId target : targets) found.push_back(state.at(target));
  return found;
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
  CO_TRY(const auto places,
         destinations(*state, request.object, request.level == PunchLevel::kObject, request.dkey.view()));
  for (const Destination& place : places) {
    auto reply = co_await state->impl->call(Opcode::kPunch, body, {}, {}, place, until);
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
  Bytes body;
  encode(request, body);
  const bool objects = request.level == ListLevel::kObjects;
  const bool whole = objects || request.level == ListLevel::kDkeys;
  const ObjectId spread = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0);
  std::vector<ListReply> pages;
  CO_TRY(const auto places, destinations(*state, objects ? spread : request.object, whole, request.dkey.view()));
  for (const Destination& place : places) {
    CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kList, body, {}, {}, place, until));
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
  Bytes body;
  encode(request, body);
  QueryReply last;
  CO_TRY(const auto places, destinations(*state, request.object, request.dkey.empty(), request.dkey.view()));
  for (const Destination& place : places) {
    CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kQuery, body, {}, {}, place, until));
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
