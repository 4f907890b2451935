#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/object_id.h"

namespace cenote {

// Limits, the same for every front end. A zero byte inside a key counts twice (keys are stored escaped).
inline constexpr std::uint32_t kMaxDkeyBytes = 512;
inline constexpr std::uint32_t kMaxAkeyBytes = 256;
inline constexpr std::uint32_t kMaxSingleValueBytes = 1u << 20;
inline constexpr std::uint32_t kMaxRecordBytes = 1u << 20;
/// Payload of one update or fetch, over all its akeys and ranges.
inline constexpr std::uint32_t kMaxPayloadBytes = 2u << 20;
inline constexpr std::uint32_t kMaxAkeysPerRequest = 64;
inline constexpr std::uint32_t kMaxRangesPerRequest = 256;
inline constexpr std::uint32_t kMaxListEntries = 1024;
/// Data is checksummed in chunks of this size, counted from the start of each range (array) or value.
inline constexpr std::uint32_t kChecksumChunkBytes = 4096;
/// A range is stored and checksummed in pieces that do not cross multiples of this many bytes of the array.
inline constexpr std::uint32_t kArrayWindowBytes = 1u << 20;

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
  WallTime expiry{};            ///< Not executed after this.
  std::uint64_t acknowledged = 0;  ///< The client has seen every answer up to this sequence.
};

/// Records [first, first + count) of an array.
struct RecordRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  friend bool operator==(const RecordRange&, const RecordRange&) = default;
};

/// New contents of one akey. Its bytes are the next `bytes` of the request's payload, ranges one after another.
struct AkeyUpdate {
  Bytes akey;
  ValueKind kind = ValueKind::kSingle;
  Precondition condition = Precondition::kNone;
  std::uint32_t record_bytes = 1;      ///< array: size of a record, fixed for the life of the akey
  std::vector<RecordRange> ranges;     ///< array: ascending, not overlapping
  std::uint64_t bytes = 0;
  /// CRC32C of each chunk: per value, or per piece of a range (a range is cut at kArrayWindowBytes, each piece chunked
  /// from its start). Empty: the container does not checksum.
  std::vector<std::uint32_t> checksums;
};

struct UpdateRequest {
  Uuid container;
  ObjectId object;
  Bytes dkey;
  Precondition dkey_condition = Precondition::kNone;
  std::vector<AkeyUpdate> akeys;
  RequestId id;
};

struct UpdateReply {
  Epoch epoch;
};

struct AkeyFetch {
  Bytes akey;
  ValueKind kind = ValueKind::kSingle;
  Precondition condition = Precondition::kNone;  ///< kPresent: fail if absent
  std::vector<RecordRange> ranges;         ///< array
  std::uint64_t max_bytes = 0;             ///< room in the caller's buffer; a longer single value is kOutOfRange, with its size
};

struct FetchRequest {
  Uuid container;
  ObjectId object;
  Bytes dkey;
  Epoch epoch = kEpochLatest;
  Precondition dkey_condition = Precondition::kNone;
  std::vector<AkeyFetch> akeys;
};

/// What came back for one akey. The payload holds `bytes` bytes of it: the value, or the ranges one after another with
/// holes as zeroes; a hole at the very end of a range is not sent and the caller fills it with zeroes.
struct AkeyFetched {
  bool exists = false;
  std::uint32_t record_bytes = 0;             ///< 0: absent
  std::uint64_t bytes = 0;                    ///< in the payload
  std::vector<std::uint64_t> range_bytes;     ///< array: sent per range
  std::vector<RecordRange> holes;             ///< array: records never written or punched, ascending
  std::vector<std::uint32_t> checksums;       ///< of the sent bytes: per value or per range, chunks from its start
};

struct FetchReply {
  Epoch epoch;  ///< of the newest version seen
  std::vector<AkeyFetched> akeys;
};

enum class PunchLevel : std::uint8_t { kObject = 1, kDkey = 2, kAkey = 3, kRange = 4 };

struct PunchRequest {
  Uuid container;
  ObjectId object;
  PunchLevel level = PunchLevel::kObject;
  Precondition condition = Precondition::kNone;  ///< kPresent: the punched thing must exist
  Bytes dkey;                              ///< from kDkey on
  std::vector<Bytes> akeys;                ///< kAkey: one or more; kRange: exactly one
  std::vector<RecordRange> ranges;         ///< kRange
  RequestId id;
};

enum class ListLevel : std::uint8_t { kObjects = 1, kDkeys = 2, kAkeys = 3, kExtents = 4 };

struct ListRequest {
  Uuid container;
  ListLevel level = ListLevel::kDkeys;
  ObjectId object;           ///< not for kObjects
  Bytes dkey;                ///< kAkeys and kExtents
  Bytes akey;                ///< kExtents
  Epoch epoch = kEpochLatest;
  Bytes anchor;              ///< empty: from the start; else the one a reply gave
  Bytes prefix;              ///< keys of lexical flavour only
  std::uint32_t limit = kMaxListEntries;
};

struct ListedKey {
  Bytes key;  ///< object id (16 bytes, high then low, big-endian), dkey or akey
  ValueKind kind = ValueKind::kSingle;   ///< akeys only
  std::uint32_t record_bytes = 0;        ///< akeys only
};
struct ListedExtent {
  RecordRange range;
  Epoch epoch;
  std::uint64_t stored_bytes = 0;
};

struct ListReply {
  std::vector<ListedKey> keys;
  std::vector<ListedExtent> extents;  ///< kExtents: visible pieces, ascending
  Bytes anchor;                       ///< empty: the end was reached
};

/// Highest record + 1 of an array akey, or of the whole dkey set when the akey is the same in each (a file's size).
struct QueryRequest {
  Uuid container;
  ObjectId object;
  Epoch epoch = kEpochLatest;
  Bytes dkey;                ///< empty: the greatest dkey (uint64 flavour) that holds data
  Bytes akey;
};
struct QueryReply {
  bool exists = false;
  Bytes dkey;
  std::uint32_t record_bytes = 0;
  std::uint64_t records = 0;  ///< highest visible record + 1
};

// Wire forms. Decoders accept any bytes and check every limit above (kMalformed, kOutOfRange).
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

/// Checks the rules an update must obey before anything is done with it: limits, ranges ascending and not overlapping, byte
/// counts and number of checksums that fit the ranges.
Result<> validate(const UpdateRequest& request);
Result<> validate(const FetchRequest& request);
Result<> validate(const PunchRequest& request);
Result<> validate(const ListRequest& request);

/// The pieces a range is stored in: cut at multiples of the window (kArrayWindowBytes / record_bytes records, at least 1).
std::vector<RecordRange> split_at_windows(RecordRange range, std::uint32_t record_bytes);
/// Number of checksum chunks of `bytes` bytes.
constexpr std::uint64_t chunk_count(std::uint64_t bytes) { return (bytes + kChecksumChunkBytes - 1) / kChecksumChunkBytes; }
/// CRC32C per chunk of `bytes`, appended to `out`.
void append_checksums(ByteView bytes, std::vector<std::uint32_t>& out);

/// Target index for a dkey of an object: the wire contract of the client and of rebuild.
std::uint32_t target_of(const ObjectId& object, ByteView dkey, std::uint32_t targets);

}  // namespace cenote
