#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "cenote/rpc/address.h"
#include "cenote/runtime/sync.h"

namespace cenote::rpc {

/// Resolves host names on a thread of their own each, since the system's resolver blocks. Names are resolved when a
/// connection is made, which is rare.
class Resolver {
 public:
  explicit Resolver(Reactor& reactor) : reactor_(reactor) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;
  /// Waits for the threads, that is for the system's resolver to give up.
  ~Resolver();

  /// The numeric addresses of `address`. kUnreachable, kDeadlineExceeded, kCancelled.
  Task<Result<std::vector<Address>>> resolve(Address address, Until until);

 private:
  class Query;
  Reactor& reactor_;
  std::vector<std::shared_ptr<Query>> queries_;
};

}  // namespace cenote::rpc
