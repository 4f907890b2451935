#pragma once

#include <string>

#include "cenote/base/histogram.h"
#include "cenote/client/array.h"
#include "cenote/client/kv.h"

namespace cenote::cli {

enum class LoadKind { kUpdate, kFetch, kPut, kGet };

struct LoadOptions {
  LoadKind kind = LoadKind::kUpdate;
  std::uint32_t bytes = 4096;  ///< per operation; divides the array's chunk
  std::uint32_t depth = 32;    ///< operations in flight
  Duration duration = std::chrono::seconds(3);
  std::uint64_t working_set = 1ull << 30;  ///< bytes written before writing starts over
};

struct LoadResult {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
  Duration elapsed{};
  LatencyHistogram latency;
  std::uint64_t written = 0;  ///< operations' worth of data that is there now
};

/// Runs one workload against one object for a time, `depth` coroutines each with one operation in flight. Reads pick at
/// random among the first `present` pieces written before; writes go in order and start over at the end of the working
/// set. The first error ends it.
Task<Result<LoadResult>> run_load(async::Container container, ObjectId object, LoadOptions options,
                                  std::uint64_t present);

}  // namespace cenote::cli
