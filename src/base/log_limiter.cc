#include "log_limiter.h"

#include "cenote/base/checksum.h"

namespace cenote {

LogLimiter::Verdict LogLimiter::admit(LogLevel level, std::string_view component, LogMessage message, WallTime now) {
  if (per_second_ == 0) return {};
  // Two pairs with equal 64-bit hashes would share a limit, which costs a line and nothing else.
  const std::uint64_t key = hash64(as_bytes(message.text()), hash64(as_bytes(component)));
  const auto [entry, added] = windows_.try_emplace(key);
  Window& window = entry->second;
  if (added) window = Window{level, std::string(component), message.text(), now, 0, 0};
  if (now < window.start || now - window.start >= std::chrono::seconds(1)) {
    window.start = now;
    window.passed = 0;
  }
  if (window.passed == per_second_) {
    ++window.suppressed;
    return {.pass = false};
  }
  ++window.passed;
  return {.pass = true, .suppressed = std::exchange(window.suppressed, 0)};
}

void LogLimiter::drain(const std::function<void(const HeldBack&)>& report) {
  for (auto& [key, window] : windows_) {
    const std::uint64_t suppressed = std::exchange(window.suppressed, 0);
    if (suppressed != 0) report({window.level, window.component, window.message, suppressed});
  }
}

}  // namespace cenote
