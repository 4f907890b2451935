#pragma once

#include "cenote/base/error.h"
#include "cenote/media/block_device.h"
#include "cenote/runtime/task.h"
#include "superblock.h"

namespace cenote::store {

/// The two places of the superblock on the meta device.
class SuperblockIo {
 public:
  explicit SuperblockIo(media::BlockDevice& meta) : meta_(&meta) {}

  /// The newest valid superblock. kNotFound: there is none and never was; kCorrupt: there was one; kNewerFormat.
  Task<Result<Superblock>> read_newest();
  /// Writes to the place that does not hold the newest one, durably, and reads it back: a superblock that a device lost
  /// or put elsewhere would otherwise be missed only after the next crash.
  Task<Result<>> write(const Superblock& superblock);
  /// Makes both places hold no superblock, durably.
  Task<Result<>> wipe();

 private:
  Task<Result<Superblock>> read(std::size_t place);
  Task<Result<>> write_durably(std::size_t place, ByteView bytes);

  media::BlockDevice* meta_;
  std::size_t newest_ = 1;
};

}  // namespace cenote::store
