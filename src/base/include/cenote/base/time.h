#pragma once

#include <chrono>
#include <cstdint>

namespace cenote {

using Duration = std::chrono::nanoseconds;

/// The reactor's monotonic clock. Its zero has no meaning; never stored, never sent.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;

/// Nanoseconds since 1970-01-01 UTC, as the reactor's wall clock tells it.
struct WallClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock, Duration>;
  static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

/// "Never": the deadline of a wait that has another bound.
inline constexpr Instant kNoDeadline = Instant::max();

}  // namespace cenote
