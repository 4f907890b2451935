#include "values.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "varint.h"

namespace cenote::object {
namespace {

constexpr std::byte kVersion{1};
/// Of an entry with packed data.
constexpr std::byte kVersionPacked{2};
constexpr std::uint8_t kInlineFlag = 1;
constexpr std::uint8_t kChecksumFlag = 2;
constexpr std::uint8_t kSealedPacking = 0x80;
constexpr std::size_t kStoredUnitBytes = 6;  // u16 bytes - 1, u32 checksum
constexpr std::size_t unit_record_bytes(bool sealed) { return kStoredUnitBytes + (sealed ? kSealTagBytes : 0); }
static_assert(kUnitBytes <= 1u << 16 && kUnitBytes % kChecksumChunkBytes == 0);

static_assert(kMaxInlineBytes + 32 <= store::kMaxValueBytes);
// The worst fragmented piece: every block an extent of its own. Extents ascend, so their distances add up to less than
// the device; with 2^38 blocks (1 PiB) distance and length together take at most five bytes on average.
static_assert(32 + 256 * 4 + 256 * 5 <= store::kMaxValueBytes);

// Sealed data, without the checksums of its chunks.
static_assert(16 + kSealNonceBytes + kArrayWindowBytes / kUnitBytes * unit_record_bytes(true) + 256 * 5 <=
              store::kMaxValueBytes);
// Packing saves a block at least.
static_assert(16 + 256 * 4 + kArrayWindowBytes / kUnitBytes * kStoredUnitBytes + 255 * 5 <= store::kMaxValueBytes);

void append_byte(ValueBytes& out, std::uint32_t value) { out.push_back(static_cast<std::byte>(value)); }

void append_header(ValueBytes& out, EntryType type, std::byte version = kVersion) {
  out.push_back(version);
  append_byte(out, static_cast<std::uint32_t>(type));
}

void append_units(const DataHeader& header, ValueBytes& out) {
  ASSERT(header.units.size() == unit_count(header.bytes));
  const bool sealed = !header.nonce.empty();
  append_byte(out, static_cast<std::uint32_t>(header.compression) | (sealed ? kSealedPacking : 0u));
  out.append(header.nonce);
  std::size_t at = out.size();
  out.resize(at + header.units.size() * unit_record_bytes(sealed));
  for (std::size_t i = 0; i < header.units.size(); ++i, at += unit_record_bytes(sealed)) {
    const StoredUnit& unit = header.units[i];
    ASSERT(unit.bytes > 0 && unit.bytes <= unit_bytes(header.bytes, static_cast<std::uint32_t>(i)));
    store_le(out.data() + at, static_cast<std::uint16_t>(unit.bytes - 1));
    store_le(out.data() + at + 2, unit.checksum);
    if (sealed) copy_bytes(unit.tag, MutableBytes(out.data() + at + kStoredUnitBytes, kSealTagBytes));
  }
}

void append_data_header(const DataHeader& header, std::uint8_t flags, ValueBytes& out) {
  append_header(out, header.type, header.units.empty() ? kVersion : kVersionPacked);
  if (!header.checksums.empty()) flags |= kChecksumFlag;
  append_byte(out, flags);
  if (header.type == EntryType::kSingle) {
    append_varint(out, header.bytes);
  } else {
    ASSERT(header.type == EntryType::kExtent && header.bytes == header.records * header.record_bytes);
    append_varint(out, header.records);
    append_varint(out, header.record_bytes);
  }
  const std::size_t at = out.size();
  out.resize(at + header.checksums.size() * sizeof(std::uint32_t));
  for (std::size_t i = 0; i < header.checksums.size(); ++i) store_le(out.data() + at + i * 4, header.checksums[i]);
  if (!header.units.empty()) append_units(header, out);
}

// One pass that checks what `Entry::extents` will rely on.
bool take_extents(VarintReader& in, Entry& entry) {
  entry.extent_count = static_cast<std::uint32_t>(in.bounded(256));
  if (in.bad()) return false;
  const ByteView start = in.rest();
  std::uint64_t blocks = 0;
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < entry.extent_count; ++i) {
    const std::uint64_t gap = in.next();
    const std::uint64_t length = (gap & 1) != 0 ? in.bounded(store::kGroupBlocks) : 1;
    if (in.bad() || length == 0 || (length == 1 && (gap & 1) != 0) || gap / 2 > UINT64_MAX / 4 - end) return false;
    end += gap / 2 + length;
    blocks += length;
  }
  entry.packed_extents = start.first(start.size() - in.rest().size());
  return blocks == entry.blocks() && in.rest().empty();
}

bool take_units(VarintReader& in, Entry& entry) {
  if (entry.bytes == 0) return false;
  entry.is_packed = true;
  const std::uint32_t method = in.byte();
  entry.is_sealed = (method & kSealedPacking) != 0;
  entry.compression = static_cast<Compression>(method & ~std::uint32_t{kSealedPacking});
  const bool compressed = entry.compression == Compression::kLz4 || entry.compression == Compression::kZstd;
  if (!compressed && !(entry.is_sealed && entry.compression == Compression::kNone)) return false;
  // Inline data is as secret as its entry.
  if (entry.is_sealed && entry.is_inline) return false;
  if (entry.is_sealed) entry.nonce = in.raw(kSealNonceBytes);
  const std::uint32_t count = unit_count(entry.bytes);
  entry.units = in.raw(count * unit_record_bytes(entry.is_sealed));
  if (in.bad()) return false;
  for (std::uint32_t i = 0; i < count; ++i)
    if (entry.unit(i).bytes > unit_bytes(entry.bytes, i) ||
        (!compressed && entry.unit(i).bytes != unit_bytes(entry.bytes, i)))
      return false;
  return true;
}

std::uint64_t stored_bytes(const Entry& entry) {
  if (!entry.is_packed) return entry.bytes;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < unit_count(entry.bytes); ++i) bytes += entry.unit(i).bytes;
  return bytes;
}

bool take_data(VarintReader& in, Entry& entry, bool packed) {
  const std::uint32_t flags = in.byte();
  if (entry.type == EntryType::kSingle) {
    entry.bytes = in.bounded(kMaxSingleValueBytes);
  } else {
    entry.records = in.bounded(kArrayWindowBytes);
    entry.record_bytes = static_cast<std::uint32_t>(in.bounded(kMaxRecordBytes));
    if (in.bad() || entry.records == 0 || entry.record_bytes == 0) return false;
    entry.bytes = entry.records * entry.record_bytes;
    if (entry.bytes > kArrayWindowBytes) return false;
  }
  if (in.bad() || flags > (kInlineFlag | kChecksumFlag)) return false;
  entry.is_inline = (flags & kInlineFlag) != 0;
  if ((flags & kChecksumFlag) != 0) {
    // Of nothing there are no checksums: the flag alone was never written.
    if (entry.bytes == 0) return false;
    entry.checksums = in.raw(chunk_count(entry.bytes) * sizeof(std::uint32_t));
  }
  if (packed && !take_units(in, entry)) return false;
  if (!entry.is_inline) return take_extents(in, entry);
  entry.data = in.raw(stored_bytes(entry));
  return !in.bad() && in.rest().empty();
}

bool take_body(VarintReader& in, Entry& entry, bool packed) {
  if (packed && !entry.holds_data()) return false;
  switch (entry.type) {
    case EntryType::kPunch:
      return in.rest().empty();
    case EntryType::kArray:
      entry.flags.bits = static_cast<std::uint8_t>(in.byte());
      entry.record_bytes = static_cast<std::uint32_t>(in.bounded(kMaxRecordBytes));
      return !in.bad() && entry.record_bytes > 0 && in.rest().empty();
    case EntryType::kHole:
      entry.records = in.next();
      return !in.bad() && entry.records > 0 && in.rest().empty();
    case EntryType::kSingle:
    case EntryType::kExtent:
      return take_data(in, entry, packed);
  }
  return false;
}

}  // namespace

std::uint32_t Entry::checksum(std::uint64_t chunk) const {
  ASSERT((chunk + 1) * sizeof(std::uint32_t) <= checksums.size());
  return load_le<std::uint32_t>(checksums.data() + chunk * sizeof(std::uint32_t));
}

StoredUnit Entry::unit(std::uint32_t index) const {
  const std::size_t record = unit_record_bytes(is_sealed);
  ASSERT((index + std::size_t{1}) * record <= units.size());
  const std::byte* at = units.data() + index * record;
  StoredUnit unit{load_le<std::uint16_t>(at) + 1u, load_le<std::uint32_t>(at + 2)};
  if (is_sealed) copy_bytes(ByteView(at + kStoredUnitBytes, kSealTagBytes), unit.tag);
  return unit;
}

std::uint64_t Entry::blocks_before(std::uint32_t end) const {
  std::uint64_t blocks = 0;
  for (std::uint32_t i = 0; i < end; ++i) blocks += unit(i).blocks();
  return blocks;
}

std::array<std::byte, kSealNonceBytes> nonce_after(ByteView first, std::uint32_t units) {
  // The second half of a nonce counts, and is renewed long before its first eight bytes overflow (Sealer).
  constexpr std::size_t kCounterAt = kSealNonceBytes / 2;
  std::array<std::byte, kSealNonceBytes> nonce;
  copy_bytes(first, nonce);
  store_le(nonce.data() + kCounterAt, load_le<std::uint64_t>(nonce.data() + kCounterAt) + units);
  return nonce;
}

bool sealed_has_room_for_checksums(std::uint64_t bytes, std::size_t extents) {
  return 16 + kSealNonceBytes + unit_count(bytes) * unit_record_bytes(true) +
             chunk_count(bytes) * sizeof(std::uint32_t) + extents * 6 <=
         store::kMaxValueBytes;
}

std::size_t packed_inline_room(std::uint64_t bytes) {
  constexpr std::size_t kHeader = 24;
  const std::size_t rest = kHeader + chunk_count(bytes) * sizeof(std::uint32_t) + unit_count(bytes) * kStoredUnitBytes;
  ASSERT(rest < store::kMaxValueBytes);
  return store::kMaxValueBytes - rest;
}

Extents Entry::extents() const {
  Extents extents;
  VarintReader in(packed_extents);
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < extent_count; ++i) {
    const std::uint64_t gap = in.next();
    const std::uint64_t first = end + gap / 2;
    const std::uint32_t blocks = (gap & 1) != 0 ? static_cast<std::uint32_t>(in.next()) : 1;
    extents.push_back({media::BlockNo(first), blocks});
    end = first + blocks;
  }
  return extents;
}

void append_punch(ValueBytes& out) { append_header(out, EntryType::kPunch); }

void append_array(std::uint32_t record_bytes, ArrayFlags flags, ValueBytes& out) {
  append_header(out, EntryType::kArray);
  append_byte(out, flags.bits);
  append_varint(out, record_bytes);
}

void append_hole(std::uint64_t records, ValueBytes& out) {
  append_header(out, EntryType::kHole);
  append_varint(out, records);
}

void append_inline(const DataHeader& header, ByteView data, ValueBytes& out) {
  ASSERT((data.size() == header.bytes || !header.units.empty()) && data.size() <= kMaxInlineBytes);
  append_data_header(header, kInlineFlag, out);
  out.append(data);
}

namespace {

void append_extents(std::span<const store::Extent> extents, ValueBytes& out) {
  append_varint(out, extents.size());
  std::uint64_t end = 0;
  for (const store::Extent& extent : extents) {
    ASSERT(extent.first.value() >= end);
    append_varint(out, (extent.first.value() - end) << 1 | (extent.blocks > 1 ? 1 : 0));
    if (extent.blocks > 1) append_varint(out, extent.blocks);
    end = extent.first.value() + extent.blocks;
  }
}

}  // namespace

void append_stored(const DataHeader& header, std::span<const store::Extent> extents, ValueBytes& out) {
  append_data_header(header, 0, out);
  append_extents(extents, out);
}

void append_moved(ByteView value, const Entry& entry, std::span<const store::Extent> extents, ValueBytes& out) {
  ASSERT(entry.holds_data() && !entry.is_inline);
  SmallVector<std::byte, 2> count;
  append_varint(count, entry.extent_count);
  out.append(value.first(value.size() - entry.packed_extents.size() - count.size()));
  append_extents(extents, out);
}

Extents blocks_of(std::span<const store::Extent> extents, std::uint64_t first, std::uint64_t end) {
  Extents out;
  std::uint64_t at = 0;
  for (const store::Extent& extent : extents) {
    const std::uint64_t from = std::max(first, at);
    const std::uint64_t to = std::min(end, at + extent.blocks);
    if (from < to)
      out.push_back({.first = media::BlockNo(extent.first.value() + (from - at)),
                     .blocks = static_cast<std::uint32_t>(to - from)});
    at += extent.blocks;
  }
  return out;
}

Result<Entry> decode_entry(ByteView value) {
  if (value.size() < 2) return failf(Code::kCorrupt, "a value of a container's tree is too short: {}", to_hex(value));
  if (value[0] > kVersionPacked)
    return failf(Code::kNewerFormat,
                 "a value of a container's tree has version {}, this build knows {}: use a newer Cenote",
                 static_cast<unsigned>(value[0]), static_cast<unsigned>(kVersionPacked));
  Entry entry;
  entry.type = static_cast<EntryType>(value[1]);
  VarintReader in(value.subspan(2));
  if (value[0] == std::byte{0} || !take_body(in, entry, value[0] == kVersionPacked))
    return failf(Code::kCorrupt, "a value of a container's tree does not decode: {}",
                 to_hex(value.first(value.size() < 64 ? value.size() : 64)));
  return entry;
}

}  // namespace cenote::object
