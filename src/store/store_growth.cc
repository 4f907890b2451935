#include "cenote/base/format.h"
#include "device_labels.h"
#include "store_impl.h"

/// How an open store takes larger devices into use. The maps that describe the space are as large as the space was, so
/// they move: a checkpoint writes them whole to a place that nothing refers to, and its superblock names both the new
/// sizes and the new place. Until that superblock is durable nothing beyond the old end is handed out, so the log never
/// speaks of space that a crash would take away again; from then on the old place is free.
namespace cenote::store {

Task<Result<>> StoreImpl::grow() {
  CO_CHECK_OK(admit());
  Result<> outcome = usable();
  if (outcome && growth_) outcome = fail(Code::kBusy, "the store is growing already");
  if (outcome) {
    // Taken at once, so that a second call finds it.
    growth_.emplace(state_.superblock.geometry, std::nullopt);
    auto larger = co_await measure_growth();
    if (!larger) outcome = fail(larger.error());
    if (larger && *larger) {
      growth_->larger = **larger;
      outcome = co_await wait_for_checkpoint();
      if (outcome && growth_->failure) outcome = fail(*growth_->failure);
    }
    growth_.reset();
  }
  leave();
  co_return outcome;
}

/// The geometry for what the devices are now, with no place for the maps yet; nullopt when there is nothing new to use.
Task<Result<std::optional<Geometry>>> StoreImpl::measure_growth() {
  const Geometry& present = state_.superblock.geometry;
  auto blocks = present.device_blocks;
  const auto by_number = numbered(state_.devices);
  bool more = false;
  for (std::size_t number = 0; number < kMaxDevices; ++number) {
    // Of a device for the log alone nothing is used but the log, which stays as it is.
    const bool has_space = number == 0 || (present.separate_data() && number == present.data_device);
    if (by_number[number] == nullptr || !has_space) continue;
    CO_TRY(const std::uint64_t found, co_await measure(by_number[number]));
    if (found < blocks[number]) {
      co_return failf(Code::kOutOfRange, "'{}' has {} blocks and the store uses {}: a store does not shrink",
                      by_number[number]->name(), found, blocks[number]);
    }
    more = more || found / kGroupBlocks > blocks[number] / kGroupBlocks;
    blocks[number] = found;
  }
  if (!more) co_return std::nullopt;
  CO_TRY(const Geometry larger, present.grown(blocks));
  co_return larger;
}

/// The size is durable when this returns: a superblock is going to rely on it.
Task<Result<std::uint64_t>> StoreImpl::measure(media::BlockDevice* device) {
  const std::uint64_t before = device->block_count();
  CO_TRY(const std::uint64_t found, device->measure());
  if (found > before) CO_CHECK_OK(co_await device->flush());
  co_return found;
}

/// As a checkpoint begins: the geometry that it is to bring, if one was asked for and its maps have a place.
std::optional<Geometry> StoreImpl::place_growth() {
  if (!growth_ || growth_->larger == state_.superblock.geometry) return std::nullopt;
  Geometry larger = growth_->larger;
  state_.sync_allocator();
  const std::uint64_t new_groups = larger.device_blocks[0] / kGroupBlocks - state_.allocator.meta().groups();
  const auto first = state_.allocator.take_map_groups(larger.map_groups(), new_groups);
  if (!first) {
    growth_->failure = first.error();
    growth_->larger = state_.superblock.geometry;  // the answer is given: the next checkpoint does not try again
    return std::nullopt;
  }
  larger.place_maps(*first);
  ASSERT(larger.validate());
  return larger;
}

}  // namespace cenote::store
