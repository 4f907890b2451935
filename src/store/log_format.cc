#include "log_format.h"

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kFrameMagic = 0x464c65746f6e6543;  // "CenoteLF"
constexpr std::size_t kCrcOffset = 8;

/// Checksum of a frame as if its own checksum field were zero, without copying it.
std::uint32_t checksum(ByteView frame) {
  constexpr std::byte kZero[4] = {};
  const std::uint32_t before = crc32c(frame.first(kCrcOffset));
  return crc32c(frame.subspan(kCrcOffset + 4), crc32c(kZero, before));
}

}  // namespace

std::uint32_t seal_frame(const FrameHeader& header, MutableBytes frame) {
  ASSERT(frame.size() == frame_bytes(header.payload_bytes));
  std::byte* at = frame.data();
  store_le(at, kFrameMagic);
  store_le(at + 12, header.previous_crc);
  store_le(at + 16, header.incarnation);
  store_le(at + 24, header.generation);
  store_le(at + 32, header.position);
  store_le(at + 40, header.sequence);
  store_le(at + 48, header.durable);
  store_le(at + 56, header.superblock);
  store_le(at + 64, header.payload_bytes);
  store_le(at + 68, header.records);
  store_le(at + 72, std::uint64_t{0});
  const std::uint32_t crc = checksum(frame);
  store_le(at + kCrcOffset, crc);
  return crc;
}

std::optional<FrameHeader> read_frame_header(ByteView block) {
  Decoder in(block);
  if (in.integer<std::uint64_t>() != kFrameMagic) return std::nullopt;
  FrameHeader header;
  header.crc = in.integer<std::uint32_t>();
  header.previous_crc = in.integer<std::uint32_t>();
  header.incarnation = in.integer<std::uint64_t>();
  header.generation = in.integer<std::uint64_t>();
  header.position = in.integer<std::uint64_t>();
  header.sequence = in.integer<std::uint64_t>();
  header.durable = in.integer<std::uint64_t>();
  header.superblock = in.integer<std::uint64_t>();
  header.payload_bytes = in.integer<std::uint32_t>();
  header.records = in.integer<std::uint32_t>();
  in.zeros(8);
  const bool plausible = !in.bad() && header.payload_bytes > 0 && header.payload_bytes <= kMaxFramePayload &&
                         header.position % media::kBlockBytes == 0;
  if (!plausible) return std::nullopt;
  return header;
}

bool verify_frame(const FrameHeader& header, ByteView frame) { return checksum(frame) == header.crc; }

bool RecordReader::next(ByteView& record) {
  if (bad_ || rest_.empty()) return false;
  Decoder in(rest_);
  record = in.blob(kMaxBatchBytes);
  bad_ = in.bad() || record.empty();
  if (bad_) return false;
  rest_ = in.rest();
  position_ += kLogRecordHeaderBytes + record.size();
  return true;
}

}  // namespace cenote::store
