#pragma once

#include "cenote/client/array.h"
#include "entries.h"

namespace cenote::posix {

/// What the copies of one File share.
struct File::State {
  async::Array array;
  EntryPlace place;  ///< where its attributes lie
  bool created = false;
  bool written = false;
};

inline async::Array file_data(async::Container container, ObjectId object) {
  return async::Array(std::move(container), object, kChunkBytes);
}

}  // namespace cenote::posix
