#pragma once

#include <memory>
#include <vector>

#include "cenote/rpc/counters.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/service.h"
#include "cenote/runtime/scope.h"
#include "duplicate_window.h"

namespace cenote::rpc {

class Dispatcher;
class IncomingRequest;

/// Told when a request's payload has come (or never will): the connection that received it.
class PayloadListener {
 public:
  virtual void on_request_payload(IncomingRequest& request, Result<> result) = 0;

 protected:
  ~PayloadListener() = default;
};

/// Told when a request that was charged is over and its memory is free again.
class RequestListener {
 public:
  virtual void on_request_over(std::uint64_t charged_bytes) = 0;

 protected:
  ~RequestListener() = default;
};

/// One request from its header to the last byte of its reply. Reused: bodies keep their memory.
class IncomingRequest final : public Request, public Incoming {
 public:
  using Buffers = std::array<media::Buffer, PulledBulk::kMaxBuffers>;

  explicit IncomingRequest(CancelSource& cancel) : cancel_(cancel), reply_(*this) {}

  Task<Result<PulledBulk>> pull(Until until) override;
  CancelSource& cancel_source() override { return cancel_; }
  void on_payload(Result<> result) override { payload_listener_->on_request_payload(*this, std::move(result)); }

  /// Gives it header and body; the payload's buffers, if there are any, come next.
  void set(const Header& header, ByteView body, std::shared_ptr<Session> session);
  /// Full but the last, as PulledBulk has them.
  void set_buffers(Buffers buffers, PayloadListener& listener);
  /// The owner counts it against a limit and wants to be told of its end.
  void mark_charged() { charged_ = true; }
  std::uint64_t charged_bytes() const { return header_.body_bytes + std::uint64_t{header_.bulk_bytes}; }

 private:
  friend class Dispatcher;
  friend class RequestPool;
  static constexpr std::size_t kBodyKept = 16384;

  class ReplyMessage final : public Outgoing {
   public:
    explicit ReplyMessage(IncomingRequest& request) : request_(request) {}
    void on_released(bool sent) override;

   private:
    IncomingRequest& request_;
  };

  void clear();

  CancelSource& cancel_;
  Bytes body_bytes_;
  PulledBulk pulled_;
  std::array<MutableBytes, PulledBulk::kMaxBuffers> sinks_;
  PayloadListener* payload_listener_ = nullptr;
  Dispatcher* dispatcher_ = nullptr;
  Response response_;
  ReplyMessage reply_;
  std::uint64_t wanted_on_ = 0;  // connection (its number) that the client last asked on
  std::uint64_t sent_on_ = 0;
  bool tracked_ = false;  // stands in the window
  bool charged_ = false;
};

/// Free requests of one server or peer.
class RequestPool {
 public:
  explicit RequestPool(CancelSource& cancel) : cancel_(cancel) {}
  IncomingRequest* take();
  void give_back(IncomingRequest* request);

 private:
  static constexpr std::size_t kKept = 1024;
  CancelSource& cancel_;
  std::vector<std::unique_ptr<IncomingRequest>> free_;
};

/// Runs the requests of one session (at a server) or one peer (callbacks at a client): suppresses duplicates, refuses
/// the expired, calls the service, answers on the connection the client last asked on. Outlives connections.
///
/// Invariants (check_invariants): every request that is no read and no one-way stands in the window from its start, as
/// running until its reply was released and as answered after; `running_` counts requests between `run` or `refuse` and
/// `on_request_over`.
class Dispatcher {
 public:
  enum class Admission : std::uint8_t {
    kRun,      ///< receive it, then `run`
    kRefuse,   ///< `refuse` it with the error
    kHandled,  ///< a duplicate: answered, or attached to the one that runs
  };

  Dispatcher(Reactor& reactor, Scope& scope, Service* service, RequestPool& pool, RequestListener& listener,
             DuplicateWindow::Limits limits, Counters& counters);
  ~Dispatcher() { ASSERT(running_ == 0); }

  /// Replies go to `link` from now on.
  void attach(Link& link);
  /// The link has let go of everything, or is to be written to no more.
  void detach(Link& link);

  /// Decides on a request whose header has arrived; `refusal` is set for kRefuse.
  Admission admit(const Header& header, Error& refusal);
  /// Takes a request to run; the dispatcher owns it from here.
  void run(IncomingRequest& request);
  /// Throws away a charged request whose payload never came.
  void drop(IncomingRequest& request);
  /// Takes a request and answers it with an error.
  void refuse(IncomingRequest& request, Error error);

  void acknowledge(std::uint64_t up_to, std::span<const std::uint64_t> ended) { window_.acknowledge(up_to, ended); }
  std::uint64_t acknowledged() const { return window_.acknowledged(); }
  std::uint32_t running() const { return running_; }
  /// Forgets everything answered: the other side has begun anew, with larger sequences.
  void forget_all() { window_.forget_all(); }
  void check_invariants() { window_.check_invariants(); }

 private:
  friend class IncomingRequest;
  Admission admit_duplicate(const Header& header, DuplicateWindow::Entry& entry, Error& refusal);
  void answer_again(const Header& header, const DuplicateWindow::Answer& kept);
  void take(IncomingRequest& request);
  static Task<> handle(Dispatcher& dispatcher, IncomingRequest& request);
  void answer(IncomingRequest& request);
  void fill_reply(IncomingRequest& request);
  void send_or_settle(IncomingRequest& request);
  void settle(IncomingRequest& request);

  Reactor& reactor_;
  Scope& scope_;
  Service* service_;
  RequestPool& pool_;
  RequestListener& listener_;
  Counters& counters_;
  Link* link_ = nullptr;
  std::uint64_t connection_ = 0;
  std::uint32_t running_ = 0;
  DuplicateWindow window_;
};

}  // namespace cenote::rpc
