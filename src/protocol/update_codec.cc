#include "wire.h"

namespace cenote {
namespace {

using namespace wire;

constexpr std::size_t kHeadBytes = 16 + 16 + 32 + 4 + 2;
constexpr std::size_t kAkeyHeadBytes = 4 + 4 + 8 + 4 + 4;

std::size_t encoded_bytes(const UpdateRequest& request) {
  std::size_t bytes = kHeadBytes + request.dkey.size();
  for (const AkeyUpdate& akey : request.akeys)
    bytes += kAkeyHeadBytes + akey.akey.size() + akey.ranges.size() * kRangeBytes +
             akey.checksums.size() * sizeof(std::uint32_t);
  return bytes;
}

void put(Encoder& out, const AkeyUpdate& akey) {
  put_enum(out, akey.kind);
  put_enum(out, akey.condition);
  out.integer(static_cast<std::uint16_t>(akey.akey.size()));
  out.integer(akey.record_bytes);
  out.integer(akey.bytes);
  out.integer(static_cast<std::uint32_t>(akey.ranges.size()));
  out.integer(static_cast<std::uint32_t>(akey.checksums.size()));
  out.raw(akey.akey);
  put_ranges(out, akey.ranges);
  put_checksums(out, akey.checksums);
}

Result<> take(Decoder& in, AkeyUpdate& akey) {
  akey.kind = take_kind(in);
  akey.condition = take_condition(in);
  const auto key_bytes = in.integer<std::uint16_t>();
  akey.record_bytes = in.integer<std::uint32_t>();
  akey.bytes = in.integer<std::uint64_t>();
  const auto range_count = in.integer<std::uint32_t>();
  const auto checksum_count = in.integer<std::uint32_t>();
  CHECK_OK(in.check("update request"));
  CHECK_OK(check_limit(key_bytes, kMaxAkeyBytes, "bytes of an akey"));
  CHECK_OK(check_limit(akey.record_bytes, kMaxRecordBytes, "bytes of a record"));
  CHECK_OK(check_limit(akey.bytes, kMaxPayloadBytes, "payload of an update"));
  CHECK_OK(check_limit(range_count, kMaxRangesPerRequest, "ranges of an akey"));
  akey.akey.assign(in.raw(key_bytes));
  take_ranges(in, range_count, akey.ranges);
  take_checksums(in, checksum_count, akey.checksums);
  return {};
}

}  // namespace

void encode(const UpdateRequest& request, Bytes& out) {
  make_room(out, encoded_bytes(request));
  Encoder to(out);
  wire::put(to, request.container);
  wire::put(to, request.object);
  wire::put(to, request.id);
  put_enum(to, request.dkey_condition);
  to.zeros(1);
  to.integer(static_cast<std::uint16_t>(request.akeys.size()));
  put_key(to, request.dkey);
  for (const AkeyUpdate& akey : request.akeys) put(to, akey);
}

Result<UpdateRequest> decode_update_request(ByteView from) {
  Decoder in(from);
  Result<UpdateRequest> result(std::in_place);
  UpdateRequest& request = *result;
  request.container = take_uuid(in);
  request.object = take_object(in);
  request.id = take_request_id(in);
  request.dkey_condition = take_condition(in);
  in.zeros(1);
  const auto akeys = in.integer<std::uint16_t>();
  request.dkey = take_key(in);
  CHECK_OK(in.check("update request"));
  CHECK_OK(check_limit(request.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(akeys, kMaxAkeysPerRequest, "akeys of an update"));
  for (std::uint32_t i = 0; i < akeys; ++i) CHECK_OK(take(in, request.akeys.emplace_back()));
  CHECK_OK(in.finish("update request"));
  return result;
}

void encode(const UpdateReply& reply, Bytes& out) { Encoder(out).integer(reply.epoch.value()); }

Result<UpdateReply> decode_update_reply(ByteView from) {
  Decoder in(from);
  const UpdateReply reply{Epoch(in.integer<std::uint64_t>())};
  CHECK_OK(in.finish("update reply"));
  return reply;
}

}  // namespace cenote
