#include "store_state.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "page_seal.h"

namespace cenote::store {
namespace {

/// Part of the cache that may be dirty or frozen.
constexpr double kDirtyShare = 0.6;
/// Half of the reserve must let the largest batch of deletes change a leaf for each of its entries, and what is above.
constexpr std::uint64_t kMinPageReserve = 2 * (kMaxBatchEntries + 64);

std::uint64_t dirty_limit_of(std::uint64_t frames) {
  return static_cast<std::uint64_t>(static_cast<double>(frames) * kDirtyShare);
}

/// Pages kept back: as many as a checkpoint can ever have to write, but no large part of a small device.
std::uint64_t page_reserve_of(const Geometry& geometry, std::uint64_t dirty_limit) {
  const std::uint64_t slots = geometry.device_blocks[0] / kPageBlocks;
  return std::max(kMinPageReserve, std::min(dirty_limit, slots / 8));
}

}  // namespace

StoreState::StoreState(Reactor& the_reactor, Devices the_devices, const OpenOptions& the_options,
                       Superblock the_superblock, std::unique_ptr<StoreSeal> the_seal)
    : reactor(the_reactor),
      devices(the_devices),
      options(the_options),
      superblock(std::move(the_superblock)),
      seal(std::move(the_seal)),
      map(superblock.geometry.page_limit()),
      chunks(*devices.meta, superblock.geometry, superblock.table),
      cache(reactor, *this, options.cache_bytes),
      allocator(superblock.geometry, page_reserve_of(superblock.geometry, dirty_limit_of(cache.frames_total()))),
      trees(cache, *this),
      applied(superblock.checkpoint),
      dirty_limit_(dirty_limit_of(cache.frames_total())) {
  // It has opened the seal, and is of no more use here.
  options.key.reset();
}

Task<Result<>> StoreState::read_image(PageId id, PageMap::Entry entry, MutableBytes into) {
  ++page_reads;
  const media::BlockNo block(std::uint64_t{entry.slot} * kPageBlocks);
  CO_CHECK_OK(co_await devices.meta->read(block, into));
  auto valid = open_page(into, id, seal.get());
  // The page map holds the checksum too: an older image of the same page is whole and still not this one.
  if (valid && load_le<std::uint32_t>(into.data()) != entry.crc) {
    valid = failf(Code::kCorrupt, "page {}: not the image that the page map names", id.value());
  }
  // Of a sealed page the checksum was that of the image. From now on it proves the page in memory.
  if (valid && seal) Page(into.data()).stamp();
  if (!valid) {
    co_return fail(valid.error().with_context(fmt::format("page {} (blocks {}-{} of '{}')", id.value(), block.value(),
                                                          block.value() + kPageBlocks - 1, devices.meta->name())));
  }
  co_return Result<>{};
}

Task<Result<>> StoreState::read_page(PageId id, MutableBytes into) {
  for (;;) {
    const PageMap::Entry entry = map.find(id);
    // A page that was dropped while it was read is nothing to complain about: the reader looks again and finds it gone.
    if (entry.slot == 0) {
      co_return failf(map.in_use(id) ? Code::kCorrupt : Code::kPageFault, "page {} has no image", id.value());
    }
    auto outcome = co_await read_image(id, entry, into);
    if (outcome || map.find(id).slot == entry.slot) co_return outcome;
  }
}

void StoreState::grow(ChunkStore maps) {
  const Geometry& geometry = superblock.geometry;
  chunks = std::move(maps);
  map.grow(geometry.page_limit());
  allocator.grow(geometry, page_reserve_of(geometry, dirty_limit_));
}

void StoreState::sync_allocator() {
  allocator.set_live_pages(map.live());
  allocator.set_dirty_pages(cache.frames_dirty());
}

void StoreState::check_invariants() const {
  map.check_invariants();
  allocator.check_invariants();
  cache.check_invariants();
  for (const auto& [id, entry] : catalog.trees()) ASSERT(trees.root(id) == entry.root);
}

}  // namespace cenote::store
