#pragma once

#include "cenote/client/array.h"
#include "entries.h"

namespace cenote::posix {

/// What the copies of one File share.
struct File::State {
  async::Array array;
  EntryPlace place;                 ///< where its attributes lie
  std::optional<WallTime> created;  ///< the ctime that `create` gave it, if this handle's did
  bool written = false;
};

inline async::Array file_data(async::Container container, ObjectId object) {
  return async::Array(std::move(container), object, kChunkBytes);
}

}  // namespace cenote::posix
