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

/// The targets that can hold a part of what the request names.
std::vector<std::uint32_t> targets_for(const ObjectId& object, bool whole_object, ByteView dkey,
                                       std::uint32_t targets) {
  if (!whole_object || !is_spread(object)) return {target_of(object, dkey, targets)};
  std::vector<std::uint32_t> all(targets);
  for (std::uint32_t i = 0; i < targets; ++i) all[i] = i;
  return all;
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
  const auto count = static_cast<std::uint32_t>(state->impl->system.targets.size());
  UpdateReply newest{};
  bool found = false;
  Result<> absent;
  for (const std::uint32_t target :
       targets_for(request.object, request.level == PunchLevel::kObject, request.dkey, count)) {
    auto reply = co_await state->impl->call(Opcode::kPunch, body, {}, {}, target, until);
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
  const auto count = static_cast<std::uint32_t>(state->impl->system.targets.size());
  const bool objects = request.level == ListLevel::kObjects;
  const bool whole = objects || request.level == ListLevel::kDkeys;
  const ObjectId spread = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0);
  std::vector<ListReply> pages;
  for (const std::uint32_t target : targets_for(objects ? spread : request.object, whole, request.dkey, count)) {
    CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kList, body, {}, {}, target, until));
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
  const auto count = static_cast<std::uint32_t>(state->impl->system.targets.size());
  QueryReply last;
  for (const std::uint32_t target : targets_for(request.object, request.dkey.empty(), request.dkey, count)) {
    CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kQuery, body, {}, {}, target, until));
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
