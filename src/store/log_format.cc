#include "log_format.h"

#include <array>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kFrameMagic = 0x464c65746f6e6543;  // "CenoteLF"
constexpr std::size_t kCrcOffset = 8;

/// Checksum of a frame, or of its first bytes, as if its own checksum field were zero, without copying it.
std::uint32_t checksum(ByteView frame) {
  constexpr std::byte kZero[4] = {};
  const std::uint32_t before = crc32c(frame.first(kCrcOffset));
  return crc32c(frame.subspan(kCrcOffset + 4), crc32c(kZero, before));
}

constexpr std::uint32_t kSealedFlag = 1;

/// All but the checksum, which is left zero.
void write_header(const FrameHeader& header, MutableBytes frame) {
  std::byte* at = frame.data();
  store_le(at, kFrameMagic);
  store_le(at + kCrcOffset, std::uint32_t{0});
  store_le(at + 12, header.previous_crc);
  store_le(at + 16, header.incarnation);
  store_le(at + 24, header.generation);
  store_le(at + 32, header.position);
  store_le(at + 40, header.sequence);
  store_le(at + 48, header.durable);
  store_le(at + 56, header.superblock);
  store_le(at + 64, header.payload_bytes);
  store_le(at + 68, header.records);
  store_le(at + 72, header.sealed ? kSealedFlag : 0u);
  store_le(at + 76, std::uint32_t{0});
}

/// The padding is known to be zero, and of most frames the larger part.
std::uint32_t put_checksum(const FrameHeader& header, MutableBytes frame) {
  const std::size_t used = kFrameHeaderBytes + header.payload_bytes;
  const std::uint32_t crc = crc32c_with_zeros(checksum(frame.first(used)), frame.size() - used);
  store_le(frame.data() + kCrcOffset, crc);
  return crc;
}

/// Where the records of a sealed frame end and its envelope begins.
std::uint32_t sealed_records(const FrameHeader& header) {
  return header.payload_bytes - static_cast<std::uint32_t>(kEnvelopeBytes);
}

}  // namespace

std::uint32_t stamp_frame(const FrameHeader& header, MutableBytes frame) {
  ASSERT(frame.size() == frame_bytes(header.payload_bytes));
  write_header(header, frame);
  return put_checksum(header, frame);
}

Result<std::uint32_t> seal_frame(const FrameHeader& header, MutableBytes frame, Sealer& sealer) {
  ASSERT(header.sealed && frame.size() == frame_bytes(header.payload_bytes) && header.payload_bytes > kEnvelopeBytes);
  write_header(header, frame);
  const MutableBytes records = frame.subspan(kFrameHeaderBytes, sealed_records(header));
  const auto envelope = frame.subspan(kFrameHeaderBytes + records.size()).first<kEnvelopeBytes>();
  CHECK_OK(sealer.seal(frame.first(kFrameHeaderBytes), records, records, envelope));
  return put_checksum(header, frame);
}

Result<> open_frame(const FrameHeader& header, ByteView frame, Sealer& sealer, Bytes& records) {
  ASSERT(header.sealed && frame.size() == frame_bytes(header.payload_bytes));
  std::array<std::byte, kFrameHeaderBytes> associated;
  copy_bytes(frame.first(kFrameHeaderBytes), associated);
  store_le(associated.data() + kCrcOffset, std::uint32_t{0});
  const ByteView sealed = frame.subspan(kFrameHeaderBytes, sealed_records(header));
  const auto envelope = frame.subspan(kFrameHeaderBytes + sealed.size()).first<kEnvelopeBytes>();
  records.resize(sealed.size());
  const auto opened = sealer.open(associated, sealed, envelope, records);
  if (opened || opened.error() != Code::kMalformed) return opened;
  return failf(Code::kCorrupt, "the log frame at position {} is sealed under another key, or forged", header.position);
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
  const auto flags = in.integer<std::uint32_t>();
  in.require(flags <= kSealedFlag);
  header.sealed = flags == kSealedFlag;
  in.zeros(4);
  const std::uint64_t least = header.sealed ? kEnvelopeBytes : 0;
  const bool plausible = !in.bad() && header.payload_bytes > least &&
                         header.payload_bytes <= kMaxFramePayload + least && header.position % media::kBlockBytes == 0;
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
