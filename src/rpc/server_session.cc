#include "server_session.h"

#include "cenote/base/format.h"
#include "server_connection.h"

namespace cenote::rpc {
namespace {

ClientSession::Options callback_ids(const Hello& hello, WallTime now) {
  // Beyond any sequence that an earlier server used for callbacks of this session.
  return {.identity = hello.identity,
          .name = hello.name,
          .incarnation = hello.incarnation,
          .first_sequence = static_cast<std::uint64_t>(now.time_since_epoch().count())};
}

}  // namespace

ServerSession::ServerSession(SessionContext& context, const Hello& hello, DuplicateWindow::Limits limits)
    : context_(context),
      ids_(context.reactor, callback_ids(hello, context.reactor.wall_now()), hello.session),
      incarnation_(hello.incarnation),
      last_activity_(context.reactor.now()),
      dispatcher_(context.reactor, context.scope, &context.service, context.pool, *this, limits, context.counters),
      callbacks_(context.reactor, ids_, flag::kCallback, context.counters, *this) {
  callbacks_.set_peer_name(fmt::format("client '{}'", hello.name));
}

Task<Result<Reply>> ServerSession::call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive,
                                        CallOptions options) {
  return callbacks_.call(opcode, body, send, receive, options);
}

ServerConnection* ServerSession::attach(ServerConnection& connection, Link& link) {
  ServerConnection* old = std::exchange(connection_, &connection);
  dispatcher_.attach(link);
  // Callbacks on a link that was replaced are free when it has closed; until then they cannot move.
  if (callbacks_.link() == nullptr) callbacks_.attach(link, context_.credits);
  touch();
  return old;
}

void ServerSession::detach(ServerConnection& connection, Link& link, const Error& reason) {
  dispatcher_.detach(link);
  if (connection_ == &connection) connection_ = nullptr;
  if (callbacks_.link() != &link) return;
  callbacks_.detach(reason);
  if (connection_ != nullptr) callbacks_.attach(connection_->link(), context_.credits);
}

void ServerSession::end(const Error& reason) {
  ended_ = true;
  callbacks_.refuse(Error(Code::kSessionExpired, reason.message()));
}

bool ServerSession::has_room(std::uint64_t bytes) const {
  if (requests_ == 0) return true;
  return requests_ < context_.credits.requests && bytes_ + bytes <= context_.credits.bytes;
}

void ServerSession::charge(std::uint64_t bytes) {
  ++requests_;
  bytes_ += bytes;
}

void ServerSession::on_request_over(std::uint64_t charged_bytes) {
  ASSERT(requests_ > 0 && bytes_ >= charged_bytes);
  --requests_;
  bytes_ -= charged_bytes;
  if (connection_ != nullptr) context_.owner.on_session_room(*connection_);
  context_.owner.on_request_over(charged_bytes);
}

void ServerSession::check_invariants() {
  ASSERT(requests_ > 0 || bytes_ == 0);
  dispatcher_.check_invariants();
  callbacks_.check_invariants();
}

std::shared_ptr<Session> ServerSessionTable::find(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second;
}

void ServerSessionTable::for_each(const std::function<void(Session&)>& visit) {
  for (const auto& [id, session] : sessions_) visit(*session);
}

void ServerSessionTable::end(SessionId id) {
  const auto found = sessions_.find(id);
  if (found != sessions_.end()) end_session(found->second, Error(Code::kSessionExpired, "the session was ended"));
}

Result<ServerSessionTable::Opened> ServerSessionTable::open(const Hello& hello) {
  if (const auto found = sessions_.find(hello.session); found != sessions_.end()) {
    const std::shared_ptr<ServerSession> known = found->second;
    if (known->identity() != hello.identity) {
      return failf(Code::kInvalidArgument, "the session id belongs to another client ('{}')", known->name());
    }
    if (known->incarnation() == hello.incarnation) return Opened{known, true};
    if (known->incarnation() > hello.incarnation) {
      return failf(Code::kSessionExpired, "client '{}' has started again (incarnation {}, this is {})", known->name(),
                   known->incarnation(), hello.incarnation);
    }
    end_session(known, Error(Code::kSessionExpired, "the client has started again"));
  }
  if (sessions_.size() >= options_.sessions_max) {
    return failf(Code::kResourceExhausted, "the server has {} client sessions, its limit", sessions_.size());
  }
  auto session = std::make_shared<ServerSession>(
      context_, hello, DuplicateWindow::Limits{options_.kept_replies_max, options_.kept_bytes_max});
  sessions_.emplace(hello.session, session);
  return Opened{std::move(session), false};
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the caller's may be the table's own, which goes first
void ServerSessionTable::end_session(std::shared_ptr<ServerSession> session, const Error& reason) {
  sessions_.erase(session->id());
  if (session->connection() != nullptr) session->connection()->close(reason);
  session->end(reason);
  context_.service.on_session_end(*session);
}

void ServerSessionTable::end_idle() {
  const Instant limit = context_.reactor.now() - options_.idle_max;
  std::vector<std::shared_ptr<ServerSession>> idle;
  for (const auto& [id, session] : sessions_) {
    if (session->idle_since(limit)) idle.push_back(session);
  }
  for (auto& session : idle)
    end_session(std::move(session), Error(Code::kSessionExpired, "no sign of life for too long"));
}

void ServerSessionTable::end_all(const Error& reason) {
  while (!sessions_.empty()) end_session(sessions_.begin()->second, reason);
}

void ServerSessionTable::check_invariants() {
  for (const auto& [id, session] : sessions_) {
    ASSERT(session->id() == id && !session->ended());
    session->check_invariants();
  }
}

}  // namespace cenote::rpc
