#pragma once

#include <optional>

#include "cenote/base/error.h"
#include "cenote/base/time.h"
#include "cenote/engine/engine_options.h"
#include "finding.h"

namespace cenote::cli {

/// Looks at this machine with the eyes of an engine that is to run with `options`: kernel, limits, memory, clock,
/// ports, and the disk of the data directory. Changes nothing but one small file, which is removed again.
Findings check_machine(const engine::EngineOptions& options);

// The judgements, apart from how their numbers are found out, for the tests.

struct MemlockLimit {
  std::uint64_t bytes = 0;
  bool unlimited = false;
};
Finding judge_memlock(MemlockLimit limit, std::uint64_t wanted_bytes);
Finding judge_open_files(std::uint64_t limit);
Finding judge_memory(std::uint64_t total_bytes, std::uint64_t wanted_bytes);
Finding judge_free_space(const std::string& path, std::uint64_t free_bytes, std::uint64_t total_bytes);
Finding judge_clock(WallTime now, std::optional<bool> synchronised);

struct WriteTest {
  bool direct = false;  ///< the page cache was bypassed
  Duration median{};
  Duration worst{};
};
Finding judge_writes(const std::string& path, const WriteTest& test);

}  // namespace cenote::cli
