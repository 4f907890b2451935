#include "call_table.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::rpc {
namespace {

// The other side is told of ended requests after so many.
constexpr std::uint32_t kAcknowledgeEvery = 64;
constexpr std::uint32_t kNoticesMax = 1024;

std::uint64_t to_wire(WallTime time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }

Duration lifetime_for(Until until, Instant now) {
  if (until.deadline == kNoDeadline) return kRequestLifetimeDefault;
  // The clock of the server may be ahead.
  return std::max(until.deadline - now, Duration(0)) + kClockOffsetMax;
}

}  // namespace

/// One call; lives in the frame of CallTable::call.
class CallTable::Call final : public Outgoing, public Incoming, public ListNode<CallTag> {
 public:
  Call(CallTable& owner, RequestTicket& call_ticket)
      : ended(owner.reactor_), table(owner), ticket(call_ticket), sequence(call_ticket.sequence().value()) {}

  std::uint64_t charged_bytes() const { return body.size() + bulk.bytes(); }

  void on_released(bool sent) override {
    sending = false;
    ever_sent = ever_sent || sent;
    if (sent) ticket.mark_sent();
    wake_if_over();
  }
  void on_payload(Result<> result) override {
    receiving = false;
    // Anything but success is the loss of the link, which requeues the call, or the end of a call that gave up.
    if (result && !over) table.end(*this, Error(Code::kOk));
    wake_if_over();
  }
  void wake_if_over() {
    if (over && !sending && !receiving) ended.set();
  }

  Event ended;
  CallTable& table;
  RequestTicket& ticket;
  const std::uint64_t sequence;
  ReplyInfo info;
  Reply reply;
  Error outcome{Code::kOk};
  std::uint64_t connect_attempts_before = 0;
  bool over = false;
  bool ever_sent = false;
  bool resent = false;
  bool charged = false;
  bool sending = false;    // the link has the request's memory
  bool receiving = false;  // the link has the memory for the payload
};

/// A one-way message; owns itself while it is queued.
class CallTable::Notice final : public Outgoing {
 public:
  Notice(CallTable& table, ByteView text) : table_(table), bytes_(to_bytes(text)) { body = bytes_; }
  void on_released(bool) override {
    --table_.notices_;
    delete this;
  }

 private:
  CallTable& table_;
  Bytes bytes_;
};

CallTable::CallTable(Reactor& reactor, ClientSession& session, std::uint16_t request_flags, Counters& counters,
                     CallDemand& demand)
    : reactor_(reactor),
      session_(session),
      request_flags_(request_flags),
      counters_(counters),
      demand_(demand),
      gate_(reactor) {}

CallTable::~CallTable() { ASSERT(link_ == nullptr && notices_ == 0 && !acknowledge_message_.busy); }

Result<> CallTable::check_limits(ByteView body, const BulkSource& send, const BulkSink& receive) const {
  if (refusal_) return fail(*refusal_);
  if (body.size() > kMaxBodyBytes) {
    return failf(Code::kOutOfRange, "request body of {} bytes, at most {}", body.size(), kMaxBodyBytes);
  }
  if (send.bytes() > kMaxBulkBytes) {
    return failf(Code::kOutOfRange, "payload of {} bytes, at most {}", send.bytes(), kMaxBulkBytes);
  }
  if (send.kind() != MemoryKind::kHost || receive.kind() != MemoryKind::kHost) {
    return fail(Code::kUnsupported, "this transport cannot reach device memory");
  }
  if (!send.empty() && (request_flags_ & flag::kCallback) != 0) {
    return fail(Code::kUnsupported, "callbacks have no payload");
  }
  return {};
}

Task<Result<Reply>> CallTable::call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive,
                                    CallOptions options) {
  CO_CHECK_OK(check_limits(body, send, receive));
  if (!gate_.enter()) co_return fail(Code::kStopped);
  std::optional<RequestTicket> own;
  if (options.ticket == nullptr) own.emplace(session_, lifetime_for(options.until, reactor_.now()));
  RequestTicket& ticket = own ? *own : *options.ticket;
  Call call(*this, ticket);
  call.header.service_class = options.service_class;
  call.header.opcode = opcode;
  call.header.flags = request_flags_;
  call.header.target = options.target;
  call.header.session = session_.id().value();
  call.header.sequence = call.sequence;
  call.header.expiry = to_wire(ticket.expiry());
  call.header.trace_id = options.trace_id;
  call.header.map_version = options.map_version;
  call.body = body;
  call.bulk = send;
  call.into = receive;
  ++counters_.calls;
  enqueue(call);
  const Result<> waited = co_await call.ended.wait(options.until);
  if (!waited) {
    give_up(call, waited.error().code());
    // Bounded: the link gives memory back without waiting for the peer.
    (void)co_await call.ended.wait(Until::forever());
  }
  if (options.info != nullptr) *options.info = call.info;
  own.reset();
  call_returned();
  if (call.outcome.code() != Code::kOk) co_return fail(std::move(call.outcome));
  co_return std::move(call.reply);
}

void CallTable::call_returned() {
  if (++ended_since_ >= kAcknowledgeEvery) send_acknowledgement();
  gate_.leave();
}

Result<> CallTable::notify(Opcode opcode, ByteView body, const CallOptions& options) {
  CHECK_OK(check_limits(body, {}, {}));
  if (link_ == nullptr) return failf(Code::kUnreachable, "not connected to {}", peer_name_);
  if (notices_ >= kNoticesMax) return failf(Code::kResourceExhausted, "{} messages wait for {}", notices_, peer_name_);
  const RequestTicket ticket(session_, lifetime_for(options.until, reactor_.now()));
  auto* notice = new Notice(*this, body);  // frees itself when it is released
  notice->header.service_class = options.service_class;
  notice->header.opcode = opcode;
  notice->header.flags = flag::kOneWay;
  notice->header.target = options.target;
  notice->header.session = session_.id().value();
  notice->header.sequence = ticket.sequence().value();
  notice->header.expiry = to_wire(ticket.expiry());
  notice->header.trace_id = options.trace_id;
  notice->header.map_version = options.map_version;
  ++notices_;
  link_->send(*notice);
  return {};
}

void CallTable::enqueue(Call& call) {
  const bool first = queued_.empty();
  queued_.push_back(call);
  call.connect_attempts_before = connect_attempts_;
  if (link_ == nullptr) return demand_.on_call_waiting();
  // Those before it wait for credits, so it cannot go either.
  if (first && fits(call)) activate(call);
}

void CallTable::pump() {
  while (link_ != nullptr) {
    Call* call = queued_.front();
    if (call == nullptr || !fits(*call)) return;
    if (call->header.expiry < to_wire(reactor_.wall_now())) {
      end(*call, expired_error(*call));
    } else {
      activate(*call);
    }
  }
}

bool CallTable::fits(const Call& call) const {
  return requests_in_flight_ < credits_.requests && bytes_in_flight_ + call.charged_bytes() <= credits_.bytes;
}

void CallTable::activate(Call& call) {
  call.ListNode<CallTag>::unlink();
  active_.push_back(call);
  waiting_.insert(call.sequence, &call);
  call.charged = true;
  ++requests_in_flight_;
  bytes_in_flight_ += call.charged_bytes();
  call.resent = call.ever_sent;
  if (call.resent) ++counters_.calls_resent;
  if (call.ticket.sent()) call.header.flags |= flag::kRetry;
  call.sending = true;
  link_->send(call);
}

void CallTable::uncharge(Call& call) {
  if (!std::exchange(call.charged, false)) return;
  waiting_.erase(call.sequence);
  --requests_in_flight_;
  bytes_in_flight_ -= call.charged_bytes();
}

/// Fixes the outcome; the call returns once its memory is free.
void CallTable::end(Call& call, Error outcome) {
  ASSERT(!call.over);
  uncharge(call);
  call.ListNode<CallTag>::unlink();
  call.over = true;
  call.outcome = std::move(outcome);
  if (call.sending) link_->abandon(call);
  if (call.receiving) link_->discard(call);
  call.wake_if_over();
}

void CallTable::give_up(Call& call, Code code) {
  if (call.over) return;
  ++counters_.calls_given_up;
  const std::string_view state =
      link_ == nullptr ? "there was no connection: see that the engine runs and can be reached"
      : call.charged   ? "no answer so far, it may have taken effect: see how the engine is, or give it "
                         "more time"
                       : "not sent yet, as too many others were under way: give it more time";
  end(call, Error(code, fmt::format("request {} to {}: {}", call.header.opcode, peer_name_, state)));
  pump();
}

Error CallTable::expired_error(const Call& call) const {
  if (!call.ever_sent)
    return Error(Code::kRequestExpired, fmt::format("request to {} was not sent in time", peer_name_));
  return Error(
      Code::kConnectionLost,
      fmt::format("no answer from {} before the connection broke; the request may have taken effect", peer_name_));
}

LinkHandler::Verdict CallTable::on_reply(const Header& header, ByteView body) {
  Call** found = waiting_.find(header.sequence);
  if (found == nullptr) return {};  // its caller gave up
  Call& call = **found;
  uncharge(call);
  call.info = {.received = true,
               .status = code_from_wire(header.status),
               .map_version = header.map_version,
               .resent = call.resent};
  LinkHandler::Verdict verdict;
  if (header.status != 0) {
    end(call, Error(call.info.status, to_text(body)));
  } else if (header.bulk_bytes > call.into.bytes()) {
    end(call, Error(Code::kOutOfRange, fmt::format("{} answered with {} bytes, there is room for {}", peer_name_,
                                                   header.bulk_bytes, call.into.bytes())));
  } else {
    call.reply.body.assign(body);
    call.reply.bulk_bytes = header.bulk_bytes;
    call.reply.map_version = header.map_version;
    if (header.bulk_bytes == 0) {
      end(call, Error(Code::kOk));
    } else {
      call.receiving = true;
      verdict.payload = &call;
    }
  }
  pump();
  return verdict;
}

void CallTable::attach(Link& link, Credits credits) {
  ASSERT(link_ == nullptr);
  link_ = &link;
  credits_ = credits;
  pump();
}

void CallTable::detach(const Error& reason) {
  if (link_ == nullptr) return;
  link_ = nullptr;
  while (Call* call = active_.back()) {
    ASSERT(!call->sending && !call->receiving);
    uncharge(*call);
    call->ListNode<CallTag>::unlink();
    call->info = {};
    call->reply = {};
    queued_.push_front(*call);
  }
  if (reason.code() == Code::kSessionExpired) return end_all(reason);
  end_expired();
  if (has_calls()) demand_.on_call_waiting();
}

void CallTable::end_expired() {
  const std::uint64_t now = to_wire(reactor_.wall_now());
  Call* next = nullptr;
  for (Call* call = queued_.front(); call != nullptr; call = next) {
    next = queued_.next(*call);
    if (call->header.expiry < now) end(*call, expired_error(*call));
  }
}

void CallTable::on_connect_failed(const Error& failure) {
  // An attempt that ran out of time says nothing about the deadlines of the calls that waited for it, and a connection
  // lost before the handshake was over carried none of them: either is no doubt about a call, but nobody reached.
  const bool nobody_reached = failure == Code::kDeadlineExceeded || failure == Code::kConnectionLost;
  const Error reason = nobody_reached ? Error(Code::kUnreachable, failure.message()) : failure;
  Call* next = nullptr;
  for (Call* call = queued_.front(); call != nullptr; call = next) {
    next = queued_.next(*call);
    if (!call->ever_sent && call->connect_attempts_before < connect_attempts_) end(*call, reason);
  }
  end_expired();
}

void CallTable::end_all(const Error& reason) {
  while (Call* call = queued_.front()) end(*call, reason);
  while (Call* call = active_.front()) end(*call, reason);
}

void CallTable::refuse(Error reason) {
  if (refusal_) return;
  refusal_ = std::move(reason);
  end_all(*refusal_);
}

Task<> CallTable::close(Error reason) {
  refuse(std::move(reason));
  co_await gate_.close();
}

void CallTable::send_acknowledgement() {
  if (link_ == nullptr || acknowledge_message_.busy) return;
  const std::uint64_t up_to = session_.acknowledged().value();
  acknowledgement_.ended.clear();
  session_.collect_ended(ended_cursor_, Acknowledgement::kMaxEnded, acknowledgement_.ended);
  if (up_to == acknowledgement_.up_to && acknowledgement_.ended.empty()) return;
  acknowledgement_.up_to = up_to;
  acknowledgement_.encode(acknowledge_message_.bytes);
  acknowledge_message_.header = Header{};
  acknowledge_message_.header.opcode = static_cast<Opcode>(ControlOpcode::kAcknowledge);
  acknowledge_message_.header.flags = flag::kControl | flag::kOneWay;
  acknowledge_message_.header.session = session_.id().value();
  acknowledge_message_.header.sequence = 1;
  acknowledge_message_.body = acknowledge_message_.bytes;
  acknowledge_message_.busy = true;
  ended_since_ = 0;
  link_->send(acknowledge_message_);
}

void CallTable::check_invariants() const {
  ASSERT(requests_in_flight_ == waiting_.size());
  ASSERT(requests_in_flight_ <= credits_.requests && bytes_in_flight_ <= credits_.bytes);
  ASSERT(link_ != nullptr || (active_.empty() && requests_in_flight_ == 0));
}

}  // namespace cenote::rpc
