#pragma once

#include <filesystem>
#include <vector>

#include "cenote/base/time.h"
#include "harness/comparison.h"
#include "harness/results.h"

namespace cenote::bench {

struct RunOptions {
  unsigned rounds = 5;  ///< Runs of each side.
  Duration window = std::chrono::milliseconds(500);
  bool quick = false;
  std::filesystem::path memory_folder = "/dev/shm";
  std::filesystem::path disk_folder;
};

/// Runs one comparison in a process of its own: every side is warmed up, then all are measured in turn, `rounds` times,
/// then those that account for their costs do. One result per row; a failure is a row, too.
std::vector<RowResult> run_comparison(const Comparison& comparison, const RunOptions& options);

}  // namespace cenote::bench
