#pragma once

#include <memory>
#include <string>

#include "cenote/base/metrics.h"
#include "cenote/client/async.h"
#include "cenote/engine/engine.h"
#include "cenote/rpc/tcp.h"
#include "cenote/runtime/uring_reactor.h"
#include "harness/comparison.h"

namespace cenote::bench {

/// The CPUs of both ends of a connection, the same for Cenote and for the echo.
inline constexpr int kServerCpu = 0;
inline constexpr int kClientCpu = 1;

/// Confines the calling thread to one CPU while it lives.
class PinnedThread {
 public:
  explicit PinnedThread(int cpu);
  ~PinnedThread();
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

struct StackOptions {
  /// Room for what a comparison overwrites: old versions stay for a minute.
  std::uint64_t target_bytes = 8ull << 30;
};

/// An engine with one target in this process, and a client connected to it over TCP whose reactor is the calling
/// thread's: nothing is shared between the two but the process.
class CenoteStack {
 public:
  static Result<std::unique_ptr<CenoteStack>> start(const Setting& setting, StackOptions options);
  ~CenoteStack();
  CenoteStack(const CenoteStack&) = delete;
  CenoteStack& operator=(const CenoteStack&) = delete;

  UringReactor& reactor() { return *reactor_; }
  async::Container& container() { return *container_; }
  /// The engine's checkpoints since its start.
  Result<double> checkpoints();
  Result<> close();

 private:
  CenoteStack() = default;
  Result<> start_engine(const Setting& setting, const StackOptions& options);
  Result<> connect();

  MetricRegistry metrics_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<UringReactor> reactor_;
  std::unique_ptr<rpc::TcpTransport> transport_;
  std::unique_ptr<async::Client> client_;
  std::unique_ptr<async::Container> container_;
};

}  // namespace cenote::bench
