#include "dispatcher.h"

#include <cstdint>

#include "cenote/base/format.h"

namespace cenote::rpc {

// ---- requests ----

void IncomingRequest::set(const Header& header, ByteView body, std::shared_ptr<Session> session) {
  header_ = header;
  body_bytes_.assign(body.begin(), body.end());
  body_ = body_bytes_;
  session_ = std::move(session);
}

void IncomingRequest::set_buffers(Buffers buffers, PayloadListener& listener) {
  pulled_.buffers_ = std::move(buffers);
  pulled_.bytes_ = header_.bulk_bytes;
  pulled_.count_ = 0;
  payload_listener_ = &listener;
  for (std::uint32_t covered = 0; covered < header_.bulk_bytes; covered += media::BufferPool::kMaxBufferBytes) {
    ++pulled_.count_;
    sinks_[pulled_.count_ - 1] = pulled_.span(pulled_.count_ - 1);
  }
  into = BulkSink(std::span<const MutableBytes>(sinks_).first(pulled_.count_));
}

Task<Result<PulledBulk>> IncomingRequest::pull(Until) { co_return std::exchange(pulled_, PulledBulk()); }

void IncomingRequest::ReplyMessage::on_released(bool) { request_.dispatcher_->send_or_settle(request_); }

void IncomingRequest::clear() {
  if (body_bytes_.capacity() > kBodyKept) body_bytes_ = {};
  body_ = {};
  if (pulled_.count() > 0) pulled_ = {};
  response_.payload.clear();
  response_.body = {};
  session_.reset();
  keep(nullptr);
  dispatcher_ = nullptr;
  wanted_on_ = sent_on_ = 0;
  tracked_ = charged_ = false;
}

IncomingRequest* RequestPool::take() {
  if (free_.empty()) return new IncomingRequest(cancel_);
  IncomingRequest* request = free_.back().release();
  free_.pop_back();
  return request;
}

void RequestPool::give_back(IncomingRequest* request) {
  std::unique_ptr<IncomingRequest> owned(request);
  owned->clear();
  if (free_.size() < kKept) free_.push_back(std::move(owned));
}

// ---- running them ----

Dispatcher::Dispatcher(Reactor& reactor, Scope& scope, Service* service, RequestPool& pool, RequestListener& listener,
                       DuplicateWindow::Limits limits, Counters& counters)
    : reactor_(reactor),
      scope_(scope),
      service_(service),
      pool_(pool),
      listener_(listener),
      counters_(counters),
      window_(limits) {}

void Dispatcher::attach(Link& link) {
  link_ = &link;
  ++connection_;
}

void Dispatcher::detach(Link& link) {
  if (link_ == &link) link_ = nullptr;
}

Dispatcher::Admission Dispatcher::admit(const Header& header, Error& refusal) {
  const auto refuse_with = [&](Code code, std::string message) {
    refusal = Error(code, std::move(message));
    return Admission::kRefuse;
  };
  const WallTime expiry = expiry_time(header.expiry);
  const auto too_far = [&](WallTime now) { return expiry > now + kRequestLifetimeMax + kClockOffsetMax; };
  WallTime now = reactor_.wall_now();
  if (too_far(now)) now = reactor_.read_wall_clock();
  if (service_ == nullptr) return refuse_with(Code::kUnknownOpcode, "no callbacks are handled here");
  if (expiry < now) {
    ++counters_.requests_expired;
    return refuse_with(Code::kRequestExpired,
                       "the request arrived after its expiry; if this goes on, compare the clocks");
  }
  if (header.expiry > INT64_MAX || too_far(now)) {
    return refuse_with(Code::kRequestExpired, "the request expires too far in the future; compare the clocks");
  }
  if (header.is(flag::kOneWay)) return Admission::kRun;
  if (DuplicateWindow::Entry* entry = window_.find(header.sequence)) return admit_duplicate(header, *entry, refusal);
  if (header.sequence <= window_.acknowledged()) {
    return refuse_with(Code::kRequestExpired, "the answer of this request was acknowledged");
  }
  const Result<> room = window_.check_room(static_cast<std::uint64_t>(now.time_since_epoch().count()));
  if (!room && !service_->is_read(header.opcode)) {
    refusal = room.error();
    return Admission::kRefuse;
  }
  return Admission::kRun;
}

Dispatcher::Admission Dispatcher::admit_duplicate(const Header& header, DuplicateWindow::Entry& entry, Error& refusal) {
  if (entry.running != nullptr) {
    ++counters_.duplicates_attached;
    entry.running->wanted_on_ = connection_;
    return Admission::kHandled;
  }
  if (entry.answer.had_payload) {
    refusal = Error(Code::kResourceExhausted, "the request was executed; its answer had a payload and is not kept");
    return Admission::kRefuse;
  }
  ++counters_.duplicates_answered;
  answer_again(header, entry.answer);
  return Admission::kHandled;
}

void Dispatcher::answer_again(const Header& header, const DuplicateWindow::Answer& kept) {
  IncomingRequest& request = *pool_.take();
  request.set(header, {}, nullptr);
  take(request);
  Response response;
  if (kept.status == 0) {
    response.body = kept.body;
  } else {
    response.error = Error(code_from_wire(kept.status), to_text(kept.body.view()));
  }
  response.map_version = kept.map_version;
  request.response_ = std::move(response);
  answer(request);
}

/// The dispatcher owns the request until `settle`.
void Dispatcher::take(IncomingRequest& request) {
  request.dispatcher_ = this;
  request.wanted_on_ = connection_;
  ++running_;
}

void Dispatcher::run(IncomingRequest& request) {
  take(request);
  ++counters_.requests;
  if (!request.is_one_way()) {
    window_.begin(request.sequence().value(), request.header_.expiry, request);
    request.tracked_ = true;
  }
  if (scope_.spawn(handle(*this, request))) return;
  request.response_ = Response(Error(Code::kNotReady, "the server is stopping"));
  answer(request);
}

void Dispatcher::drop(IncomingRequest& request) {
  const std::shared_ptr<Session> keep = request.session_;
  const std::uint64_t bytes = request.charged_bytes();
  pool_.give_back(&request);
  listener_.on_request_over(bytes);
}

void Dispatcher::refuse(IncomingRequest& request, Error error) {
  take(request);
  ++counters_.requests_refused;
  request.response_ = Response(std::move(error));
  answer(request);
}

Task<> Dispatcher::handle(Dispatcher& dispatcher, IncomingRequest& request) {
  request.response_ = co_await dispatcher.service_->handle(request);
  dispatcher.answer(request);
}

void Dispatcher::answer(IncomingRequest& request) {
  fill_reply(request);
  send_or_settle(request);
}

void Dispatcher::fill_reply(IncomingRequest& request) {
  Response& response = request.response_;
  const bool callback = request.header_.is(flag::kCallback);
  if (response.body.size() > kMaxBodyBytes || response.payload.bytes() > (callback ? 0 : kMaxBulkBytes)) {
    response.error =
        Error(Code::kOutOfRange, fmt::format("the answer has {} bytes and a payload of {}, over the limits",
                                             response.body.size(), response.payload.bytes()));
  }
  if (response.error.code() != Code::kOk) {
    response.body.assign(as_bytes(std::string_view(response.error.message()).substr(0, kMaxErrorBytes)));
    response.payload.clear();
  }
  Outgoing& reply = request.reply_;
  reply.header = request.header_;
  reply.header.flags = flag::kReply | (request.header_.flags & flag::kCallback);
  reply.header.status = static_cast<std::uint16_t>(response.error.code());
  reply.header.map_version = response.map_version;
  reply.header.expiry = 0;
  reply.body = response.body.view();
  reply.bulk = BulkSource(response.payload.spans());
}

/// Called when the answer is there and whenever a link has let go of it.
void Dispatcher::send_or_settle(IncomingRequest& request) {
  const bool wanted = request.wanted_on_ == connection_ && request.sent_on_ != connection_ && !request.is_one_way();
  if (link_ == nullptr || !wanted) return settle(request);
  request.sent_on_ = connection_;
  link_->send(request.reply_);
}

void Dispatcher::settle(IncomingRequest& request) {
  // The last request of a session that ended may be all that keeps this object alive.
  const std::shared_ptr<Session> keep = request.session_;
  if (request.tracked_) {
    DuplicateWindow::Answer answer{.status = static_cast<std::uint16_t>(request.response_.error.code()),
                                   .map_version = request.response_.map_version,
                                   .body = {},
                                   .had_payload = request.response_.payload.bytes() > 0};
    const bool failed = request.response_.error.code() != Code::kOk && !request.response_.keep_error;
    const bool forget = failed || service_->is_read(request.opcode());
    if (!forget && !answer.had_payload) answer.body = std::move(request.response_.body);
    window_.answer(request.sequence().value(), std::move(answer), forget);
  }
  const std::uint64_t bytes = request.charged_bytes();
  const bool charged = request.charged_;
  --running_;
  pool_.give_back(&request);
  if (charged) listener_.on_request_over(bytes);
}

}  // namespace cenote::rpc
