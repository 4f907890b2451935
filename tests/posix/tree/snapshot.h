#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cenote::posix_tests {

/// All that is compared of one file.
struct Node {
  mode_t mode = 0;  ///< with its type
  uid_t user = 0;
  gid_t group = 0;
  std::uint64_t links = 0;
  std::string content{};  ///< of a regular file; a link's target
  std::string same_as{};  ///< the first path of the same file, where it has several names
  std::map<std::string, std::string> attributes{};

  bool operator==(const Node&) const = default;
};

/// A whole tree, by paths below its top; the top is "".
using Snapshot = std::map<std::string, Node>;

struct SnapshotOptions {
  bool directory_links = true;  ///< compare st_nlink of directories
};

/// Throws Failure when something cannot be read.
Snapshot take_snapshot(const std::string& top, SnapshotOptions options);
/// What differs, a line for each path, at most ten; empty when nothing does.
std::vector<std::string> differences(const Snapshot& actual, const Snapshot& expected);

/// The paths of a tree, sorted; those of directories end with a slash, the top is "/".
std::vector<std::string> paths_of(const std::string& top);

}  // namespace cenote::posix_tests
