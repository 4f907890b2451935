#include "wire.h"

namespace cenote {
namespace {

using namespace wire;

// Smallest encoded forms; a count that needs more than what is left is refused before anything is reserved.
constexpr std::size_t kListedKeyBytes = 7;
constexpr std::size_t kListedExtentBytes = 32;

Result<> take_keys(Decoder& in, std::size_t count, std::vector<ListedKey>& keys) {
  in.require(count <= in.remaining() / kListedKeyBytes);
  CHECK_OK(in.check("list reply"));
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ListedKey& key = keys.emplace_back();
    key.key = take_key(in);
    key.kind = take_kind(in);
    key.record_bytes = in.integer<std::uint32_t>();
    CHECK_OK(check_limit(key.key.size(), kMaxDkeyBytes, "bytes of a listed key"));
  }
  return {};
}

Result<> take_extents(Decoder& in, std::size_t count, std::vector<ListedExtent>& extents) {
  in.require(count <= in.remaining() / kListedExtentBytes);
  CHECK_OK(in.check("list reply"));
  extents.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    ListedExtent& extent = extents.emplace_back();
    extent.range.first = in.integer<std::uint64_t>();
    extent.range.count = in.integer<std::uint64_t>();
    extent.epoch = Epoch(in.integer<std::uint64_t>());
    extent.stored_bytes = in.integer<std::uint64_t>();
  }
  return {};
}

}  // namespace

void encode(const ListRequest& request, Bytes& out) {
  Encoder to(out);
  put(to, request.container);
  put(to, request.object);
  to.integer(request.epoch.value());
  to.integer(request.limit);
  put_enum(to, request.level);
  to.zeros(3);
  put_key(to, request.dkey);
  put_key(to, request.akey);
  put_key(to, request.anchor);
  put_key(to, request.prefix);
}

Result<ListRequest> decode_list_request(ByteView from) {
  Decoder in(from);
  Result<ListRequest> result(std::in_place);
  ListRequest& request = *result;
  request.container = take_uuid(in);
  request.object = take_object(in);
  request.epoch = Epoch(in.integer<std::uint64_t>());
  request.limit = in.integer<std::uint32_t>();
  request.level = take_enum(in, ListLevel::kObjects, ListLevel::kExtents);
  in.zeros(3);
  request.dkey = take_key(in);
  request.akey = take_key(in);
  request.anchor = take_key(in);
  request.prefix = take_key(in);
  CHECK_OK(in.finish("list request"));
  CHECK_OK(check_limit(request.limit, kMaxListEntries, "entries of a list"));
  CHECK_OK(check_limit(request.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(request.akey.size(), kMaxAkeyBytes, "bytes of an akey"));
  CHECK_OK(check_limit(request.anchor.size(), kMaxDkeyBytes, "bytes of an anchor"));
  CHECK_OK(check_limit(request.prefix.size(), kMaxDkeyBytes, "bytes of a prefix"));
  return result;
}

void encode(const ListReply& reply, Bytes& out) {
  Encoder to(out);
  to.integer(static_cast<std::uint32_t>(reply.keys.size()));
  to.integer(static_cast<std::uint32_t>(reply.extents.size()));
  put_key(to, reply.anchor);
  for (const ListedKey& key : reply.keys) {
    put_key(to, key.key);
    put_enum(to, key.kind);
    to.integer(key.record_bytes);
  }
  for (const ListedExtent& extent : reply.extents) {
    to.integer(extent.range.first);
    to.integer(extent.range.count);
    to.integer(extent.epoch.value());
    to.integer(extent.stored_bytes);
  }
}

Result<ListReply> decode_list_reply(ByteView from) {
  Decoder in(from);
  Result<ListReply> result(std::in_place);
  const auto keys = in.integer<std::uint32_t>();
  const auto extents = in.integer<std::uint32_t>();
  result->anchor = take_key(in);
  CHECK_OK(in.check("list reply"));
  CHECK_OK(check_limit(keys, kMaxListEntries, "entries of a list"));
  CHECK_OK(check_limit(extents, kMaxListEntries, "entries of a list"));
  CHECK_OK(check_limit(result->anchor.size(), kMaxDkeyBytes, "bytes of an anchor"));
  CHECK_OK(take_keys(in, keys, result->keys));
  CHECK_OK(take_extents(in, extents, result->extents));
  CHECK_OK(in.finish("list reply"));
  return result;
}

}  // namespace cenote
