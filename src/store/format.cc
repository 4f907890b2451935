#include "cenote/base/format.h"

#include "cenote/store/store.h"
#include "store_seal.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

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
  if (options.key) CHECK_OK(StoreSeal::begin(reactor, superblock, *options.key, false));
  return superblock;
}

Task<Result<>> refuse_existing(Devices devices, FormatOptions options, SuperblockIo* superblocks) {
  const auto existing = co_await superblocks->read_newest();
  if (existing || existing.error() == Code::kCorrupt || existing.error() == Code::kNewerFormat) {
    co_return failf(Code::kExists, "'{}' holds a store already", devices.meta->name());
  }
  if (existing.error() != Code::kNotFound) co_return fail(existing.error());
  co_return co_await DeviceLabels(devices).refuse_others(options.system, options.target);
}

}  // namespace

Task<Result<>> Store::format(Reactor& reactor, Devices devices, FormatOptions options) {
  CO_TRY(Superblock superblock, plan_store(reactor, devices, options));
  SuperblockIo superblocks(devices);
  if (!options.overwrite) CO_CHECK_OK(co_await refuse_existing(devices, options, &superblocks));
  // A crash from here on leaves no store or the new one, never one with parts of both.
  CO_CHECK_OK(co_await superblocks.wipe());
  CO_CHECK_OK(co_await superblocks.write(superblock));
  ++superblock.sequence;
  co_return co_await superblocks.write(superblock);
}

}  // namespace cenote::store
