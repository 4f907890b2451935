// Extents that are covered in part: what nobody sees of them is given back.

#include <algorithm>
#include <numeric>

#include "merge_window.h"

namespace cenote::object {
namespace {

/// An extent that is covered in part is cut into at most so many parts, and only if it frees so many blocks for each.
constexpr std::size_t kMaxTrimmedParts = 16;
constexpr std::uint64_t kBlocksPerPart = 2;

/// The smallest run of records that ends where a chunk (packed: a unit) ends, too: what an extent can be cut at.
std::uint64_t records_per_cut(const Entry& entry) {
  const std::uint64_t bytes = entry.is_packed ? kUnitBytes : kChecksumChunkBytes;
  return std::lcm<std::uint64_t>(entry.record_bytes, bytes) / entry.record_bytes;
}

/// Stored blocks of an extent up to a record that it can be cut at, or up to its end.
std::uint64_t blocks_up_to(const Entry& entry, std::uint64_t record) {
  const std::uint64_t bytes = record * entry.record_bytes;
  return entry.is_packed ? entry.blocks_before(unit_count(bytes)) : chunk_count(bytes);
}

/// The parts of records [0, records) that hold what is seen, in whole multiples of `unit`, ascending and apart.
SmallVector<RecordRange, 2> parts_to_keep(std::uint64_t first, std::uint64_t records, std::uint64_t unit,
                                          std::span<const RecordRange> seen) {
  SmallVector<RecordRange, 2> parts;
  for (const RecordRange& range : seen) {
    const std::uint64_t from = (range.first - first) / unit * unit;
    const std::uint64_t end = std::min(records, (range.first - first + range.count + unit - 1) / unit * unit);
    if (!parts.empty() && from <= parts.back().first + parts.back().count) {
      parts.back().count = end - parts.back().first;
    } else {
      parts.push_back({.first = from, .count = end - from});
    }
  }
  return parts;
}

}  // namespace

/// Extents that newer ones of their era cover in part give back the blocks that nobody sees: the entry is replaced by
/// one for each part that is left, with its checksums and blocks; no data is read or written. The parts stay in the
/// size class of the whole, which its readers know of. False: the slice is full before all are looked at.
Result<bool> Merge::trim_extents(const Reader& reader, KeyPath& path, Window& window) {
  const std::size_t count = window.items.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (window.items[i].hole || window.items[i].seen.empty()) continue;
    if (removal_.full()) return false;
    CHECK_OK(trim_extent(reader, path, window, i));
  }
  return true;
}

Result<> Merge::trim_extent(const Reader& reader, KeyPath& path, Window& window, std::size_t index) {
  const Item item = window.items[index];
  const Bytes key = to_bytes(path.extent(item.extent_class, item.first, item.epoch));
  TRY(const auto value, reader.view.get(tree_, key));
  if (!value) return {};
  TRY(const Entry entry, decode_entry(*value));
  if (entry.is_inline) return {};
  const std::uint64_t unit = records_per_cut(entry);
  const auto parts = parts_to_keep(item.first, entry.records, unit, item.seen.view());
  std::uint64_t kept = 0;
  for (const RecordRange& part : parts)
    kept += blocks_up_to(entry, part.first + part.count) - blocks_up_to(entry, part.first);
  const std::uint64_t blocks = entry.blocks();
  // Each part takes room in the tree, which has to be less than what it frees.
  if (parts.size() > kMaxTrimmedParts || blocks - kept < kBlocksPerPart * parts.size()) return {};
  remove(key);
  const Extents extents = entry.extents();
  std::uint64_t next_block = 0;
  for (const RecordRange& part : parts) {
    const std::uint64_t begin = blocks_up_to(entry, part.first);
    const std::uint64_t end = blocks_up_to(entry, part.first + part.count);
    release(blocks_of(extents.view(), next_block, begin).view());
    put_part(path, item, entry, part, blocks_of(extents.view(), begin, end).view());
    Item left = item;
    left.first = item.first + part.first;
    left.end = left.first + part.count;
    left.seen = {};
    if (next_block == 0) {
      window.items[index] = std::move(left);
    } else {
      window.items.push_back(std::move(left));
    }
    next_block = end;
  }
  release(blocks_of(extents.view(), next_block, blocks).view());
  removal_.bytes += entry.bytes;
  return {};
}

void Merge::put_part(KeyPath& path, const Item& item, const Entry& whole, RecordRange part,
                     std::span<const store::Extent> extents) {
  Checksums checksums;
  DataHeader header;
  header.type = EntryType::kExtent;
  header.records = part.count;
  header.record_bytes = whole.record_bytes;
  header.bytes = part.count * whole.record_bytes;
  const std::uint64_t first_chunk = chunk_count(part.first * whole.record_bytes);
  if (!whole.checksums.empty()) {
    for (std::uint64_t i = 0; i < chunk_count(header.bytes); ++i) checksums.push_back(whole.checksum(first_chunk + i));
    header.checksums = checksums.view();
  }
  SmallVector<StoredUnit, 4> units;
  std::array<std::byte, kSealNonceBytes> nonce;
  if (whole.is_packed) {
    const std::uint32_t first_unit = unit_count(part.first * whole.record_bytes);
    for (std::uint32_t i = 0; i < unit_count(header.bytes); ++i) units.push_back(whole.unit(first_unit + i));
    header.compression = whole.compression;
    header.units = units.view();
    if (whole.is_sealed) {
      nonce = nonce_after(whole.nonce, first_unit);
      header.nonce = nonce;
    }
  }
  ValueBytes value;
  append_stored(header, extents, value);
  const ByteView key = path.extent(item.extent_class, item.first + part.first, item.epoch);
  core_.batch.put(tree_, key, value);
  emptied_.stays(key);
  ++removal_.entries;
  removal_.bytes -= header.bytes;
}

}  // namespace cenote::object
