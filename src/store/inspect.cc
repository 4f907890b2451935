#include "cenote/store/inspect.h"

#include "aligned_buffer.h"
#include "superblock.h"

namespace cenote::store {
namespace {

Task<SuperblockReport> read_superblock(media::BlockDevice& meta, std::uint64_t first) {
  SuperblockReport report;
  if (first + kSuperblockBlocks > meta.block_count()) {
    report.flaw = Error(Code::kNotFound, "the device is too small");
    co_return report;
  }
  AlignedBuffer buffer(kSuperblockBytes);
  auto read = co_await meta.read(media::BlockNo(first), buffer.span());
  if (!read) {
    report.flaw = std::move(read).error();
    co_return report;
  }
  const auto superblock = decode_superblock(buffer.span());
  if (!superblock) {
    report.flaw = superblock.error();
    co_return report;
  }
  report.system = superblock->system;
  report.target = superblock->target;
  report.sequence = superblock->sequence;
  report.log_first_block = superblock->geometry.log.first;
  report.log_bytes = superblock->geometry.log_bytes();
  report.replay_position = superblock->replay_from.position;
  report.checkpoint = superblock->checkpoint;
  if (superblock->sealing) {
    report.key = superblock->sealing->master;
    report.mixed = superblock->sealing->mixed;
  }
  co_return report;
}

}  // namespace

Task<std::array<SuperblockReport, 2>> read_superblocks(media::BlockDevice& meta) {
  std::array<SuperblockReport, 2> reports;
  for (std::size_t place = 0; place < reports.size(); ++place) {
    reports[place] = co_await read_superblock(meta, kSuperblockPlaces[place]);
  }
  co_return reports;
}

}  // namespace cenote::store
