#pragma once

#include <cstdint>
#include <string>

#include "cenote/base/uuid.h"
#include "cenote/rpc/wire.h"

namespace cenote::rpc {

/// How a client proves who it is. The field exists from the start; today a system is either insecure or refuses.
enum class Authentication : std::uint16_t { kInsecure = 0 };

/// What one connection may have in flight at the server: a client waits before it exceeds them.
struct Credits {
  std::uint32_t requests = 256;
  /// Bodies and payloads together. At least one message of the largest size.
  std::uint64_t bytes = 32ull << 20;
  friend bool operator==(const Credits&, const Credits&) = default;
};

/// First message of a connection, from the client.
struct Hello {
  std::uint16_t version_min = kProtocolVersionMin;
  std::uint16_t version_max = kProtocolVersionMax;
  std::uint64_t features = 0;
  Uuid identity{};
  std::string name{};
  SessionId session{};
  std::uint64_t incarnation = 0;
  /// The system the client wants; null for any.
  Uuid system{};
  Authentication authentication = Authentication::kInsecure;
  Bytes credential{};
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The server's answer to a hello that it accepts. A refusal is an error reply.
struct Welcome {
  std::uint16_t version = kProtocolVersionMax;
  std::uint64_t features = 0;  ///< of both sides
  SessionId session{};
  /// The server still knew this session and incarnation; otherwise it has just begun.
  bool resumed = false;
  std::uint64_t server_incarnation = 0;
  Uuid system{};
  Credits credits{};
  std::uint32_t body_bytes_max = kMaxBodyBytes;
  std::uint32_t bulk_bytes_max = kMaxBulkBytes;
  /// Wall clock of the server when it answered, ns since 1970.
  std::uint64_t wall_time = 0;
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// The body of a ping that asks for the server's clock, and of its reply. One that asks for nothing is empty.
struct ClockQuestion {
  std::uint64_t number = 0;  ///< not 0
  friend bool operator==(const ClockQuestion&, const ClockQuestion&) = default;
};
struct ClockAnswer {
  std::uint64_t number = 0;
  WallTime wall{};  ///< not before 1970
  friend bool operator==(const ClockAnswer&, const ClockAnswer&) = default;
};

inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxCredentialBytes = 16384;

Bytes encode(const Hello& hello);
Bytes encode(const Welcome& welcome);
Bytes encode(const ClockQuestion& question);
Bytes encode(const ClockAnswer& answer);
/// kMalformed for anything `encode` could not have written, except that later versions may append fields.
Result<Hello> decode_hello(ByteView body);
Result<Welcome> decode_welcome(ByteView body);
Result<ClockQuestion> decode_clock_question(ByteView body);
Result<ClockAnswer> decode_clock_answer(ByteView body);

/// The newest version both sides speak; kVersionMismatch naming both ranges.
Result<std::uint16_t> choose_version(const Hello& hello);

}  // namespace cenote::rpc
