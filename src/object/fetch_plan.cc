#include "fetch_plan.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::object {
namespace {

/// Reads that share a buffer can be merged; a buffer larger than this gains nothing.
constexpr std::uint32_t kBufferBytes = media::BufferPool::kMaxBufferBytes;

}  // namespace

Result<> FetchPlan::look_up(Core& core, store::View& view, store::Lsn& seen) {
  reply = {};
  pieces.clear();
  reads.clear();
  buffer_bytes.clear();
  checksums.clear();
  inline_bytes.clear();
  units.clear();
  TRY(const Container* container, core.find_container(request_.container, seen));
  CHECK_OK(check_bound(*container, epoch_));
  CHECK_OK(core.check_decided(request_, epoch_));
  checksummed = container->properties.checksums;
  sealer = container->sealer;
  ancestors.clear();
  for (const Layer& ancestor : container->ancestors) ancestors.push_back(*ancestor.sealer);

  const Reader reader = container->reader(view, epoch_);
  KeyPath path(request_.object, request_.dkey);
  AkeyLookup akeys(core, *container, reader, path, seen);
  bool exists = false;
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    path.set_akey(request_.akeys[i].akey);
    CHECK_OK(look_up_akey(reader, path, akeys, i));
    exists = exists || reply.akeys[i].exists;
  }
  if (request_.dkey_condition == Precondition::kNone) return {};
  if (!exists) {
    TRY(exists, dkey_exists(reader, path));
  }
  if (exists == (request_.dkey_condition == Precondition::kPresent)) return {};
  return failf(Code::kConditionFailed, "object {}, dkey '{}': {}", request_.object.to_string(),
               printable(request_.dkey), exists ? "exists" : "does not exist");
}

void FetchPlan::add_entry(const Container& container, const Entry& entry, std::uint64_t first) {
  checksummed = container.properties.checksums;
  sealer = container.sealer;
  const auto index = static_cast<std::uint32_t>(reply.akeys.size());
  AkeyFetched& fetched = reply.akeys.emplace_back();
  fetched.exists = true;
  fetched.bytes = entry.bytes;
  if (entry.bytes > 0) add_data(index, entry, 0, 0, entry.bytes, {first, std::max<std::uint64_t>(entry.records, 1)});
}

Result<> FetchPlan::look_up_akey(const Reader& reader, KeyPath& path, AkeyLookup& akeys, std::uint32_t index) {
  const AkeyFetch& akey = request_.akeys[index];
  AkeyFetched& fetched = reply.akeys.emplace_back();
  TRY(const AkeyState state, akeys.state());
  fetched.exists = state.exists();
  if (akey.condition != Precondition::kNone && state.exists() != (akey.condition == Precondition::kPresent))
    return failf(Code::kConditionFailed, "{}: {}", describe_akey(index), state.exists() ? "exists" : "does not exist");
  if (!state.exists()) {
    add_absent(index);
    return {};
  }
  const bool array = akey.kind == ValueKind::kArray;
  if ((state.is == AkeyState::Is::kArray) != array)
    return failf(Code::kTypeMismatch, "{}: is {}", describe_akey(index), array ? "a single value" : "an array");
  return array ? add_array(reader, path, state, index) : add_single(reader, path, state, index);
}

void FetchPlan::add_absent(std::uint32_t index) {
  const AkeyFetch& akey = request_.akeys[index];
  AkeyFetched& fetched = reply.akeys[index];
  fetched.range_bytes.resize(akey.ranges.size());
  fetched.holes = akey.ranges;
}

Result<> FetchPlan::add_single(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index) {
  TRY(const auto single, find_single(reader, path, state.hidden));
  if (!single) return failf(Code::kInternal, "{}: vanished within one attempt", describe_akey(index));
  AkeyFetched& fetched = reply.akeys[index];
  if (single->entry.bytes > request_.akeys[index].max_bytes)
    return failf(Code::kOutOfRange, "{}: the value has {} bytes, there is room for {}", describe_akey(index),
                 single->entry.bytes, request_.akeys[index].max_bytes);
  reply.epoch = std::max(reply.epoch, single->epoch);
  fetched.bytes = single->entry.bytes;
  fetched.record_bytes = static_cast<std::uint32_t>(single->entry.bytes);
  if (fetched.bytes > 0) add_data(index, single->entry, single->layer, 0, fetched.bytes, {0, 1});
  return {};
}

Result<> FetchPlan::add_array(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index) {
  const AkeyFetch& akey = request_.akeys[index];
  AkeyFetched& fetched = reply.akeys[index];
  fetched.record_bytes = state.record_bytes;
  reply.epoch = std::max(reply.epoch, state.born);
  std::uint64_t room = akey.max_bytes / state.record_bytes;
  for (const RecordRange& range : akey.ranges) {
    if (range.count > room)
      return failf(Code::kOutOfRange, "{}: the ranges hold more than the {} bytes there is room for",
                   describe_akey(index), akey.max_bytes);
    room -= range.count;
    CHECK_OK(add_range(reader, path, state, index, range));
  }
  return {};
}

Result<> FetchPlan::add_range(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index,
                              RecordRange range) {
  AkeyFetched& fetched = reply.akeys[index];
  const std::uint64_t sent_before = fetched.bytes;
  std::uint64_t pending_zeroes = 0;
  while (range.count > 0) {
    const RecordRange part = first_piece(range, state.record_bytes);
    range = {range.first + part.count, range.count - part.count};
    versions_.clear();
    CHECK_OK(collect_versions(reader, path, state, part, versions_));
    slices_.clear();
    versions_.overlay().resolve(part.first, part.first + part.count, slices_);
    for (const Overlay::Slice& slice : slices_)
      if (slice.version == Overlay::kHole) CHECK_OK(add_hole(index, {slice.first, slice.end - slice.first}));
    add_slices(state, index, pending_zeroes);
  }
  // Zeroes still pending end the range; the caller adds them itself.
  fetched.range_bytes.push_back(fetched.bytes - sent_before);
  return {};
}

void FetchPlan::add_slices(const AkeyState& state, std::uint32_t index, std::uint64_t& pending_zeroes) {
  AkeyFetched& fetched = reply.akeys[index];
  for (const Overlay::Slice& slice : slices_) {
    const std::uint64_t bytes = (slice.end - slice.first) * state.record_bytes;
    reply.epoch = std::max(reply.epoch, slice.epoch);
    if (slice.version == Overlay::kHole) {
      pending_zeroes += bytes;
      continue;
    }
    if (pending_zeroes > 0) add_zeroes(index, pending_zeroes);
    fetched.bytes += pending_zeroes + bytes;
    pending_zeroes = 0;
    const Version& version = versions_[slice.version];
    const std::uint64_t skipped = slice.first - version.first;
    add_data(index, version.entry, version.layer, skipped * state.record_bytes, bytes,
             {slice.first, slice.end - slice.first});
  }
}

Result<> FetchPlan::add_hole(std::uint32_t index, RecordRange hole) {
  RecordRanges& holes = reply.akeys[index].holes;
  if (!holes.empty() && holes.back().first + holes.back().count == hole.first) {
    holes.back().count += hole.count;
    return {};
  }
  if (holes.size() == kMaxHolesPerAkey)
    return failf(Code::kOutOfRange, "{}: more than {} holes in the ranges; fetch smaller ranges", describe_akey(index),
                 kMaxHolesPerAkey);
  holes.push_back(hole);
  return {};
}

void FetchPlan::add_zeroes(std::uint32_t index, std::uint64_t bytes) {
  FetchPiece& piece = pieces.emplace_back();
  piece.akey = index;
  piece.bytes = bytes;
}

void FetchPlan::add_data(std::uint32_t index, const Entry& entry, std::uint32_t layer, std::uint64_t from,
                         std::uint64_t bytes, RecordRange records) {
  FetchPiece& piece = pieces.emplace_back();
  piece.akey = index;
  piece.bytes = bytes;
  piece.records = records;
  piece.value_bytes = entry.bytes;
  piece.chunk = static_cast<std::uint32_t>(from / kChecksumChunkBytes);
  piece.chunks = static_cast<std::uint32_t>(chunk_count(from + bytes)) - piece.chunk;
  piece.lead = static_cast<std::uint32_t>(from % kChecksumChunkBytes);
  if (!entry.checksums.empty()) {
    piece.checksum = static_cast<std::uint32_t>(checksums.size());
    checksums.reserve(checksums.size() + piece.chunks);
    for (std::uint32_t i = 0; i < piece.chunks; ++i) checksums.push_back(entry.checksum(piece.chunk + i));
  }
  if (entry.is_packed) return add_units(entry, layer, piece);
  if (entry.is_inline) {
    // Whole chunks are kept even of a part, since their checksums cover them.
    piece.from = FetchPiece::From::kInline;
    piece.offset = static_cast<std::uint32_t>(inline_bytes.size());
    const std::size_t start = std::size_t{piece.chunk} * kChecksumChunkBytes;
    const std::size_t end =
        std::min<std::size_t>(entry.data.size(), start + std::size_t{piece.chunks} * kChecksumChunkBytes);
    inline_bytes.insert(inline_bytes.end(), entry.data.begin() + static_cast<std::ptrdiff_t>(start),
                        entry.data.begin() + static_cast<std::ptrdiff_t>(end));
    return;
  }
  piece.from = FetchPiece::From::kStored;
  add_reads(entry, piece);
}

/// Finds room for the touched chunks; the caller takes it.
void FetchPlan::place(FetchPiece& piece) {
  const std::uint32_t wanted = piece.chunks * media::kBlockBytes;
  if (buffer_bytes.empty() || buffer_bytes.back() + wanted > kBufferBytes) buffer_bytes.push_back(0);
  piece.buffer = static_cast<std::uint32_t>(buffer_bytes.size()) - 1;
  piece.offset = buffer_bytes.back();
}

void FetchPlan::add_units(const Entry& entry, std::uint32_t layer, FetchPiece& piece) {
  constexpr std::uint32_t kChunks = kUnitBytes / kChecksumChunkBytes;
  piece.from = FetchPiece::From::kStored;
  place(piece);
  buffer_bytes.back() += piece.chunks * media::kBlockBytes;
  const Extents extents = entry.extents();
  const std::uint32_t end = piece.chunk + piece.chunks;
  auto inline_offset = static_cast<std::uint32_t>(inline_bytes.size());
  if (entry.is_inline) inline_bytes.insert(inline_bytes.end(), entry.data.begin(), entry.data.end());
  std::uint64_t block = 0;
  for (std::uint32_t index = 0; index * kChunks < end; ++index) {
    const StoredUnit stored = entry.unit(index);
    const std::uint32_t from = std::max(piece.chunk, index * kChunks);
    const std::uint32_t to = std::min(end, (index + 1) * kChunks);
    if (from < to) {
      FetchUnit& unit = units.emplace_back();
      unit.piece = static_cast<std::uint32_t>(pieces.size()) - 1;
      unit.compression = entry.compression;
      unit.is_sealed = entry.is_sealed;
      if (entry.is_sealed) unit.nonce = nonce_after(entry.nonce, index);
      unit.layer = layer;
      unit.stored = stored;
      unit.plain_bytes = unit_bytes(entry.bytes, index);
      unit.inline_offset = inline_offset;
      if (!entry.is_inline) unit.blocks = blocks_of(extents.view(), block, block + stored.blocks());
      unit.from = (from - index * kChunks) * kChecksumChunkBytes;
      unit.bytes = std::min(unit.plain_bytes, (to - index * kChunks) * kChecksumChunkBytes) - unit.from;
      unit.buffer = piece.buffer;
      unit.offset = piece.offset + (from - piece.chunk) * kChecksumChunkBytes;
    }
    block += stored.blocks();
    inline_offset += stored.bytes;
  }
}

void FetchPlan::add_reads(const Entry& entry, FetchPiece& piece) {
  const std::uint32_t end = piece.chunk + piece.chunks;
  place(piece);
  std::uint32_t block = 0;
  for (const store::Extent& extent : entry.extents()) {
    const std::uint32_t from = std::max(piece.chunk, block);
    const std::uint32_t to = std::min(end, block + extent.blocks);
    if (from < to) {
      const media::BlockNo first(extent.first.value() + (from - block));
      const std::uint32_t offset = buffer_bytes.back();
      FetchRead* last = reads.empty() ? nullptr : &reads.back();
      const bool adjacent = last != nullptr && last->buffer == piece.buffer &&
                            last->first.value() + last->blocks == first.value() &&
                            last->offset + last->blocks * media::kBlockBytes == offset;
      if (adjacent) {
        last->blocks += to - from;
      } else {
        reads.push_back({first, to - from, piece.buffer, offset});
      }
      buffer_bytes.back() += (to - from) * media::kBlockBytes;
    }
    block += extent.blocks;
  }
}

}  // namespace cenote::object
