#include "cenote/rpc/peer.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "peer_impl.h"

namespace cenote::rpc {
namespace {

// Refusals that another attempt will not change.
bool is_final(Code code) {
  switch (code) {
    case Code::kVersionMismatch:
    case Code::kPermissionDenied:
    case Code::kForeign:
    case Code::kSessionExpired:
    case Code::kInvalidArgument:
    case Code::kProtocolError:
      return true;
    default:
      return false;
  }
}

}  // namespace

Peer::Impl::Impl(Reactor& peer_reactor, Transport& peer_transport, ClientSession& peer_session,
                 PeerOptions peer_options)
    : reactor(peer_reactor),
      transport(peer_transport),
      session(peer_session),
      options(std::move(peer_options)),
      counters(options.counters != nullptr ? *options.counters : own_counters),
      scope(peer_reactor),
      calls(peer_reactor, peer_session, 0, counters, *this),
      callbacks(peer_reactor, scope, options.callbacks, request_pool, *this, DuplicateWindow::Limits{}, counters),
      changed_(peer_reactor) {
  ASSERT(!options.addresses.empty());
  calls.set_peer_name(name());
  scope.spawn(run(*this));
}

Peer::Impl::~Impl() { ASSERT(stopped_ && link_ == nullptr); }

std::string Peer::Impl::name() const { return options.addresses[address_].to_string(); }

// ---- the connection's life ----

bool Peer::Impl::wanted() const {
  if (calls.has_calls() || connect_waiters_ > 0) return true;
  return options.keep_connected && was_connected_ && !(last_error_ && is_final(last_error_->code()));
}

Task<> Peer::Impl::run(Impl& peer) {
  Duration backoff = peer.options.backoff_min;
  while (!peer.scope.stopping()) {
    if (!peer.wanted()) {
      (void)co_await peer.changed_.wait(peer.until_stopped());
      continue;
    }
    peer.calls.on_connect_begins();
    ++peer.attempts_begun_;
    if (Result<> connected = co_await peer.connect_any(); !connected) {
      peer.attempt_failed(connected.error());
      const Duration jitter(
          static_cast<std::int64_t>(peer.reactor.random() % static_cast<std::uint64_t>(backoff.count())));
      (void)co_await sleep_for(peer.reactor, backoff / 2 + jitter, peer.scope.cancel_source());
      backoff = std::min(backoff * 2, peer.options.backoff_max);
      continue;
    }
    backoff = peer.options.backoff_min;
    co_await peer.serve();
  }
}

void Peer::Impl::attempt_failed(const Error& error) {
  if (scope.stopping()) return;
  ++counters.connect_failures;
  last_failed_attempt_ = attempts_begun_;
  // Said once, not at every attempt.
  const bool news = !last_error_ || last_error_->code() != error.code();
  if (news && options.observer != nullptr) options.observer->on_connection_error(name(), error);
  last_error_ = error;
  if (is_final(error.code())) {
    calls.end_all(error);
  } else {
    calls.on_connect_failed(error);
  }
  changed_.notify_all();
}

/// Tries every address once; the error is the last one's.
Task<Result<>> Peer::Impl::connect_any() {
  Result<> outcome;
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    outcome = co_await connect_to(options.addresses[address_]);
    // Whoever answers at an address that an engine has given up says nothing about the other addresses.
    const bool over = outcome || (is_final(outcome.error().code()) && outcome.error() != Code::kForeign);
    if (over || scope.stopping()) break;
    address_ = (address_ + 1) % options.addresses.size();
    calls.set_peer_name(name());
  }
  co_return outcome;
}

/// One that is silent must not use up the time of all: callers wait about as long as one connection may take.
Duration Peer::Impl::time_for_address() const {
  constexpr Duration kLeast = std::chrono::milliseconds(500);
  if (options.addresses.size() == 1) return options.connect_timeout;
  const auto parts = static_cast<std::int64_t>(options.addresses.size()) + 1;
  return std::min(options.connect_timeout, std::max(kLeast, options.connect_timeout / parts));
}

Task<Result<>> Peer::Impl::connect_to(Address address) {
  const Until until = until_stopped().no_later_than(reactor.now() + time_for_address());
  CO_TRY(link_, co_await transport.connect(address, until));
  phase_ = Phase::kHello;
  last_received_ = reactor.now();
  link_->start(*this);
  Result<> shaken = co_await shake_hands(until);
  if (!shaken) co_await close_link(shaken.error());
  co_return shaken;
}

Task<Result<>> Peer::Impl::shake_hands(Until until) {
  hello_.bytes = encode(Hello{.features = options.features,
                              .identity = session.options().identity,
                              .name = session.options().name.substr(0, kMaxNameBytes),
                              .session = session.id(),
                              .incarnation = session.options().incarnation,
                              .system = options.system,
                              .credential = {}});
  last_error_.reset();
  send_control(hello_, ControlOpcode::kHello);
  while (phase_ == Phase::kHello) {
    const Result<> waited = co_await changed_.wait(until);
    if (!waited && phase_ == Phase::kHello) {
      co_return failf(waited.error().code(), "{} accepted the connection but did not answer the hello", name());
    }
  }
  if (phase_ != Phase::kReady) co_return fail(last_error_.value_or(Error(Code::kConnectionLost)));
  co_return Result<>();
}

Task<> Peer::Impl::serve() {
  if (std::exchange(was_connected_, true)) ++counters.reconnects;
  if (options.observer != nullptr) options.observer->on_connected(name());
  while (phase_ == Phase::kReady) {
    const Result<> waited =
        co_await changed_.wait(until_stopped().no_later_than(reactor.now() + options.ping_interval));
    if (scope.stopping()) break;
    if (!waited) tick();
  }
  co_await close_link(Error(Code::kStopped, "the client has stopped"));
}

Task<> Peer::Impl::close_link(Error reason) {
  link_->close(std::move(reason));
  // Bounded: a link that was closed locally does not wait for the peer.
  while (phase_ != Phase::kClosed) (void)co_await changed_.wait(Until::forever());
  link_.reset();
}

void Peer::Impl::tick() {
  if (phase_ != Phase::kReady) return;
  const Duration silence = reactor.now() - last_received_;
  if (silence >= 2 * options.ping_interval) {
    link_->close(Error(Code::kConnectionLost, fmt::format("no sign of life from {}", name())));
    return;
  }
  calls.send_acknowledgement();
  if (!ping_.busy) send_control(ping_, ControlOpcode::kPing);
}

void Peer::Impl::send_control(ControlMessage& message, ControlOpcode opcode) {
  message.header = Header{};
  message.header.opcode = static_cast<Opcode>(opcode);
  message.header.flags = flag::kControl;
  message.header.session = session.id().value();
  message.header.sequence = 1;
  message.body = message.bytes;
  message.busy = true;
  link_->send(message);
}

// ---- messages ----

LinkHandler::Verdict Peer::Impl::on_message(const Header& header, ByteView body) {
  last_received_ = reactor.now();
  if (phase_ == Phase::kHello) {
    on_hello_reply(header, body);
  } else if (header.session != session.id().value()) {
    protocol_error("a message of another session");
  } else if (header.is(flag::kControl)) {
    on_control(header, body);
  } else if (header.is(flag::kReply) && !header.is(flag::kCallback)) {
    return calls.on_reply(header, body);
  } else if (header.is(flag::kCallback) && !header.is(flag::kReply)) {
    on_callback(header, body);
  } else {
    protocol_error("a request that only a client sends");
  }
  return {};
}

void Peer::Impl::protocol_error(std::string message) {
  ++counters.protocol_errors;
  link_->close(Error(Code::kProtocolError, fmt::format("{}: {}", name(), message)));
}

void Peer::Impl::on_hello_reply(const Header& header, ByteView body) {
  Result<Welcome> answer = read_welcome(header, body);
  if (!answer) {
    last_error_ = std::move(answer).error();
    phase_ = Phase::kRefused;
  } else {
    if (!answer->resumed) callbacks.forget_all();
    welcome = *answer;
    phase_ = Phase::kReady;
    check_clock();
    callbacks.attach(*link_);
    calls.set_peer_name(name());
    calls.attach(*link_, welcome->credits);
  }
  changed_.notify_all();
}

Result<Welcome> Peer::Impl::read_welcome(const Header& header, ByteView body) const {
  if (!header.is(flag::kControl | flag::kReply) || header.opcode != static_cast<Opcode>(ControlOpcode::kHello)) {
    return failf(Code::kProtocolError, "{} did not answer the hello with a welcome", name());
  }
  if (header.status != 0) return fail(Error(code_from_wire(header.status), to_text(body)).with_context(name()));
  TRY(Welcome answer, decode_welcome(body));
  if (answer.version < kProtocolVersionMin || answer.version > kProtocolVersionMax || answer.session != session.id()) {
    return failf(Code::kProtocolError, "{} answered the hello with version {} or another session", name(),
                 answer.version);
  }
  return answer;
}

/// Expiries compare two clocks: a difference shows as requests that expire before they arrive.
void Peer::Impl::check_clock() {
  const Duration offset = expiry_time(welcome->wall_time) - reactor.wall_now();
  if (std::chrono::abs(offset) <= kClockOffsetMax || options.observer == nullptr) return;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(offset).count();
  options.observer->on_connection_error(
      name(), Error(Code::kOutOfRange, fmt::format("its clock differs from this machine's by {} s", seconds)));
}

void Peer::Impl::on_control(const Header& header, ByteView body) {
  const auto opcode = static_cast<ControlOpcode>(header.opcode);
  if (opcode == ControlOpcode::kPing && header.is(flag::kReply)) return on_pong(body);
  if (opcode != ControlOpcode::kAcknowledge) return protocol_error("an unexpected control message");
  const Result<Acknowledgement> acknowledgement = Acknowledgement::decode(body);
  if (!acknowledgement) return protocol_error(acknowledgement.error().message());
  callbacks.acknowledge(acknowledgement->up_to, acknowledgement->ended);
}

void Peer::Impl::on_pong(ByteView body) {
  const Result<ClockAnswer> answer = decode_clock_answer(body);
  if (!answer || !clock_awaited_ || answer->number != clock_asked_.number) return;
  clock_offset_ = {.least = answer->wall - reactor.wall_now(), .most = answer->wall - clock_asked_at_};
  changed_.notify_all();
}

void Peer::Impl::on_callback(const Header& header, ByteView body) {
  Error refusal{Code::kOk};
  Dispatcher::Admission admission = callbacks.admit(header, refusal);
  if (admission == Dispatcher::Admission::kHandled) return;
  if (admission == Dispatcher::Admission::kRun && callbacks.running() >= kCallbacksMax) {
    refusal = Error(Code::kBusy, "too many callbacks at once");
    admission = Dispatcher::Admission::kRefuse;
  }
  IncomingRequest& request = *request_pool.take();
  request.set(header, body, nullptr);
  if (admission == Dispatcher::Admission::kRun) return callbacks.run(request);
  callbacks.refuse(request, std::move(refusal));
}

void Peer::Impl::on_closed(const Error& reason) {
  if (phase_ == Phase::kReady && options.observer != nullptr && !scope.stopping()) {
    if (reason.code() == Code::kProtocolError) options.observer->on_connection_error(name(), reason);
    options.observer->on_disconnected(name(), reason);
  }
  if (phase_ != Phase::kRefused) last_error_ = reason;
  phase_ = Phase::kClosed;
  callbacks.detach(*link_);
  calls.detach(reason);
  changed_.notify_all();
}

// ---- the outside ----

Task<Result<Welcome>> Peer::Impl::connect(Until until) {
  const std::uint64_t before = attempts_begun_;
  ++connect_waiters_;
  changed_.notify_all();
  Result<> waited;
  while (waited && phase_ != Phase::kReady && last_failed_attempt_ <= before && !scope.stopping()) {
    waited = co_await changed_.wait(until);
  }
  --connect_waiters_;
  if (phase_ == Phase::kReady) co_return *welcome;
  if (scope.stopping()) co_return cenote::fail(Code::kStopped);
  if (last_failed_attempt_ > before) co_return cenote::fail(last_error_.value_or(Error(Code::kUnreachable)));
  co_return failf(waited.error().code(), "no connection to {} in time: see that the engine runs and can be reached",
                  name());
}

Task<Result<Peer::ClockOffset>> Peer::Impl::ask_clock(Until until) {
  CO_TRY(const Welcome connected, co_await connect(until));
  static_cast<void>(connected);
  if (clock_awaited_ || clock_ping_.busy || phase_ != Phase::kReady) co_return cenote::fail(Code::kBusy);
  ++clock_asked_.number;
  clock_asked_at_ = reactor.wall_now();
  clock_offset_.reset();
  clock_awaited_ = true;
  clock_ping_.bytes = encode(clock_asked_);
  send_control(clock_ping_, ControlOpcode::kPing);
  Result<> waited;
  while (waited && !clock_offset_ && phase_ == Phase::kReady && !scope.stopping())
    waited = co_await changed_.wait(until);
  clock_awaited_ = false;
  if (clock_offset_) co_return *clock_offset_;
  if (scope.stopping()) co_return cenote::fail(Code::kStopped);
  if (waited) co_return failf(Code::kConnectionLost, "{} did not tell its clock", name());
  co_return failf(waited.error().code(), "{} did not tell its clock in time", name());
}

Task<> Peer::Impl::stop() {
  co_await calls.close(Error(Code::kStopped, "the client has stopped"));
  co_await scope.stop();
  changed_.notify_all();
  stopped_ = true;
}

void Peer::Impl::check_invariants() {
  ASSERT((calls.link() != nullptr) == (phase_ == Phase::kReady));
  ASSERT(link_ != nullptr || phase_ == Phase::kClosed);
  calls.check_invariants();
  callbacks.check_invariants();
}

Peer::Peer(Reactor& reactor, Transport& transport, ClientSession& session, PeerOptions options)
    : impl_(std::make_unique<Impl>(reactor, transport, session, std::move(options))) {}
Peer::~Peer() = default;

Task<Result<Reply>> Peer::call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive, CallOptions options) {
  return impl_->calls.call(opcode, body, send, receive, options);
}
Result<> Peer::notify(Opcode opcode, ByteView body, CallOptions options) {
  return impl_->calls.notify(opcode, body, options);
}
Task<Result<Welcome>> Peer::connect(Until until) { return impl_->connect(until); }
Task<Result<Peer::ClockOffset>> Peer::ask_clock(Until until) { return impl_->ask_clock(until); }
void Peer::require_system(Uuid system) { impl_->options.system = system; }
void Peer::connect_for_calls_only() { impl_->options.keep_connected = false; }
bool Peer::connected() const { return impl_->ready(); }
std::optional<Welcome> Peer::welcome() const { return impl_->welcome; }
std::string Peer::name() const { return impl_->name(); }
std::uint32_t Peer::calls_in_flight() const { return impl_->calls.in_flight(); }
const Counters& Peer::counters() const { return impl_->counters; }
void Peer::check_invariants() { impl_->check_invariants(); }
Task<> Peer::stop() { return impl_->stop(); }

}  // namespace cenote::rpc
