#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "http_port.h"

namespace cenote::engine {

/// One connection of the control port as the HTTP library sees it. The library bounds each read and each write alone,
/// so a peer that trickles would keep a thread for ever; here the whole request and the whole answer are bounded, too.
/// Owns the socket. One thread at a time.
class HttpStream final : public httplib::Stream {
 public:
  HttpStream(socket_t socket, const HttpLimits& limits)
      : socket_(socket), limits_(limits), connection_end_(Clock::now() + limits.connection) {}
  ~HttpStream() override;
  HttpStream(const HttpStream&) = delete;
  HttpStream& operator=(const HttpStream&) = delete;

  /// Waits for a request to begin; false when none does in `HttpLimits::keep_alive`, and when the connection is too old
  /// for one. The bounds of the request and of its answer count from here.
  bool next_request();

  bool is_readable() const override;
  bool is_writable() const override;
  /// Bytes read or written, 0 at the end, -1 on failure and when the time is over.
  ssize_t read(char* into, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  using Clock = std::chrono::steady_clock;

  bool wait(short events, Clock::time_point until) const;
  Clock::time_point read_end() const;

  socket_t socket_;
  HttpLimits limits_;
  Clock::time_point connection_end_;
  Clock::time_point request_end_;
  /// Counts from the first byte of the answer: making it may take as long as the control API allows.
  std::optional<Clock::time_point> answer_end_;
  // The library reads headers byte by byte.
  std::array<char, 4096> buffer_;
  std::size_t buffer_begin_ = 0, buffer_end_ = 0;
};

}  // namespace cenote::engine
