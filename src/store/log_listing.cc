#include "cenote/store/log_listing.h"

#include "cenote/store/operation.h"
#include "log_reader.h"
#include "superblock_io.h"

namespace cenote::store {
namespace {

std::string_view kind_name(OperationKind kind) {
  switch (kind) {
    case OperationKind::kPut:
      return "put";
    case OperationKind::kErase:
      return "erase";
    case OperationKind::kCreateTree:
      return "create_tree";
    case OperationKind::kDropTree:
      return "drop_tree";
    case OperationKind::kClaim:
      return "claim";
    case OperationKind::kRelease:
      return "release";
  }
  return "unknown";
}

LogOperation describe(const Operation& operation, Lsn lsn) {
  LogOperation described{lsn, kind_name(operation.kind), operation.tree, operation.key, operation.value, std::nullopt};
  const bool extent = operation.kind == OperationKind::kClaim || operation.kind == OperationKind::kRelease;
  if (extent) described.extent = operation.extent;
  return described;
}

void take_batches(const LogFrame& frame, const LogListingOptions& options, LogGroup& group) {
  RecordReader records(frame.payload, frame.header.position);
  for (ByteView record; records.next(record);) {
    ++group.batches;
    OperationReader operations(record);
    for (Operation operation; operations.next(operation);) {
      ++group.operations;
      if (options.operation) options.operation(describe(operation, records.lsn()));
    }
    if (operations.bad()) group.whole = false;
  }
  if (records.bad() || group.batches != frame.header.records) group.whole = false;
}

}  // namespace

Task<Result<LogListing>> list_log(Reactor& reactor, Devices devices, LogListingOptions options) {
  SuperblockIo superblocks(devices);
  CO_TRY(Superblock superblock, co_await superblocks.read_newest());
  CO_TRY(const auto seal, seal_of(reactor, superblock, options.key, true, devices.meta->name()));
  const Region& ring = superblock.geometry.log;
  LogReader log(*devices.wal, superblock, seal.get());
  LogListing listing;
  listing.checkpoint_position = listing.end_position = superblock.replay_from.position;
  for (std::uint64_t given = 0; given < options.limit; ++given) {
    const auto frame = co_await log.next();
    if (!frame) {
      listing.flaw = frame.error();
      co_return listing;
    }
    if (!*frame) {
      listing.complete = true;
      break;
    }
    const FrameHeader& header = (*frame)->header;
    LogGroup group;
    group.position = header.position;
    group.sequence = header.sequence;
    group.generation = header.generation;
    group.block = ring.first + header.position / media::kBlockBytes % ring.blocks;
    group.bytes = frame_bytes(header.payload_bytes);
    take_batches(**frame, options, group);
    options.group(group);
    listing.end_position = (*frame)->end();
  }
  if (!listing.complete) co_return listing;
  if (auto end = co_await log.verify_end(); !end) listing.flaw = std::move(end).error();
  co_return listing;
}

}  // namespace cenote::store
