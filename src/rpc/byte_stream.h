#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string>

#include "cenote/base/error.h"

namespace cenote::rpc {

/// What a byte stream reports; never from within a call of the stream.
class StreamEvents {
 public:
  /// At least one byte left, or an error: kCancelled (the stream goes on) or kConnectionLost.
  virtual void on_sent(Result<std::size_t> bytes) = 0;
  /// Bytes arrived; 0 means the peer has closed its side.
  virtual void on_received(Result<std::size_t> bytes) = 0;
  /// The moment asked for by `request_flush`.
  virtual void on_flush() = 0;

 protected:
  ~StreamEvents() = default;
};

/// A connected, reliable, ordered stream of bytes in both directions: what tcp and sim have in common. At most one send
/// and one receive are in flight; the arrays given to them, and the memory these name, belong to the operation until
/// its event.
class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  /// Closes. Nothing may be in flight.
  virtual ~ByteStream() = default;

  virtual void attach(StreamEvents& events) = 0;
  virtual void send(std::span<const iovec> parts) = 0;
  virtual void receive(std::span<const iovec> parts) = 0;
  /// The operation in flight ends soon, whatever the peer does: with kCancelled, or with what it had done.
  virtual void cancel_send() = 0;
  virtual void cancel_receive() = 0;
  /// Asks for `on_flush` at the last moment at which a send still joins this turn of the reactor. Once per event.
  virtual void request_flush() = 0;
  /// What was given to `send` and `receive` begins now instead of at the end of this turn.
  virtual void hurry() = 0;
  /// Ends the stream: what is in flight completes soon, what comes later fails. Bytes already sent still travel.
  virtual void shutdown() = 0;
  virtual const std::string& peer_name() const = 0;
};

}  // namespace cenote::rpc
