#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store_test_kit.h"

namespace cenote::store {

/// One crash test: a random workload is cut at every device write (or every `cut_every`th), each cut is reopened,
/// compared with what was applied and acknowledged, checked, used and crashed again. Test only.
struct CrashTestOptions {
  std::uint64_t seed = 1;
  std::uint32_t steps = 40;
  std::uint32_t keys = 60;  ///< of each tree
  std::uint32_t cut_every = 1;
  bool sealed = false;
  bool discard = false;                      ///< freed extents are discarded
  std::uint32_t grow_mib = 0;                ///< the devices become so much larger in the middle of it
  std::optional<StoreBench::Layout> layout;  ///< none: drawn from the seed
};

struct CrashTestOutcome {
  std::uint64_t discarded_blocks = 0;  ///< in the run that was cut
  std::string problem;                 ///< empty: nothing was wrong
  std::uint64_t writes = 0;
  std::uint64_t cuts = 0;
  std::uint64_t crashes = 0;   ///< of all kinds: the cuts, and those in recovery and in the work after it
  std::uint64_t nonces = 0;    ///< of a sealed store, in all its lives; a problem if one came twice
  std::uint64_t verified = 0;  ///< stores opened after a crash and compared with what had been promised
};

CrashTestOutcome run_crash_test(CrashTestOptions options);

/// Images of pages that memory has whole are damaged, a scrub repairs them, and the power is cut at every device write
/// of that: each cut leaves the store as it was, but for images that are repaired already.
struct RepairCrashOutcome {
  std::string problem;         ///< empty: nothing was wrong
  std::uint64_t damaged = 0;   ///< images
  std::uint64_t before = 0;    ///< cuts that left some of them damaged ...
  std::uint64_t repaired = 0;  ///< ... and none
};
RepairCrashOutcome run_repair_crash_test(CrashTestOptions options);

}  // namespace cenote::store
