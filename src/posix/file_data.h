#pragma once

#include "cenote/client/array.h"
#include "layout.h"

namespace cenote::posix {

/// The bytes of a file, in a container or in a transaction's view of one: the first chunk in an object that lies on one
/// target, so that small files do, and all others in one that is spread over all. `wide` says whether that second one
/// may hold something: who writes there says so in the inode before.
class FileData {
 public:
  FileData(const async::Container& container, const ObjectId& object)
      : head_(container, object, kChunkBytes), tail_(container, tail_object(object), kChunkBytes) {}

  /// Whether these bytes are all in the first chunk.
  static constexpr bool is_narrow(std::uint64_t offset, std::uint64_t bytes) {
    return offset <= kChunkBytes && bytes <= kChunkBytes - offset;
  }

  Task<Result<std::uint64_t>> size(bool wide, Until until);
  struct LeasedSize {
    std::uint64_t bytes = 0;
    std::vector<async::Lease> leases;  ///< none: it may be another one at any time
  };
  Task<Result<LeasedSize>> size_leased(bool wide, Until until);
  Task<Result<std::uint64_t>> read(std::uint64_t offset, MutableBytes into, bool wide, Until until);
  /// What is not narrow needs a wide file.
  Task<Result<>> write(std::uint64_t offset, ByteView from, Until until);
  Task<Result<>> set_size(std::uint64_t size, bool wide, Until until);
  Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes, bool wide, Until until);
  /// nullopt: no data from here on.
  Task<Result<std::optional<std::uint64_t>>> find_data(std::uint64_t offset, bool wide, Until until);
  /// At most the size.
  Task<Result<std::uint64_t>> find_hole(std::uint64_t offset, bool wide, Until until);

 private:
  async::Array head_, tail_;
};

}  // namespace cenote::posix
