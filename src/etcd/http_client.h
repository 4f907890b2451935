#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cenote/base/error.h"
#include "cenote/etcd/etcd_options.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/sync.h"

namespace cenote::etcd {

struct HttpRequest {
  std::string url;
  std::string body;
  /// When so much of the answer is not read, no more is taken from the connection.
  std::size_t unread_bytes_max = 1u << 20;
};

/// One POST of JSON and what comes back, piece by piece. Destroying it abandons the exchange: the connection is closed,
/// and the server may or may not act on the request. Home reactor only.
class HttpExchange {
 public:
  HttpExchange(HttpExchange&&) noexcept;
  HttpExchange& operator=(HttpExchange&&) noexcept;
  ~HttpExchange();

  /// The next piece of the answer's body, or nothing when it is complete. kUnreachable: there was no connection.
  /// kConnectionLost: it broke. After kDeadlineExceeded and kCancelled it can be called again. One call at a time.
  Task<Result<std::string>> read(Until until);
  /// Of HTTP; 0 before the first piece.
  long status() const;
  /// How often the request may have left, in whole or in part: libcurl by itself sends again what a kept connection did
  /// not answer. 0 once `read` has failed: the server never saw it.
  int sends() const;

 private:
  friend class HttpClient;
  struct Transfer;
  class Thread;
  HttpExchange(std::shared_ptr<Thread> thread, std::shared_ptr<Transfer> transfer);
  /// What there is to read; nullopt: nothing as yet.
  std::optional<Result<std::string>> take();

  std::shared_ptr<Thread> thread_;
  std::shared_ptr<Transfer> transfer_;
};

/// HTTP over libcurl on a thread of its own, so that nothing of it, name resolution included, holds up the reactor.
/// Connections are kept and used again.
class HttpClient {
 public:
  /// kResourceExhausted when the system allows no thread. `home` outlives it.
  static Result<std::unique_ptr<HttpClient>> start(Reactor& home, TlsFiles tls, Duration connect_timeout);
  ~HttpClient();

  /// kResourceExhausted when too many exchanges run; kStopped after `close` began.
  Result<HttpExchange> send(HttpRequest request);
  /// Ends all exchanges. Must be awaited before destruction.
  Task<> close();

 private:
  explicit HttpClient(std::shared_ptr<HttpExchange::Thread> thread) : thread_(std::move(thread)) {}
  std::shared_ptr<HttpExchange::Thread> thread_;
};

}  // namespace cenote::etcd
