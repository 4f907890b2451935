#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/rpc/sim_network.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::sim {

struct Options {
  /// Log lines of the engine and what the faults do go to standard error.
  bool verbose = false;
};

/// What one run of a workload came to.
struct Outcome {
  std::string failure;  ///< empty: everything held
  /// Depends on every random number drawn and on how time passed: two runs of one seed must agree.
  std::uint64_t digest = 0;
  std::map<std::string, std::uint64_t> counts;  ///< what was done: operations, crashes, resets, ...
};

/// A simulated world in which one workload runs against one engine, or several that share a coordinator, which never
/// fails but may be out of reach. The workload's own coroutines run on the
/// `director`, a node that is part of no system, and visit other nodes with `call_on`.
///
/// Invariant: the first failure is the one that is kept.
class Run {
 public:
  Run(std::uint64_t seed, Options options, engine::SimEngineOptions engine_options, std::uint32_t engines = 1);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  SimWorld& world() { return world_; }
  rpc::SimNetwork& network() { return network_; }
  SimReactor& director() { return director_; }
  engine::SimEngine& engine(std::uint32_t index = 0) { return *engines_[index]; }
  /// Of several engines.
  engine::SimCoordinator& coordinator() { return *coordinator_; }
  std::uint32_t engine_count() const { return static_cast<std::uint32_t>(engines_.size()); }
  /// One of them, drawn.
  std::uint32_t some_engine() { return engines_.size() == 1 ? 0 : static_cast<std::uint32_t>(below(engines_.size())); }
  /// Where clients reach the system.
  std::vector<rpc::Address> addresses() const;
  const Options& options() const { return options_; }

  /// Uniform in [0, bound), from the seed.
  std::uint64_t below(std::uint64_t bound) { return world_.random_below(bound); }
  bool chance(std::uint64_t numerator, std::uint64_t denominator) { return world_.chance(numerator, denominator); }
  Duration random_duration(Duration bound) {
    return Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>(bound.count()) + 1)));
  }

  void fail(std::string what);
  bool failed() const { return !failure_.empty(); }
  void count(const std::string& what, std::uint64_t amount = 1) { counts_[what] += amount; }
  /// A line for the reader of a verbose run.
  void note(std::string_view text) const;

  /// Runs `body` on the director until it ends; a hang is a failure when it has not within `limit` of virtual time.
  /// After that the run is over, whatever came of it.
  Outcome drive(Task<> body, Duration limit);

 private:
  SimWorld world_;
  rpc::SimNetwork network_;
  SimReactor& director_;
  Options options_;
  std::unique_ptr<LogOutput> log_;
  std::unique_ptr<engine::SimCoordinator> coordinator_;  // of several engines
  std::vector<std::unique_ptr<engine::SimEngine>> engines_;
  std::string failure_;
  std::map<std::string, std::uint64_t> counts_;
};

/// An engine small enough for a simulation; how many targets and nodes it has and what its devices are like the seed
/// decides.
engine::SimEngineOptions shape_engine(std::uint64_t seed);

/// Starts an engine, on its control node. False: failed, and the run knows.
Task<bool> start_engine(Run& run, std::uint32_t index = 0);
/// All of them; returns when they have heard of each other.
Task<bool> start_engines(Run& run);
/// A clean stop, if it runs; a failure of it is one of the run.
Task<> stop_engine(Run& run, std::uint32_t index = 0);
Task<> stop_engines(Run& run);

/// Runs `task` on `node` as a part of the director's work.
template <typename MakeTask>
auto on_node(Run& run, SimReactor& node, MakeTask make_task) {
  return call_on(run.director(), node, std::move(make_task));
}

}  // namespace cenote::sim
