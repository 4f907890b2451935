#pragma once

#include <cstdint>

namespace cenote::bench {

/// What the replaced malloc and the wrapped memcpy have seen while they were enabled.
struct HookCounts {
  std::uint64_t allocations = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t payload_copied_bytes = 0;
};

/// Process-wide; off at first, when a hook costs one load.
void enable_hooks(bool on);
HookCounts hook_counts_of_process();
HookCounts hook_counts_of_thread();

}  // namespace cenote::bench
