#pragma once

#include "cenote/media/block_device.h"
#include "core.h"

namespace cenote::object {

/// A part of a fetch's payload.
struct FetchPiece {
  enum class From : std::uint8_t { kZeroes, kInline, kStored };
  From from = From::kZeroes;
  std::uint32_t akey = 0;
  std::uint64_t bytes = 0;  ///< of payload
  // kInline: where in the plan's inline bytes. kStored: `lead` bytes into the chunks that are read.
  std::uint32_t offset = 0;
  std::uint32_t lead = 0;
  // kStored: chunks [chunk, chunk + chunks) of a value of `value_bytes`, read to `offset` of buffer `buffer`.
  std::uint32_t buffer = 0;
  std::uint32_t chunk = 0, chunks = 0;
  std::uint64_t value_bytes = 0;
  // kInline and kStored: stored checksums of the touched chunks, in the plan. UINT32_MAX: none.
  std::uint32_t checksum = UINT32_MAX;
  RecordRange records;  ///< for messages

  /// Bytes of the value's chunk number `index` (from the start of the value).
  std::uint32_t chunk_bytes(std::uint32_t index) const {
    const std::uint64_t left = value_bytes - std::uint64_t{index} * kChecksumChunkBytes;
    return left < kChecksumChunkBytes ? static_cast<std::uint32_t>(left) : kChecksumChunkBytes;
  }
};

/// One device read into one of the buffers.
struct FetchRead {
  media::BlockNo first{};
  std::uint32_t blocks = 0;
  std::uint32_t buffer = 0;
  std::uint32_t offset = 0;
};

/// A unit of packed data that a piece needs chunks of.
struct FetchUnit {
  std::uint32_t piece = 0;
  Compression compression = Compression::kNone;
  bool is_sealed = false;
  std::array<std::byte, kSealNonceBytes> nonce{};  ///< of a sealed one
  std::uint32_t layer = 0;                         ///< of the reader: whose key sealed it
  StoredUnit stored;
  std::uint32_t plain_bytes = 0;
  Extents blocks;  ///< where it lies; none: inline, at `inline_offset` of the plan's inline bytes
  std::uint32_t inline_offset = 0;
  std::uint32_t from = 0, bytes = 0;     ///< of the plain bytes: what is wanted, whole chunks ...
  std::uint32_t buffer = 0, offset = 0;  ///< ... and where it goes
};

/// What a fetch found in the trees, in one attempt: enough to read, verify and answer without looking again. The
/// extents stay readable as long as the guard that was taken before.
class FetchPlan {
 public:
  /// Reads at `epoch`, not at the request's.
  FetchPlan(const FetchRequest& request, Epoch epoch) : request_(request), epoch_(epoch) {}

  /// Fills the plan from the trees. kConditionFailed, kTypeMismatch, kOutOfRange (the caller's room), kEpochTooOld,
  /// kContainerNotFound, kCorrupt.
  Result<> look_up(Core& core, store::View& view, store::Lsn& seen);

  /// In place of that: all of an entry of the container's own tree is what the request's next akey holds.
  void add_entry(const Container& container, const Entry& entry, std::uint64_t first);

  FetchReply reply;
  SmallVector<FetchPiece, 2> pieces;  ///< in payload order
  SmallVector<FetchRead, 2> reads;
  SmallVector<std::uint32_t, 1> buffer_bytes;  ///< size of each buffer the reads go to
  SmallVector<std::uint32_t, 4> checksums;
  Bytes inline_bytes;
  std::vector<FetchUnit> units;
  bool checksummed = false;        ///< the container's property
  std::shared_ptr<Sealer> sealer;  ///< opens the units of an encrypted container, also one that is destroyed meanwhile
  std::vector<std::shared_ptr<Sealer>> ancestors;  ///< those of a clone's ancestors, the nearest first

  const std::shared_ptr<Sealer>& sealer_of(std::uint32_t layer) const {
    return layer == 0 ? sealer : ancestors[layer - 1];
  }

 private:
  Result<> look_up_akey(const Reader& reader, KeyPath& path, AkeyLookup& akeys, std::uint32_t index);
  Result<> add_single(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index);
  Result<> add_array(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index);
  void add_absent(std::uint32_t index);
  Result<> add_range(const Reader& reader, KeyPath& path, const AkeyState& state, std::uint32_t index,
                     RecordRange range);
  void add_slices(const AkeyState& state, std::uint32_t index, std::uint64_t& pending_zeroes);
  Result<> add_hole(std::uint32_t index, RecordRange hole);
  /// Bytes [from, from + bytes) of a value that lies in a layer of the reader.
  void add_data(std::uint32_t index, const Entry& entry, std::uint32_t layer, std::uint64_t from, std::uint64_t bytes,
                RecordRange records);
  void add_zeroes(std::uint32_t index, std::uint64_t bytes);
  void place(FetchPiece& piece);
  void add_reads(const Entry& entry, FetchPiece& piece);
  void add_units(const Entry& entry, std::uint32_t layer, FetchPiece& piece);
  std::string describe_akey(std::uint32_t index) const {
    return describe(request_.object, request_.dkey, request_.akeys[index].akey);
  }

  const FetchRequest& request_;
  Epoch epoch_;
  Versions versions_;
  Overlay::Slices slices_;
};

/// Reads, verifies and answers what a plan found. The guard of its extents was taken before they were found.
Task<Result<>> read_planned(Core& core, const FetchRequest& request, FetchPlan& plan, Fetched& into, Until until);

}  // namespace cenote::object
