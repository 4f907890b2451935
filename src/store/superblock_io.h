#pragma once

#include "cenote/base/error.h"
#include "cenote/media/block_device.h"
#include "cenote/runtime/task.h"
#include "device_labels.h"
#include "superblock.h"

namespace cenote::store {

/// The two places of the superblock on the meta device, and the labels of the others, which go with it.
class SuperblockIo {
 public:
  explicit SuperblockIo(const Devices& devices) : meta_(devices.meta), labels_(devices) {}

  /// The newest valid superblock. kNotFound: there is none and never was; kCorrupt: there was one; kNewerFormat.
  Task<Result<Superblock>> read_newest();
  /// Compares the other devices with the superblock that was read; see DeviceLabels.
  Task<Result<>> check_labels(const Superblock& superblock) { co_return co_await labels_.check(superblock); }
  /// Labels the other devices, then writes to the place that does not hold the newest one, durably, and reads it back:
  /// a superblock that a device lost or put elsewhere would otherwise be missed only after the next crash.
  Task<Result<>> write(const Superblock& superblock);
  /// Makes the devices hold no superblock and no label, durably.
  Task<Result<>> wipe();

 private:
  Task<Result<Superblock>> read(std::size_t place);
  Task<Result<>> write_durably(std::size_t place, ByteView bytes);

  media::BlockDevice* meta_;
  DeviceLabels labels_;
  std::size_t newest_ = 1;
};

}  // namespace cenote::store
