#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "cenote/base/error.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/rpc/address.h"

namespace cenote::engine {

/// What the control port shows. Called on its threads, several at a time.
class HttpBackend {
 public:
  /// One request of the control API; blocks until it is answered.
  virtual Result<std::string> admin(AdminMethod method, std::string path, std::string body) = 0;
  /// All metrics as Prometheus' text.
  virtual std::string metrics() = 0;
  /// Whether clients are served.
  virtual bool ready() = 0;
  /// That they are not, because the system is stopped.
  virtual bool system_stopped() { return false; }

 protected:
  ~HttpBackend() = default;
};

/// How long one connection may keep a thread. Health checks share the threads with whoever finds the port, so each wait
/// ends, and so does each request in all.
struct HttpLimits {
  std::size_t threads = 64;
  std::size_t requests = 100;                    ///< of one connection
  std::chrono::milliseconds silence{2'000};      ///< between two pieces of a request
  std::chrono::milliseconds request{5'000};      ///< from the first byte of a request to its last
  std::chrono::milliseconds answer{10'000};      ///< from the first byte of an answer to its last
  std::chrono::milliseconds keep_alive{1'000};   ///< between requests; a stop waits for idle connections that long
  std::chrono::milliseconds connection{30'000};  ///< a connection that old gets no further request
};

/// The control port: /healthz, /readyz, /metrics and the control API over HTTP, on a few threads of its own, so that a
/// slow reader or a long scrape never holds up a reactor. Bodies, headers, connections and times are bounded
/// (`HttpLimits`).
class HttpPort {
 public:
  /// Serves from now on. kExists when the address is in use. `backend` outlives it.
  static Result<std::unique_ptr<HttpPort>> start(const rpc::Address& address, HttpBackend& backend,
                                                 const HttpLimits& limits = {});
  /// Ends all connections and waits for the requests that run.
  ~HttpPort();

  /// Where it listens, with the port picked for port 0.
  const rpc::Address& address() const;

 private:
  struct Impl;
  explicit HttpPort(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::engine
