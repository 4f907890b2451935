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
/// Invariant: bit i of `soon_` says whether the i-th last of those pauses ended within `longer_`.
class SpinPolicy {
 public:
  /// Without a shorter time there is no polling at all.
  SpinPolicy(Duration shorter, Duration longer)
      : shorter_(shorter), longer_(shorter == Duration::zero() ? shorter : std::max(shorter, longer)) {}

  Duration limit() const { return std::popcount(soon_) * 2 >= kRemembered ? longer_ : shorter_; }

  /// Work came after the reactor had been idle for this long, whether it polled or slept.
  void pause_ended(Duration pause) {
    if (pause <= shorter_) return;  // says nothing: either time would have been enough
    soon_ = static_cast<std::uint8_t>(soon_ << 1 | (pause <= longer_ ? 1 : 0));
  }

 private:
  static constexpr int kRemembered = 8;
  Duration shorter_;
  Duration longer_;
  std::uint8_t soon_ = 0;
  static_assert(sizeof soon_ * 8 == kRemembered);
};

}  // namespace cenote
