#pragma once

#include <array>
#include <memory>
#include <string>

#include "cenote/rpc/address.h"
#include "cenote/rpc/bulk.h"
#include "cenote/rpc/counters.h"
#include "cenote/rpc/wire.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/intrusive_list.h"
#include "cenote/runtime/task.h"

namespace cenote::rpc {

/// The seam below which transports live. Everything here is used on one reactor only, the connection's.

/// A message on its way out. Intrusive: the sender keeps it, and the memory it points to, until `on_released`.
class Outgoing : public ListNode<struct OutgoingTag> {
 public:
  /// body_bytes, body_crc and bulk_bytes are filled in by the link from the two fields below.
  Header header;
  ByteView body;
  BulkSource bulk;

  /// Called once per `Link::send`, never from within it: the link touches this object and its memory no more. `sent`
  /// says whether all of it was handed to the transport, not whether the peer has it.
  virtual void on_released(bool sent) = 0;

 protected:
  ~Outgoing() = default;

 private:
  friend class StreamLink;
  friend class InprocEnd;
  std::array<std::byte, kHeaderBytes> encoded_;
  bool abandoned_ = false;
  bool away_ = false;  // with the other reactor
};

/// The memory that the payload of one message is received into. Intrusive: kept by its owner until `on_payload`.
class Incoming {
 public:
  /// At least the message's bulk_bytes.
  BulkSink into;

  /// Called once after it was given to a link: the payload is complete, or (kConnectionLost, or kCancelled after
  /// `Link::discard`) it never will be; the link touches the memory no more.
  virtual void on_payload(Result<> result) = 0;

 protected:
  ~Incoming() = default;
};

/// What a link tells its user.
class LinkHandler {
 public:
  /// What to do with a message.
  struct Verdict {
    /// The message was not taken: the link stops receiving and offers the same message again after `Link::resume`.
    bool later = false;
    /// Where the payload goes; null discards it. Ignored for a message without payload.
    Incoming* payload = nullptr;
  };
  /// Header and body have arrived and are intact; `body` is valid during the call only.
  virtual Verdict on_message(const Header& header, ByteView body) = 0;
  /// The connection is over (peer gone, protocol error, `Link::close`) and the link has let go of every Outgoing and
  /// Incoming. Last call; the link may be destroyed once it has returned, not inside.
  virtual void on_closed(const Error& reason) = 0;

 protected:
  ~LinkHandler() = default;
};

/// One connection: a stream of whole messages in order, both ways, until it breaks. It never loses or repeats a message
/// in the middle. What is sent in one turn of the reactor leaves in as few pieces as serve the peer best.
class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  /// After `on_closed` only, or before `start`.
  virtual ~Link() = default;

  /// Begins to receive.
  virtual void start(LinkHandler& handler) = 0;
  /// Queues a message; on a closed link it is released unsent. Bodies and payloads must be within the limits.
  virtual void send(Outgoing& message) = 0;
  /// Asks for a sent message's memory back, which does not wait for the peer: a message not begun is dropped, the rest
  /// of one that is partly out is copied. `on_released` follows, possibly inside this call.
  virtual void abandon(Outgoing& message) = 0;
  /// Asks for a payload's memory back; what still arrives is thrown away. `on_payload` follows, possibly inside this
  /// call.
  virtual void discard(Incoming& payload) = 0;
  /// Offers the message again that `on_message` put off. Harmless otherwise.
  virtual void resume() = 0;
  /// Breaks the connection; `on_closed(reason)` follows, never inside this call. Idempotent: the first reason counts.
  virtual void close(Error reason) = 0;

  /// The peer's address, for messages.
  virtual const std::string& peer_name() const = 0;
};

/// Accepts connections on one address.
class Listener {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  virtual ~Listener() = default;

  /// The next connection; not started. kStopped after `close`, kCancelled by `until`; other errors are of one
  /// connection and accepting goes on.
  virtual Task<Result<std::unique_ptr<Link>>> accept(Until until) = 0;
  /// Where it listens, with the port that was picked if 0 was asked for.
  virtual const Address& address() const = 0;
  /// Frees the address. Waits for the kernel to let go; a pending accept ends with kStopped.
  virtual Task<> close() = 0;
};

/// A way to reach other endpoints, for one reactor: tcp, inproc or sim.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;

  /// kUnreachable "cannot connect to ADDRESS: REASON", or "cannot resolve NAME"; kDeadlineExceeded, kCancelled.
  virtual Task<Result<std::unique_ptr<Link>>> connect(Address address, Until until) = 0;
  /// kExists if the address is in use, with what to do about it.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;
};

}  // namespace cenote::rpc
