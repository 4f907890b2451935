#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cenote/base/error.h"
#include "harness/comparison.h"

namespace cenote::bench {

/// The physical limit D: one file through a bare io_uring, registered file and buffers, nothing in between. A file in
/// memory also by plain system calls, whichever was faster in a trial before the first run.
struct RawPattern {
  enum class Kind : std::uint8_t { kRead, kWrite };
  /// How a write becomes durable; a closed loop counts it only then.
  enum class Sync : std::uint8_t {
    kNone,   ///< Not at all (reads).
    kWrite,  ///< Each write by itself (RWF_DSYNC).
    kGroup,  ///< One flush for all writes that had completed when it began; one flush at a time.
    kBest,   ///< Whichever of the two was faster in that trial.
  };

  Kind kind = Kind::kRead;
  Sync sync = Sync::kNone;
  unsigned depth = 1;
  std::uint32_t bytes = 4096;
  bool sequential = false;  ///< Otherwise uniformly random, aligned to `bytes`.
  std::uint64_t file_bytes = 256ull << 20;
};

/// The value is operations per second, with latencies beside it.
Result<std::unique_ptr<Side>> make_raw_device(const Setting& setting, RawPattern pattern);

}  // namespace cenote::bench
