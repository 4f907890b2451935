#include "log_reader.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::store {

RingReader::RingReader(media::BlockDevice& device, Region ring)
    : device_(device), ring_(ring), ring_bytes_(ring.blocks * media::kBlockBytes), window_(kMaxRingRead) {}

Task<Result<ByteView>> RingReader::read(std::uint64_t position, std::uint64_t bytes) {
  ASSERT(position % media::kBlockBytes == 0 && bytes % media::kBlockBytes == 0 && bytes <= kMaxRingRead);
  ASSERT(bytes <= ring_bytes_);
  if (position < begin_ || position + bytes > end_) {
    const std::uint64_t wanted = std::min(kMaxRingRead, ring_bytes_);
    const std::uint64_t offset = position % ring_bytes_;
    const std::uint64_t first = std::min(wanted, ring_bytes_ - offset);
    begin_ = end_ = 0;
    const media::BlockNo block(ring_.first + offset / media::kBlockBytes);
    CO_CHECK_OK(co_await device_.read(block, window_.first(first)));
    if (first < wanted) {
      const MutableBytes rest = window_.span().subspan(first, wanted - first);
      CO_CHECK_OK(co_await device_.read(media::BlockNo(ring_.first), rest));
    }
    begin_ = position;
    end_ = position + wanted;
  }
  co_return ByteView(window_.span().subspan(position - begin_, bytes));
}

LogReader::LogReader(media::BlockDevice& device, const Superblock& superblock, StoreSeal* seal)
    : superblock_(superblock), seal_(seal), ring_(device, superblock.geometry.log), point_(superblock.replay_from) {}

/// "Which frame continues the log": everything but its checksum.
bool LogReader::continues(const FrameHeader& header) const {
  const bool chained = header.incarnation == superblock_.incarnation && header.position == point_.position &&
                       header.sequence == point_.sequence && header.previous_crc == point_.previous_crc;
  const bool old = header.position < superblock_.generation_start;
  const bool generation = header.generation >= last_generation_ && (old ? header.generation < superblock_.generation
                                                                        : header.generation == superblock_.generation);
  const bool inside =
      header.position + frame_bytes(header.payload_bytes) <= superblock_.replay_from.position + ring_.ring_bytes();
  return chained && generation && inside;
}

/// A frame may name no superblock and no generation newer than the superblock that was read: else that one is stale.
Result<> LogReader::check_superblock(const FrameHeader& header) const {
  if (header.superblock <= superblock_.sequence && header.generation <= superblock_.generation) return {};
  return failf(Code::kCorrupt,
               "the newest superblock is lost: the log at position {} names superblock {} of generation {}, the newest "
               "one found is {} of generation {}",
               header.position, header.superblock, header.generation, superblock_.sequence, superblock_.generation);
}

/// The header of the frame that lies where `position` would, if its checksum holds and it is this store's and belongs
/// to that place of the ring (in whatever lap).
Task<Result<std::optional<FrameHeader>>> LogReader::valid_frame_at(std::uint64_t position) {
  CO_TRY(const ByteView block, co_await ring_.read(position, media::kBlockBytes));
  const auto header = read_frame_header(block);
  if (!header || header->incarnation != superblock_.incarnation) co_return std::nullopt;
  if (header->position % ring_.ring_bytes() != position % ring_.ring_bytes()) co_return std::nullopt;
  const std::uint64_t bytes = frame_bytes(header->payload_bytes);
  if (bytes > ring_.ring_bytes()) co_return std::nullopt;
  CO_TRY(const ByteView frame, co_await ring_.read(position, bytes));
  if (!verify_frame(*header, frame)) co_return std::nullopt;
  co_return *header;
}

/// Of a frame that continues the chain, so whatever is wrong with it is damage and not the end.
Result<ByteView> LogReader::records_of(const FrameHeader& header, ByteView frame) {
  if (header.sealed != (seal_ != nullptr) && (header.sealed || !seal_->mixed())) {
    return failf(Code::kCorrupt, "the log frame at position {} is {}sealed, and the store is {}", header.position,
                 header.sealed ? "" : "not ", header.sealed ? "not" : "all");
  }
  if (!header.sealed) return frame.subspan(kFrameHeaderBytes, header.payload_bytes);
  CHECK_OK(open_frame(header, frame, seal_->sealer(), opened_));
  return ByteView(opened_);
}

Task<Result<std::optional<LogFrame>>> LogReader::next() {
  CO_TRY(const auto header, co_await valid_frame_at(point_.position));
  if (!header) co_return std::nullopt;
  CO_CHECK_OK(check_superblock(*header));
  if (!continues(*header)) co_return std::nullopt;
  LogFrame frame;
  frame.header = *header;
  CO_TRY(const ByteView whole, co_await ring_.read(header->position, frame_bytes(header->payload_bytes)));
  CO_TRY(frame.payload, records_of(*header, whole));
  last_generation_ = header->generation;
  point_ = {frame.end(), header->sequence + 1, header->crc};
  co_return frame;
}

std::unexpected<Error> LogReader::damaged(std::uint64_t end) const {
  const std::uint64_t ring = ring_.ring_bytes();
  const std::uint64_t first = superblock_.geometry.log.first;
  return failf(Code::kCorrupt,
               "the log is damaged: positions {} to {} were durable and cannot be read (blocks {} to {} of the wal "
               "device); nothing was changed: restore the data directory from a copy",
               point_.position, end, first + point_.position % ring / media::kBlockBytes,
               first + (end - 1) % ring / media::kBlockBytes);
}

Task<Result<>> LogReader::verify_end() {
  if (point_.position < superblock_.generation_start) co_return damaged(superblock_.generation_start);
  const std::uint64_t lap_end = superblock_.replay_from.position + ring_.ring_bytes();
  for (std::uint64_t position = point_.position; position < lap_end;) {
    CO_TRY(const auto header, co_await valid_frame_at(position));
    if (!header) {
      position += media::kBlockBytes;
      continue;
    }
    CO_CHECK_OK(check_superblock(*header));
    const bool current = header->generation == superblock_.generation && header->position > point_.position;
    if (current && header->durable > point_.position) co_return damaged(header->durable);
    position += frame_bytes(header->payload_bytes);
  }
  co_return Result<>{};
}

}  // namespace cenote::store
