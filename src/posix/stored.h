#pragma once

#include <optional>

#include "inode.h"

namespace cenote::posix {

/// An inode, and what is known of when its directory was changed.
struct Stored {
  Inode inode;
  std::optional<WallTime> touched;  ///< of a directory: the latest of its marks
};

}  // namespace cenote::posix
