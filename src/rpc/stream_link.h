#pragma once

#include <sys/uio.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "byte_stream.h"
#include "cenote/rpc/link.h"
#include "cenote/runtime/reactor.h"
#include "deferred.h"

namespace cenote::rpc {

/// A Link over a byte stream: framing, batching and the bookkeeping of who owns which memory. tcp and sim share it, so
/// what the simulator tears apart is the code that runs in production.
///
/// Invariants (check_invariants):
///  - `queue_` holds the messages not wholly sent, in order; `front_sent_` bytes of its first are out. While a send is
///    in flight the first `gathered_` messages of it belong to the stream.
///  - While `releasing_`, messages are being given back: what their owners do in answer adds to `queue_` and marks
///    messages as abandoned, but takes none out and begins no send.
///  - `staged_begin_ <= staged_end_ <= staging_.size()`: bytes received and not yet interpreted.
///  - `payload_` is the memory of the message being received; `payload_done_` of the `bulk_bytes` of its header have
///    come. Null while the payload is thrown away.
///  - Once `reason_` is set nothing new begins, and `on_closed` comes when neither send nor receive is in flight.
class StreamLink final : public Link, private StreamEvents {
 public:
  StreamLink(Reactor& reactor, std::unique_ptr<ByteStream> stream, std::size_t staging_bytes, Counters* counters);
  ~StreamLink() override;

  void start(LinkHandler& handler) override;
  void send(Outgoing& message) override;
  void abandon(Outgoing& message) override;
  void discard(Incoming& payload) override;
  void resume() override;
  void close(Error reason) override;
  const std::string& peer_name() const override { return stream_->peer_name(); }
  void check_invariants() const;

 private:
  enum class Stage : std::uint8_t { kHeader, kBody, kOffer, kPayload };
  static constexpr std::size_t kMaxParts = 128;
  // Headers and bodies up to this size are copied together: a part of a scatter list costs the kernel more than such a
  // copy.
  static constexpr std::size_t kSmallBytes = 512;
  static constexpr std::size_t kSmallSpace = 16384;
  static constexpr std::size_t kMaxReceiveParts = 64;
  // So many messages, or bytes, of one turn are not held back for its end, so that the peer works on them while this
  // side goes on. Much fewer, and the system calls cost more than the waiting.
  static constexpr std::size_t kHurryMessages = 16;
  static constexpr std::size_t kHurryBytes = 32768;

  void on_sent(Result<std::size_t> bytes) override;
  void on_received(Result<std::size_t> bytes) override;
  void on_flush() override;

  void flush();
  std::size_t add_message(const Outgoing& message, std::size_t skip);
  bool copy_front(const Outgoing& message, std::size_t skip);
  std::size_t add_parts(std::span<const ByteView> spans, std::size_t skip);
  void account_sent(std::size_t bytes);
  void drop_abandoned();
  void drop(Outgoing& message);
  void rescue(Outgoing& message);

  void account_received(std::size_t bytes);
  void interpret();
  bool interpret_header();
  bool interpret_body();
  ByteView body() const;
  bool offer();
  bool take_payload();
  void receive_more();
  std::size_t gather_receive();
  void compact();

  void fail(Error reason);
  void finish_if_idle();
  void finish();

  std::unique_ptr<ByteStream> stream_;
  Counters unused_counters_;
  Counters& counters_;
  LinkHandler* handler_ = nullptr;
  std::optional<Error> reason_;
  bool finished_ = false;

  IntrusiveList<Outgoing, OutgoingTag> queue_;
  std::size_t front_sent_ = 0;
  std::size_t gathered_ = 0;
  std::size_t held_back_ = 0;        // messages that came since the last send began ...
  std::size_t held_back_bytes_ = 0;  // ... and their bytes
  bool sending_ = false;
  bool flush_requested_ = false;
  bool any_abandoned_ = false;
  bool releasing_ = false;
  std::array<iovec, kMaxParts> parts_;
  std::size_t part_count_ = 0;
  std::array<std::byte, kSmallSpace> small_;
  std::size_t small_used_ = 0;

  std::vector<std::byte> staging_;
  std::size_t staged_begin_ = 0;
  std::size_t staged_end_ = 0;
  bool receiving_ = false;
  bool paused_ = false;
  bool interpreting_ = false;
  Stage stage_ = Stage::kHeader;
  Header header_;
  // A body that does not fit the staging memory, and how much of it has come.
  std::vector<std::byte> large_body_;
  std::size_t large_body_done_ = 0;
  Incoming* payload_ = nullptr;
  bool payload_cancelled_ = false;
  std::size_t payload_done_ = 0;
  std::size_t receive_direct_ = 0;  // bytes of the receive in flight that go to their final place
  std::array<iovec, kMaxReceiveParts> receive_parts_;

  Deferred<StreamLink, &StreamLink::finish> finish_later_;
};

}  // namespace cenote::rpc
