#pragma once

#include <unordered_map>

#include "call_table.h"
#include "cenote/rpc/handshake.h"
#include "cenote/rpc/session.h"
#include "dispatcher.h"

namespace cenote::rpc {

class ServerConnection;

/// What a session needs from its server.
class SessionOwner : public RequestListener {
 public:
  /// The session has room again for what its connection put off.
  virtual void on_session_room(ServerConnection& connection) = 0;

 protected:
  ~SessionOwner() = default;
};

/// Everything that the sessions of one server share.
struct SessionContext {
  Reactor& reactor;
  Scope& scope;
  Service& service;
  RequestPool& pool;
  SessionOwner& owner;
  Counters& counters;
  Credits credits;
};

/// Invariants: `requests_` and `bytes_` count what was charged and is not over. `connection_` is the newest connection,
/// or null; once `ended_`, callbacks are refused.
class ServerSession final : public Session, private RequestListener, private CallDemand {
 public:
  ServerSession(SessionContext& context, const Hello& hello, DuplicateWindow::Limits limits);
  ~ServerSession() = default;

  SessionId id() const override { return ids_.id(); }
  std::uint64_t incarnation() const override { return incarnation_; }
  const Uuid& identity() const override { return ids_.options().identity; }
  const std::string& name() const override { return ids_.options().name; }
  Instant last_activity() const override { return last_activity_; }
  bool connected() const override { return connection_ != nullptr; }
  bool ended() const override { return ended_; }
  Sequence acknowledged() const override { return Sequence(dispatcher_.acknowledged()); }
  using Caller::call;
  Task<Result<Reply>> call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive,
                           CallOptions options) override;

  ServerConnection* connection() { return connection_; }
  /// Returns the connection that was replaced, or null.
  ServerConnection* attach(ServerConnection& connection, Link& link);
  void detach(ServerConnection& connection, Link& link, const Error& reason);
  void end(const Error& reason);
  void touch() { last_activity_ = context_.reactor.now(); }
  bool idle_since(Instant limit) const { return last_activity_ < limit && dispatcher_.running() == 0; }

  Dispatcher& dispatcher() { return dispatcher_; }
  CallTable& callbacks() { return callbacks_; }
  bool has_room(std::uint64_t bytes) const;
  void charge(std::uint64_t bytes);

 private:
  void on_request_over(std::uint64_t charged_bytes) override;
  void on_call_waiting() override {}

  SessionContext& context_;
  ClientSession ids_;  // of callbacks
  std::uint64_t incarnation_;
  Instant last_activity_;
  Dispatcher dispatcher_;
  CallTable callbacks_;
  ServerConnection* connection_ = nullptr;
  std::uint32_t requests_ = 0;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
};

/// Invariant: exactly the sessions that have not ended.
class ServerSessionTable final : public SessionTable {
 public:
  struct Opened {
    std::shared_ptr<ServerSession> session;
    bool resumed = false;
  };

  ServerSessionTable(SessionContext& context, SessionTableOptions options) : context_(context), options_(options) {}

  std::shared_ptr<Session> find(SessionId id) override;
  std::size_t size() const override { return sessions_.size(); }
  void for_each(const std::function<void(Session&)>& visit) override;
  void end(SessionId id) override;

  /// The session a hello asks for. kSessionExpired for an old incarnation, kInvalidArgument for somebody else's
  /// session, kResourceExhausted.
  Result<Opened> open(const Hello& hello);
  void end_idle();
  void end_all(const Error& reason);

 private:
  void end_session(std::shared_ptr<ServerSession> session, const Error& reason);

  SessionContext& context_;
  SessionTableOptions options_;
  std::unordered_map<SessionId, std::shared_ptr<ServerSession>> sessions_;
};

}  // namespace cenote::rpc
