#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/store/types.h"
#include "page_id.h"

namespace cenote::store {

inline constexpr std::uint32_t kGroupBytes = kGroupBlocks * media::kBlockBytes;
inline constexpr std::uint32_t kSlotsPerGroup = kGroupBlocks / kPageBlocks;
inline constexpr std::uint32_t kMapEntriesPerChunk = media::kBlockBytes / 8;
inline constexpr std::uint32_t kBitsPerChunk = media::kBlockBytes * 8;
inline constexpr std::uint32_t kTableEntries = 800;
inline constexpr std::uint32_t kMaxTableBlocks = 3000;
inline constexpr std::uint32_t kMaxDevices = 3;
/// Smallest log ring: four of the largest batches.
inline constexpr std::uint64_t kMinLogBytes = 4ull << 20;

inline constexpr std::uint32_t kSuperblockBlocks = 4;
inline constexpr std::uint32_t kSuperblockBytes = kSuperblockBlocks * media::kBlockBytes;
/// First blocks of superblocks A and B.
inline constexpr std::array<std::uint64_t, 2> kSuperblockPlaces = {0, 4096};
/// Blocks of the two places of the label, in group 0 of a device that is not the meta device.
inline constexpr std::array<std::uint64_t, 2> kLabelPlaces = {0, 128};
/// Where the regions of the meta device begin: the group after superblock B.
inline constexpr std::uint64_t kFirstRegionBlock = 4096 + kGroupBlocks;

/// A run of blocks of one device.
struct Region {
  std::uint64_t first = 0;
  std::uint64_t blocks = 0;
  friend bool operator==(const Region&, const Region&) = default;
};

/// Where everything lies that has a fixed place (docs/formats/store.md, "Devices and regions"). Computed once, by
/// `format`, and kept in the superblock. Device 0 plays `meta`.
struct Geometry {
  std::array<std::uint64_t, kMaxDevices> device_blocks{};
  std::uint8_t wal_device = 0;
  std::uint8_t data_device = 0;
  Region log;
  // Of these three `blocks` counts one slot of each; the region holds two of each.
  Region table;
  Region map;
  Region bitmap;

  /// kOutOfRange with the reason when the devices are too small or too large.
  static Result<Geometry> plan(std::array<std::uint64_t, kMaxDevices> device_blocks, std::uint8_t wal_device,
                               std::uint8_t data_device, std::uint64_t log_bytes);
  /// The same store on larger devices: as it is, but for the chunk table, page map and bitmap, whose sizes follow and
  /// whose place is still to be chosen (`place_maps`). The log stays. kOutOfRange when a device is smaller than it was,
  /// or too large for one store.
  Result<Geometry> grown(std::array<std::uint64_t, kMaxDevices> new_blocks) const;
  /// Puts chunk table, page map and bitmap at `first`, the beginning of a group.
  void place_maps(std::uint64_t first);
  /// Groups that these three take.
  std::uint64_t map_groups() const;
  /// They are not where `plan` puts them: what only builds that know of growth can read.
  bool moved() const { return table.first != kFirstRegionBlock; }
  /// kCorrupt unless every region lies on its device and none overlaps another: asked of every superblock read.
  Result<> validate() const;

  std::uint64_t log_bytes() const { return log.blocks * media::kBlockBytes; }
  bool separate_data() const { return data_device != 0; }
  std::uint64_t chunks() const { return map.blocks + bitmap.blocks; }
  std::uint64_t page_limit() const { return map.blocks * kMapEntriesPerChunk; }
  /// Bitmap chunks of the meta device; those of a separate data device follow.
  std::uint64_t meta_bitmap_chunks() const;
  /// The groups of a device that belong to fixed regions.
  std::vector<Region> fixed_regions(std::uint8_t device) const;

  friend bool operator==(const Geometry&, const Geometry&) = default;
};

static_assert(kSuperblockPlaces[1] % kGroupBlocks == 0);
static_assert(kLabelPlaces[1] < kGroupBlocks);
static_assert(kPageBlocks * kSlotsPerGroup == kGroupBlocks);

}  // namespace cenote::store
