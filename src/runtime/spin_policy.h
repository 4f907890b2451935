#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "cenote/base/time.h"

namespace cenote {

/// How long an idle reactor polls before it sleeps. A sleep costs its waker a system call, and on a virtual machine
/// tens of microseconds until the sleeper runs, so polling longer pays exactly where work usually comes soon after. The
/// past decides: of the last pauses that outlasted the shorter time, did at least half end within the longer one? A
/// reactor without work has only long pauses and so never polls more than the shorter time before each sleep.
///
/// Who polls leaves the processor to others every now and then. Mostly those are reactors that soon sleep or leave it,
/// too. If it comes back late, somebody computes there: then the reactor does not poll for a while, since who is woken
/// gets the processor at once, and who was there all the time waits for the end of the other's time slice.
///
/// Invariant: bit i of `soon_` says whether the i-th last of those pauses ended within `longer_`.
class SpinPolicy {
 public:
  /// Without a shorter time there is no polling at all.
  SpinPolicy(Duration shorter, Duration longer)
      : shorter_(shorter), longer_(shorter == Duration::zero() ? shorter : std::max(shorter, longer)) {}

  Duration limit(Instant now) const {
    if (now < crowded_until_) return Duration::zero();
    return std::popcount(soon_) * 2 >= kRemembered ? longer_ : shorter_;
  }

  /// Others had the processor from one moment to the other.
  void left_to_others(Instant from, Instant to) {
    if (to - from >= kLongAbsence) crowded_until_ = to + kCrowdedTime;
  }

  /// Work came after the reactor had been idle for this long, whether it polled or slept.
  void pause_ended(Duration pause) {
    if (pause <= shorter_) return;  // says nothing: either time would have been enough
    soon_ = static_cast<std::uint8_t>(soon_ << 1 | (pause <= longer_ ? 1 : 0));
  }

 private:
  static constexpr int kRemembered = 8;
  static constexpr Duration kLongAbsence = std::chrono::milliseconds(1);
  static constexpr Duration kCrowdedTime = std::chrono::milliseconds(100);
  Duration shorter_;
  Duration longer_;
  std::uint8_t soon_ = 0;
  Instant crowded_until_{};
  static_assert(sizeof soon_ * 8 == kRemembered);
};

}  // namespace cenote
