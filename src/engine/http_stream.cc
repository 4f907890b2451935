#include "http_stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cenote::engine {
namespace {

using AskAddress = int (*)(int, sockaddr*, socklen_t*);

void name_address(AskAddress ask, int socket, std::string& ip, int& port) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  if (ask(socket, reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) return;
  char text[INET6_ADDRSTRLEN] = {};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    port = ntohs(v6.sin6_port);
  }
  ip = text;
}

}  // namespace

HttpStream::~HttpStream() {
  // As the library ends its own connections: the peer hears the end of the answer before the socket goes.
  ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
}

bool HttpStream::next_request() {
  if (Clock::now() >= connection_end_) return false;
  answer_end_.reset();
  if (buffer_begin_ == buffer_end_ && !wait(POLLIN, Clock::now() + limits_.keep_alive)) return false;
  request_end_ = Clock::now() + limits_.request;
  return true;
}

HttpStream::Clock::time_point HttpStream::read_end() const {
  return std::min<Clock::time_point>(request_end_, Clock::now() + limits_.silence);
}

bool HttpStream::wait(short events, Clock::time_point until) const {
  pollfd polled{.fd = socket_, .events = events, .revents = 0};
  for (;;) {
    // Rounded up, so that an end less than a millisecond away is no busy loop.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    const int ready = ::poll(&polled, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool HttpStream::is_readable() const { return buffer_begin_ != buffer_end_ || wait(POLLIN, read_end()); }

bool HttpStream::is_writable() const { return wait(POLLOUT, answer_end_.value_or(Clock::now() + limits_.answer)); }

ssize_t HttpStream::read(char* into, std::size_t size) {
  if (buffer_begin_ == buffer_end_) {
    if (!wait(POLLIN, read_end())) return -1;
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got <= 0) return got;
    buffer_begin_ = 0;
    buffer_end_ = static_cast<std::size_t>(got);
  }
  const std::size_t count = std::min(size, buffer_end_ - buffer_begin_);
  std::memcpy(into, buffer_.data() + buffer_begin_, count);
  buffer_begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t HttpStream::write(const char* from, std::size_t size) {
  if (!answer_end_) answer_end_ = Clock::now() + limits_.answer;
  if (!wait(POLLOUT, *answer_end_)) return -1;
  return ::send(socket_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void HttpStream::get_remote_ip_and_port(std::string& ip, int& port) const {
  name_address(::getpeername, socket_, ip, port);
}

void HttpStream::get_local_ip_and_port(std::string& ip, int& port) const {
  name_address(::getsockname, socket_, ip, port);
}

}  // namespace cenote::engine
