#pragma once

#include <map>

#include "check_pass.h"

// What names say of inodes, and inodes of names.
namespace cenote::posix {

/// Compares, for everything that has more than one name or an inode elsewhere, and notes in the ledger what those
/// inodes say. The numbers of files that are open only and say that they have names.
Task<Result<std::vector<std::uint64_t>>> judge_numbers(async::Container view, CheckState& state, Until until);

/// Where something is that was looked for by its number.
struct Located {
  std::vector<Place> names, removed;
  std::string path;  ///< of the first name, or of where it waits
};
using LocatedMap = std::map<std::uint64_t, Located>;

/// Another walk, for the places of what was found out about numbers; fills in the paths of those findings.
Task<Result<LocatedMap>> locate(async::Container view, CheckState& state, const std::vector<ObjectId>& orphans,
                                Until until);

}  // namespace cenote::posix
