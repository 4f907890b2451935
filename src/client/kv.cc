#include "cenote/client/kv.h"

#include "cenote/base/format.h"

namespace cenote::async {
namespace {

constexpr std::string_view kValueKey = "v";
// Values up to this size come with the first request; a longer one is asked for again with the room it needs.
constexpr std::size_t kFirstRoom = 64u << 10;

FetchRequest value_fetch(const ObjectId& object, const std::string& key, std::uint64_t room) {
  FetchRequest request;
  request.object = object;
  request.dkey = to_bytes(as_bytes(key));
  AkeyFetch& value = request.akeys.emplace_back();
  value.akey = to_bytes(as_bytes(kValueKey));
  value.max_bytes = room;
  return request;
}

}  // namespace

Task<Result<>> Kv::put(std::string key, ByteView value, Precondition condition, Until until) {
  Container container = container_;
  UpdateRequest request;
  request.object = object_;
  request.dkey = to_bytes(as_bytes(key));
  request.dkey_condition = condition;
  AkeyUpdate& single = request.akeys.emplace_back();
  single.akey = to_bytes(as_bytes(kValueKey));
  single.bytes = value.size();
  CO_CHECK_OK(co_await container.update(std::move(request), {value}, until));
  co_return Result<>();
}

Task<Result<std::optional<Bytes>>> Kv::get(std::string key, Until until) {
  Container container = container_;
  const ObjectId object = object_;
  Bytes value(kFirstRoom);
  auto reply = co_await container.fetch(value_fetch(object, key, value.size()), {MutableBytes(value)}, until);
  if (!reply && reply.error() == Code::kOutOfRange) {
    value.resize(kMaxSingleValueBytes);
    reply = co_await container.fetch(value_fetch(object, key, value.size()), {MutableBytes(value)}, until);
  }
  CO_CHECK_OK(reply);
  if (!reply->akeys[0].exists) co_return std::optional<Bytes>();
  value.resize(reply->akeys[0].bytes);
  co_return std::optional<Bytes>(std::move(value));
}

Task<Result<>> Kv::remove(std::string key, Until until) {
  Container container = container_;
  PunchRequest request;
  request.object = object_;
  request.level = PunchLevel::kDkey;
  request.condition = Precondition::kPresent;
  request.dkey = to_bytes(as_bytes(key));
  auto punched = co_await container.punch(std::move(request), until);
  if (!punched && punched.error() == Code::kConditionFailed) {
    co_return failf(Code::kNotFound, "no key '{}'", printable(as_bytes(key)));
  }
  CO_CHECK_OK(std::move(punched));
  co_return Result<>();
}

Task<Result<Kv::Page>> Kv::list(std::string prefix, std::string after, std::uint32_t limit, Until until) {
  Container container = container_;
  ListRequest request;
  request.object = object_;
  request.level = ListLevel::kDkeys;
  request.prefix = to_bytes(as_bytes(prefix));
  request.anchor = to_bytes(as_bytes(after));
  request.limit = limit;
  CO_TRY(const ListReply reply, co_await container.list(std::move(request), until));
  Page page;
  for (const ListedKey& listed : reply.keys) page.keys.push_back(to_text(listed.key));
  page.after = to_text(reply.anchor);
  co_return page;
}

}  // namespace cenote::async
