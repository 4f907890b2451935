#pragma once

#include <atomic>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::engine {

/// Until when an engine may serve at all (I9). The control reactor sets it whenever the membership's lease was renewed
/// or lost; all reactors ask, whose clocks are one. Never, before it is set.
class ServingLease {
 public:
  bool valid_at(Instant now) const { return now < until(); }
  Instant until() const { return Instant(Duration(until_.load(std::memory_order_acquire))); }
  /// Why it is not valid, for who is refused.
  void set_clock_off(bool off) { clock_off_.store(off, std::memory_order_relaxed); }
  void set(Instant until) { until_.store(until.time_since_epoch().count(), std::memory_order_release); }
  /// kNotReady when it is not valid. Nothing may suspend between this and what it is asked for.
  Result<> check(Instant now) const {
    if (valid_at(now)) return {};
    if (clock_off_.load(std::memory_order_relaxed))
      return fail(Code::kNotReady,
                  "the engine serves nothing while the clock of its machine is off: its log says how far");
    return fail(Code::kNotReady,
                "the engine serves nothing while it has no valid lease of the system's coordinator: try again");
  }

 private:
  std::atomic<Instant::rep> until_ = Instant::min().time_since_epoch().count();
  std::atomic<bool> clock_off_ = false;
};

}  // namespace cenote::engine
