#include "http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <memory>
#include <system_error>

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"

namespace cenote::cli {
namespace {

// Of an engine with hundreds of targets and threads the metrics are some MiB.
constexpr std::size_t kAnswerBytesMax = 32u << 20;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<Addresses> look_up(const std::string& text) {
  TRY(const rpc::Address address, rpc::Address::parse(text));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (error != 0) return failf(Code::kUnreachable, "cannot resolve '{}': {}", address.host, ::gai_strerror(error));
  return Addresses(found, &::freeaddrinfo);
}

std::string reason() { return std::generic_category().message(errno); }

using Clock = std::chrono::steady_clock;

/// Until then: what comes in drops takes no longer than what comes at once.
void set_timeouts(int fd, Clock::time_point deadline) {
  // None at all would be no bound.
  const Duration timeout = std::max<Duration>(deadline - Clock::now(), std::chrono::milliseconds(1));
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timeval time{seconds.count(), std::chrono::duration_cast<std::chrono::microseconds>(timeout - seconds).count()};
  // Of connect, too.
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

Result<HttpAnswer> parse_answer(const std::string& address, const std::string& text) {
  HttpAnswer answer;
  // "HTTP/1.1 200 OK"
  const std::size_t blank = text.find(' ');
  const std::size_t header_end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/") || blank == std::string::npos || header_end == std::string::npos) {
    return failf(Code::kProtocolError, "what answers at {} does not speak HTTP", address);
  }
  std::from_chars(text.data() + blank + 1, text.data() + text.size(), answer.status);
  answer.body = text.substr(header_end + 4);
  return answer;
}

}  // namespace

Result<HttpAnswer> http_get(const std::string& address, const std::string& path, Duration timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  TRY(const auto found, look_up(address));
  const Socket socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  set_timeouts(socket.get(), deadline);
  if (::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0) {
    return failf(Code::kUnreachable, "cannot connect to {}: {}", address, reason());
  }
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", path, address);
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return failf(Code::kConnectionLost, "cannot send to {}: {}", address, reason());
  }
  std::string text;
  std::array<char, 16384> part{};
  while (text.size() < kAnswerBytesMax) {
    if (Clock::now() >= deadline) return failf(Code::kDeadlineExceeded, "no whole answer from {} in time", address);
    set_timeouts(socket.get(), deadline);
    const ssize_t got = ::recv(socket.get(), part.data(), part.size(), 0);
    if (got < 0 && errno == EAGAIN) return failf(Code::kDeadlineExceeded, "no answer from {} in time", address);
    if (got < 0) return failf(Code::kDeadlineExceeded, "no answer from {}: {}", address, reason());
    if (got == 0) return parse_answer(address, text);
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return failf(Code::kOutOfRange, "what {} answers has no end", address);
}

Result<bool> can_listen(const std::string& address) {
  TRY(const auto found, look_up(address));
  const Socket socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  return ::bind(socket.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(socket.get(), 1) == 0;
}

}  // namespace cenote::cli
