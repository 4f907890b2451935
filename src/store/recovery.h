#pragma once

#include <memory>

#include "log_format.h"
#include "store_state.h"
#include "superblock_io.h"

namespace cenote::store {

/// Finds the newest superblock on the devices and checks that they belong together and to whom the options say. Reads
/// only.
Task<Result<Superblock>> find_store(Devices devices, const OpenOptions& options, SuperblockIo& superblocks);

/// Brings a fresh StoreState to where the log ends:
///
///  1. load: chunk table, page map, bitmap
///  2. scan the whole log: where it ends, that it is not damaged, what it claims; up to here nothing was written
///  3. begin a new log generation there, durably (not when read-only)
///  4. load the catalog, redo the log's batches; a checkpoint in between when the cache fills up
class Recovery {
 public:
  struct Outcome {
    ChainPoint end;  ///< where the log goes on
    std::uint64_t records = 0;
    Duration time{};
  };

  Recovery(StoreState& state, SuperblockIo& superblocks) : state_(state), superblocks_(superblocks) {}
  Task<Result<Outcome>> run();

 private:
  Task<Result<>> load();
  Task<Result<>> load_chunk(std::uint64_t chunk);
  Task<Result<ChainPoint>> scan_log();
  Result<> note_claims(ByteView record);
  Task<Result<>> begin_generation(ChainPoint end);
  Task<Result<>> load_catalog();
  Task<Result<bool>> load_next_catalog_entry(Bytes* after);
  Task<Result<>> redo_log(ChainPoint end);
  Task<Result<>> redo_frame(ChainPoint start, ByteView payload, std::uint32_t skip);
  Task<Result<>> redo_record(ChainPoint frame, std::uint32_t records_done, ByteView record, Lsn lsn);
  Task<Result<>> checkpoint_at(ChainPoint frame, std::uint32_t records_done);

  StoreState& state_;
  SuperblockIo& superblocks_;
  std::uint64_t records_ = 0;
};

}  // namespace cenote::store
