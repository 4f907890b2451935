#include "cenote/rpc/wire.h"

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::rpc {
namespace {

constexpr std::size_t kCheckedBytes = offsetof(Header, header_crc);

Header load_fields(const std::byte* from) {
  Header header;
  header.magic = load_le<std::uint16_t>(from + offsetof(Header, magic));
  header.version = std::to_integer<std::uint8_t>(from[offsetof(Header, version)]);
  header.service_class = static_cast<ServiceClass>(from[offsetof(Header, service_class)]);
  header.opcode = load_le<std::uint16_t>(from + offsetof(Header, opcode));
  header.flags = load_le<std::uint16_t>(from + offsetof(Header, flags));
  header.status = load_le<std::uint16_t>(from + offsetof(Header, status));
  header.target = load_le<std::uint16_t>(from + offsetof(Header, target));
  header.bulk_bytes = load_le<std::uint32_t>(from + offsetof(Header, bulk_bytes));
  header.session = load_le<std::uint64_t>(from + offsetof(Header, session));
  header.sequence = load_le<std::uint64_t>(from + offsetof(Header, sequence));
  header.expiry = load_le<std::uint64_t>(from + offsetof(Header, expiry));
  header.trace_id = load_le<std::uint64_t>(from + offsetof(Header, trace_id));
  header.map_version = load_le<std::uint32_t>(from + offsetof(Header, map_version));
  header.body_bytes = load_le<std::uint32_t>(from + offsetof(Header, body_bytes));
  header.body_crc = load_le<std::uint32_t>(from + offsetof(Header, body_crc));
  header.header_crc = load_le<std::uint32_t>(from + offsetof(Header, header_crc));
  return header;
}

Result<> check_flags(const Header& header) {
  const bool reply = header.is(flag::kReply);
  const bool one_way = header.is(flag::kOneWay);
  const bool control = header.is(flag::kControl);
  const bool callback = header.is(flag::kCallback);
  if ((header.flags & ~flag::kAll) != 0) return failf(Code::kMalformed, "unknown flags {:#x}", header.flags);
  if (one_way && (reply || callback)) return failf(Code::kMalformed, "contradicting flags {:#x}", header.flags);
  if (control && callback) return failf(Code::kMalformed, "contradicting flags {:#x}", header.flags);
  if (header.is(flag::kRetry) && (reply || one_way || control)) {
    return failf(Code::kMalformed, "contradicting flags {:#x}", header.flags);
  }
  return {};
}

// Fields that only make sense together: a message that breaks these was not written by any Cenote.
Result<> check_fields(const Header& header) {
  const bool reply = header.is(flag::kReply);
  if (header.service_class > ServiceClass::kScrub) {
    return failf(Code::kMalformed, "unknown service class {}", static_cast<unsigned>(header.service_class));
  }
  if (header.body_bytes > kMaxBodyBytes) return failf(Code::kMalformed, "body of {} bytes", header.body_bytes);
  if (header.bulk_bytes > kMaxBulkBytes) return failf(Code::kMalformed, "payload of {} bytes", header.bulk_bytes);
  if (header.session == 0 || header.sequence == 0) return failf(Code::kMalformed, "no session or sequence");
  if (header.body_bytes == 0 && header.body_crc != 0) return failf(Code::kMalformed, "checksum of an empty body");
  if (!reply && header.status != 0) return failf(Code::kMalformed, "request with status {}", header.status);
  if ((reply || header.is(flag::kControl)) != (header.expiry == 0)) {
    return failf(Code::kMalformed, "expiry {} with flags {:#x}", header.expiry, header.flags);
  }
  if (header.status != 0 && (header.bulk_bytes != 0 || header.body_bytes > kMaxErrorBytes)) {
    return failf(Code::kMalformed, "error reply with {} bytes and a payload of {}", header.body_bytes,
                 header.bulk_bytes);
  }
  if (header.bulk_bytes != 0 && (header.is(flag::kCallback) || header.is(flag::kControl))) {
    return failf(Code::kMalformed, "callback or control message with a payload");
  }
  return {};
}

}  // namespace

void encode_header(const Header& header, std::span<std::byte, kHeaderBytes> to) {
  std::byte* at = to.data();
  store_le(at + offsetof(Header, magic), header.magic);
  at[offsetof(Header, version)] = std::byte{header.version};
  at[offsetof(Header, service_class)] = static_cast<std::byte>(header.service_class);
  store_le(at + offsetof(Header, opcode), header.opcode);
  store_le(at + offsetof(Header, flags), header.flags);
  store_le(at + offsetof(Header, status), header.status);
  store_le(at + offsetof(Header, target), header.target);
  store_le(at + offsetof(Header, bulk_bytes), header.bulk_bytes);
  store_le(at + offsetof(Header, session), header.session);
  store_le(at + offsetof(Header, sequence), header.sequence);
  store_le(at + offsetof(Header, expiry), header.expiry);
  store_le(at + offsetof(Header, trace_id), header.trace_id);
  store_le(at + offsetof(Header, map_version), header.map_version);
  store_le(at + offsetof(Header, body_bytes), header.body_bytes);
  store_le(at + offsetof(Header, body_crc), header.body_crc);
  store_le(at + offsetof(Header, header_crc), crc32c(to.first<kCheckedBytes>()));
}

Result<Header> decode_header(ByteView from) {
  if (from.size() < kHeaderBytes) return failf(Code::kMalformed, "header of {} bytes", from.size());
  Header header = load_fields(from.data());
  if (header.magic != kMagic) {
    return failf(Code::kMalformed, "not a Cenote message: it begins with '{}'", printable(from.first(8)));
  }
  // Before the checksum: where another layout keeps it is unknown.
  if (header.version != kHeaderVersion) {
    return failf(Code::kUnsupported, "header version {}, this build knows {}", header.version, kHeaderVersion);
  }
  if (header.header_crc != crc32c(from.first(kCheckedBytes)))
    return failf(Code::kMalformed, "header checksum mismatch");
  CHECK_OK(check_flags(header));
  CHECK_OK(check_fields(header));
  return header;
}

Result<> check_body(const Header& header, ByteView body) {
  if (body.size() != header.body_bytes || header.body_crc != crc32c(body)) {
    return failf(Code::kMalformed, "body checksum mismatch in opcode {}", header.opcode);
  }
  return {};
}

}  // namespace cenote::rpc
