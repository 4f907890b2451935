#pragma once

#include <cstdint>
#include <string>

namespace cenote::bench {

/// What a row has to reach: a bound on the ratio Cenote / reference, or on the value itself where there is no
/// reference. A row without a goal is printed for comparison only.
struct Goal {
  enum class Kind : std::uint8_t { kNone, kAtLeast, kAtMost };

  static Goal at_least(double bound) { return {Kind::kAtLeast, bound}; }
  static Goal at_most(double bound) { return {Kind::kAtMost, bound}; }
  static Goal none() { return {}; }

  bool met_by(double value) const;
  /// ">= 0.65", "<= 4", or empty.
  std::string to_string() const;

  Kind kind = Kind::kNone;
  double bound = 0;
};

}  // namespace cenote::bench
