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

Task<> check_extent(store::Examination& examination, media::Buffer& buffer, const Entry& entry, store::Extent extent,
                    std::uint64_t first_chunk, ValueOutcome& outcome) {
  const std::uint64_t from = first_chunk * kChecksumChunkBytes;
  const std::uint64_t bytes = std::min(entry.bytes - from, std::uint64_t{extent.blocks} * kChecksumChunkBytes);
  const MutableBytes into = buffer.span().first(std::size_t{extent.blocks} * media::kBlockBytes);
  const auto read = co_await examination.data_device().read(extent.first, into, buffer.registered_index());
  examination.progressed(into.size());
  if (!read) {
    if (!outcome.flaw) outcome.bad_block = extent.first.value();
    note_bad(outcome, from, from + bytes, read.error().message());
    co_return;
  }
  check_chunks(entry, first_chunk, into.first(bytes), extent.first.value(), examination.maybe_newer(extent), outcome);
}

}  // namespace

Task<ValueOutcome> check_value(store::Examination& examination, media::BufferPool& buffers, const Entry& entry) {
  ValueOutcome outcome;
  if (entry.is_inline) {
    check_chunks(entry, 0, entry.data, std::nullopt, false, outcome);
    co_return outcome;
  }
  std::uint64_t chunk = 0;
  for (const store::Extent& extent : entry.extents()) {
    auto buffer = co_await buffers.allocate(extent.blocks * media::kBlockBytes, Until::forever());
    if (!buffer) {
      note_bad(outcome, 0, entry.bytes, buffer.error().to_string());
      co_return outcome;
    }
    co_await check_extent(examination, *buffer, entry, extent, chunk, outcome);
    chunk += extent.blocks;
  }
  co_return outcome;
}

}  // namespace cenote::object
