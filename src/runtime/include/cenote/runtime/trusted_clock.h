#pragma once

#include <algorithm>
#include <atomic>

#include "cenote/base/time.h"
#include "cenote/runtime/reactor.h"

namespace cenote {

/// The wall clock of a machine, as far as somebody vouches for it: when it is set forward, what is read here goes on at
/// the pace of the monotonic clock until that was approved. So no moment that lies ahead of all others' is used before
/// anybody has noticed. A clock that is set back is read as it is: who must not go back sees to that.
///
/// Thread-safe. Until the first approval it is the machine's.
class TrustedClock {
 public:
  /// `ahead_max`: how much further than what was approved the wall clock may go by itself.
  explicit TrustedClock(Duration ahead_max) : ahead_max_(ahead_max) {}

  WallTime now(const Reactor& reactor) const {
    const WallTime wall = reactor.wall_now();
    const Duration::rep approved = approved_.load(std::memory_order_relaxed);
    if (approved == kNone) return wall;
    return std::min(wall, WallTime(reactor.now().time_since_epoch() + Duration(approved) + ahead_max_));
  }
  /// For who must not be early: as `now`, but what was approved goes on when the clock is set back.
  WallTime latest(const Reactor& reactor) const {
    const Duration::rep approved = approved_.load(std::memory_order_relaxed);
    if (approved == kNone) return reactor.wall_now();
    return std::max(now(reactor), WallTime(reactor.now().time_since_epoch() + Duration(approved)));
  }
  /// How far wall clock and monotonic clock are apart: what changes when the wall clock is set.
  static Duration apart(const Reactor& reactor) {
    return reactor.wall_now().time_since_epoch() - reactor.now().time_since_epoch();
  }
  /// When it was so far apart from the monotonic one the wall clock was right.
  void approve(Duration apart) { approved_.store(apart.count(), std::memory_order_relaxed); }

 private:
  static constexpr Duration::rep kNone = Duration::max().count();
  const Duration ahead_max_;
  std::atomic<Duration::rep> approved_ = kNone;  // of wall clock and monotonic clock, how far they are apart
};

}  // namespace cenote
