#pragma once

#include <cstdint>
#include <vector>

#include "aligned_buffer.h"
#include "cenote/media/block_device.h"
#include "cenote/runtime/task.h"
#include "index_set.h"
#include "superblock.h"

namespace cenote::store {

/// The chunks of the page map and of the bitmap on the media: two slots each, and the chunk table, itself in slots,
/// that says which is live and what its checksum is (docs/formats/store.md). Never writes over a live slot, so what a
/// superblock names stays whole until the next superblock is durable.
///
/// Chunks are numbered through: those of the page map first, those of the bitmap from `first_bitmap_chunk`.
class ChunkStore {
 public:
  ChunkStore(media::BlockDevice& device, const Geometry& geometry, std::vector<LiveSlot> table_roots);

  std::uint64_t chunks() const { return live_.size(); }
  std::uint64_t first_bitmap_chunk() const { return geometry_.map.blocks; }

  /// Reads the chunk table; before anything else. kCorrupt names the block.
  Task<Result<>> load();
  /// One block of it, of `tables()`, for inspection that goes on after damage.
  Task<Result<>> load_table(std::uint64_t index);
  std::uint64_t tables() const { return roots_.size(); }
  bool written(std::uint64_t chunk) const { return live_[chunk].state != 0; }
  /// Reads a chunk that was written into a block; kCorrupt names it.
  Task<Result<>> read(std::uint64_t chunk, MutableBytes into);

  /// Writes a chunk to its other slot, not durably. Chunks may be written at the same time, each at most once between
  /// two calls of `write_tables`; `contents` is block-aligned and kept by the caller until the end.
  Task<Result<>> write(std::uint64_t chunk, ByteView contents);
  /// Writes the table blocks of the chunks written since the last call, not durably. The superblock is to name `roots`
  /// then.
  Task<Result<>> write_tables();
  const std::vector<LiveSlot>& roots() const { return roots_; }

 private:
  std::uint64_t chunk_block(std::uint64_t chunk, std::uint8_t state) const;
  std::uint64_t table_block(std::uint64_t index, std::uint8_t state) const;
  void encode_table(std::uint64_t index, MutableBytes into) const;
  Result<> decode_table(std::uint64_t index, ByteView from);

  media::BlockDevice* device_;
  Geometry geometry_;
  std::vector<LiveSlot> roots_;  // of the table blocks
  std::vector<LiveSlot> live_;   // of the chunks
  IndexSet dirty_tables_;
};

}  // namespace cenote::store
