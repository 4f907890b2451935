#include "geometry.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t divide_up(std::uint64_t value, std::uint64_t by) { return (value + by - 1) / by; }
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return divide_up(value, to) * to; }

std::uint64_t bitmap_chunks(std::uint64_t blocks) { return divide_up(blocks, kBitsPerChunk); }

/// Takes `region.blocks` times `copies` blocks at `next`.
void place(Region& region, std::uint64_t copies, std::uint64_t& next) {
  region.first = next;
  next += region.blocks * copies;
}

/// Whole groups left for pages and extents on a device whose fixed regions are `fixed`.
std::uint64_t space_groups(std::uint64_t device_blocks, const std::vector<Region>& fixed) {
  std::uint64_t groups = device_blocks / kGroupBlocks;
  for (const Region& region : fixed) groups -= std::min(groups, region.blocks / kGroupBlocks);
  return groups;
}

constexpr std::uint64_t kMinSpaceGroups = 32;

/// How large table, map and bitmap are for the devices there are.
Result<> size_maps(Geometry& plan) {
  const std::uint64_t meta_blocks = plan.device_blocks[0];
  plan.map.blocks = divide_up(meta_blocks / kPageBlocks + 1, kMapEntriesPerChunk);
  plan.bitmap.blocks = bitmap_chunks(meta_blocks);
  if (plan.data_device != 0) plan.bitmap.blocks += bitmap_chunks(plan.device_blocks[plan.data_device]);
  plan.table.blocks = divide_up(plan.chunks(), kTableEntries);
  if (plan.table.blocks <= kMaxTableBlocks) return {};
  return failf(Code::kOutOfRange, "devices of {} blocks are too large for one store: split them into several targets",
               meta_blocks);
}

bool overlap(const Region& a, const Region& b) { return a.first < b.first + b.blocks && b.first < a.first + a.blocks; }

}  // namespace

Result<Geometry> Geometry::plan(std::array<std::uint64_t, kMaxDevices> device_blocks, std::uint8_t wal_device,
                                std::uint8_t data_device, std::uint64_t log_bytes) {
  Geometry plan;
  plan.device_blocks = device_blocks;
  plan.wal_device = wal_device;
  plan.data_device = data_device;
  plan.log.blocks = round_up(log_bytes, kGroupBytes) / media::kBlockBytes;
  if (log_bytes < kMinLogBytes) return failf(Code::kOutOfRange, "a log needs at least {} bytes", kMinLogBytes);

  CHECK_OK(size_maps(plan));
  plan.place_maps(kFirstRegionBlock);
  if (wal_device == 0) {
    plan.log.first = round_up(plan.bitmap.first + 2 * plan.bitmap.blocks, kGroupBlocks);
  } else {
    plan.log.first = kGroupBlocks;
  }
  if (auto valid = plan.validate(); !valid) return fail(Code::kOutOfRange, valid.error().message());
  return plan;
}

Result<Geometry> Geometry::grown(std::array<std::uint64_t, kMaxDevices> new_blocks) const {
  for (std::size_t device = 0; device < kMaxDevices; ++device) {
    if (new_blocks[device] >= device_blocks[device]) continue;
    return failf(Code::kOutOfRange, "device {} has {} blocks and had {}: a store does not shrink", device,
                 new_blocks[device], device_blocks[device]);
  }
  Geometry larger = *this;
  larger.device_blocks = new_blocks;
  CHECK_OK(size_maps(larger));
  return larger;
}

void Geometry::place_maps(std::uint64_t first) {
  std::uint64_t next = first;
  for (Region* region : {&table, &map, &bitmap}) place(*region, 2, next);
}

std::uint64_t Geometry::map_groups() const {
  return divide_up(2 * (table.blocks + map.blocks + bitmap.blocks), kGroupBlocks);
}

Result<> Geometry::validate() const {
  const auto on_device = [&](const Region& region, std::uint64_t copies, std::uint8_t device) {
    const std::uint64_t limit = device_blocks[device] / kGroupBlocks * kGroupBlocks;
    return region.blocks <= limit / copies && region.first <= limit - region.blocks * copies;
  };
  if (wal_device >= kMaxDevices || data_device >= kMaxDevices) return fail(Code::kCorrupt, "geometry: no such device");
  const bool inside =
      on_device(table, 2, 0) && on_device(map, 2, 0) && on_device(bitmap, 2, 0) && on_device(log, 1, wal_device);
  if (!inside) {
    return failf(Code::kCorrupt, "the regions of the store do not fit on its devices (meta {} blocks, wal {} blocks)",
                 device_blocks[0], device_blocks[wal_device]);
  }
  const Region maps{table.first, map_groups() * kGroupBlocks};
  const bool apart = !overlap(maps, {0, kGroupBlocks}) && !overlap(maps, {kSuperblockPlaces[1], kGroupBlocks}) &&
                     !(wal_device == 0 && overlap(maps, log));
  const bool in_order = apart && on_device(maps, 1, 0) && table.first % kGroupBlocks == 0 &&
                        map.first == table.first + 2 * table.blocks && bitmap.first == map.first + 2 * map.blocks &&
                        log.first % kGroupBlocks == 0 &&
                        log.first >= (wal_device == 0 ? kFirstRegionBlock : kGroupBlocks);
  std::uint64_t needed_chunks = bitmap_chunks(device_blocks[0]);
  if (data_device != 0) needed_chunks += bitmap_chunks(device_blocks[data_device]);
  const bool sized = log_bytes() >= kMinLogBytes && bitmap.blocks == needed_chunks && table.blocks <= kMaxTableBlocks &&
                     table.blocks == divide_up(chunks(), kTableEntries);
  if (!in_order || !sized) return fail(Code::kCorrupt, "the regions of the store contradict each other");
  if (space_groups(device_blocks[0], fixed_regions(0)) < kMinSpaceGroups) {
    return failf(Code::kCorrupt, "the meta device of {} MiB leaves less than {} MiB beside the fixed regions",
                 device_blocks[0] / kGroupBlocks, kMinSpaceGroups);
  }
  if (data_device != 0 && space_groups(device_blocks[data_device], fixed_regions(data_device)) == 0) {
    return fail(Code::kCorrupt, "the data device has no room for data");
  }
  return {};
}

std::uint64_t Geometry::meta_bitmap_chunks() const { return bitmap_chunks(device_blocks[0]); }

std::vector<Region> Geometry::fixed_regions(std::uint8_t device) const {
  std::vector<Region> fixed = {{0, kGroupBlocks}};
  if (device == 0) {
    fixed.push_back({kSuperblockPlaces[1], kGroupBlocks});
    fixed.push_back({table.first, map_groups() * kGroupBlocks});
  }
  if (device == wal_device) fixed.push_back(log);
  return fixed;
}

}  // namespace cenote::store
