#pragma once

#include <vector>

#include "cenote/rpc/server.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "deferred.h"
#include "server_connection.h"
#include "server_session.h"

namespace cenote::rpc {

/// Invariants (check_invariants): `requests_` and `bytes_` are the sums of what was charged and is not over.
/// `connections_` holds the open connections, `closed_` those that can be destroyed; `paused_` those that wait for room
/// in the server as a whole, longest first.
struct Server::Impl final : private SessionOwner, private ConnectionOwner {
  Impl(Reactor& reactor, media::BufferPool& pool, Service& service, ServerOptions options);
  ~Impl();

  Result<Address> listen(Transport& transport, const Address& address);
  Task<> stop(Until grace);
  void check_invariants() const;

  Reactor& reactor;
  media::BufferPool& buffer_pool;
  Service& service;
  ServerOptions options;
  Counters own_counters;
  Counters& counters;
  Scope scope;
  RequestPool request_pool{scope.cancel_source()};
  SessionContext context;
  ServerSessionTable sessions;

  std::vector<std::unique_ptr<Listener>> listeners;
  IntrusiveList<ServerConnection, ConnectionTag> connections;
  std::uint32_t connection_count = 0;
  std::uint32_t request_count = 0;

 private:
  static Task<> accept_loop(Impl& server, Listener& listener);
  static Task<> sweep_loop(Impl& server);
  static Task<> wait_for_buffers(Impl& server, ServerConnection& connection, std::uint32_t bytes);
  Task<Result<IncomingRequest::Buffers>> allocate_buffers(std::uint32_t bytes, Until until);
  Task<> close_listeners();
  void add_connection(std::unique_ptr<Link> link);
  void sweep();
  void resume_paused();
  void destroy_closed();
  bool below_limits(std::uint64_t bytes) const;
  void report(std::string_view peer, const Error& error);

  // SessionOwner
  void on_session_room(ServerConnection& connection) override;
  void on_request_over(std::uint64_t charged_bytes) override;
  // ConnectionOwner
  Result<ServerSessionTable::Opened> open_session(const Hello& hello) override;
  Welcome welcome(const Hello& hello, std::uint16_t version, bool resumed) override;
  bool has_room(std::uint64_t bytes, ServerConnection& connection) override;
  void charge(std::uint64_t bytes) override;
  std::optional<IncomingRequest::Buffers> buffers(std::uint32_t bytes, ServerConnection& connection) override;
  bool stopping() const override { return stopping_; }
  void on_connection_closed(ServerConnection& connection, const Error& reason) override;

  bool stopping_ = false;
  bool stopped_ = false;
  std::uint64_t bytes_ = 0;
  IntrusiveList<ServerConnection, PausedTag> paused_;
  std::vector<std::unique_ptr<ServerConnection>> closed_;
  // One connection at a time collects memory piece by piece, so that two do not wait for each other's.
  Semaphore memory_turn_;
  Condition changed_;  // a request is over, or a connection destroyed
  Deferred<Impl, &Impl::destroy_closed> destroy_later_;
};

}  // namespace cenote::rpc
