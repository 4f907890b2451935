#pragma once

#include <cstdint>
#include <memory>

#include "cenote/rpc/link.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::rpc {

/// Whether several transports of one process, each of its own reactor, listen on one address; the kernel then spreads
/// new connections over them.
enum class AddressSharing : std::uint8_t {
  kNone,
  kFirst,  ///< Refuses an address that is in use by anyone, and lets others of this user join.
  kJoin,   ///< The address that a transport with kFirst listens on already.
};

struct TcpOptions {
  /// Memory of each connection that small messages arrive in; payloads larger than what it holds bypass it.
  std::uint32_t staging_bytes = 64u << 10;
  /// Kernel buffers (SO_SNDBUF, SO_RCVBUF); 0 leaves them to the kernel.
  std::uint32_t send_buffer_bytes = 0;
  std::uint32_t receive_buffer_bytes = 0;
  int backlog = 512;
  AddressSharing sharing = AddressSharing::kNone;
};

/// TCP over io_uring. One recvmsg and one sendmsg are in flight per connection; all messages of a turn, and all that
/// queued up during the last send, leave in one sendmsg, a long turn's first sixteen or 32 KiB ahead of the others.
/// Nagle's algorithm is off, keepalive on. Host names are resolved on a helper thread; the reactor never blocks.
class TcpTransport final : public Transport {
 public:
  /// `counters` (optional) are of the same reactor. All links and listeners are gone before the transport.
  explicit TcpTransport(UringReactor& reactor, TcpOptions options = {}, Counters* counters = nullptr);
  ~TcpTransport() override;

  Task<Result<std::unique_ptr<Link>>> connect(Address address, Until until) override;
  Result<std::unique_ptr<Listener>> listen(const Address& address) override;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::rpc
