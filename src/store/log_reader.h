#pragma once

#include <cstdint>
#include <optional>

#include "aligned_buffer.h"
#include "cenote/media/block_device.h"
#include "cenote/runtime/task.h"
#include "log_format.h"
#include "store_seal.h"

namespace cenote::store {

/// Reads the ring by position, through a window of large reads.
class RingReader {
 public:
  RingReader(media::BlockDevice& device, Region ring);
  /// Whole blocks at `position`; valid until the next call. At most kMaxRingRead bytes.
  Task<Result<ByteView>> read(std::uint64_t position, std::uint64_t bytes);
  std::uint64_t ring_bytes() const { return ring_bytes_; }

  static constexpr std::uint64_t kMaxRingRead = 2ull << 20;
  static_assert(kMaxRingRead >= frame_bytes(kMaxSealedPayload));

 private:
  media::BlockDevice& device_;
  Region ring_;
  std::uint64_t ring_bytes_;
  AlignedBuffer window_;
  std::uint64_t begin_ = 0;  // positions [begin_, end_) are in the window
  std::uint64_t end_ = 0;
};

/// One accepted frame; `payload`, its records, is valid until the reader's next call.
struct LogFrame {
  FrameHeader header;
  ByteView payload;
  std::uint64_t end() const { return header.position + frame_bytes(header.payload_bytes); }
};

/// The log's reading side: follows the chain from a superblock's checkpoint, and at the break decides between end and
/// damage by the table in docs/formats/store.md. Writes nothing, trusts nothing.
class LogReader {
 public:
  /// `seal` is null for a store that is not sealed.
  LogReader(media::BlockDevice& device, const Superblock& superblock, StoreSeal* seal);

  /// The next frame of the chain, or nullopt at the break. kCorrupt when a frame proves that the superblock is not the
  /// newest, or is not sealed as it has to be; kIoError from the device.
  Task<Result<std::optional<LogFrame>>> next();
  /// What a frame that follows the last one returned must continue; at the break, where new frames go.
  const ChainPoint& point() const { return point_; }
  /// Called at the break: ok when it is the end of the log, kCorrupt naming the damaged range when it is not. Looks at
  /// the whole ring.
  Task<Result<>> verify_end();

 private:
  bool continues(const FrameHeader& header) const;
  Result<ByteView> records_of(const FrameHeader& header, ByteView frame);
  Result<> check_superblock(const FrameHeader& header) const;
  Task<Result<std::optional<FrameHeader>>> valid_frame_at(std::uint64_t position);
  std::unexpected<Error> damaged(std::uint64_t end) const;

  const Superblock& superblock_;
  StoreSeal* seal_;
  RingReader ring_;
  Bytes opened_;  // the records of a frame that was sealed
  ChainPoint point_;
  std::uint64_t last_generation_ = 0;
};

}  // namespace cenote::store
