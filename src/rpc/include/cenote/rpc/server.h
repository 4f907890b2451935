#pragma once

#include <memory>
#include <string>

#include "cenote/base/uuid.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/rpc/handshake.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/observer.h"
#include "cenote/rpc/service.h"
#include "cenote/rpc/session.h"

namespace cenote::rpc {

struct ServerOptions {
  /// Told to clients, who refuse a server of another system.
  Uuid system{};
  /// Of this start of the server: grows with every start.
  std::uint64_t incarnation = 1;
  std::uint64_t features = 0;
  /// What one connection may have in flight, told to the client; requests beyond are not read.
  Credits credits{};
  /// What all connections together may have in flight; beyond, connections are not read until something has ended.
  std::uint32_t requests_max = 4096;
  std::uint64_t bytes_max = 256ull << 20;
  std::uint32_t connections_max = 4096;
  /// A connection that has not said a valid hello by then is closed.
  Duration hello_timeout = std::chrono::seconds(10);
  /// A connection without any message for this long is closed; clients ping more often.
  Duration idle_timeout = std::chrono::seconds(60);
  SessionTableOptions sessions{};
  Observer* observer = nullptr;
  Counters* counters = nullptr;
};

/// Accepts connections, keeps sessions, runs requests through a Service. One per reactor; a service forwards to other
/// cores itself.
class Server {
 public:
  /// `pool` provides the memory of payloads and must have room for `options.bytes_max`, or receiving waits for it.
  Server(Reactor& reactor, media::BufferPool& pool, Service& service, ServerOptions options);
  /// After `stop` only.
  ~Server();

  /// Starts to serve on `address` of `transport`; may be called for several. Returns where it listens, with the port
  /// picked for port 0. kExists if the address is in use, kStopped after `stop`.
  Result<Address> listen(Transport& transport, const Address& address);
  /// Stops accepting, lets running requests end (and their replies leave) until `grace.deadline`, then cancels the rest
  /// and waits for them, closes all connections and ends all sessions. Idempotent.
  Task<> stop(Until grace);

  SessionTable& sessions();
  std::uint32_t connections() const;
  std::uint32_t requests_in_flight() const;
  const Counters& counters() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::rpc
