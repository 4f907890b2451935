#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/small_vector.h"
#include "cenote/base/strong.h"
#include "cenote/base/time.h"

namespace cenote::rpc {

/// The wire format of messages: docs/protocols/rpc.md is the specification, this file its constants.

/// Names a client session in the whole system; chosen at random by the client, never 0.
using SessionId = Strong<struct SessionIdTag>;
/// Number of a request inside its session, from 1, never reused. (session, sequence) is the request's id: a retry
/// carries the same one, to whichever engine it goes.
using Sequence = Strong<struct SequenceTag>;
/// Number of a request type; the space belongs to the service (`protocol` lists Cenote's).
using Opcode = std::uint16_t;

inline constexpr std::uint16_t kMagic = 0xce07;
/// Layout of the header; the handshake negotiates the protocol version above it.
inline constexpr std::uint8_t kHeaderVersion = 1;
inline constexpr std::size_t kHeaderBytes = 64;
inline constexpr std::uint32_t kMaxBodyBytes = 1u << 20;
/// The body of a reply; that of an update or a fetch of one range needs no allocation.
using ReplyBody = SmallVector<std::byte, 64>;
inline constexpr std::uint32_t kMaxBulkBytes = 4u << 20;
/// Longest text of an error reply; longer ones are cut.
inline constexpr std::uint32_t kMaxErrorBytes = 4096;

/// Oldest and newest protocol version of this build.
inline constexpr std::uint16_t kProtocolVersionMin = 1;
inline constexpr std::uint16_t kProtocolVersionMax = 1;

/// A request lives at most this long: the server refuses an expiry further in its future (plus kClockOffsetMax), so
/// that what it remembers about requests is bounded.
inline constexpr Duration kRequestLifetimeMax = std::chrono::minutes(5);
/// Lifetime of a request whose caller named no deadline.
inline constexpr Duration kRequestLifetimeDefault = std::chrono::seconds(60);
/// Largest difference between two machines' wall clocks that expiries tolerate.
inline constexpr Duration kClockOffsetMax = std::chrono::seconds(1);

enum class ServiceClass : std::uint8_t { kForeground = 0, kRebuild = 1, kScrub = 2 };

/// Bits of Header::flags.
namespace flag {
inline constexpr std::uint16_t kReply = 1;     ///< answers the request with the same sequence
inline constexpr std::uint16_t kOneWay = 2;    ///< wants no answer, is not retried
inline constexpr std::uint16_t kCallback = 4;  ///< request from server to client, and its reply
inline constexpr std::uint16_t kControl = 8;   ///< of the rpc layer itself: the opcode is a ControlOpcode
inline constexpr std::uint16_t kRetry = 16;    ///< may have been sent before on another connection
inline constexpr std::uint16_t kAll = 31;
}  // namespace flag

enum class ControlOpcode : Opcode {
  kHello = 1,        ///< first message of a connection; its reply is the welcome or the refusal
  kPing = 2,         ///< answered at once; keeps session and connection alive
  kAcknowledge = 3,  ///< one-way: requests whose answers the client needs no more
};

/// A header in host byte order, with exactly the layout it has on the wire of a little-endian machine.
struct Header {
  std::uint16_t magic = kMagic;
  std::uint8_t version = kHeaderVersion;
  ServiceClass service_class = ServiceClass::kForeground;
  Opcode opcode = 0;
  std::uint16_t flags = 0;
  std::uint16_t status = 0;      ///< Code; 0 in requests
  std::uint16_t target = 0;      ///< index of the target inside the engine
  std::uint32_t bulk_bytes = 0;  ///< payload behind the body, at most kMaxBulkBytes
  std::uint64_t session = 0;
  std::uint64_t sequence = 0;
  std::uint64_t expiry = 0;  ///< wall clock, ns since 1970; 0 only in replies and control messages
  std::uint64_t trace_id = 0;
  std::uint32_t map_version = 0;
  std::uint32_t body_bytes = 0;  ///< at most kMaxBodyBytes
  std::uint32_t body_crc = 0;    ///< CRC32C of the body
  std::uint32_t header_crc = 0;  ///< CRC32C of the 60 bytes before it

  bool is(std::uint16_t bits) const { return (flags & bits) == bits; }
  friend bool operator==(const Header&, const Header&) = default;
};
static_assert(sizeof(Header) == kHeaderBytes);
static_assert(offsetof(Header, version) == 2 && offsetof(Header, service_class) == 3 && offsetof(Header, opcode) == 4);
static_assert(offsetof(Header, flags) == 6 && offsetof(Header, status) == 8 && offsetof(Header, target) == 10);
static_assert(offsetof(Header, bulk_bytes) == 12 && offsetof(Header, session) == 16 &&
              offsetof(Header, sequence) == 24);
static_assert(offsetof(Header, expiry) == 32 && offsetof(Header, trace_id) == 40 &&
              offsetof(Header, map_version) == 48);
static_assert(offsetof(Header, body_bytes) == 52 && offsetof(Header, body_crc) == 56 &&
              offsetof(Header, header_crc) == 60);

/// Writes `header` with its checksum computed (the field in `header` is ignored).
void encode_header(const Header& header, std::span<std::byte, kHeaderBytes> to);

/// Reads a header that nobody has vouched for: any bytes of any length are safe. kMalformed with what is wrong: too
/// short, magic, checksum, unknown flags or class, lengths over the limits, or fields that contradict each other;
/// kUnsupported for another header version.
Result<Header> decode_header(ByteView from);

/// kMalformed unless `body` is the one that `header` was written for.
Result<> check_body(const Header& header, ByteView body);

/// The wall-clock time a header's expiry means.
inline WallTime expiry_time(std::uint64_t expiry) { return WallTime(Duration(static_cast<std::int64_t>(expiry))); }

}  // namespace cenote::rpc
