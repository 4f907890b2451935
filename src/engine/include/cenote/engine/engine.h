#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine_options.h"
#include "cenote/engine/identity.h"
#include "cenote/rpc/address.h"

namespace cenote::engine {

/// An engine on this machine: data directory, reactor threads, control port, and the EngineCore on them. Used from
/// ordinary threads; every call blocks.
class Engine {
 public:
  /// Returns when the engine serves clients. `logger`'s output and `metrics` outlive the engine. Errors are those of
  /// `with_defaults`, DataDirectory::open and EngineCore::start, of a port in use (kExists) or a kernel without
  /// io_uring; then nothing is left running and the directory is unlocked.
  static Result<std::unique_ptr<Engine>> start(EngineOptions options, MetricRegistry& metrics, Logger logger);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  /// Stops, if nobody did; what is acknowledged is durable anyway.
  ~Engine();

  /// Stops accepting, finishes running requests, closes the stores with a checkpoint, ends all threads, releases the
  /// lock. Returns the first failure; everything is stopped nevertheless. Idempotent; not for several threads at once.
  Result<> stop();

  bool ready() const;
  const Identity& identity() const;
  /// Where clients connect, with real ports.
  const std::vector<rpc::Address>& addresses() const;
  /// "host:port" of the control port, "" without one.
  const std::string& control_address() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::engine
