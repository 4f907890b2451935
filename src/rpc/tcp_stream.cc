#include "tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "cenote/base/format.h"
#include "socket_address.h"

namespace cenote::rpc {
namespace {

// A dead machine behind a live network is noticed after idle + interval * probes seconds, if the layers above do not
// notice before.
constexpr int kKeepaliveIdle = 30;
constexpr int kKeepaliveInterval = 10;
constexpr int kKeepaliveProbes = 3;

void set_option(int socket, int level, int name, int value) {
  // Each is an improvement, none a necessity: a kernel without it still carries the bytes.
  (void)::setsockopt(socket, level, name, &value, sizeof value);
}

/// Whether the connection does not leave this machine.
bool both_ends_here(int socket) {
  SocketAddress own, peer;
  own.bytes = peer.bytes = sizeof own.storage;
  if (::getsockname(socket, own.get(), &own.bytes) != 0) return false;
  if (::getpeername(socket, peer.get(), &peer.bytes) != 0) return false;
  return to_address(own).host == to_address(peer).host;
}

void set_options(int socket, const TcpOptions& options) {
  // Within a machine nothing is congested, and what paces its sends, as bbr does, waits for timers all the time. Every
  // kernel has reno, and lets anyone choose it.
  static constexpr std::string_view kUnpaced = "reno";
  if (both_ends_here(socket)) (void)::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, kUnpaced.data(), kUnpaced.size());
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdle);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveInterval);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  if (options.send_buffer_bytes > 0)
    set_option(socket, SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.send_buffer_bytes));
  if (options.receive_buffer_bytes > 0) {
    set_option(socket, SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.receive_buffer_bytes));
  }
}

class CancelOperation final : public UringOperation {
 public:
  void complete(std::int32_t, std::uint32_t) override { delete this; }
};

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (number_ >= 0) ::close(number_);
}

void cancel_operation(UringReactor& reactor, UringOperation& operation) {
  auto* cancel = new CancelOperation;  // frees itself when the kernel has answered
  ::io_uring_prep_cancel(&reactor.prepare(*cancel), &operation, 0);
}

TcpStream::TcpStream(UringReactor& reactor, FileDescriptor socket, const TcpOptions& options, std::string peer_name)
    : reactor_(reactor), socket_(std::move(socket)), peer_name_(std::move(peer_name)) {
  set_options(socket_.get(), options);
}

TcpStream::~TcpStream() { ASSERT(!send_.in_flight && !receive_.in_flight); }

io_uring_sqe& TcpStream::begin(Operation& operation, std::span<const iovec> parts) {
  ASSERT(!operation.in_flight && !parts.empty());
  operation.in_flight = true;
  operation.message.msg_iov = const_cast<iovec*>(parts.data());  // the kernel's type knows no const
  operation.message.msg_iovlen = parts.size();
  return reactor_.prepare(operation);
}

void TcpStream::send(std::span<const iovec> parts) {
  io_uring_sqe& entry = begin(send_, parts);
  if (parts.size() == 1) {
    ::io_uring_prep_send(&entry, socket_.get(), parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
  } else {
    ::io_uring_prep_sendmsg(&entry, socket_.get(), &send_.message, MSG_NOSIGNAL);
  }
}

void TcpStream::receive(std::span<const iovec> parts) {
  io_uring_sqe& entry = begin(receive_, parts);
  if (parts.size() == 1) {
    ::io_uring_prep_recv(&entry, socket_.get(), parts[0].iov_base, parts[0].iov_len, 0);
  } else {
    ::io_uring_prep_recvmsg(&entry, socket_.get(), &receive_.message, 0);
  }
}

void TcpStream::cancel_send() {
  if (send_.in_flight) cancel_operation(reactor_, send_);
}
void TcpStream::cancel_receive() {
  if (receive_.in_flight) cancel_operation(reactor_, receive_);
}

void TcpStream::shutdown() {
  // What is with the kernel ends by itself; a socket the peer has reset already is as good as shut down.
  (void)::shutdown(socket_.get(), SHUT_RDWR);
}

void TcpStream::Operation::complete(std::int32_t result, std::uint32_t) {
  in_flight = false;
  const auto report = [this](Result<std::size_t> outcome) { (stream_.events_->*event_)(std::move(outcome)); };
  if (result >= 0) return report(static_cast<std::size_t>(result));
  if (result == -ECANCELED || result == -EINTR || result == -EAGAIN) return report(fail(Code::kCancelled));
  report(failf(Code::kConnectionLost, "connection to {} lost: {}", stream_.peer_name_, system_reason(-result)));
}

}  // namespace cenote::rpc
