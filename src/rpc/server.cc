#include "cenote/rpc/server.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "server_impl.h"

namespace cenote::rpc {
namespace {

constexpr Duration kSweepEvery = std::chrono::seconds(1);
// Pause after a failure to accept (out of file descriptors), which would repeat at once.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Server::Impl::Impl(Reactor& server_reactor, media::BufferPool& pool, Service& server_service,
                   ServerOptions server_options)
    : reactor(server_reactor),
      buffer_pool(pool),
      service(server_service),
      options(server_options),
      counters(options.counters != nullptr ? *options.counters : own_counters),
      scope(server_reactor),
      context{reactor, scope, service, request_pool, *this, counters, options.credits},
      sessions(context, options.sessions),
      memory_turn_(server_reactor, 1),
      changed_(server_reactor),
      destroy_later_(server_reactor, *this) {
  ASSERT(options.credits.requests > 0 && options.credits.bytes >= kMaxBodyBytes + kMaxBulkBytes);
  ASSERT(options.sessions.idle_max > kRequestLifetimeMax + kClockOffsetMax);
  scope.spawn(sweep_loop(*this));
}

Server::Impl::~Impl() { ASSERT(stopped_ && connections.empty() && closed_.empty() && request_count == 0); }

Result<Address> Server::Impl::listen(Transport& transport, const Address& address) {
  if (stopping_) return fail(Code::kStopped, "the server is stopping");
  TRY(std::unique_ptr<Listener> listener, transport.listen(address));
  Address bound = listener->address();
  listeners.push_back(std::move(listener));
  scope.spawn(accept_loop(*this, *listeners.back()));
  return bound;
}

void Server::Impl::report(std::string_view peer, const Error& error) {
  if (options.observer != nullptr) options.observer->on_connection_error(peer, error);
}

// ---- connections ----

Task<> Server::Impl::accept_loop(Impl& server, Listener& listener) {
  while (!server.stopping_) {
    Result<std::unique_ptr<Link>> link = co_await listener.accept(Until{kNoDeadline, &server.scope.cancel_source()});
    if (link) {
      server.add_connection(std::move(*link));
      continue;
    }
    if (link.error() == Code::kStopped || link.error() == Code::kCancelled) co_return;
    server.report(listener.address().to_string(), link.error());
    if (!co_await sleep_for(server.reactor, kAcceptPause, server.scope.cancel_source())) co_return;
  }
}

void Server::Impl::add_connection(std::unique_ptr<Link> link) {
  if (stopping_) return;
  if (connection_count >= options.connections_max) {
    report(link->peer_name(),
           Error(Code::kResourceExhausted, fmt::format("{} connections, the limit", connection_count)));
    return;
  }
  auto* connection = new ServerConnection(context, *this, std::move(link));  // owned by `connections`, then `closed_`
  connections.push_back(*connection);
  ++connection_count;
  connection->start();
}

void Server::Impl::on_connection_closed(ServerConnection& connection, const Error& reason) {
  connection.ListNode<ConnectionTag>::unlink();
  --connection_count;
  const std::string& peer = connection.link().peer_name();
  if (reason.code() != Code::kConnectionLost && reason.code() != Code::kStopped) {
    report(peer, reason);
  } else if (options.observer != nullptr && connection.ready()) {
    options.observer->on_disconnected(peer, reason);
  }
  closed_.emplace_back(&connection);
  destroy_later_.request();
}

void Server::Impl::destroy_closed() {
  std::erase_if(closed_, [](const auto& connection) { return !connection->waiting_for_memory(); });
  changed_.notify_all();
}

Task<> Server::Impl::sweep_loop(Impl& server) {
  std::uint32_t rounds = 0;
  while (co_await sleep_for(server.reactor, kSweepEvery, server.scope.cancel_source())) {
    server.sweep();
    if (++rounds % 8 == 0) server.sessions.end_idle();
  }
}

void Server::Impl::sweep() {
  const Instant now = reactor.now();
  for (ServerConnection* at = connections.front(); at != nullptr; at = connections.next(*at)) {
    const Instant last = at->last_activity();
    if (at->waiting()) {
      // Its pings stand behind the message that waits; without an answer the client would take the server for dead.
      at->send_sign_of_life();
      continue;
    }
    if (!at->ready() && now - last > options.hello_timeout) {
      at->close(Error(Code::kProtocolError, fmt::format("{}: no hello in time", at->link().peer_name())));
    } else if (at->ready() && now - last > options.idle_timeout) {
      at->close(Error(Code::kConnectionLost, fmt::format("{}: no sign of life", at->link().peer_name())));
    }
  }
}

// ---- sessions ----

Result<ServerSessionTable::Opened> Server::Impl::open_session(const Hello& hello) {
  if (stopping_) return fail(Code::kNotReady, "the server is stopping");
  if (!hello.system.is_null() && hello.system != options.system) {
    return failf(Code::kForeign, "this server belongs to system {}, the client wants {}", options.system.to_string(),
                 hello.system.to_string());
  }
  if (hello.authentication != Authentication::kInsecure) {
    return failf(Code::kPermissionDenied, "authentication kind {} is unknown here: this is an insecure system",
                 static_cast<unsigned>(hello.authentication));
  }
  return sessions.open(hello);
}

Welcome Server::Impl::welcome(const Hello& hello, std::uint16_t version, bool resumed) {
  if (options.observer != nullptr) options.observer->on_connected(hello.name);
  return {.version = version,
          .features = hello.features & options.features,
          .session = hello.session,
          .resumed = resumed,
          .server_incarnation = options.incarnation,
          .system = options.system,
          .credits = options.credits,
          .body_bytes_max = kMaxBodyBytes,
          .bulk_bytes_max = kMaxBulkBytes,
          .wall_time = static_cast<std::uint64_t>(reactor.wall_now().time_since_epoch().count())};
}

// ---- limits ----

bool Server::Impl::below_limits(std::uint64_t bytes) const {
  if (request_count == 0) return true;
  return request_count < options.requests_max && bytes_ + bytes <= options.bytes_max;
}

bool Server::Impl::has_room(std::uint64_t bytes, ServerConnection& connection) {
  if (below_limits(bytes)) return true;
  if (!connection.ListNode<PausedTag>::linked()) paused_.push_back(connection);
  return false;
}

void Server::Impl::charge(std::uint64_t bytes) {
  ++request_count;
  bytes_ += bytes;
}

void Server::Impl::on_session_room(ServerConnection& connection) { connection.resume(); }

void Server::Impl::on_request_over(std::uint64_t charged_bytes) {
  ASSERT(request_count > 0 && bytes_ >= charged_bytes);
  --request_count;
  bytes_ -= charged_bytes;
  resume_paused();
  if (stopping_) changed_.notify_all();
}

void Server::Impl::resume_paused() {
  while (below_limits(0)) {
    ServerConnection* first = paused_.pop_front();
    if (first == nullptr) return;
    first->resume();
    if (first->ListNode<PausedTag>::linked()) {
      // Its message is too large for what is free: it keeps its place.
      first->ListNode<PausedTag>::unlink();
      paused_.push_front(*first);
      return;
    }
  }
}

std::optional<IncomingRequest::Buffers> Server::Impl::buffers(std::uint32_t bytes, ServerConnection& connection) {
  IncomingRequest::Buffers buffers;
  std::uint32_t left = bytes;
  for (media::Buffer& buffer : buffers) {
    if (left == 0) return buffers;
    const std::uint32_t piece = std::min(left, media::BufferPool::kMaxBufferBytes);
    Result<media::Buffer> allocated = buffer_pool.try_allocate(piece);
    if (!allocated) break;
    buffer = std::move(*allocated);
    left -= piece;
  }
  if (left == 0) return buffers;
  connection.begin_memory_wait();
  if (!scope.spawn(wait_for_buffers(*this, connection, bytes))) connection.end_memory_wait(std::nullopt);
  return std::nullopt;
}

Task<> Server::Impl::wait_for_buffers(Impl& server, ServerConnection& connection, std::uint32_t bytes) {
  std::optional<IncomingRequest::Buffers> collected;
  const Until until{kNoDeadline, &connection.memory_wait()};
  if (co_await server.memory_turn_.acquire(1, until)) {
    Result<IncomingRequest::Buffers> buffers = co_await server.allocate_buffers(bytes, until);
    server.memory_turn_.release();
    if (buffers) collected = std::move(*buffers);
  }
  connection.end_memory_wait(std::move(collected));
  if (connection.closed()) server.destroy_later_.request();
}

Task<Result<IncomingRequest::Buffers>> Server::Impl::allocate_buffers(std::uint32_t bytes, Until until) {
  IncomingRequest::Buffers buffers;
  for (std::size_t i = 0; bytes > 0; ++i) {
    const std::uint32_t piece = std::min(bytes, media::BufferPool::kMaxBufferBytes);
    CO_TRY(buffers[i], co_await buffer_pool.allocate(piece, until));
    bytes -= piece;
  }
  co_return buffers;
}

// ---- the end ----

Task<> Server::Impl::close_listeners() {
  for (const auto& listener : listeners) co_await listener->close();
}

Task<> Server::Impl::stop(Until grace) {
  if (stopped_) co_return;
  stopping_ = true;
  co_await close_listeners();
  while (request_count > 0) {
    if (!co_await changed_.wait(grace)) break;
  }
  sessions.end_all(Error(Code::kStopped, "the server has stopped"));
  for (ServerConnection* at = connections.front(); at != nullptr; at = connections.next(*at)) {
    at->close(Error(Code::kStopped, "the server has stopped"));
  }
  co_await scope.stop();
  while (connection_count > 0 || !closed_.empty() || request_count > 0 || destroy_later_.pending()) {
    (void)co_await changed_.wait(Until::forever());
  }
  listeners.clear();
  stopped_ = true;
}

void Server::Impl::check_invariants() {
  ASSERT(request_count > 0 || bytes_ == 0);
  ASSERT(memory_turn_.available() <= 1);
  std::uint32_t open = 0;
  for (ServerConnection* at = connections.front(); at != nullptr; at = connections.next(*at)) ++open;
  ASSERT(open == connection_count);
  sessions.check_invariants();
}

Server::Server(Reactor& reactor, media::BufferPool& pool, Service& service, ServerOptions options)
    : impl_(std::make_unique<Impl>(reactor, pool, service, options)) {}
Server::~Server() = default;

Result<Address> Server::listen(Transport& transport, const Address& address) {
  return impl_->listen(transport, address);
}
Task<> Server::stop(Until grace) { return impl_->stop(grace); }
SessionTable& Server::sessions() { return impl_->sessions; }
std::uint32_t Server::connections() const { return impl_->connection_count; }
std::uint32_t Server::requests_in_flight() const { return impl_->request_count; }
void Server::check_invariants() { impl_->check_invariants(); }
const Counters& Server::counters() const { return impl_->counters; }

}  // namespace cenote::rpc
