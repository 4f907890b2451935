#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/rpc/call.h"
#include "cenote/rpc/handshake.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/observer.h"
#include "cenote/rpc/service.h"
#include "cenote/rpc/session.h"

namespace cenote::rpc {

struct PeerOptions {
  /// Tried in order, the last that worked first.
  std::vector<Address> addresses{};
  /// The system the server must belong to; null for any.
  Uuid system{};
  std::uint64_t features = 0;
  /// Handles the server's callbacks; none: they are answered kUnknownOpcode.
  Service* callbacks = nullptr;
  Duration connect_timeout = std::chrono::seconds(5);  ///< for all addresses, about
  /// Pause before another attempt: doubles from min to max, with random jitter.
  Duration backoff_min = std::chrono::milliseconds(20);
  Duration backoff_max = std::chrono::seconds(2);
  /// An idle connection is pinged this often, and taken for dead when nothing came for twice as long.
  Duration ping_interval = std::chrono::seconds(5);
  /// Connect again after a loss even if no call waits, so that the session and its callbacks stay alive.
  bool keep_connected = true;
  Observer* observer = nullptr;
  Counters* counters = nullptr;
};

/// A client's view of one server: at most one connection at a time, made when first needed and again when lost, and the
/// calls on it. Single reactor.
class Peer final : public Caller {
 public:
  /// `session` and `transport` outlive the peer.
  Peer(Reactor& reactor, Transport& transport, ClientSession& session, PeerOptions options);
  /// After `stop` only.
  ~Peer();

  /// See Caller. While there is no connection, a call that was never sent ends with kUnreachable once an attempt at all
  /// addresses has failed; one that was sent waits for a new connection until its deadline or expiry.
  using Caller::call;
  Task<Result<Reply>> call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive,
                           CallOptions options) override;

  /// A message without answer, sent at most once: lost if the connection breaks. `body` is copied. kUnreachable if
  /// there is no connection now, kOutOfRange, kResourceExhausted when too many are queued.
  Result<> notify(Opcode opcode, ByteView body, CallOptions options);

  /// Waits for a connection with a completed handshake: the error of the attempt otherwise.
  Task<Result<Welcome>> connect(Until until);

  /// How far the server's wall clock is ahead of this machine's: the answer was under way for a while.
  struct ClockOffset {
    Duration least{}, most{};
  };
  /// Asks for it, over a connection that is made if there is none. Needs no clocks that agree. kBusy: it is being asked
  /// already. kDeadlineExceeded: also of an older server, which does not tell.
  Task<Result<ClockOffset>> ask_clock(Until until);

  /// As PeerOptions::system, from the next connection on.
  void require_system(Uuid system);
  /// From now on a connection that is lost is made again only for a call.
  void connect_for_calls_only();

  bool connected() const;
  /// Of the current or last connection.
  std::optional<Welcome> welcome() const;
  /// The address in use, or the first, for messages.
  std::string name() const;
  std::uint32_t calls_in_flight() const;
  const Counters& counters() const;
  void check_invariants();

  /// Ends all calls with kStopped and closes the connection. Idempotent.
  Task<> stop();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::rpc
