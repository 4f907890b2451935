#pragma once

#include "allocator.h"
#include "catalog.h"
#include "cenote/store/store.h"
#include "chunk_store.h"
#include "page_cache.h"
#include "page_map.h"
#include "store_seal.h"
#include "superblock.h"
#include "trees.h"

namespace cenote::store {

/// The state of a store in memory, without its log and its background work: what recovery builds, batches change and
/// checkpoints write.
struct StoreState final : PageSource {
  /// `superblock` is the newest on the media; `seal` is null for a store that is not sealed.
  StoreState(Reactor& reactor, Devices devices, const OpenOptions& options, Superblock superblock,
             std::unique_ptr<StoreSeal> seal);

  Task<Result<>> read_page(PageId id, MutableBytes into) override;
  PageId allocate_page() override { return map.allocate(); }
  void free_page(PageId id) override { map.release(id); }

  /// The devices have grown to `superblock.geometry`, durably; `maps` is where the image of the store is now.
  void grow(ChunkStore maps);
  /// Tells the allocator what the trees and the cache hold now.
  void sync_allocator();
  /// Most pages that may be dirty or frozen: the rest of the cache is for reading.
  std::uint64_t dirty_limit() const { return dirty_limit_; }
  void check_invariants() const;

  Reactor& reactor;
  Devices devices;
  OpenOptions options;
  Superblock superblock;
  std::unique_ptr<StoreSeal> seal;
  PageMap map;
  ChunkStore chunks;
  PageCache cache;
  Allocator allocator;
  Trees trees;
  Catalog catalog;
  Lsn applied{};  ///< of the last batch applied
  std::uint64_t page_reads = 0;
  std::uint64_t page_writes = 0;

 private:
  Task<Result<>> read_image(PageId id, PageMap::Entry entry, MutableBytes into);

  std::uint64_t dirty_limit_;
};

}  // namespace cenote::store
