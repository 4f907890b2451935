#include "superblock.h"

#include <algorithm>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kSuperblockMagic = 0x425365746f6e6543;  // "CenoteSB"
constexpr std::uint64_t kLabelMagic = 0x424c65746f6e6543;       // "CenoteLB"
constexpr std::size_t kCrcOffset = 8;
constexpr std::size_t kStatesOffset = 1024;
constexpr std::size_t kCrcsOffset = 4096;
static_assert(kStatesOffset + kMaxTableBlocks <= kCrcsOffset);
static_assert(kCrcsOffset + kMaxTableBlocks * 4 <= kSuperblockBytes);

void encode_uuid(Encoder& out, const Uuid& id) { out.raw(id.bytes()); }
Uuid decode_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}
void encode_region(Encoder& out, const Region& region) {
  out.integer(region.first);
  out.integer(region.blocks);
}
Region decode_region(Decoder& in) {
  Region region;
  region.first = in.integer<std::uint64_t>();
  region.blocks = in.integer<std::uint64_t>();
  return region;
}

void encode_geometry(Encoder& out, const Geometry& geometry) {
  out.integer(media::kBlockBytes);
  out.integer(kPageBytes);
  out.integer(kGroupBlocks);
  out.integer(geometry.wal_device);
  out.integer(geometry.data_device);
  out.zeros(2);
  for (std::uint64_t blocks : geometry.device_blocks) out.integer(blocks);
  for (const Region* region : {&geometry.log, &geometry.table, &geometry.map, &geometry.bitmap}) {
    encode_region(out, *region);
  }
}

Geometry decode_geometry(Decoder& in) {
  Geometry geometry;
  in.require(in.integer<std::uint32_t>() == media::kBlockBytes);
  in.require(in.integer<std::uint32_t>() == kPageBytes);
  in.require(in.integer<std::uint32_t>() == kGroupBlocks);
  geometry.wal_device = in.integer<std::uint8_t>();
  geometry.data_device = in.integer<std::uint8_t>();
  in.zeros(2);
  for (std::uint64_t& blocks : geometry.device_blocks) blocks = in.integer<std::uint64_t>();
  for (Region* region : {&geometry.log, &geometry.table, &geometry.map, &geometry.bitmap}) *region = decode_region(in);
  return geometry;
}

/// Copies what was encoded to the front of `into`, zeroes the rest and fills in the checksum.
void finish_block(const Bytes& encoded, MutableBytes into) {
  ASSERT(encoded.size() <= into.size());
  std::ranges::copy(encoded, into.begin());
  std::ranges::fill(into.subspan(encoded.size()), std::byte{0});
  store_le<std::uint32_t>(into.data() + kCrcOffset, crc32c(into));
}

/// Magic, checksum and version, in the order in which they mean something.
Result<> check_header(ByteView from, std::uint64_t magic, std::uint16_t readable, std::string_view what) {
  if (load_le<std::uint64_t>(from.data()) != magic) return failf(Code::kNotFound, "no {} here", what);
  Bytes without_crc = to_bytes(from);
  store_le<std::uint32_t>(without_crc.data() + kCrcOffset, 0);
  if (crc32c(without_crc) != load_le<std::uint32_t>(from.data() + kCrcOffset)) {
    return failf(Code::kCorrupt, "{}: checksum does not match", what);
  }
  const auto oldest_reader = load_le<std::uint16_t>(from.data() + 14);
  if (oldest_reader > readable) {
    return failf(Code::kNewerFormat, "{}: format version {} or newer is needed, this build reads {}", what,
                 oldest_reader, readable);
  }
  return {};
}

void encode_header(Encoder& out, std::uint64_t magic, std::uint16_t version) {
  out.integer(magic);
  out.integer(std::uint32_t{0});  // checksum
  out.integer(version);
  out.integer(version);  // oldest reader
}

void encode_table(Encoder& out, const std::vector<LiveSlot>& table) {
  out.zeros(kStatesOffset - out.size());
  for (const LiveSlot& slot : table) out.integer(slot.state);
  out.zeros(kCrcsOffset - out.size());
  for (const LiveSlot& slot : table) out.integer(slot.crc);
}

/// The caller has checked that `count` is at most kMaxTableBlocks.
std::vector<LiveSlot> decode_table(ByteView from, std::uint64_t count, Decoder& verdict) {
  std::vector<LiveSlot> table(count);
  Decoder states(from.subspan(kStatesOffset, kCrcsOffset - kStatesOffset));
  Decoder crcs(from.subspan(kCrcsOffset));
  for (LiveSlot& slot : table) {
    slot.state = states.integer<std::uint8_t>();
    slot.crc = crcs.integer<std::uint32_t>();
    verdict.require(slot.state <= 2);
  }
  states.zeros(states.remaining());
  crcs.zeros(crcs.remaining());
  verdict.require(!states.bad() && !crcs.bad());
  return table;
}

void decode_features(Decoder& in, Superblock& superblock) {
  superblock.compatible = in.integer<std::uint64_t>();
  superblock.read_only_compatible = in.integer<std::uint64_t>();
  superblock.incompatible = in.integer<std::uint64_t>();
}

void decode_checkpoint(Decoder& in, Superblock& superblock) {
  superblock.replay_from.position = in.integer<std::uint64_t>();
  superblock.replay_from.sequence = in.integer<std::uint64_t>();
  superblock.replay_from.previous_crc = in.integer<std::uint32_t>();
  superblock.records_done = in.integer<std::uint32_t>();
  superblock.checkpoint = Lsn(in.integer<std::uint64_t>());
  superblock.generation = in.integer<std::uint64_t>();
  superblock.generation_start = in.integer<std::uint64_t>();
  superblock.catalog_root = PageId(in.integer<std::uint64_t>());
  superblock.next_tree = TreeId(in.integer<std::uint32_t>());
  in.require(superblock.replay_from.position % media::kBlockBytes == 0);
  in.require(superblock.generation_start % media::kBlockBytes == 0);
}

void encode_sealing(Encoder& out, const WrappedKey& sealing) {
  out.integer(sealing.mixed ? 1u : 0u);
  out.raw(sealing.master);
  out.raw(sealing.envelope);
  out.raw(sealing.key);
}

WrappedKey decode_sealing(Decoder& in) {
  WrappedKey sealing;
  const auto flags = in.integer<std::uint32_t>();
  in.require(flags <= 1);
  sealing.mixed = flags == 1;
  copy_bytes(in.raw(sealing.master.size()), sealing.master);
  copy_bytes(in.raw(sealing.envelope.size()), sealing.envelope);
  copy_bytes(in.raw(sealing.key.size()), sealing.key);
  return sealing;
}

}  // namespace

void encode_superblock(const Superblock& superblock, MutableBytes into) {
  ASSERT(into.size() == kSuperblockBytes && superblock.table.size() == superblock.geometry.table.blocks);
  Bytes encoded;
  encoded.reserve(kSuperblockBytes);
  Encoder out(encoded);
  encode_header(out, kSuperblockMagic, kFormatVersion);
  for (std::uint64_t bits : {superblock.compatible, superblock.read_only_compatible, superblock.incompatible}) {
    out.integer(bits);
  }
  encode_uuid(out, superblock.system);
  encode_uuid(out, superblock.target);
  out.integer(superblock.incarnation);
  out.integer(superblock.sequence);
  encode_geometry(out, superblock.geometry);
  ASSERT(out.size() == 192);
  out.integer(superblock.replay_from.position);
  out.integer(superblock.replay_from.sequence);
  out.integer(superblock.replay_from.previous_crc);
  out.integer(superblock.records_done);
  out.integer(superblock.checkpoint.value());
  out.integer(superblock.generation);
  out.integer(superblock.generation_start);
  out.integer(superblock.catalog_root.value());
  out.integer(superblock.next_tree.value());
  ASSERT(out.size() == 252);
  ASSERT(superblock.sealing.has_value() == ((superblock.incompatible & kSealedFeature) != 0));
  if (superblock.sealing) encode_sealing(out, *superblock.sealing);
  encode_table(out, superblock.table);
  finish_block(encoded, into);
}

Result<Superblock> decode_superblock(ByteView from) {
  ASSERT(from.size() == kSuperblockBytes);
  CHECK_OK(check_header(from, kSuperblockMagic, kFormatVersion, "superblock"));
  Decoder in(from.first(kStatesOffset));
  in.raw(16);
  Superblock superblock;
  decode_features(in, superblock);
  if ((superblock.incompatible & ~kIncompatibleFeatures) != 0) {
    return failf(Code::kNewerFormat, "superblock: incompatible features {:#x} are unknown to this build",
                 superblock.incompatible & ~kIncompatibleFeatures);
  }
  superblock.system = decode_uuid(in);
  superblock.target = decode_uuid(in);
  superblock.incarnation = in.integer<std::uint64_t>();
  superblock.sequence = in.integer<std::uint64_t>();
  superblock.geometry = decode_geometry(in);
  decode_checkpoint(in, superblock);
  if ((superblock.incompatible & kSealedFeature) != 0) superblock.sealing = decode_sealing(in);
  // A newer version whose additions an old reader may ignore keeps them where this one has padding.
  if (load_le<std::uint16_t>(from.data() + 12) <= kFormatVersion) in.zeros(in.remaining());
  CHECK_OK(superblock.geometry.validate());
  // Not the other way round: a later growth may find the first place free again.
  in.require(!superblock.geometry.moved() || (superblock.incompatible & kMovedMaps) != 0);
  superblock.table = decode_table(from, superblock.geometry.table.blocks, in);
  if (in.bad()) return fail(Code::kCorrupt, "superblock: its checksum holds and its fields contradict each other");
  return superblock;
}

void encode_label(const Label& label, MutableBytes into) {
  ASSERT(into.size() == media::kBlockBytes);
  Bytes encoded;
  Encoder out(encoded);
  encode_header(out, kLabelMagic, label.sequence == 0 ? std::uint16_t{1} : kLabelVersion);
  encode_uuid(out, label.system);
  encode_uuid(out, label.target);
  out.integer(label.incarnation);
  out.integer(label.device);
  out.integer((label.wal ? 1u : 0u) | (label.data ? 2u : 0u));
  out.integer(label.blocks);
  out.integer(label.sequence);
  finish_block(encoded, into);
}

Result<Label> decode_label(ByteView from) {
  ASSERT(from.size() == media::kBlockBytes);
  CHECK_OK(check_header(from, kLabelMagic, kLabelVersion, "label"));
  Decoder in(from);
  in.raw(16);
  Label label;
  label.system = decode_uuid(in);
  label.target = decode_uuid(in);
  label.incarnation = in.integer<std::uint64_t>();
  label.device = in.integer<std::uint32_t>();
  const auto roles = in.integer<std::uint32_t>();
  label.wal = (roles & 1) != 0;
  label.data = (roles & 2) != 0;
  label.blocks = in.integer<std::uint64_t>();
  label.sequence = in.integer<std::uint64_t>();
  in.require(roles <= 3 && (label.sequence == 0) == (load_le<std::uint16_t>(from.data() + 12) == 1));
  in.zeros(in.remaining());
  if (in.bad()) return fail(Code::kCorrupt, "label: its checksum holds and its fields do not");
  return label;
}

}  // namespace cenote::store
