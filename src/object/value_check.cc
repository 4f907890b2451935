#include "value_check.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"

namespace cenote::object {
namespace {

void note_bad(ValueOutcome& outcome, std::uint64_t from, std::uint64_t to, std::string flaw) {
  outcome.bad_to = to;
  if (outcome.flaw) return;
  outcome.flaw = std::move(flaw);
  outcome.bad_from = from;
}

/// Compares chunks from `chunk` on with `data`, which begins there; `block` is where the first one lies, if anywhere.
/// `maybe_newer`: the block may have been given to somebody else since, so what differs proves nothing.
void check_chunks(const Entry& entry, std::uint64_t chunk, ByteView data, std::optional<std::uint64_t> block,
                  bool maybe_newer, ValueOutcome& outcome) {
  for (; !data.empty(); ++chunk) {
    const std::size_t bytes = std::min<std::size_t>(data.size(), kChecksumChunkBytes);
    if (entry.checksums.empty()) {
      outcome.unprotected_bytes += bytes;
    } else if (crc32c(data.first(bytes)) == entry.checksum(chunk)) {
      outcome.verified_bytes += bytes;
    } else if (maybe_newer) {
      outcome.skipped_bytes += bytes;
    } else {
      const std::uint64_t from = chunk * kChecksumChunkBytes;
      if (!outcome.flaw) outcome.bad_block = block;
      note_bad(outcome, from, from + bytes,
               fmt::format("bytes {} to {} of the value do not match their checksum", from, from + bytes - 1));
    }
    data = data.subspan(bytes);
    if (block) ++*block;
  }
}

Task<> check_extent(const ValueReading& reading, media::Buffer& buffer, const Entry& entry, store::Extent extent,
                    std::uint64_t first_chunk, ValueOutcome& outcome) {
  const std::uint64_t from = first_chunk * kChecksumChunkBytes;
  const std::uint64_t bytes = std::min(entry.bytes - from, std::uint64_t{extent.blocks} * kChecksumChunkBytes);
  const MutableBytes into = buffer.span().first(std::size_t{extent.blocks} * media::kBlockBytes);
  const auto read = co_await reading.device.read(extent.first, into, buffer.registered_index());
  reading.progressed(into.size());
  if (!read) {
    if (!outcome.flaw) outcome.bad_block = extent.first.value();
    note_bad(outcome, from, from + bytes, read.error().message());
    co_return;
  }
  check_chunks(entry, first_chunk, into.first(bytes), extent.first.value(), reading.maybe_newer(extent), outcome);
}

/// Reads a unit of packed data into `into`; false: it cannot be read, and `outcome` says so.
Task<bool> read_unit(const ValueReading& reading, media::Buffer& into, const Extents& blocks, std::uint64_t from,
                     std::uint64_t to, ValueOutcome& outcome) {
  std::size_t offset = 0;
  for (const store::Extent& extent : blocks) {
    const MutableBytes part = into.span().subspan(offset, std::size_t{extent.blocks} * media::kBlockBytes);
    const auto read = co_await reading.device.read(extent.first, part, into.registered_index());
    reading.progressed(part.size());
    offset += part.size();
    if (read) continue;
    if (!outcome.flaw) outcome.bad_block = extent.first.value();
    note_bad(outcome, from, to, read.error().message());
    co_return false;
  }
  co_return true;
}

/// Compares packed data, as it is stored, with the checksums of its units. What they hold is not looked at: a reader
/// compares that with the checksums of the chunks.
Task<> check_units(const ValueReading& reading, const Entry& entry, ValueOutcome& outcome) {
  auto buffer = co_await reading.buffers.allocate(kUnitBytes, Until::forever());
  if (!buffer) co_return note_bad(outcome, 0, entry.bytes, buffer.error().to_string());
  const Extents extents = entry.extents();
  std::uint64_t block = 0, offset = 0;
  for (std::uint32_t index = 0; index < unit_count(entry.bytes); ++index) {
    const StoredUnit unit = entry.unit(index);
    const std::uint64_t from = std::uint64_t{index} * kUnitBytes;
    const std::uint64_t to = from + unit_bytes(entry.bytes, index);
    const Extents blocks = entry.is_inline ? Extents() : blocks_of(extents.view(), block, block + unit.blocks());
    const bool maybe_newer =
        std::ranges::any_of(blocks, [&reading](const store::Extent& extent) { return reading.maybe_newer(extent); });
    if (!co_await read_unit(reading, *buffer, blocks, from, to, outcome)) co_return;
    const ByteView stored =
        entry.is_inline ? entry.data.subspan(offset, unit.bytes) : ByteView(buffer->span()).first(unit.bytes);
    if (crc32c(stored) == unit.checksum) {
      outcome.verified_bytes += to - from;
    } else if (maybe_newer) {
      outcome.skipped_bytes += to - from;
    } else {
      if (!outcome.flaw && !blocks.empty()) outcome.bad_block = blocks[0].first.value();
      note_bad(outcome, from, to,
               fmt::format("bytes {} to {} of the value, which are packed, do not match their checksum", from, to - 1));
    }
    block += unit.blocks();
    offset += unit.bytes;
  }
}

}  // namespace

bool matches_checksums(const Entry& entry, ByteView stored) {
  if (entry.is_packed) {
    for (std::uint32_t i = 0; i < unit_count(entry.bytes); ++i) {
      const StoredUnit unit = entry.unit(i);
      if (crc32c(stored.first(unit.bytes)) != unit.checksum) return false;
      stored = stored.subspan(std::size_t{unit.blocks()} * media::kBlockBytes);
    }
    return true;
  }
  ValueOutcome outcome;
  check_chunks(entry, 0, stored.first(entry.bytes), std::nullopt, false, outcome);
  return !outcome.flaw;
}

Task<ValueOutcome> check_value(ValueReading reading, const Entry& entry) {
  ValueOutcome outcome;
  if (entry.is_packed) {
    co_await check_units(reading, entry, outcome);
    co_return outcome;
  }
  if (entry.is_inline) {
    check_chunks(entry, 0, entry.data, std::nullopt, false, outcome);
    co_return outcome;
  }
  std::uint64_t chunk = 0;
  for (const store::Extent& extent : entry.extents()) {
    auto buffer = co_await reading.buffers.allocate(extent.blocks * media::kBlockBytes, Until::forever());
    if (!buffer) {
      note_bad(outcome, 0, entry.bytes, buffer.error().to_string());
      co_return outcome;
    }
    co_await check_extent(reading, *buffer, entry, extent, chunk, outcome);
    chunk += extent.blocks;
  }
  co_return outcome;
}

ValueReading reading_of(store::Examination& examination, media::BufferPool& buffers) {
  return {.device = examination.data_device(),
          .buffers = buffers,
          .maybe_newer = [&examination](const store::Extent& extent) { return examination.maybe_newer(extent); },
          .progressed = [&examination](std::uint64_t bytes) { examination.progressed(bytes); }};
}

void describe_flaw(const EntryDescription& entry, const ValueOutcome& outcome, TargetFinding& finding) {
  finding.finding.kind = store::FindingKind::kData;
  finding.object = entry.object;
  finding.dkey = entry.dkey;
  finding.akey = entry.akey;
  finding.epoch = entry.epoch;
  std::string range;
  if (entry.first) {
    finding.first = *entry.first + outcome.bad_from / entry.record_bytes;
    finding.records = (outcome.bad_to - 1) / entry.record_bytes - outcome.bad_from / entry.record_bytes + 1;
    range = fmt::format(", records {} to {}", *finding.first, *finding.first + *finding.records - 1);
  }
  finding.finding.block = outcome.bad_block;
  finding.finding.blocks = outcome.bad_block ? 1 : 0;
  finding.finding.message = fmt::format("object {}, dkey '{}', akey '{}'{}, epoch {}: {}", entry.object.to_string(),
                                        *entry.dkey, *entry.akey, range, entry.epoch.value(), *outcome.flaw);
}

}  // namespace cenote::object
