#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/session.h"
#include "cenote/rpc/wire.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/trusted_clock.h"

namespace cenote::engine {

/// How far the wall clock of another engine is ahead of this one's: the answer was under way for a while.
struct ClockReading {
  cluster::Rank rank;
  Duration least{}, most{};
};

/// Half of what the clocks of two engines may be apart: each is so near to a majority, and two majorities have an
/// engine in common.
inline constexpr Duration kClockOffsetOfMost = rpc::kClockOffsetMax / 2;

/// Whether the engine `own` has a clock to go by: of all that are known, its own included, at least half are within
/// `apart_max` of it, as far as can be told; if it is just half, the lowest rank is among these. kClockOff says how far
/// it is off, and what to do. So of engines whose clocks are far apart not all go on.
Result<> judge_clock(cluster::Rank own, std::span<const ClockReading> others, Duration apart_max);

/// Compares the engine's wall clock with those of the other engines that are up, all the time: what is promised about
/// requests that have expired and about epochs rests on clocks that are not far apart. Control reactor only.
///
/// In a large system each engine asks the next ones by rank only.
class ClockWatch {
 public:
  struct Options {
    Uuid system;
    Uuid engine;  ///< as which it introduces itself
    cluster::Rank own;
    Duration every = std::chrono::seconds(1);
    Duration call_timeout = std::chrono::seconds(1);
    std::size_t asked_max = 16;
    /// The verdict has become another.
    std::function<void()> on_change = [] {};
  };

  /// All of them outlive it; `transport` is of `reactor`. `clock` is approved of while the verdict is good.
  ClockWatch(Reactor& reactor, rpc::Transport& transport, cluster::Coordinator& coordinator, TrustedClock& clock,
             Options options, Logger logger);
  ~ClockWatch();

  /// Asks the others, now, and returns the verdict. Not while `start`ed.
  Task<Result<>> look();
  /// Looks again and again, in the background.
  void start();
  /// Must be awaited before destruction.
  Task<> stop();

  /// kClockOff, as of the last look: the engine must serve nothing.
  const Result<>& verdict() const { return verdict_; }

 private:
  struct Other;

  static Task<> run(ClockWatch& self);
  Task<> follow_engines();
  Task<Result<>> ask(Other& other);
  void judge(Duration apart);

  Reactor& reactor_;
  rpc::Transport& transport_;
  cluster::Coordinator& coordinator_;
  TrustedClock& clock_;
  Options options_;
  Logger logger_;
  Scope background_;
  rpc::ClientSession session_;
  std::map<cluster::Rank, std::unique_ptr<Other>> others_;
  unsigned looks_ = 0;
  Result<> verdict_;
  Duration off_at_{};  // of wall clock and monotonic clock, how far they were apart when it was found off
};

}  // namespace cenote::engine
