#include "server_connection.h"

#include "acknowledge.h"
#include "cenote/base/format.h"

namespace cenote::rpc {

ServerConnection::ServerConnection(SessionContext& context, ConnectionOwner& owner, std::unique_ptr<Link> link)
    : context_(context), owner_(owner), link_(std::move(link)), last_activity_(context.reactor.now()) {}

ServerConnection::~ServerConnection() { ASSERT(closed_ && !waiting_for_memory_ && !control_reply_.busy); }

void ServerConnection::supersede() {
  superseded_ = true;
  close(Error(Code::kConnectionLost, "the client has a newer connection"));
}

void ServerConnection::end_memory_wait(std::optional<IncomingRequest::Buffers> buffers) {
  waiting_for_memory_ = false;
  reserved_ = std::move(buffers);
  if (!closed_) link_->resume();
}

void ServerConnection::protocol_error(std::string message) {
  ++context_.counters.protocol_errors;
  close(Error(Code::kProtocolError, fmt::format("{}: {}", link_->peer_name(), message)));
}

LinkHandler::Verdict ServerConnection::on_message(const Header& header, ByteView body) {
  last_activity_ = context_.reactor.now();
  const Verdict verdict = on_any(header, body);
  waiting_ = verdict.later;
  return verdict;
}

void ServerConnection::send_sign_of_life() {
  if (control_reply_.busy || session_ == nullptr || closed_) return;
  Header pong;
  pong.opcode = static_cast<Opcode>(ControlOpcode::kPing);
  pong.session = session_->id().value();
  pong.sequence = 1;
  control_reply_.send(pong, Code::kOk, {}, std::nullopt);
}

LinkHandler::Verdict ServerConnection::on_any(const Header& header, ByteView body) {
  if (superseded_ || refused_) return {};
  if (header.is(flag::kControl)) return on_control(header, body);
  if (session_ == nullptr) {
    protocol_error("a message before the hello");
    return {};
  }
  session_->touch();
  if (header.session != session_->id().value()) {
    protocol_error("a message of another session");
  } else if (header.is(flag::kReply | flag::kCallback)) {
    return session_->callbacks().on_reply(header, body);
  } else if (header.is(flag::kReply) || header.is(flag::kCallback)) {
    protocol_error("a reply or callback that only a server sends");
  } else {
    return on_request(header, body);
  }
  return {};
}

LinkHandler::Verdict ServerConnection::on_control(const Header& header, ByteView body) {
  const auto opcode = static_cast<ControlOpcode>(header.opcode);
  if (opcode == ControlOpcode::kHello && session_ == nullptr && !header.is(flag::kReply)) {
    on_hello(header, body);
  } else if (opcode == ControlOpcode::kPing && session_ != nullptr && !header.is(flag::kReply)) {
    session_->touch();
    // A client has one ping out at a time, so a pong in flight is answer enough.
    if (!control_reply_.busy) control_reply_.send(header, Code::kOk, answer_to_ping(body), std::nullopt);
  } else if (opcode == ControlOpcode::kAcknowledge && session_ != nullptr) {
    on_acknowledge(body);
  } else {
    protocol_error(fmt::format("control message {} at the wrong time", header.opcode));
  }
  return {};
}

Bytes ServerConnection::answer_to_ping(ByteView body) const {
  const Result<ClockQuestion> question = decode_clock_question(body);
  if (!question) return {};
  return encode(ClockAnswer{.number = question->number, .wall = context_.reactor.wall_now()});
}

void ServerConnection::on_hello(const Header& header, ByteView body) {
  const Result<Hello> hello = decode_hello(body);
  if (!hello) return protocol_error(hello.error().message());
  const Result<std::uint16_t> version = choose_version(*hello);
  if (!version) return refuse_hello(header, version.error());
  Result<ServerSessionTable::Opened> opened = owner_.open_session(*hello);
  if (!opened) return refuse_hello(header, opened.error());
  session_ = std::move(opened->session);
  // The welcome leaves before anything that the session has to send.
  control_reply_.send(header, Code::kOk, encode(owner_.welcome(*hello, *version, opened->resumed)), std::nullopt);
  if (ServerConnection* old = session_->attach(*this, *link_)) old->supersede();
  context_.service.on_session(*session_, opened->resumed);
}

void ServerConnection::refuse_hello(const Header& header, const Error& error) {
  refused_ = true;
  control_reply_.send(header, error.code(), to_bytes(as_bytes(error.message())), error);
}

void ServerConnection::on_acknowledge(ByteView body) {
  const Result<Acknowledgement> acknowledgement = Acknowledgement::decode(body);
  if (!acknowledgement) return protocol_error(acknowledgement.error().message());
  session_->touch();
  session_->dispatcher().acknowledge(acknowledgement->up_to, acknowledgement->ended);
}

LinkHandler::Verdict ServerConnection::on_request(const Header& header, ByteView body) {
  Error refusal{Code::kOk};
  Dispatcher::Admission admission = session_->dispatcher().admit(header, refusal);
  if (admission == Dispatcher::Admission::kRun && owner_.stopping()) {
    refusal = Error(Code::kNotReady, "the server is stopping");
    admission = Dispatcher::Admission::kRefuse;
  }
  if (admission == Dispatcher::Admission::kHandled) return {};
  if (admission == Dispatcher::Admission::kRun) return receive(header, body);
  if (header.is(flag::kOneWay)) return {};
  IncomingRequest& request = *context_.pool.take();
  request.set(header, {}, session_);
  session_->dispatcher().refuse(request, std::move(refusal));
  return {};
}

LinkHandler::Verdict ServerConnection::receive(const Header& header, ByteView body) {
  const std::uint64_t bytes = header.body_bytes + std::uint64_t{header.bulk_bytes};
  constexpr Verdict kLater{.later = true, .payload = nullptr};
  if (!session_->has_room(bytes) || !owner_.has_room(bytes, *this)) return kLater;
  std::optional<IncomingRequest::Buffers> buffers = std::exchange(reserved_, std::nullopt);
  if (header.bulk_bytes > 0 && !buffers) {
    if (waiting_for_memory_) return kLater;
    buffers = owner_.buffers(header.bulk_bytes, *this);
    if (!buffers) return kLater;
  }
  IncomingRequest& request = *context_.pool.take();
  request.set(header, body, session_);
  request.mark_charged();
  session_->charge(bytes);
  owner_.charge(bytes);
  if (header.bulk_bytes == 0) {
    session_->dispatcher().run(request);
    return {};
  }
  request.set_buffers(std::move(*buffers), *this);
  return {.later = false, .payload = &request};
}

void ServerConnection::on_request_payload(IncomingRequest& request, Result<> result) {
  if (result && !superseded_) return session_->dispatcher().run(request);
  session_->dispatcher().drop(request);
}

void ServerConnection::on_closed(const Error& reason) {
  closed_ = true;
  ListNode<PausedTag>::unlink();
  memory_wait_.cancel();
  if (session_ != nullptr) session_->detach(*this, *link_, reason);
  owner_.on_connection_closed(*this, reason);
}

void ServerConnection::ControlReply::send(const Header& request, Code status, Bytes reply_body,
                                          std::optional<Error> close_with) {
  ASSERT(!busy);
  busy = true;
  bytes_ = std::move(reply_body);
  bytes_.resize(std::min<std::size_t>(bytes_.size(), status == Code::kOk ? kMaxBodyBytes : kMaxErrorBytes));
  close_with_ = std::move(close_with);
  header = request;
  header.flags = flag::kReply | flag::kControl;
  header.status = static_cast<std::uint16_t>(status);
  header.expiry = 0;
  body = bytes_;
  connection_.link_->send(*this);
}

void ServerConnection::ControlReply::on_released(bool) {
  busy = false;
  if (close_with_) connection_.close(*close_with_);
}

}  // namespace cenote::rpc
