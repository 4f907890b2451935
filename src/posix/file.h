#pragma once

#include <atomic>

#include "entries.h"

namespace cenote::posix {

/// What the copies of one File share.
struct File::State {
  async::Container container;
  EntryPlace place;   ///< where its attributes lie
  ObjectId object;
  bool written = false;
};

/// Removes all data at and beyond `size`, and extends a shorter file to it.
Task<Result<>> set_file_size(async::Container container, ObjectId object, std::uint64_t size, Until until);
Task<Result<std::uint64_t>> file_size(async::Container container, ObjectId object, Until until);

}  // namespace cenote::posix
