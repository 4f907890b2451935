#pragma once

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

 protected:
  ~HttpBackend() = default;
};

/// The control port: /healthz, /readyz, /metrics and the control API over HTTP, on a few threads of its own, so that a
/// slow reader or a long scrape never holds up a reactor. Bodies, headers, connections and times are bounded.
class HttpPort {
 public:
  /// Serves from now on. kExists when the address is in use. `backend` outlives it.
  static Result<std::unique_ptr<HttpPort>> start(const rpc::Address& address, HttpBackend& backend);
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
