#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/uuid.h"
#include "cenote/rpc/call.h"
#include "cenote/rpc/wire.h"
#include "cenote/runtime/reactor.h"

namespace cenote::rpc {

class ClientSession;

/// One request's id for as long as it may be sent: hold it over all retries of a request, at whichever peer. While it
/// lives no server forgets the answer (before the expiry); its end is the acknowledgement. Single reactor.
class RequestTicket : public ListNode<struct TicketTag> {
 public:
  /// Expires after `lifetime`, at most kRequestLifetimeMax.
  RequestTicket(ClientSession& session, Duration lifetime);
  ~RequestTicket();

  SessionId session() const;
  Sequence sequence() const { return sequence_; }
  /// Absolute; the same for all retries.
  WallTime expiry() const { return expiry_; }
  /// Whether a server may have it; the next call with this ticket is then marked as a retry.
  bool sent() const { return sent_; }
  void mark_sent() { sent_ = true; }

 private:
  ClientSession& session_;
  Sequence sequence_;
  WallTime expiry_;
  bool sent_ = false;
};

/// The client's side of a session: its identity and the ids of its requests, shared by all Peers of one client on one
/// reactor, so that a request may be retried at another engine under the same id.
class ClientSession {
 public:
  struct Options {
    /// Of the client as a whole; for logs, locks and access control.
    Uuid identity{};
    /// For people: program, host, process.
    std::string name{};
    /// Grows whenever a client starts again under the same session id.
    std::uint64_t incarnation = 1;
    /// Of the first request: beyond any that was ever used with the session id.
    std::uint64_t first_sequence = 1;
  };
  /// Draws the session id from the reactor. Outlives its peers and tickets.
  ClientSession(Reactor& reactor, Options options);
  /// Goes on under a known id; the incarnation must be larger than the last one used with it.
  ClientSession(Reactor& reactor, Options options, SessionId id);
  ~ClientSession();

  SessionId id() const { return id_; }
  const Options& options() const { return options_; }
  /// Every request up to this one has ended at the client.
  Sequence acknowledged() const;

  /// Appends requests beyond `acknowledged()` that have ended since `cursor`, at most `limit`, and moves the cursor.
  /// For the peers, each of which tells its server; one that asks too rarely misses some, which costs the server
  /// memory.
  void collect_ended(std::uint64_t& cursor, std::size_t limit, std::vector<std::uint64_t>& into) const;

 private:
  friend class RequestTicket;
  static constexpr std::size_t kEndedKept = 1024;

  void end(RequestTicket& ticket);

  Reactor& reactor_;
  Options options_;
  SessionId id_;
  std::uint64_t last_sequence_ = 0;
  IntrusiveList<RequestTicket, TicketTag> open_;  // in order of their sequences
  // The last requests that ended before an older one, as a ring; `ended_count_` were ever put there.
  std::vector<std::uint64_t> ended_;
  std::uint64_t ended_count_ = 0;
};

/// The server's side of a session: what it knows about one client. It outlives connections; handlers hold it by
/// shared_ptr. Single reactor.
class Session : public Caller {
 public:
  virtual SessionId id() const = 0;
  virtual std::uint64_t incarnation() const = 0;
  virtual const Uuid& identity() const = 0;
  virtual const std::string& name() const = 0;
  /// Last message of the client.
  virtual Instant last_activity() const = 0;
  virtual bool connected() const = 0;
  /// True once the session has expired, was replaced by a newer incarnation or the server stopped; callbacks then fail
  /// with kSessionExpired.
  virtual bool ended() const = 0;
  /// The client needs no answer of any request up to this one any more: a durable duplicate table may forget them.
  virtual Sequence acknowledged() const = 0;
  // call(): asks the client. Without payloads; waits for a reconnect of a client that is away, within `until`.

 protected:
  ~Session() = default;
};

struct SessionTableOptions {
  std::uint32_t sessions_max = 65536;
  /// A session without a message for this long ends. Longer than any request lives, so that no duplicate of one of its
  /// requests can be executed after the session was forgotten.
  Duration idle_max = kRequestLifetimeMax + 2 * kClockOffsetMax + std::chrono::minutes(1);
  /// Answered requests whose replies are kept per session, and their bytes; a client that acknowledges nothing gets
  /// kBusy beyond.
  std::uint32_t kept_replies_max = 1024;
  std::uint32_t kept_bytes_max = 1u << 20;
};

/// All sessions of a server.
class SessionTable {
 public:
  /// Null if there is none.
  virtual std::shared_ptr<Session> find(SessionId id) = 0;
  virtual std::size_t size() const = 0;
  virtual void for_each(const std::function<void(Session&)>& visit) = 0;
  /// Ends a session (an administrator's eviction); its connection is closed and the client told kSessionExpired.
  virtual void end(SessionId id) = 0;

 protected:
  ~SessionTable() = default;
};

}  // namespace cenote::rpc
