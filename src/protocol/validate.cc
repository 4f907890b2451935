#include <algorithm>

#include "cenote/base/format.h"
#include "wire.h"

namespace cenote {
namespace {

using wire::check_limit;

Result<> check_key(ByteView key, KeyFlavour flavour, std::uint32_t limit, std::string_view what) {
  if (key.empty()) return failf(Code::kInvalidArgument, "the {} is empty: it needs 1 to {} bytes", what, limit);
  if (flavour == KeyFlavour::kUint64) {
    if (key.size() == sizeof(std::uint64_t)) return {};
    return failf(Code::kTypeMismatch, "{}: {} bytes, but keys of the uint64 flavour have 8", what, key.size());
  }
  // Counting zero bytes is needed only where they could matter.
  if (key.size() * 2 <= limit) return {};
  const std::uint64_t bytes = counted_key_bytes(key);
  if (bytes <= limit) return {};
  return failf(Code::kOutOfRange, "the {} has {} bytes, the limit is {} (zero bytes count twice)", what, bytes, limit);
}

Result<> check_dkey(const ObjectId& object, ByteView dkey) {
  return check_key(dkey, object.dkey_flavour(), kMaxDkeyBytes, "dkey");
}
Result<> check_akey(const ObjectId& object, ByteView akey) {
  return check_key(akey, object.akey_flavour(), kMaxAkeyBytes, "akey");
}

Result<> check_target(const Uuid& container, const ObjectId& object) {
  if (container.is_null()) return fail(Code::kInvalidArgument, "container: the null id");
  return object.validate();
}

Result<> check_ranges(const RecordRanges& ranges, std::size_t limit) {
  CHECK_OK(check_limit(ranges.size(), limit, "ranges"));
  if (ranges.empty()) return fail(Code::kInvalidArgument, "ranges: none");
  std::uint64_t end = 0;
  for (const RecordRange& range : ranges) {
    if (range.count == 0) return fail(Code::kInvalidArgument, "ranges: one has no records");
    if (range.count > UINT64_MAX - range.first) return fail(Code::kOutOfRange, "ranges: one passes the last record");
    if (range.first < end) return fail(Code::kInvalidArgument, "ranges: not ascending, or overlapping");
    end = range.first + range.count;
  }
  return {};
}

struct Pieces {
  std::uint64_t count = 0, bytes = 0, chunks = 0;
};

// Ranges have been checked; the caller has bounded record_bytes and looks at the payload limit.
Result<Pieces> measure(const AkeyUpdate& akey) {
  if (akey.kind == ValueKind::kSingle) return Pieces{1, akey.bytes, chunk_count(akey.bytes)};
  Pieces pieces;
  for (RecordRange range : akey.ranges) {
    CHECK_OK(check_limit(range.count, kMaxPayloadBytes / akey.record_bytes, "records of a range"));
    while (range.count > 0) {
      const RecordRange piece = first_piece(range, akey.record_bytes);
      ++pieces.count;
      pieces.bytes += piece.count * akey.record_bytes;
      pieces.chunks += chunk_count(piece.count * akey.record_bytes);
      range = {range.first + piece.count, range.count - piece.count};
    }
  }
  return pieces;
}

Result<> check_kind(const AkeyUpdate& akey) {
  if (akey.kind == ValueKind::kSingle) {
    if (!akey.ranges.empty()) return fail(Code::kInvalidArgument, "ranges: a single value has none");
    return check_limit(akey.bytes, kMaxSingleValueBytes, "bytes of a single value");
  }
  if (akey.record_bytes == 0) return fail(Code::kInvalidArgument, "record_bytes: 0");
  CHECK_OK(check_limit(akey.record_bytes, kMaxRecordBytes, "bytes of a record"));
  return check_ranges(akey.ranges, kMaxRangesPerRequest);
}

Result<Pieces> check_akey_update(const ObjectId& object, const AkeyUpdate& akey) {
  CHECK_OK(check_akey(object, akey.akey));
  CHECK_OK(check_kind(akey));
  TRY(const Pieces pieces, measure(akey));
  if (pieces.bytes != akey.bytes)
    return failf(Code::kInvalidArgument, "bytes: {} given, the ranges hold {}", akey.bytes, pieces.bytes);
  if (!akey.checksums.empty() && akey.checksums.size() != pieces.chunks)
    return failf(Code::kInvalidArgument, "checksums: {} given for {} chunks", akey.checksums.size(), pieces.chunks);
  return pieces;
}

// Two entries for one akey would get the same key and epoch in the tree of the target.
template <typename Akeys, typename KeyOf>
Result<> check_distinct(const Akeys& akeys, KeyOf key_of) {
  if (akeys.size() < 2) return {};
  SmallVector<ByteView, 8> keys;
  for (const auto& akey : akeys) keys.push_back(ByteView(key_of(akey)));
  std::sort(keys.begin(), keys.end(), [](ByteView a, ByteView b) { return compare(a, b) < 0; });
  for (std::size_t i = 1; i < keys.size(); ++i)
    if (equal(keys[i - 1], keys[i]))
      return failf(Code::kInvalidArgument, "akeys: '{}' is named twice", printable(keys[i]));
  return {};
}

}  // namespace

std::uint64_t counted_key_bytes(ByteView key) {
  return key.size() + static_cast<std::uint64_t>(std::count(key.begin(), key.end(), std::byte{0}));
}

Result<> validate(const UpdateRequest& request) {
  CHECK_OK(check_target(request.container, request.object));
  CHECK_OK(check_dkey(request.object, request.dkey));
  CHECK_OK(check_limit(request.akeys.size(), kMaxAkeysPerRequest, "akeys of an update"));
  if (request.akeys.empty()) return fail(Code::kInvalidArgument, "akeys: none");
  Pieces total;
  for (const AkeyUpdate& akey : request.akeys) {
    TRY(const Pieces pieces, check_akey_update(request.object, akey));
    total.count += pieces.count;
    total.bytes += pieces.bytes;
  }
  CHECK_OK(check_limit(total.bytes, kMaxPayloadBytes, "payload of an update"));
  CHECK_OK(check_limit(total.count, kMaxPiecesPerUpdate, "pieces of an update"));
  return check_distinct(request.akeys, [](const AkeyUpdate& akey) -> const KeyBytes& { return akey.akey; });
}

Result<> validate(const FetchRequest& request) {
  CHECK_OK(check_target(request.container, request.object));
  CHECK_OK(check_dkey(request.object, request.dkey));
  CHECK_OK(check_limit(request.akeys.size(), kMaxAkeysPerRequest, "akeys of a fetch"));
  std::uint64_t ranges = 0, bytes = 0;
  for (const AkeyFetch& akey : request.akeys) {
    CHECK_OK(check_akey(request.object, akey.akey));
    if (akey.kind == ValueKind::kArray) CHECK_OK(check_ranges(akey.ranges, kMaxRangesPerRequest));
    if (akey.kind == ValueKind::kSingle && !akey.ranges.empty())
      return fail(Code::kInvalidArgument, "ranges: a single value has none");
    ranges += akey.ranges.size();
    CHECK_OK(check_limit(akey.max_bytes, kMaxPayloadBytes, "payload of a fetch"));
    bytes += akey.max_bytes;
  }
  CHECK_OK(check_limit(bytes, kMaxPayloadBytes, "payload of a fetch"));
  return check_limit(ranges, kMaxRangesPerRequest, "ranges of a fetch");
}

Result<> validate(const PunchRequest& request) {
  CHECK_OK(check_target(request.container, request.object));
  const bool has_dkey = request.level >= PunchLevel::kDkey;
  const bool has_akeys = request.level >= PunchLevel::kAkey;
  const bool has_ranges = request.level == PunchLevel::kRange;
  if (request.condition == Precondition::kAbsent)
    return fail(Code::kInvalidArgument, "condition: a punch of what must be absent does nothing");
  if (has_dkey) CHECK_OK(check_dkey(request.object, request.dkey));
  if (has_akeys && request.akeys.empty()) return fail(Code::kInvalidArgument, "akeys: none");
  if (has_ranges && request.akeys.size() != 1) return fail(Code::kInvalidArgument, "akeys: a range punch names one");
  if ((!has_dkey && !request.dkey.empty()) || (!has_akeys && !request.akeys.empty()) ||
      (!has_ranges && !request.ranges.empty()))
    return fail(Code::kInvalidArgument, "level: more is named than the level uses");
  CHECK_OK(check_limit(request.akeys.size(), kMaxAkeysPerRequest, "akeys of a punch"));
  for (const KeyBytes& akey : request.akeys) CHECK_OK(check_akey(request.object, akey));
  if (has_ranges) CHECK_OK(check_ranges(request.ranges, kMaxRangesPerPunch));
  return check_distinct(request.akeys, [](const KeyBytes& akey) -> const KeyBytes& { return akey; });
}

namespace {

// Anchors are keys of the listed level (the first record of the next extent for kExtents).
Result<> check_anchor(const ListRequest& request) {
  if (request.anchor.empty()) return {};
  switch (request.level) {
    case ListLevel::kObjects:
      if (request.anchor.size() == 16) return {};
      return fail(Code::kInvalidArgument, "anchor: no object id");
    case ListLevel::kDkeys:
      return check_dkey(request.object, request.anchor);
    case ListLevel::kAkeys:
      return check_akey(request.object, request.anchor);
    case ListLevel::kExtents:
      if (request.anchor.size() == sizeof(std::uint64_t)) return {};
      return fail(Code::kInvalidArgument, "anchor: no record number");
  }
  return fail(Code::kInvalidArgument, "level: unknown");
}

Result<> check_prefix(const ListRequest& request) {
  if (request.prefix.empty()) return {};
  const bool dkeys = request.level == ListLevel::kDkeys && request.object.dkey_flavour() == KeyFlavour::kLexical;
  const bool akeys = request.level == ListLevel::kAkeys && request.object.akey_flavour() == KeyFlavour::kLexical;
  if (!dkeys && !akeys) return fail(Code::kInvalidArgument, "prefix: only keys of the lexical flavour have one");
  return check_limit(counted_key_bytes(request.prefix), dkeys ? kMaxDkeyBytes : kMaxAkeyBytes, "prefix");
}

}  // namespace

Result<> validate(const ListRequest& request) {
  if (request.container.is_null()) return fail(Code::kInvalidArgument, "container: the null id");
  if (request.level != ListLevel::kObjects) CHECK_OK(request.object.validate());
  if (request.level >= ListLevel::kAkeys) CHECK_OK(check_dkey(request.object, request.dkey));
  if (request.level == ListLevel::kExtents) CHECK_OK(check_akey(request.object, request.akey));
  if (request.limit == 0) return fail(Code::kInvalidArgument, "limit: 0");
  CHECK_OK(check_limit(request.limit, kMaxListEntries, "entries of a list"));
  CHECK_OK(check_anchor(request));
  return check_prefix(request);
}

Result<> validate(const QueryRequest& request) {
  CHECK_OK(check_target(request.container, request.object));
  CHECK_OK(check_akey(request.object, request.akey));
  if (!request.dkey.empty()) return check_dkey(request.object, request.dkey);
  if (request.object.dkey_flavour() != KeyFlavour::kUint64)
    return fail(Code::kTypeMismatch, "dkey: only the uint64 flavour has a greatest dkey");
  return {};
}

}  // namespace cenote
