#include "chunk_store.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint32_t kTableMagic = 0x62546e43;  // "CnTb"
constexpr std::size_t kTableHeaderBytes = 16;
static_assert(kTableHeaderBytes + kTableEntries * 5 <= media::kBlockBytes);

std::uint8_t other_slot(std::uint8_t state) { return state == 1 ? 2 : 1; }

}  // namespace

ChunkStore::ChunkStore(media::BlockDevice& device, const Geometry& geometry, std::vector<LiveSlot> table_roots)
    : device_(&device),
      geometry_(geometry),
      roots_(std::move(table_roots)),
      live_(geometry.chunks()),
      dirty_tables_(geometry.table.blocks) {
  ASSERT(roots_.size() == geometry.table.blocks);
}

std::uint64_t ChunkStore::chunk_block(std::uint64_t chunk, std::uint8_t state) const {
  ASSERT(state == 1 || state == 2);
  const bool bitmap = chunk >= first_bitmap_chunk();
  const Region& region = bitmap ? geometry_.bitmap : geometry_.map;
  const std::uint64_t index = bitmap ? chunk - first_bitmap_chunk() : chunk;
  return region.first + (state == 2 ? region.blocks : 0) + index;
}

std::uint64_t ChunkStore::table_block(std::uint64_t index, std::uint8_t state) const {
  ASSERT(state == 1 || state == 2);
  return geometry_.table.first + (state == 2 ? geometry_.table.blocks : 0) + index;
}

void ChunkStore::encode_table(std::uint64_t index, MutableBytes into) const {
  std::ranges::fill(into, std::byte{0});
  store_le(into.data(), kTableMagic);
  store_le(into.data() + 4, static_cast<std::uint32_t>(index));
  for (std::uint64_t i = 0; i < kTableEntries && index * kTableEntries + i < live_.size(); ++i) {
    const LiveSlot& slot = live_[index * kTableEntries + i];
    into[kTableHeaderBytes + i] = std::byte{slot.state};
    store_le(into.data() + kTableHeaderBytes + kTableEntries + i * 4, slot.crc);
  }
}

Result<> ChunkStore::decode_table(std::uint64_t index, ByteView from) {
  Decoder in(from);
  in.require(in.integer<std::uint32_t>() == kTableMagic);
  in.require(in.integer<std::uint32_t>() == index);
  in.zeros(8);
  const ByteView states = in.raw(kTableEntries);
  for (std::uint64_t i = 0; i < kTableEntries && !in.bad(); ++i) {
    const LiveSlot slot{static_cast<std::uint8_t>(states[i]), in.integer<std::uint32_t>()};
    const std::uint64_t chunk = index * kTableEntries + i;
    in.require(slot.state <= 2 && (chunk < live_.size() || slot == LiveSlot{}));
    if (chunk < live_.size()) live_[chunk] = slot;
  }
  in.zeros(in.remaining());
  if (in.bad()) return failf(Code::kCorrupt, "chunk table block {} has a right checksum and wrong contents", index);
  return {};
}

Task<Result<>> ChunkStore::load_table(std::uint64_t index) {
  const LiveSlot root = roots_[index];
  if (root.state == 0) co_return Result<>{};
  AlignedBuffer buffer(media::kBlockBytes);
  const std::uint64_t block = table_block(index, root.state);
  CO_CHECK_OK(co_await device_->read(media::BlockNo(block), buffer.span()));
  if (crc32c(buffer.span()) != root.crc) {
    co_return failf(Code::kCorrupt, "chunk table block {} (block {} of '{}') is damaged", index, block,
                    device_->name());
  }
  co_return decode_table(index, buffer.span());
}

Task<Result<>> ChunkStore::load() {
  for (std::uint64_t index = 0; index < roots_.size(); ++index) CO_CHECK_OK(co_await load_table(index));
  co_return Result<>{};
}

Task<Result<>> ChunkStore::read(std::uint64_t chunk, MutableBytes into) {
  const LiveSlot live = live_[chunk];
  const std::uint64_t block = chunk_block(chunk, live.state);
  CO_CHECK_OK(co_await device_->read(media::BlockNo(block), into));
  if (crc32c(into) != live.crc) {
    const bool bitmap = chunk >= first_bitmap_chunk();
    co_return failf(Code::kCorrupt, "{} chunk {} (block {} of '{}') is damaged", bitmap ? "bitmap" : "page map",
                    bitmap ? chunk - first_bitmap_chunk() : chunk, block, device_->name());
  }
  co_return Result<>{};
}

Task<Result<>> ChunkStore::write(std::uint64_t chunk, ByteView contents) {
  const LiveSlot next{other_slot(live_[chunk].state), crc32c(contents)};
  const media::BlockNo block(chunk_block(chunk, next.state));
  CO_CHECK_OK(co_await device_->write(block, contents, media::Durability::kCached));
  live_[chunk] = next;
  dirty_tables_.add(chunk / kTableEntries);
  co_return Result<>{};
}

Task<Result<>> ChunkStore::write_tables() {
  AlignedBuffer buffer(media::kBlockBytes);
  while (const auto index = dirty_tables_.first()) {
    encode_table(*index, buffer.span());
    const LiveSlot next{other_slot(roots_[*index].state), crc32c(buffer.span())};
    const media::BlockNo block(table_block(*index, next.state));
    CO_CHECK_OK(co_await device_->write(block, buffer.span(), media::Durability::kCached));
    roots_[*index] = next;
    dirty_tables_.remove(*index);
  }
  co_return Result<>{};
}

}  // namespace cenote::store
