#include "wire.h"

namespace cenote {

using namespace wire;

void encode(const QueryRequest& request, Bytes& out) {
  Encoder to(out);
  put(to, request.container);
  put(to, request.object);
  to.integer(request.epoch.value());
  put_key(to, request.dkey);
  put_key(to, request.akey);
}

Result<QueryRequest> decode_query_request(ByteView from) {
  Decoder in(from);
  Result<QueryRequest> result(std::in_place);
  QueryRequest& request = *result;
  request.container = take_uuid(in);
  request.object = take_object(in);
  request.epoch = Epoch(in.integer<std::uint64_t>());
  request.dkey = take_key(in);
  request.akey = take_key(in);
  CHECK_OK(in.finish("query request"));
  CHECK_OK(check_limit(request.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(request.akey.size(), kMaxAkeyBytes, "bytes of an akey"));
  return result;
}

void encode(const QueryReply& reply, Bytes& out) {
  Encoder to(out);
  to.integer(static_cast<std::uint8_t>(reply.exists));
  to.zeros(3);
  to.integer(reply.record_bytes);
  to.integer(reply.records);
  put_key(to, reply.dkey);
}

Result<QueryReply> decode_query_reply(ByteView from) {
  Decoder in(from);
  Result<QueryReply> result(std::in_place);
  QueryReply& reply = *result;
  reply.exists = take_bool(in);
  in.zeros(3);
  reply.record_bytes = in.integer<std::uint32_t>();
  reply.records = in.integer<std::uint64_t>();
  reply.dkey = take_key(in);
  CHECK_OK(in.finish("query reply"));
  CHECK_OK(check_limit(reply.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  return result;
}

}  // namespace cenote
