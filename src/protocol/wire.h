#pragma once

// What the codecs of all requests share (docs/protocols/object.md).

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::wire {

// Fixed parts of the messages. They bound what a count may claim before anything is allocated for it.
inline constexpr std::size_t kRangeBytes = 16;

/// Makes room for all of a message before its first byte is appended: a message costs one allocation, not one for each
/// time that the vector outgrows itself.
inline void make_room(Bytes& out, std::size_t message_bytes) { out.reserve(out.size() + message_bytes); }

inline void put(Encoder& out, const ObjectId& object) {
  out.integer(object.high());
  out.integer(object.low());
}
inline ObjectId take_object(Decoder& in) {
  const auto high = in.integer<std::uint64_t>();
  return {high, in.integer<std::uint64_t>()};
}

inline void put(Encoder& out, const Uuid& id) { out.raw(id.bytes()); }
inline Uuid take_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}

inline void put(Encoder& out, const RequestId& id) {
  out.integer(id.session);
  out.integer(id.sequence);
  out.integer(static_cast<std::uint64_t>(id.expiry.time_since_epoch().count()));
  out.integer(id.acknowledged);
}
inline RequestId take_request_id(Decoder& in) {
  RequestId id;
  id.session = in.integer<std::uint64_t>();
  id.sequence = in.integer<std::uint64_t>();
  id.expiry = WallTime(Duration(static_cast<std::int64_t>(in.integer<std::uint64_t>())));
  id.acknowledged = in.integer<std::uint64_t>();
  return id;
}

/// An enumeration in one byte, one of [first, last].
template <typename E>
E take_enum(Decoder& in, E first, E last) {
  const auto value = in.integer<std::uint8_t>();
  in.require(value >= static_cast<std::uint8_t>(first) && value <= static_cast<std::uint8_t>(last));
  return static_cast<E>(value);
}
inline Precondition take_condition(Decoder& in) { return take_enum(in, Precondition::kNone, Precondition::kPresent); }
inline ValueKind take_kind(Decoder& in) { return take_enum(in, ValueKind::kSingle, ValueKind::kArray); }
template <typename E>
void put_enum(Encoder& out, E value) {
  out.integer(static_cast<std::uint8_t>(value));
}

inline bool take_bool(Decoder& in) {
  const auto value = in.integer<std::uint8_t>();
  in.require(value <= 1);
  return value == 1;
}

/// u16 length, then the bytes.
inline void put_key(Encoder& out, ByteView key) {
  out.integer(static_cast<std::uint16_t>(key.size()));
  out.raw(key);
}
inline KeyBytes take_key(Decoder& in) {
  const auto bytes = in.integer<std::uint16_t>();
  return KeyBytes(in.raw(bytes));
}

inline void put_ranges(Encoder& out, const RecordRanges& ranges) {
  for (const RecordRange& range : ranges) {
    out.integer(range.first);
    out.integer(range.count);
  }
}
inline void take_ranges(Decoder& in, std::size_t count, RecordRanges& ranges) {
  in.require(count <= in.remaining() / kRangeBytes);
  if (in.bad()) return;
  ranges.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto first = in.integer<std::uint64_t>();
    ranges.push_back({first, in.integer<std::uint64_t>()});
  }
}

inline void put_checksums(Encoder& out, const Checksums& checksums) {
  for (std::uint32_t checksum : checksums) out.integer(checksum);
}
inline void take_checksums(Decoder& in, std::size_t count, Checksums& checksums) {
  in.require(count <= in.remaining() / sizeof(std::uint32_t));
  if (in.bad()) return;
  checksums.reserve(count);
  for (std::size_t i = 0; i < count; ++i) checksums.push_back(in.integer<std::uint32_t>());
}

/// A count or size against its limit.
inline Result<> check_limit(std::uint64_t value, std::uint64_t limit, std::string_view what) {
  if (value > limit) [[unlikely]]
    return failf(Code::kOutOfRange, "{}: {} is over the limit of {}", what, value, limit);
  return {};
}

}  // namespace cenote::wire
