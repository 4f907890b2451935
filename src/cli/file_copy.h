#pragma once

#include <cstdint>
#include <string>

#include "cenote/posix/file_system.h"
#include "progress.h"

namespace cenote::cli {

struct CopyOptions {
  bool recursive = false;
  /// Files copied at the same time.
  std::uint32_t parallel = 16;
  /// Print one line per finished file, after it is durable: `sha256sum`-friendly proof of what was acknowledged.
  std::string acknowledged_file;
};

struct CopyStatistics {
  std::uint64_t files = 0, directories = 0, links = 0, bytes = 0, skipped = 0;
};

/// Copies a local file or tree to `target` in the file system. Every file is durable before it counts; one
/// that fails is removed again, if this copy made it. Devices, sockets and pipes are skipped and counted.
Task<Result<CopyStatistics>> copy_in(Reactor& reactor, posix::FileSystem& files, std::string source, std::string target,
                                     CopyOptions options, Progress& progress);
/// The other way round. Never overwrites a local file half-way: data goes to a temporary name first.
Task<Result<CopyStatistics>> copy_out(Reactor& reactor, posix::FileSystem& files, std::string source,
                                      std::string target, CopyOptions options, Progress& progress);

}  // namespace cenote::cli
