#include "cenote/rpc/tcp.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <deque>

#include "cenote/base/format.h"
#include "cenote/runtime/sync.h"
#include "resolver.h"
#include "socket_address.h"
#include "stream_link.h"
#include "tcp_stream.h"

namespace cenote::rpc {
namespace {

// Connections that were accepted by the kernel and not yet asked for; beyond, they are closed.
constexpr std::size_t kAcceptedMax = 1024;

std::string peer_address(int socket) {
  SocketAddress address;
  address.bytes = sizeof address.storage;
  if (::getpeername(socket, address.get(), &address.bytes) != 0) return "a client that is gone";
  return to_address(address).to_string();
}

/// One connect with the kernel.
class ConnectOperation final : public UringOperation {
 public:
  explicit ConnectOperation(Reactor& reactor) : done(reactor) {}
  void complete(std::int32_t answer, std::uint32_t) override {
    result = answer;
    done.set();
  }

  Event done;
  std::int32_t result = 0;
};

Error connect_error(const Address& address, int error) {
  const std::string_view hint = error == ECONNREFUSED ? "; is 'cenote server' running there?" : "";
  return Error(Code::kUnreachable,
               fmt::format("cannot connect to {}: {}{}", address.to_string(), system_reason(error), hint));
}

Error listen_error(const Address& address, int error) {
  const std::string where = address.to_string();
  const std::string reason = system_reason(error);
  switch (error) {
    case EADDRINUSE:
      return Error(Code::kExists, fmt::format("cannot listen on {}: {}; stop the program that uses it (is a 'cenote "
                                              "server' running already?) or choose another port",
                                              where, reason));
    case EACCES:
      return Error(Code::kPermissionDenied,
                   fmt::format("cannot listen on {}: {}; ports below 1024 need privileges", where, reason));
    case EADDRNOTAVAIL:
      return Error(Code::kInvalidArgument,
                   fmt::format("cannot listen on {}: {}; the address must be one of this machine's", where, reason));
    default:
      return Error(Code::kIoError, fmt::format("cannot listen on {}: {}", where, reason));
  }
}

}  // namespace

struct TcpTransport::Impl {
  UringReactor& reactor;
  TcpOptions options;
  Counters* counters;
  Resolver resolver;

  std::unique_ptr<Link> make_link(FileDescriptor socket, std::string peer_name) {
    auto stream = std::make_unique<TcpStream>(reactor, std::move(socket), options, std::move(peer_name));
    return std::make_unique<StreamLink>(reactor, std::move(stream), options.staging_bytes, counters);
  }
  Task<Result<std::unique_ptr<Link>>> connect_numeric(Address address, Until until);
};

namespace {

/// Invariant: while `armed_` an accept is with the kernel; it ends when the listener is closed.
class TcpListener final : public Listener, private UringOperation {
 public:
  TcpListener(TcpTransport::Impl& transport, FileDescriptor socket, Address address)
      : transport_(transport), socket_(std::move(socket)), address_(std::move(address)), changed_(transport.reactor) {
    arm();
  }
  ~TcpListener() override { ASSERT(!armed_); }

  Task<Result<std::unique_ptr<Link>>> accept(Until until) override {
    while (accepted_.empty() && !closing_ && error_ == 0) CO_CHECK_OK(co_await changed_.wait(until));
    if (closing_) co_return fail(Code::kStopped);
    if (error_ != 0) {
      const int error = std::exchange(error_, 0);
      if (!armed_) arm();
      co_return failf(Code::kIoError, "cannot accept on {}: {}", address_.to_string(), system_reason(error));
    }
    FileDescriptor socket = std::move(accepted_.front());
    accepted_.pop_front();
    std::string peer = peer_address(socket.get());
    co_return transport_.make_link(std::move(socket), std::move(peer));
  }

  const Address& address() const override { return address_; }

  Task<> close() override {
    if (!std::exchange(closing_, true) && armed_) cancel_operation(transport_.reactor, *this);
    accepted_.clear();
    changed_.notify_all();
    while (armed_) (void)co_await changed_.wait(Until::forever());
    socket_ = FileDescriptor();
  }

 private:
  void arm() {
    armed_ = true;
    ::io_uring_prep_multishot_accept(&transport_.reactor.prepare(*this), socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
  }
  void complete(std::int32_t result, std::uint32_t flags) override {
    FileDescriptor socket(result);
    armed_ = (flags & IORING_CQE_F_MORE) != 0;
    if (closing_ || accepted_.size() >= kAcceptedMax) {
      // The socket is closed with its variable.
    } else if (result >= 0) {
      accepted_.push_back(std::move(socket));
    } else {
      error_ = -result;
    }
    if (!armed_ && !closing_ && error_ == 0) arm();
    changed_.notify_all();
  }

  TcpTransport::Impl& transport_;
  FileDescriptor socket_;
  Address address_;
  std::deque<FileDescriptor> accepted_;
  int error_ = 0;
  bool armed_ = false;
  bool closing_ = false;
  Condition changed_;
};

Result<SocketAddress> listening_address(const Address& address) {
  if (Result<SocketAddress> numeric = numeric_address(address)) return numeric;
  // A server starts once: here the system's resolver may block.
  TRY(const std::vector<Address> resolved, resolve_blocking(address));
  return numeric_address(resolved.front());
}

}  // namespace

Task<Result<std::unique_ptr<Link>>> TcpTransport::Impl::connect_numeric(Address address, Until until) {
  CO_TRY(const SocketAddress target, numeric_address(address));
  FileDescriptor socket(::socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) co_return fail(connect_error(address, errno));
  ConnectOperation operation(reactor);
  ::io_uring_prep_connect(&reactor.prepare(operation), socket.get(), target.get(), target.bytes);
  const Result<> waited = co_await operation.done.wait(until);
  if (!waited) {
    cancel_operation(reactor, operation);
    (void)co_await operation.done.wait(Until::forever());
  }
  if (operation.result == 0) co_return make_link(std::move(socket), address.to_string());
  if (!waited) co_return failf(waited.error().code(), "cannot connect to {}: no answer in time", address.to_string());
  co_return fail(connect_error(address, -operation.result));
}

TcpTransport::TcpTransport(UringReactor& reactor, TcpOptions options, Counters* counters)
    : impl_(new Impl{reactor, options, counters, Resolver(reactor)}) {}
TcpTransport::~TcpTransport() = default;

Task<Result<std::unique_ptr<Link>>> TcpTransport::connect(Address address, Until until) {
  if (numeric_address(address)) co_return co_await impl_->connect_numeric(address, until);
  CO_TRY(const std::vector<Address> resolved, co_await impl_->resolver.resolve(address, until));
  Result<std::unique_ptr<Link>> link = fail(Code::kUnreachable);
  for (const Address& numeric : resolved) {
    link = co_await impl_->connect_numeric(numeric, until);
    if (link) break;
  }
  co_return link;
}

Result<std::unique_ptr<Listener>> TcpTransport::listen(const Address& address) {
  TRY(const SocketAddress wanted, listening_address(address));
  FileDescriptor socket(::socket(wanted.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail(listen_error(address, errno));
  const int one = 1;
  // A restarted server takes its port back while old connections linger.
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (::bind(socket.get(), wanted.get(), wanted.bytes) != 0) return fail(listen_error(address, errno));
  if (::listen(socket.get(), impl_->options.backlog) != 0) return fail(listen_error(address, errno));
  SocketAddress bound;
  bound.bytes = sizeof bound.storage;
  if (::getsockname(socket.get(), bound.get(), &bound.bytes) != 0) return fail(listen_error(address, errno));
  return std::make_unique<TcpListener>(*impl_, std::move(socket), to_address(bound));
}

}  // namespace cenote::rpc
