#pragma once

#include <memory>

#include "cenote/rpc/link.h"
#include "cenote/runtime/reactor.h"

namespace cenote::rpc {

/// The addresses of one process: what the reactors of `embedded` find each other by. Thread-safe; outlives its
/// transports.
class InprocNetwork {
 public:
  InprocNetwork();
  ~InprocNetwork();
  InprocNetwork(const InprocNetwork&) = delete;
  InprocNetwork& operator=(const InprocNetwork&) = delete;

  struct Impl;

 private:
  friend class InprocTransport;
  std::unique_ptr<Impl> impl_;
};

/// Connections inside the process, between two reactors or within one. A message is not copied into a stream: the
/// receiver reads it in the sender's memory, and a payload is copied once, into its final place.
class InprocTransport final : public Transport {
 public:
  InprocTransport(InprocNetwork& network, Reactor& reactor, Counters* counters = nullptr);
  ~InprocTransport() override;

  Task<Result<std::unique_ptr<Link>>> connect(Address address, Until until) override;
  Result<std::unique_ptr<Listener>> listen(const Address& address) override;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::rpc
