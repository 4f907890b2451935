#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cenote::intercept {

/// A file system of Cenote in the tree of this process.
struct MountPoint {
  dev_t device = 0;
  std::string place;
  /// Something else is mounted on or below it: a path below `place` need not be a path in it.
  bool is_covered = false;
};

/// The mounts of Cenote that a text like /proc/self/mountinfo lists. A directory of a mount that is bound elsewhere is
/// `is_covered`: its place is not that of the root.
std::vector<MountPoint> parse_mounts(std::string_view mountinfo);

/// Where a path leads in a file system, as far as its text alone tells.
struct PathInMount {
  std::size_t mount = 0;  ///< index
  /// Names, one after the other. None of them is "..", which would have to know where links lead.
  std::vector<std::string> names;
};

/// Names of a relative path; nullopt: only the kernel can say where it leads, as it contains "..", ends in '/', or has
/// a limit exceeded.
std::optional<std::vector<std::string>> plain_names(std::string_view path);

/// nullopt: not into any of them for certain, or not plain.
std::optional<PathInMount> match_path(const std::vector<MountPoint>& mounts, std::string_view path);

}  // namespace cenote::intercept
