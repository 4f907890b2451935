#pragma once

#include <array>

#include "cenote/store/store.h"
#include "superblock.h"

namespace cenote::store {

/// The devices of a store by number, the meta device first; null where a number is not used.
std::array<media::BlockDevice*, kMaxDevices> numbered(const Devices& devices);

/// The labels of the devices beside the meta device (docs/formats/store.md, "Label"): whose each is, which roles it
/// plays, and how new its contents are. A device has two places for its label, and a new one never goes over the
/// newest.
///
/// Invariant: every label names a superblock that is durable, or the one that is written next; so a device whose label
/// is older than the superblock was not in use when that superblock was written.
class DeviceLabels {
 public:
  explicit DeviceLabels(const Devices& devices) : devices_(devices), by_number_(numbered(devices)) {}

  /// Compares every device with the superblock. kForeign: of another store, or in another's place; kCorrupt: damaged,
  /// or an older copy; kNewerFormat. Reads only.
  Task<Result<>> check(const Superblock& superblock);
  /// kExists when a device belongs to a store other than this one: its label, or a superblock, says so.
  Task<Result<>> refuse_others(Uuid system, Uuid target);
  /// Labels every device for `superblock`, durably: before that is written.
  Task<Result<>> write(const Superblock& superblock);
  /// Makes both places of every device hold no label, durably.
  Task<Result<>> wipe();
  /// What `device` says of itself: kNotFound when it has no label, kCorrupt when none of its places can be read.
  static Task<Result<Label>> read_newest(media::BlockDevice* device);

 private:
  struct Found {
    std::array<Result<Label>, 2> places = {fail(Code::kNotFound), fail(Code::kNotFound)};
    std::size_t newest() const;
  };
  static Task<Result<Found>> read(media::BlockDevice* device);
  Result<> check_label(const Found& found, std::uint32_t number, const Superblock& superblock) const;
  Task<Result<>> put(media::BlockDevice* device, std::size_t place, ByteView block);
  std::string role_of(std::uint32_t number) const;

  Devices devices_;
  std::array<media::BlockDevice*, kMaxDevices> by_number_;
  std::array<std::size_t, kMaxDevices> newest_ = {1, 1, 1};  // place of the newest label of each device
};

}  // namespace cenote::store
