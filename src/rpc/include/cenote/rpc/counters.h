#pragma once

#include <cstdint>

namespace cenote::rpc {

/// What the rpc layer of one reactor has done; monotonic. Owned by whoever makes transports, peers and servers, and
/// shared by them on that one reactor only. System calls are counted by the reactor.
struct Counters {
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  /// Operations given to the kernel (or to the simulated network).
  std::uint64_t sends = 0, receives = 0;
  /// Payload bytes that a copy moved inside this process (out of the staging buffer, or rescued from a caller that gave
  /// up), and payload bytes that the transport put straight where they belong.
  std::uint64_t bulk_bytes_copied = 0, bulk_bytes_direct = 0;
  /// Payload that nobody waited for any more.
  std::uint64_t bulk_bytes_discarded = 0;
  std::uint64_t connections_opened = 0, connections_lost = 0, reconnects = 0, connect_failures = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t calls = 0, calls_resent = 0, calls_given_up = 0;
  std::uint64_t requests = 0, requests_expired = 0, requests_refused = 0;
  std::uint64_t duplicates_attached = 0, duplicates_answered = 0;
  /// Times a connection was not read because a limit was reached.
  std::uint64_t pauses = 0;
};

}  // namespace cenote::rpc
