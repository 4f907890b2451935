#pragma once

#include <memory>

#include "cenote/rpc/link.h"
#include "dispatcher.h"
#include "server_session.h"

namespace cenote::rpc {

class ServerConnection;

/// What a connection asks its server.
class ConnectionOwner {
 public:
  /// Decides on a hello; the connection has sent nothing yet.
  virtual Result<ServerSessionTable::Opened> open_session(const Hello& hello) = 0;
  /// The answer to a hello that `open_session` accepted.
  virtual Welcome welcome(const Hello& hello, std::uint16_t version, bool resumed) = 0;
  /// Whether the server as a whole has room for one more request; if not, the connection is resumed when it has.
  virtual bool has_room(std::uint64_t bytes, ServerConnection& connection) = 0;
  virtual void charge(std::uint64_t bytes) = 0;
  /// Memory for a payload, or none: then it is being waited for and the connection is resumed with it.
  virtual std::optional<IncomingRequest::Buffers> buffers(std::uint32_t bytes, ServerConnection& connection) = 0;
  /// New requests are refused.
  virtual bool stopping() const = 0;
  /// Last call about this connection.
  virtual void on_connection_closed(ServerConnection& connection, const Error& reason) = 0;

 protected:
  ~ConnectionOwner() = default;
};

/// One accepted connection: handshake, then messages to the session.
///
/// Invariants: before the hello was accepted `session_` is null; `superseded_` is set from the moment when the session
/// has a newer connection, and nothing that still arrives here counts.
class ServerConnection final : private LinkHandler,
                               private PayloadListener,
                               public ListNode<struct ConnectionTag>,
                               public ListNode<struct PausedTag> {
 public:
  ServerConnection(SessionContext& context, ConnectionOwner& owner, std::unique_ptr<Link> link);
  ~ServerConnection();

  void start() { link_->start(*this); }
  void close(const Error& reason) { link_->close(reason); }
  void supersede();
  void resume() { link_->resume(); }

  /// Its last message was put off: it waits for room or memory, and does not read.
  bool waiting() const { return waiting_; }
  /// Tells a client whose pings are not read that the server lives.
  void send_sign_of_life();

  Link& link() { return *link_; }
  bool ready() const { return session_ != nullptr; }
  Instant last_activity() const { return last_activity_; }
  /// Ends the wait for memory when the connection has closed.
  CancelSource& memory_wait() { return memory_wait_; }
  void begin_memory_wait() { waiting_for_memory_ = true; }
  /// The memory that was waited for; null if the wait was given up.
  void end_memory_wait(std::optional<IncomingRequest::Buffers> buffers);
  bool closed() const { return closed_; }
  bool waiting_for_memory() const { return waiting_for_memory_; }

 private:
  /// An answer of this layer: welcome, refusal or pong.
  class ControlReply final : public Outgoing {
   public:
    explicit ControlReply(ServerConnection& connection) : connection_(connection) {}
    void on_released(bool) override;
    void send(const Header& request, Code status, Bytes body, std::optional<Error> close_with);

    bool busy = false;

   private:
    ServerConnection& connection_;
    Bytes bytes_;
    std::optional<Error> close_with_;  // after this reply has left
  };

  Verdict on_message(const Header& header, ByteView body) override;
  void on_closed(const Error& reason) override;
  void on_request_payload(IncomingRequest& request, Result<> result) override;

  Verdict on_any(const Header& header, ByteView body);
  Verdict on_control(const Header& header, ByteView body);
  Bytes answer_to_ping(ByteView body) const;
  void on_hello(const Header& header, ByteView body);
  void welcome(const Header& header, const Hello& hello, std::uint16_t version);
  void refuse_hello(const Header& header, const Error& error);
  void on_acknowledge(ByteView body);
  Verdict on_request(const Header& header, ByteView body);
  Verdict receive(const Header& header, ByteView body);
  void protocol_error(std::string message);

  SessionContext& context_;
  ConnectionOwner& owner_;
  std::unique_ptr<Link> link_;
  std::shared_ptr<ServerSession> session_;
  Instant last_activity_;
  ControlReply control_reply_{*this};
  CancelSource memory_wait_;
  bool waiting_for_memory_ = false;
  std::optional<IncomingRequest::Buffers> reserved_;
  bool waiting_ = false;
  bool refused_ = false;
  bool superseded_ = false;
  bool closed_ = false;
};

}  // namespace cenote::rpc
