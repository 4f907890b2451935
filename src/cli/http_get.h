#pragma once

#include <string>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::cli {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// One GET of an engine's control port, "host:port"; blocks for `timeout` at most, and for as long as the machine takes
/// to look up a name. kUnreachable, kDeadlineExceeded, kProtocolError.
Result<HttpAnswer> http_get(const std::string& address, const std::string& path, Duration timeout);

/// Whether a server could listen there now. kInvalidArgument for an address of wrong form.
Result<bool> can_listen(const std::string& address);

}  // namespace cenote::cli
