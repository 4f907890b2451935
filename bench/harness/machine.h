#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <thread>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::bench {

/// Monotonic time.
Instant now();

/// What all cores did since boot, in nanoseconds summed over the cores.
struct CpuTimes {
  Duration total{};
  Duration busy{};
  Duration steal{};
};
Result<CpuTimes> cpu_times();

/// CPU time of this process and of its children that have ended.
Duration own_cpu_time();

/// CPU time that process `pid` has used so far.
Result<Duration> cpu_time_of(pid_t pid);
/// Bytes of memory resident for process `pid`, and the part of it that belongs to no file: the rest is program text.
struct ResidentMemory {
  std::uint64_t bytes = 0;
  std::uint64_t anonymous_bytes = 0;
};
Result<ResidentMemory> resident_memory_of(pid_t pid);

/// How disturbed a measurement was: times between construction and the questions.
class Disturbance {
 public:
  Disturbance();
  /// Time the hypervisor gave to others, in percent of all cores.
  double steal_percent() const;
  /// CPU time of other processes of this machine, in percent of all cores.
  double foreign_percent() const;

 private:
  CpuTimes start_;
  Duration own_start_;
};

/// Makes a virtual machine's host back the free memory that the next files of this memory-backed file system get: the
/// first touch of a page costs more than writing it. `bytes`, or most of what the file system has left.
Result<> warm_memory(const std::filesystem::path& folder, std::uint64_t bytes);

/// Confines this process, with the threads it makes from here on, to the highest-numbered CPU.
Result<> confine_to_one_core();

/// Spins one thread of the lowest scheduling class per core: the cores never halt, and any real work displaces it at
/// once. Sleeping round trips then cost what the software makes of them.
class KeepAwake {
 public:
  KeepAwake();
  ~KeepAwake();
  KeepAwake(const KeepAwake&) = delete;
  KeepAwake& operator=(const KeepAwake&) = delete;

 private:
  std::vector<std::jthread> spinners_;
};

}  // namespace cenote::bench
