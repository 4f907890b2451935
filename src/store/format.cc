#include "cenote/base/format.h"

#include "aligned_buffer.h"
#include "cenote/store/store.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

/// Devices other than `meta` by the number the superblock gives them; null where a number is not used.
std::array<media::BlockDevice*, kMaxDevices> numbered(const Devices& devices) {
  std::array<media::BlockDevice*, kMaxDevices> by_number{devices.meta, nullptr, nullptr};
  if (devices.wal != devices.meta) by_number[1] = devices.wal;
  if (devices.data != devices.meta && devices.data != devices.wal) by_number[2] = devices.data;
  return by_number;
}

Result<Superblock> plan_store(Reactor& reactor, const Devices& devices, const FormatOptions& options) {
  const auto by_number = numbered(devices);
  std::array<std::uint64_t, kMaxDevices> blocks{};
  for (std::size_t i = 0; i < kMaxDevices; ++i) blocks[i] = by_number[i] ? by_number[i]->block_count() : 0;
  const std::uint8_t wal = devices.wal == devices.meta ? 0 : 1;
  const std::uint8_t data = devices.data == devices.meta ? 0 : devices.data == devices.wal ? wal : 2;
  Superblock superblock;
  TRY(superblock.geometry, Geometry::plan(blocks, wal, data, options.log_bytes));
  superblock.system = options.system;
  superblock.target = options.target;
  superblock.incarnation = reactor.random();
  superblock.sequence = 1;
  superblock.next_tree = TreeId(1);
  superblock.table.resize(superblock.geometry.table.blocks);
  return superblock;
}

Task<Result<>> refuse_existing(Devices devices, SuperblockIo* superblocks) {
  const auto existing = co_await superblocks->read_newest();
  if (existing || existing.error() == Code::kCorrupt || existing.error() == Code::kNewerFormat) {
    co_return failf(Code::kExists, "'{}' holds a store already", devices.meta->name());
  }
  if (existing.error() != Code::kNotFound) co_return fail(existing.error());
  AlignedBuffer block(media::kBlockBytes);
  for (media::BlockDevice* device : numbered(devices)) {
    if (device == nullptr || device == devices.meta) continue;
    CO_CHECK_OK(co_await device->read(media::BlockNo(0), block.span()));
    const auto label = decode_label(block.span());
    if (label || label.error() != Code::kNotFound) {
      co_return failf(Code::kExists, "'{}' is part of a store already", device->name());
    }
  }
  co_return Result<>{};
}

Task<Result<>> write_labels(Devices devices, const Superblock* superblock) {
  const auto by_number = numbered(devices);
  AlignedBuffer block(media::kBlockBytes);
  for (std::uint32_t number = 1; number < kMaxDevices; ++number) {
    media::BlockDevice* device = by_number[number];
    if (device == nullptr) continue;
    Label label;
    label.system = superblock->system;
    label.target = superblock->target;
    label.incarnation = superblock->incarnation;
    label.device = number;
    label.wal = device == devices.wal;
    label.data = device == devices.data;
    label.blocks = device->block_count();
    encode_label(label, block.span());
    CO_CHECK_OK(co_await device->write(media::BlockNo(0), block.span(), media::Durability::kCached));
    CO_CHECK_OK(co_await device->flush());
  }
  co_return Result<>{};
}

}  // namespace

Task<Result<>> Store::format(Reactor& reactor, Devices devices, FormatOptions options) {
  CO_TRY(Superblock superblock, plan_store(reactor, devices, options));
  SuperblockIo superblocks(*devices.meta);
  if (!options.overwrite) CO_CHECK_OK(co_await refuse_existing(devices, &superblocks));
  // A crash from here on leaves no store or the new one, never one with parts of both.
  CO_CHECK_OK(co_await superblocks.wipe());
  CO_CHECK_OK(co_await write_labels(devices, &superblock));
  CO_CHECK_OK(co_await superblocks.write(superblock));
  ++superblock.sequence;
  co_return co_await superblocks.write(superblock);
}

}  // namespace cenote::store
