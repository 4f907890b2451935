#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cenote/base/log.h"

namespace cenote {

/// Lets `per_second` lines of each (component, message) through per second of the given clock and counts the rest. Not
/// thread-safe; LogOutput calls it under its lock.
///
/// Invariants: the suppressed lines of a pair are reported exactly once; the table has one entry for each pair ever
/// seen, which the number of literals in the program bounds.
class LogLimiter {
 public:
  struct Verdict {
    bool pass = true;
    std::uint64_t suppressed = 0;  ///< Lines held back since the last one that passed.
  };
  struct HeldBack {
    LogLevel level;
    std::string component;
    std::string_view message;
    std::uint64_t suppressed;
  };

  explicit LogLimiter(std::uint32_t per_second) : per_second_(per_second) {}

  Verdict admit(LogLevel level, std::string_view component, LogMessage message, WallTime now);
  /// Calls `report` for every pair with lines not reported, and forgets them.
  void drain(const std::function<void(const HeldBack&)>& report);

 private:
  struct Window {
    LogLevel level = LogLevel::kInfo;
    std::string component;
    std::string_view message;  // a literal
    WallTime start{};
    std::uint32_t passed = 0;
    std::uint64_t suppressed = 0;
  };

  std::uint32_t per_second_;
  std::unordered_map<std::uint64_t, Window> windows_;
};

}  // namespace cenote
