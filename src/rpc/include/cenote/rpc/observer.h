#pragma once

#include <string_view>

#include "cenote/base/error.h"

namespace cenote::rpc {

/// Receives what an operator should see; the owner turns it into log lines. Each event is reported once.
class Observer {
 public:
  /// A connection ended for a reason that is not a plain disconnect: garbage, version mismatch, refused handshake.
  virtual void on_connection_error(std::string_view peer, const Error& error) {
    (void)peer;
    (void)error;
  }
  /// A client or server appeared or went away.
  virtual void on_connected(std::string_view peer) { (void)peer; }
  virtual void on_disconnected(std::string_view peer, const Error& reason) {
    (void)peer;
    (void)reason;
  }

 protected:
  ~Observer() = default;
};

}  // namespace cenote::rpc
