#pragma once

#include <cstdint>
#include <memory>

namespace cenote::bench {

/// Copies at least this long count as copies of payload; shorter ones are headers and keys.
inline constexpr std::size_t kPayloadCopyBytes = 2048;

/// What a stretch of work took of the things that are dear on a hot path.
struct Costs {
  std::uint64_t system_calls = 0;
  std::uint64_t allocations = 0;
  std::uint64_t allocated_bytes = 0;
  /// Bytes moved by memcpy and memmove calls of at least kPayloadCopyBytes, in code linked statically into this
  /// program (Cenote, not the references' shared libraries). Copies inside the kernel are not seen.
  std::uint64_t payload_copied_bytes = 0;

  friend Costs operator-(const Costs& a, const Costs& b);
};

/// Counts costs while it lives: of the whole process, and of the thread that made it. System calls are counted by a
/// tracepoint that threads inherit at their birth, so it is made before the threads it shall see; without the rights to
/// use tracepoints `counts_system_calls` is false. One at a time. Counting makes system calls dearer: never time a run
/// while one is active.
class CostMeter {
 public:
  CostMeter();
  ~CostMeter();
  CostMeter(const CostMeter&) = delete;
  CostMeter& operator=(const CostMeter&) = delete;

  bool counts_system_calls() const;
  /// Starts counting (again from zero) and stops it.
  void start();
  void stop();
  /// Since the last `start`, until the last `stop`.
  Costs of_process() const;
  Costs of_thread() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::bench
