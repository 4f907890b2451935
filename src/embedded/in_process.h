#pragma once

#include <memory>
#include <string>

#include "cenote/cenote.hpp"
#include "cenote/rpc/address.h"
#include "cenote/rpc/inproc.h"

namespace cenote::detail {

/// An engine inside this process, reached through memory instead of a socket.
class InProcess {
 public:
  static Result<std::unique_ptr<InProcess>> start(std::string directory, OpenOptions options);
  /// Stops the engine; everything acknowledged is durable anyway, a clean stop only makes the next start faster.
  ~InProcess();

  rpc::InprocNetwork& network();
  rpc::Address address() const;

 private:
  struct Impl;
  explicit InProcess(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::detail
