#pragma once

#include <cstdint>
#include <optional>

#include "cenote/base/bytes.h"
#include "cenote/base/sealer.h"
#include "superblock.h"

namespace cenote::store {

/// The first bytes of every frame of the log (docs/formats/store.md, "Log").
struct FrameHeader {
  std::uint32_t crc = 0;
  std::uint32_t previous_crc = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t generation = 0;
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
  std::uint64_t durable = 0;        ///< position known durable when the frame was written
  std::uint64_t superblock = 0;     ///< sequence of the newest durable superblock then
  std::uint32_t payload_bytes = 0;  ///< of a sealed frame the envelope behind the records included
  std::uint32_t records = 0;
  bool sealed = false;

  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

inline constexpr std::uint32_t kFrameHeaderBytes = 80;
inline constexpr std::uint32_t kLogRecordHeaderBytes = 4;
/// Longest payload of a frame: one batch of the largest size, or many that fit in less.
inline constexpr std::uint32_t kMaxFramePayload = kMaxBatchBytes + kLogRecordHeaderBytes;

/// Of a sealed one.
inline constexpr std::uint32_t kMaxSealedPayload = kMaxFramePayload + kEnvelopeBytes;

/// Bytes a frame occupies on the media.
constexpr std::uint64_t frame_bytes(std::uint64_t payload_bytes) {
  return (kFrameHeaderBytes + payload_bytes + media::kBlockBytes - 1) / media::kBlockBytes * media::kBlockBytes;
}

/// Writes the header at the start of `frame` (all its blocks), computes the checksum over all of it, puts it in place
/// and returns it. The padding behind the payload is zero already. `header.crc` is ignored.
std::uint32_t stamp_frame(const FrameHeader& header, MutableBytes frame);
/// The same for a frame of a sealed store: first seals the records in it, in one piece. `header.sealed` is set.
Result<std::uint32_t> seal_frame(const FrameHeader& header, MutableBytes frame, Sealer& sealer);
/// The records of a sealed frame, in `records`. kCorrupt when they were not sealed with this header under this key.
Result<> open_frame(const FrameHeader& header, ByteView frame, Sealer& sealer, Bytes& records);
/// The header in the first bytes of `block`, or nullopt when there is none with a plausible length. Proves nothing yet.
std::optional<FrameHeader> read_frame_header(ByteView block);
/// Whether `frame`, of frame_bytes(header.payload_bytes), has the checksum its header says.
bool verify_frame(const FrameHeader& header, ByteView frame);

/// Walks the records of a frame's payload. As with OperationReader, `bad` tells the end from what does not decode.
class RecordReader {
 public:
  RecordReader(ByteView payload, std::uint64_t frame_position)
      : rest_(payload), position_(frame_position + kFrameHeaderBytes) {}
  bool next(ByteView& record);
  /// The Lsn of the record returned last.
  Lsn lsn() const { return Lsn(position_); }
  bool bad() const { return bad_; }

 private:
  ByteView rest_;
  std::uint64_t position_;
  bool bad_ = false;
};

}  // namespace cenote::store
