#pragma once

#include "cenote/base/strong.h"
#include "cenote/base/time.h"

namespace cenote {

/// Hybrid logical clock time of a version: upper 48 bits are units of 2^16 ns of wall time, lower 16 bits a counter
/// (so the raw value is close to nanoseconds since 1970). 0 is "before everything"; the maximum is "latest".
using Epoch = Strong<struct EpochTag>;

inline constexpr Epoch kEpochZero{0};
inline constexpr Epoch kEpochLatest{UINT64_MAX};

/// A hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): strictly increasing on one reactor, never
/// behind any epoch it has observed, close to the wall clock. Not thread-safe; each target owns one.
class HybridClock {
 public:
  /// An epoch greater than every one returned or observed before.
  Epoch next(WallTime now) {
    const auto physical = static_cast<std::uint64_t>(now.time_since_epoch().count()) & ~std::uint64_t{0xffff};
    last_ = physical > last_ ? physical : last_ + 1;
    return Epoch(last_);
  }
  /// Takes in an epoch seen in a message or on the media.
  void observe(Epoch seen) { last_ = seen.value() > last_ ? seen.value() : last_; }
  /// The highest epoch returned or observed.
  Epoch last() const { return Epoch(last_); }

 private:
  std::uint64_t last_ = 0;
};

}  // namespace cenote
