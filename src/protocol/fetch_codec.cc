#include "wire.h"

namespace cenote {
namespace {

using namespace wire;

constexpr std::size_t kRequestHeadBytes = 16 + 16 + 8 + 4 + 2;
constexpr std::size_t kAkeyFetchHeadBytes = 4 + 4 + 8;
constexpr std::size_t kReplyHeadBytes = 8 + 4;
constexpr std::size_t kAkeyFetchedHeadBytes = 4 + 4 + 8 + 4 + 4 + 4;

std::size_t encoded_bytes(const FetchRequest& request) {
  std::size_t bytes = kRequestHeadBytes + request.dkey.size();
  for (const AkeyFetch& akey : request.akeys)
    bytes += kAkeyFetchHeadBytes + akey.akey.size() + akey.ranges.size() * kRangeBytes;
  return bytes;
}

std::size_t encoded_bytes(const FetchReply& reply) {
  std::size_t bytes = kReplyHeadBytes;
  for (const AkeyFetched& akey : reply.akeys)
    bytes += kAkeyFetchedHeadBytes + akey.range_bytes.size() * sizeof(std::uint64_t) + akey.holes.size() * kRangeBytes +
             akey.checksums.size() * sizeof(std::uint32_t);
  return bytes;
}

void put(Encoder& out, const AkeyFetch& akey) {
  put_enum(out, akey.kind);
  put_enum(out, akey.condition);
  out.integer(static_cast<std::uint16_t>(akey.akey.size()));
  out.integer(static_cast<std::uint32_t>(akey.ranges.size()));
  out.integer(akey.max_bytes);
  out.raw(akey.akey);
  put_ranges(out, akey.ranges);
}

Result<> take(Decoder& in, AkeyFetch& akey) {
  akey.kind = take_kind(in);
  akey.condition = take_condition(in);
  const auto key_bytes = in.integer<std::uint16_t>();
  const auto range_count = in.integer<std::uint32_t>();
  akey.max_bytes = in.integer<std::uint64_t>();
  CHECK_OK(in.check("fetch request"));
  CHECK_OK(check_limit(key_bytes, kMaxAkeyBytes, "bytes of an akey"));
  CHECK_OK(check_limit(range_count, kMaxRangesPerRequest, "ranges of an akey"));
  CHECK_OK(check_limit(akey.max_bytes, kMaxPayloadBytes, "payload of a fetch"));
  akey.akey.assign(in.raw(key_bytes));
  take_ranges(in, range_count, akey.ranges);
  return {};
}

void put(Encoder& out, const AkeyFetched& akey) {
  out.integer(static_cast<std::uint32_t>(akey.exists));
  out.integer(akey.record_bytes);
  out.integer(akey.bytes);
  out.integer(static_cast<std::uint32_t>(akey.range_bytes.size()));
  out.integer(static_cast<std::uint32_t>(akey.holes.size()));
  out.integer(static_cast<std::uint32_t>(akey.checksums.size()));
  for (std::uint64_t bytes : akey.range_bytes) out.integer(bytes);
  put_ranges(out, akey.holes);
  put_checksums(out, akey.checksums);
}

Result<> take(Decoder& in, AkeyFetched& akey) {
  const auto exists = in.integer<std::uint32_t>();
  in.require(exists <= 1);
  akey.exists = exists == 1;
  akey.record_bytes = in.integer<std::uint32_t>();
  akey.bytes = in.integer<std::uint64_t>();
  const auto range_count = in.integer<std::uint32_t>();
  const auto hole_count = in.integer<std::uint32_t>();
  const auto checksum_count = in.integer<std::uint32_t>();
  CHECK_OK(in.check("fetch reply"));
  CHECK_OK(check_limit(akey.record_bytes, kMaxRecordBytes, "bytes of a record"));
  CHECK_OK(check_limit(akey.bytes, kMaxPayloadBytes, "payload of a fetch"));
  CHECK_OK(check_limit(range_count, kMaxRangesPerRequest, "ranges of an akey"));
  CHECK_OK(check_limit(hole_count, kMaxHolesPerAkey, "holes of an akey"));
  akey.range_bytes.reserve(range_count);
  for (std::uint32_t i = 0; i < range_count; ++i) akey.range_bytes.push_back(in.integer<std::uint64_t>());
  take_ranges(in, hole_count, akey.holes);
  take_checksums(in, checksum_count, akey.checksums);
  return {};
}

}  // namespace

void encode(const FetchRequest& request, Bytes& out) {
  make_room(out, encoded_bytes(request));
  Encoder to(out);
  wire::put(to, request.container);
  wire::put(to, request.object);
  to.integer(request.epoch.value());
  put_enum(to, request.dkey_condition);
  to.zeros(1);
  to.integer(static_cast<std::uint16_t>(request.akeys.size()));
  put_key(to, request.dkey);
  for (const AkeyFetch& akey : request.akeys) put(to, akey);
}

Result<FetchRequest> decode_fetch_request(ByteView from) {
  Decoder in(from);
  Result<FetchRequest> result(std::in_place);
  FetchRequest& request = *result;
  request.container = take_uuid(in);
  request.object = take_object(in);
  request.epoch = Epoch(in.integer<std::uint64_t>());
  request.dkey_condition = take_condition(in);
  in.zeros(1);
  const auto akeys = in.integer<std::uint16_t>();
  request.dkey = take_key(in);
  CHECK_OK(in.check("fetch request"));
  CHECK_OK(check_limit(request.dkey.size(), kMaxDkeyBytes, "bytes of a dkey"));
  CHECK_OK(check_limit(akeys, kMaxAkeysPerRequest, "akeys of a fetch"));
  for (std::uint32_t i = 0; i < akeys; ++i) CHECK_OK(take(in, request.akeys.emplace_back()));
  CHECK_OK(in.finish("fetch request"));
  return result;
}

void encode(const FetchReply& reply, Bytes& out) {
  make_room(out, encoded_bytes(reply));
  Encoder to(out);
  to.integer(reply.epoch.value());
  to.integer(static_cast<std::uint32_t>(reply.akeys.size()));
  for (const AkeyFetched& akey : reply.akeys) put(to, akey);
}

Result<FetchReply> decode_fetch_reply(ByteView from) {
  Decoder in(from);
  Result<FetchReply> result(std::in_place);
  FetchReply& reply = *result;
  reply.epoch = Epoch(in.integer<std::uint64_t>());
  const auto akeys = in.integer<std::uint32_t>();
  CHECK_OK(in.check("fetch reply"));
  CHECK_OK(check_limit(akeys, kMaxAkeysPerRequest, "akeys of a fetch"));
  for (std::uint32_t i = 0; i < akeys; ++i) CHECK_OK(take(in, reply.akeys.emplace_back()));
  CHECK_OK(in.finish("fetch reply"));
  return result;
}

}  // namespace cenote
