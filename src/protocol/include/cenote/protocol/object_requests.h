#pragma once

#include <cstdint>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/small_vector.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/object_id.h"

namespace cenote {

// Limits, the same for every front end. They make every update and punch fit one atomic batch of the store of its
// target (the object layer asserts the arithmetic). A zero byte inside a key counts twice (keys are stored escaped).
inline constexpr std::uint32_t kMaxDkeyBytes = 512;
inline constexpr std::uint32_t kMaxAkeyBytes = 256;
inline constexpr std::uint32_t kMaxSingleValueBytes = 1u << 20;
inline constexpr std::uint32_t kMaxRecordBytes = 1u << 20;
/// Payload of one update or fetch, over all its akeys and ranges.
inline constexpr std::uint32_t kMaxPayloadBytes = 2u << 20;
inline constexpr std::uint32_t kMaxAkeysPerRequest = 64;
inline constexpr std::uint32_t kMaxRangesPerRequest = 160;
/// An update stores at most this many pieces: one per single value, one per window that a range touches.
inline constexpr std::uint32_t kMaxPiecesPerUpdate = 160;
/// A punched range costs up to three entries: the parts of its first and last window, and all between.
inline constexpr std::uint32_t kMaxRangesPerPunch = 64;
inline constexpr std::uint32_t kMaxListEntries = 1024;
/// A list ends early (with an anchor) when its keys take this many bytes.
inline constexpr std::uint32_t kMaxListReplyBytes = 256u << 10;
/// A fetch that meets more holes than this is refused (kOutOfRange): fetch smaller ranges.
inline constexpr std::uint32_t kMaxHolesPerAkey = 16384;
/// A request's expiry lies at most this far ahead, which bounds how long targets remember its result.
inline constexpr Duration kMaxRequestLifetime = std::chrono::hours(1);
/// Data is checksummed in chunks of this size, counted from the start of each range (array) or value.
inline constexpr std::uint32_t kChecksumChunkBytes = 4096;
/// A range is stored and checksummed in pieces that do not cross multiples of this many bytes of the array.
inline constexpr std::uint32_t kArrayWindowBytes = 1u << 20;

/// A dkey, akey or anchor: inline up to 24 bytes, which covers what front ends use on their hot paths.
using KeyBytes = SmallVector<std::byte, 24>;
using Checksums = SmallVector<std::uint32_t, 4>;

enum class ValueKind : std::uint8_t { kSingle = 1, kArray = 2 };

/// What must hold for a conditional operation; checked and applied atomically. kConditionFailed otherwise.
enum class Precondition : std::uint8_t {
  kNone = 0,
  kAbsent = 1,   ///< insert: must not exist
  kPresent = 2,  ///< update / punch / fetch: must exist
};

/// Identity of a request, the same in every retry: makes it take effect once. A null session means "no retry handling"
/// (in-process callers that never resend).
struct RequestId {
  std::uint64_t session = 0;
  std::uint64_t sequence = 0;
  WallTime expiry{};               ///< Not executed after this.
  std::uint64_t acknowledged = 0;  ///< The client has seen every answer up to this sequence.
};

/// Records [first, first + count) of an array.
struct RecordRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  friend bool operator==(const RecordRange&, const RecordRange&) = default;
};

using RecordRanges = SmallVector<RecordRange, 2>;

/// New contents of one akey. Its bytes are the next `bytes` of the request's payload, ranges one after another.
struct AkeyUpdate {
  KeyBytes akey;
  ValueKind kind = ValueKind::kSingle;
  Precondition condition = Precondition::kNone;
  std::uint32_t record_bytes = 1;  ///< array: size of a record, fixed for the life of the akey
  RecordRanges ranges;             ///< array: ascending, not overlapping
  std::uint64_t bytes = 0;
  /// CRC32C of each chunk: per value, or per piece of a range (a range is cut at kArrayWindowBytes, each piece chunked
  /// from its start). Empty: the container does not checksum.
  Checksums checksums;
};

struct UpdateRequest {
  Uuid container;
  ObjectId object;
  KeyBytes dkey;
  Precondition dkey_condition = Precondition::kNone;
  SmallVector<AkeyUpdate, 1> akeys;
  RequestId id;
};

struct UpdateReply {
  Epoch epoch;
};

struct AkeyFetch {
  KeyBytes akey;
  ValueKind kind = ValueKind::kSingle;
  Precondition condition = Precondition::kNone;  ///< kPresent: fail if absent
  RecordRanges ranges;                           ///< array
  std::uint64_t max_bytes = 0;  ///< room in the caller's buffer; a longer single value is kOutOfRange, with its size
};

struct FetchRequest {
  Uuid container;
  ObjectId object;
  KeyBytes dkey;
  Epoch epoch = kEpochLatest;
  Precondition dkey_condition = Precondition::kNone;
  SmallVector<AkeyFetch, 1> akeys;
};

/// What came back for one akey. The payload holds `bytes` bytes of it: the value, or the ranges one after another with
/// holes as zeroes; a hole at the very end of a range is not sent and the caller fills it with zeroes.
struct AkeyFetched {
  bool exists = false;
  std::uint32_t record_bytes = 0;             ///< 0: absent
  std::uint64_t bytes = 0;                    ///< in the payload
  SmallVector<std::uint64_t, 2> range_bytes;  ///< array: sent per range
  RecordRanges holes;                         ///< array: records never written or punched, ascending
  Checksums checksums;                        ///< of the sent bytes: per value or per range, chunks from its start
};

struct FetchReply {
  Epoch epoch;  ///< of the newest version seen
  SmallVector<AkeyFetched, 1> akeys;
};

enum class PunchLevel : std::uint8_t { kObject = 1, kDkey = 2, kAkey = 3, kRange = 4 };

struct PunchRequest {
  Uuid container;
  ObjectId object;
  PunchLevel level = PunchLevel::kObject;
  Precondition condition = Precondition::kNone;  ///< kPresent: the punched thing must exist
  KeyBytes dkey;                                 ///< from kDkey on
  SmallVector<KeyBytes, 1> akeys;                ///< kAkey: one or more; kRange: exactly one
  RecordRanges ranges;                           ///< kRange
  RequestId id;
};

enum class ListLevel : std::uint8_t { kObjects = 1, kDkeys = 2, kAkeys = 3, kExtents = 4 };

struct ListRequest {
  Uuid container;
  ListLevel level = ListLevel::kDkeys;
  ObjectId object;  ///< not for kObjects
  KeyBytes dkey;    ///< kAkeys and kExtents
  KeyBytes akey;    ///< kExtents
  Epoch epoch = kEpochLatest;
  KeyBytes anchor;  ///< empty: from the start; else the one a reply gave
  KeyBytes prefix;  ///< keys of lexical flavour only
  std::uint32_t limit = kMaxListEntries;
};

struct ListedKey {
  KeyBytes key;                         ///< object id (16 bytes, high then low, big-endian), dkey or akey
  ValueKind kind = ValueKind::kSingle;  ///< akeys only
  std::uint32_t record_bytes = 0;       ///< akeys only
};
struct ListedExtent {
  RecordRange range;
  Epoch epoch;
  std::uint64_t stored_bytes = 0;
};

struct ListReply {
  std::vector<ListedKey> keys;
  std::vector<ListedExtent> extents;  ///< kExtents: visible pieces, ascending
  KeyBytes anchor;                    ///< empty: the end was reached
};

/// Highest record + 1 of an array akey, or of the whole dkey set when the akey is the same in each (a file's size).
struct QueryRequest {
  Uuid container;
  ObjectId object;
  Epoch epoch = kEpochLatest;
  KeyBytes dkey;  ///< empty: the greatest dkey (uint64 flavour) that holds data
  KeyBytes akey;
};
struct QueryReply {
  bool exists = false;
  KeyBytes dkey;
  std::uint32_t record_bytes = 0;
  std::uint64_t records = 0;  ///< highest visible record + 1
};

// Wire forms (docs/protocols/object.md). `encode` appends. Decoders accept any bytes and check form and every limit
// above: kMalformed for what is no such message, kOutOfRange for a count or size beyond its limit. A request of one
// akey with one range is decoded without an allocation.
void encode(const UpdateRequest& request, Bytes& out);
void encode(const UpdateReply& reply, Bytes& out);
void encode(const FetchRequest& request, Bytes& out);
void encode(const FetchReply& reply, Bytes& out);
void encode(const PunchRequest& request, Bytes& out);
void encode(const ListRequest& request, Bytes& out);
void encode(const ListReply& reply, Bytes& out);
void encode(const QueryRequest& request, Bytes& out);
void encode(const QueryReply& reply, Bytes& out);
Result<UpdateRequest> decode_update_request(ByteView from);
Result<UpdateReply> decode_update_reply(ByteView from);
Result<FetchRequest> decode_fetch_request(ByteView from);
Result<FetchReply> decode_fetch_reply(ByteView from);
Result<PunchRequest> decode_punch_request(ByteView from);
Result<ListRequest> decode_list_request(ByteView from);
Result<ListReply> decode_list_reply(ByteView from);
Result<QueryRequest> decode_query_request(ByteView from);
Result<QueryReply> decode_query_reply(ByteView from);

/// Checks the rules a request must obey before anything is done with it: limits, keys that fit their flavour, ranges
/// ascending and not overlapping, byte counts and number of checksums that fit the ranges. kInvalidArgument,
/// kOutOfRange or kTypeMismatch (a key of the wrong size for the uint64 flavour), naming the field.
Result<> validate(const UpdateRequest& request);
Result<> validate(const FetchRequest& request);
Result<> validate(const PunchRequest& request);
Result<> validate(const ListRequest& request);
Result<> validate(const QueryRequest& request);

/// Bytes of a key as the limits count them: each zero byte twice.
std::uint64_t counted_key_bytes(ByteView key);

/// Records of a window: windows start at multiples of it. kArrayWindowBytes / record_bytes, at least 1.
constexpr std::uint64_t window_records(std::uint32_t record_bytes) {
  return record_bytes >= kArrayWindowBytes ? 1 : kArrayWindowBytes / record_bytes;
}
/// The part of a range in the window of its first record; a loop over it visits the pieces without an allocation.
constexpr RecordRange first_piece(RecordRange range, std::uint32_t record_bytes) {
  const std::uint64_t window = window_records(record_bytes);
  const std::uint64_t room = window - range.first % window;
  return {range.first, range.count < room ? range.count : room};
}
/// The pieces a range is stored in: cut at multiples of the window.
SmallVector<RecordRange, 4> split_at_windows(RecordRange range, std::uint32_t record_bytes);
/// Number of checksum chunks of `bytes` bytes.
constexpr std::uint64_t chunk_count(std::uint64_t bytes) {
  return bytes / kChecksumChunkBytes + (bytes % kChecksumChunkBytes != 0);
}
/// CRC32C per chunk of `bytes`, appended to `out`.
void append_checksums(ByteView bytes, Checksums& out);
/// The checksums an update of this akey must carry for `bytes` (all of the akey's), appended to `out`: each piece of
/// each range chunked from its own start.
void append_checksums(const AkeyUpdate& akey, ByteView bytes, Checksums& out);

/// Target index for a dkey of an object: the wire contract of the client and of rebuild. `targets` > 0.
std::uint32_t target_of(const ObjectId& object, ByteView dkey, std::uint32_t targets);

}  // namespace cenote
