#pragma once

#include "cenote/rpc/bulk.h"
#include "cenote/rpc/wire.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::rpc {

class RequestTicket;

/// What the header of a reply said, also of one that carries an error.
struct ReplyInfo {
  /// False while no reply has arrived; a failure then is the connection's, not the service's.
  bool received = false;
  Code status = Code::kOk;
  /// The service's own map version: after kStaleMap the one to fetch.
  std::uint32_t map_version = 0;
  /// The call had sent the request before, over a connection that broke: what became of that sending, this reply may
  /// not tell.
  bool resent = false;
};

struct CallOptions {
  /// Bounds the whole call, reconnecting and resending included.
  Until until{};
  /// Index of the target inside the engine.
  std::uint16_t target = 0;
  ServiceClass service_class = ServiceClass::kForeground;
  std::uint32_t map_version = 0;
  std::uint64_t trace_id = 0;
  /// The request's id and expiry, for a request that may be retried at another peer; without one the call makes its
  /// own.
  RequestTicket* ticket = nullptr;
  /// Filled in when a reply arrives; for callers that need more than the error of a refused request.
  ReplyInfo* info = nullptr;
};

/// A successful answer.
struct Reply {
  ReplyBody body;
  /// Payload bytes written to the front of the caller's memory.
  std::uint32_t bulk_bytes = 0;
  std::uint32_t map_version = 0;
};

/// Something that answers requests: a Peer (client to server), or a Session (server to client, for callbacks).
class Caller {
 public:
  /// Sends one request and waits for its answer. `body` and the memory of `send` and `receive` stay the caller's and
  /// must be valid until the call returns; when it has, nobody reads or writes them any more, however it ended. After
  /// an error the contents of `receive` are undefined.
  ///
  /// A broken connection does not end the call: the request is resent with the same (session, sequence) as long as
  /// deadline and expiry allow, and the server's duplicate table lets it take effect once.
  ///
  /// Errors: the service's own; kUnreachable (never sent), kConnectionLost (sent, unanswered; it may have taken
  /// effect), kDeadlineExceeded and kCancelled (likewise), kRequestExpired (not executed, now or later),
  /// kSessionExpired, kBusy, kUnknownOpcode, kOutOfRange (body, payload or reply over a limit or larger than
  /// `receive`), kStopped.
  virtual Task<Result<Reply>> call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive,
                                   CallOptions options) = 0;

  Task<Result<Reply>> call(Opcode opcode, ByteView body, CallOptions options) {
    return call(opcode, body, BulkSource(), BulkSink(), options);
  }

 protected:
  ~Caller() = default;
};

}  // namespace cenote::rpc
