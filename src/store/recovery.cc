#include "recovery.h"

#include <algorithm>

#include "batch_apply.h"
#include "cenote/base/format.h"
#include "checkpoint.h"
#include "log_reader.h"
#include "page_pins.h"
#include "parallel.h"

namespace cenote::store {
namespace {

constexpr std::uint64_t kReadsAtOnce = 32;

media::BlockDevice& device_of(const Devices& devices, const Geometry& geometry, std::uint8_t device) {
  if (device == 0) return *devices.meta;
  return device == geometry.wal_device ? *devices.wal : *devices.data;
}

Result<> check_roles(const Devices& devices, const Superblock& superblock) {
  const Geometry& geometry = superblock.geometry;
  const bool same = (devices.wal == devices.meta) == (geometry.wal_device == 0) &&
                    (devices.data == devices.meta) == (geometry.data_device == 0) &&
                    (devices.wal == devices.data) == (geometry.wal_device == geometry.data_device);
  if (same) return {};
  return failf(
      Code::kForeign,
      "the store on '{}' has its wal on {} device and its data on {}, and was given others: all its devices are "
      "needed, each in its role",
      devices.meta->name(), geometry.wal_device == 0 ? "the same" : "another",
      geometry.data_device == 0                     ? "the same"
      : geometry.data_device == geometry.wal_device ? "that one"
                                                    : "another");
}

Result<> check_size(const media::BlockDevice& device, std::uint64_t blocks) {
  if (device.block_count() >= blocks) return {};
  return failf(Code::kCorrupt, "'{}' has {} blocks and the store uses {}: it was cut", device.name(),
               device.block_count(), blocks);
}

Result<> check_owner(const Superblock& superblock, const OpenOptions& options, const std::string& name) {
  const auto is = [](const Uuid& wanted, const Uuid& found) { return wanted.is_null() || wanted == found; };
  if (is(options.system, superblock.system) && is(options.target, superblock.target)) return {};
  return failf(Code::kForeign, "'{}' belongs to target {} of system {}", name, superblock.target.to_string(),
               superblock.system.to_string());
}

Result<> check_features(const Superblock& superblock, bool read_only) {
  const std::uint64_t unknown = superblock.read_only_compatible & ~kReadOnlyFeatures;
  if (read_only || unknown == 0) return {};
  return failf(Code::kNewerFormat, "features {:#x} are unknown to this build: it can open the store read-only",
               unknown);
}

/// A device without superblock may be another one of a store: that is another mistake than a blank one.
Task<Error> no_store_here(media::BlockDevice* meta, Error error) {
  if (error != Code::kNotFound) co_return error;
  const auto label = co_await DeviceLabels::read_newest(meta);
  if (!label) co_return error;
  co_return Error(Code::kForeign, fmt::format("'{}' is the {} device of target {}, not its meta device: swapped?",
                                              meta->name(), label->wal ? "wal" : "data", label->target.to_string()));
}

}  // namespace

Task<Result<Superblock>> find_store(Devices devices, const OpenOptions& options, SuperblockIo& superblocks) {
  auto found = co_await superblocks.read_newest();
  if (!found) co_return fail(co_await no_store_here(devices.meta, std::move(found).error()));
  Superblock superblock = *std::move(found);
  CO_CHECK_OK(check_owner(superblock, options, devices.meta->name()));
  CO_CHECK_OK(check_features(superblock, options.read_only));
  CO_CHECK_OK(check_roles(devices, superblock));
  CO_CHECK_OK(co_await superblocks.check_labels(superblock));
  for (std::uint8_t device = 0; device < kMaxDevices; ++device) {
    const std::uint64_t blocks = superblock.geometry.device_blocks[device];
    if (blocks == 0) continue;
    media::BlockDevice& media = device_of(devices, superblock.geometry, device);
    CO_CHECK_OK(check_size(media, blocks));
  }
  co_return superblock;
}

Task<Result<Recovery::Outcome>> Recovery::run() {
  const Instant begin = state_.reactor.now();
  CO_CHECK_OK(co_await load());
  CO_TRY(const ChainPoint end, co_await scan_log());
  if (const Lsn last = state_.superblock.checkpoint; last.value() > end.position) {
    co_return failf(Code::kCorrupt, "the checkpoint holds batches up to {}, and the log ends at {}", last.value(),
                    end.position);
  }
  if (!state_.options.read_only) CO_CHECK_OK(co_await begin_generation(end));
  CO_CHECK_OK(co_await load_catalog());
  CO_CHECK_OK(co_await redo_log(end));
  state_.allocator.finish_replay();
  state_.applied = Lsn(std::max(state_.applied.value(), end.position));
  state_.sync_allocator();
  Outcome outcome;
  outcome.end = end;
  outcome.records = records_;
  outcome.time = state_.reactor.now() - begin;
  co_return outcome;
}

Task<Result<>> Recovery::load_chunk(std::uint64_t chunk) {
  if (!state_.chunks.written(chunk)) co_return Result<>{};
  AlignedBuffer block(media::kBlockBytes);
  CO_CHECK_OK(co_await state_.chunks.read(chunk, block.span()));
  const std::uint64_t first_bitmap_chunk = state_.chunks.first_bitmap_chunk();
  if (chunk < first_bitmap_chunk) {
    state_.map.load_chunk(chunk, block.span());
  } else {
    state_.allocator.load_chunk(chunk - first_bitmap_chunk, block.span());
  }
  co_return Result<>{};
}

Task<Result<>> Recovery::load() {
  CO_CHECK_OK(co_await state_.chunks.load());
  const auto load_one = [this](std::uint64_t chunk) { return load_chunk(chunk); };
  CO_CHECK_OK(co_await in_parallel(state_.reactor, state_.chunks.chunks(), kReadsAtOnce, load_one));
  Result<> slots;
  state_.map.for_each_image([&](PageId, PageMap::Entry entry) {
    if (slots) slots = state_.allocator.load_page_slot(entry.slot);
  });
  CO_CHECK_OK(std::move(slots));
  co_return state_.allocator.finish_loading();
}

/// Extents claimed later in the log must stay free until then, should a checkpoint in between look for space.
Result<> Recovery::note_claims(ByteView record) {
  OperationReader operations(record);
  for (Operation operation; operations.next(operation);) {
    if (operation.kind == OperationKind::kClaim) state_.allocator.forbid(operation.extent);
  }
  if (operations.bad()) return fail(Code::kCorrupt, "a batch of the log has a right checksum and does not decode");
  return {};
}

Task<Result<ChainPoint>> Recovery::scan_log() {
  LogReader log(*state_.devices.wal, state_.superblock, state_.seal.get());
  for (;;) {
    CO_TRY(const auto frame, co_await log.next());
    if (!frame) break;
    RecordReader records(frame->payload, frame->header.position);
    std::uint32_t count = 0;
    for (ByteView record; records.next(record); ++count) CO_CHECK_OK(note_claims(record));
    if (records.bad() || count != frame->header.records) {
      co_return failf(Code::kCorrupt, "the log frame at position {} has a right checksum and does not decode",
                      frame->header.position);
    }
  }
  CO_CHECK_OK(co_await log.verify_end());
  co_return log.point();
}

/// From here on the log up to `end` counts as durable and is continued there, by a generation that stale frames beyond
/// cannot belong to.
Task<Result<>> Recovery::begin_generation(ChainPoint end) {
  CO_CHECK_OK(co_await state_.devices.wal->flush());
  if (state_.devices.data != state_.devices.wal) CO_CHECK_OK(co_await state_.devices.data->flush());
  Superblock next = state_.superblock;
  ++next.sequence;
  ++next.generation;
  next.generation_start = end.position;
  CO_CHECK_OK(co_await superblocks_.write(next));
  if (state_.seal && state_.seal->fresh()) {
    // Both copies have the store's key before anything needs it: with the only one all that is sealed would be lost.
    ++next.sequence;
    CO_CHECK_OK(co_await superblocks_.write(next));
  }
  state_.superblock = next;
  co_return Result<>{};
}

Task<Result<>> Recovery::load_catalog() {
  state_.catalog.see_id(TreeId(state_.superblock.next_tree.value() - 1));
  if (state_.superblock.catalog_root == kNoPage) {
    state_.trees.create(kCatalogTree, Lsn{});
    co_return Result<>{};
  }
  state_.trees.attach(kCatalogTree, state_.superblock.catalog_root);
  Bytes after;
  for (;;) {
    CO_TRY(const bool more, co_await load_next_catalog_entry(&after));
    if (!more) break;
  }
  for (const auto& [id, entry] : state_.catalog.trees()) state_.trees.attach(id, entry.root);
  co_return Result<>{};
}

/// Takes in the first entry whose key is not below `after` and moves `after` past it.
Task<Result<bool>> Recovery::load_next_catalog_entry(Bytes* after) {
  PagePins pins(state_.cache);
  for (;;) {
    Lsn seen;
    const auto position = state_.trees.seek(kCatalogTree, *after, seen);
    if (!position && position.error() == Code::kPageFault) {
      CO_CHECK_OK(co_await pins.fetch(state_.trees.fault()));
      continue;
    }
    CO_CHECK_OK(position);
    if (!*position) co_return false;
    KeyBuffer buffer;
    const Bytes key = to_bytes(state_.trees.key_at(**position, buffer));
    CO_CHECK_OK(state_.catalog.load(key, state_.trees.value_at(**position)));
    *after = key;
    after->push_back(std::byte{0});
    co_return true;
  }
}

Task<Result<>> Recovery::redo_log(ChainPoint end) {
  const Superblock superblock = state_.superblock;  // a checkpoint on the way changes the original
  LogReader log(*state_.devices.wal, superblock, state_.seal.get());
  std::uint32_t skip = superblock.records_done;
  for (;;) {
    const ChainPoint start = log.point();
    if (start.position >= end.position) co_return Result<>{};
    CO_TRY(const auto frame, co_await log.next());
    if (!frame) {
      co_return failf(Code::kIoError, "the log at position {} could be read once and not again", start.position);
    }
    CO_CHECK_OK(co_await redo_frame(start, frame->payload, skip));
    skip = 0;
  }
}

Task<Result<>> Recovery::redo_frame(ChainPoint start, ByteView payload, std::uint32_t skip) {
  RecordReader records(payload, start.position);
  std::uint32_t done = 0;
  for (ByteView record; records.next(record); ++done) {
    if (done < skip) continue;
    CO_CHECK_OK(co_await redo_record(start, done, record, records.lsn()));
    ++records_;
  }
  co_return Result<>{};
}

Task<Result<>> Recovery::redo_record(ChainPoint frame, std::uint32_t records_done, ByteView record, Lsn lsn) {
  BatchApply batch(state_, BatchApply::Mode::kReplay);
  PagePins pins(state_.cache);
  bool checkpointed = false;
  for (;;) {
    const auto need = batch.prepare(record);
    if (!need && need.error() == Code::kPageFault) {
      CO_CHECK_OK(co_await pins.fetch(state_.trees.fault()));
      continue;
    }
    if (!need) {
      co_return failf(Code::kCorrupt, "the log at position {} cannot be redone: {}", lsn.value(),
                      need.error().to_string());
    }
    const std::uint64_t before = state_.cache.frames_dirty();
    const std::uint64_t dirty = before + need->frames;
    const std::uint64_t slots = state_.allocator.meta().slots_available();
    const bool may_checkpoint = !checkpointed && !state_.options.read_only && before > 0 && before <= slots;
    const bool cached =
        (before == 0 || dirty <= state_.dirty_limit()) && need->frames <= state_.cache.writable_frames();
    // A checkpoint comes before there are more dirty pages than slots for them. But what the rest of the log claims is
    // out of its reach, on a full device everything: then the pages wait for the end, where all that is free counts
    // again.
    if (cached && (dirty + pins.count() <= slots || !may_checkpoint)) co_return batch.apply(record, lsn);
    if (!may_checkpoint) {
      co_return failf(Code::kResourceExhausted, "redoing the log needs a larger page cache than {} bytes",
                      state_.options.cache_bytes);
    }
    pins.release();
    CO_CHECK_OK(co_await checkpoint_at(frame, records_done));
    checkpointed = true;
  }
}

/// Everything before record `records_done` of the frame is in the image, the rest will be redone again after a crash.
Task<Result<>> Recovery::checkpoint_at(ChainPoint frame, std::uint32_t records_done) {
  Checkpoint checkpoint(state_);
  checkpoint.freeze();
  CO_CHECK_OK(co_await checkpoint.write([] {}));
  Superblock next = state_.superblock;
  checkpoint.describe(next);
  ++next.sequence;
  next.replay_from = frame;
  next.records_done = records_done;
  CO_CHECK_OK(co_await superblocks_.write(next));
  state_.superblock = next;
  checkpoint.finish();
  co_return Result<>{};
}

}  // namespace cenote::store
