#pragma once

#include <memory>

#include "cenote/rpc/bulk.h"
#include "cenote/rpc/session.h"
#include "cenote/rpc/wire.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::rpc {

/// A request being handled. Owned by the connection's reactor and valid until the handler has returned its response,
/// also when the connection breaks meanwhile (the reply is then kept for the retry). A handler that works on another
/// reactor (`call_on`) may read the header and body there, as nobody changes them; everything else is for the home
/// reactor.
class Request {
 public:
  const Header& header() const { return header_; }
  Opcode opcode() const { return header_.opcode; }
  std::uint16_t target() const { return header_.target; }
  std::uint32_t map_version() const { return header_.map_version; }
  std::uint32_t bulk_bytes() const { return header_.bulk_bytes; }
  /// The request's id, with the session's: what a durable duplicate table stores.
  SessionId session_id() const { return SessionId(header_.session); }
  Sequence sequence() const { return Sequence(header_.sequence); }
  /// Not executed after this; what was stored about the request may be forgotten kClockOffsetMax later.
  WallTime expiry() const { return expiry_time(header_.expiry); }
  /// True if the client may have sent it before: only then a durable duplicate table needs to be asked.
  bool is_retry() const { return header_.is(flag::kRetry); }
  bool is_one_way() const { return header_.is(flag::kOneWay); }
  ByteView body() const { return body_; }
  /// Null in callbacks at the client.
  const std::shared_ptr<Session>& session() const { return session_; }

  /// The client's payload in aligned buffers of this reactor's pool; empty if there is none. At most once. The tcp,
  /// inproc and sim transports have it when the handler starts; one with remote memory access fetches it here.
  /// kConnectionLost, kDeadlineExceeded, kCancelled.
  virtual Task<Result<PulledBulk>> pull(Until until) = 0;

  /// Cancelled when the server stops; give it to waits (`Until::cancel`).
  virtual CancelSource& cancel_source() = 0;

  /// What the service keeps with the request, for itself, as long as that lasts; nullptr at first.
  const std::shared_ptr<const void>& kept() const { return kept_; }
  void keep(std::shared_ptr<const void> what) { kept_ = std::move(what); }

 protected:
  ~Request() = default;

  Header header_;
  ByteView body_;
  std::shared_ptr<Session> session_;

 private:
  std::shared_ptr<const void> kept_;
};

/// The answer of a handler: a body and a payload, or an error.
struct Response {
  Response() = default;
  explicit Response(ByteView reply) : body(reply) {}
  Response(Error failure) : error(std::move(failure)) {}  // NOLINT: an error is a response

  /// kOk, or what went wrong; its message becomes the body of the reply.
  Error error{Code::kOk};
  ReplyBody body;
  /// Moved straight into the caller's memory.
  Payload payload;
  /// Sent along, with errors too.
  std::uint32_t map_version = 0;
  /// Of a failure that may have had an effect: retries then get this same error. Otherwise a failed request counts as
  /// not executed, and a retry runs.
  bool keep_error = false;
};

/// What a server (or a client, for callbacks) does with requests.
class Service {
 public:
  /// Handles one request; many run at a time, in no order. Never called for an expired request, nor twice at the same
  /// time or after an answer for the same (session, sequence) while this server runs, reads excepted.
  virtual Task<Response> handle(Request& request) = 0;
  /// True for requests without effect: their answers are not kept, and a retry runs again.
  virtual bool is_read(Opcode opcode) const = 0;
  /// A session began (`resumed` false), or its client is back on a new connection.
  virtual void on_session(Session& session, bool resumed) {
    (void)session;
    (void)resumed;
  }
  /// A session has ended: locks and open handles of the client can go.
  virtual void on_session_end(Session& session) { (void)session; }

 protected:
  ~Service() = default;
};

}  // namespace cenote::rpc
