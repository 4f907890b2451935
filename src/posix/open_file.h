#pragma once

#include <optional>

#include "cenote/posix/file_system.h"

namespace cenote::posix {

/// What the copies of one File share.
struct File::State {
  FileSystem::Impl* files = nullptr;
  Node node;
  std::optional<WallTime> created;  ///< the ctime that `create` gave it, if this handle's did
  WallTime saved{};                 ///< the ctime that its own writes left last
  bool keeps_times = false;         ///< writes through it leave the times alone
  bool is_closed = false;
};

}  // namespace cenote::posix
