#include "records.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::object {
namespace {

constexpr std::byte kVersion{1};
/// Of the record of what a container holds, with the number of its objects.
constexpr std::byte kVersionWithObjects{2};
/// Of the record of a container that has snapshots.
constexpr std::byte kVersionWithProgress{2};
constexpr std::byte kVersionWithSnapshots{2};
/// Of the record of a container that was ever rolled back. Here a flag says whether it has snapshots.
constexpr std::byte kVersionWithRollbacks{3};
/// Of the record of a container whose data is packed. Here flags say all of the above.
constexpr std::byte kVersionPacked{4};
/// Of the record of a clone, and of a container that is only kept for its clones. Laid out like version 4, then the
/// source of a clone.
constexpr std::byte kVersionClone{5};
constexpr std::uint8_t kFlagChecksums = 1, kFlagSnapshots = 2, kFlagRollbacks = 4, kFlagEncrypted = 8, kFlagClone = 16,
                       kFlagKept = 32;

std::byte version_of(const ContainerRecord& record) {
  if (record.clone || record.kept) return kVersionClone;
  if (record.properties.compression != Compression::kNone || record.properties.encrypted) return kVersionPacked;
  if (record.has_rollbacks) return kVersionWithRollbacks;
  return record.has_snapshots ? kVersionWithSnapshots : kVersion;
}

/// Flags that a version may have.
std::uint8_t known_flags(std::byte version) {
  constexpr std::uint8_t kPacked = kFlagChecksums | kFlagSnapshots | kFlagRollbacks | kFlagEncrypted;
  if (version == kVersionClone) return kPacked | kFlagClone | kFlagKept;
  if (version == kVersionPacked) return kPacked;
  return version == kVersionWithRollbacks ? kFlagChecksums | kFlagSnapshots : kFlagChecksums;
}

template <std::unsigned_integral T, typename Out>
void append_le(Out& out, T value) {
  std::byte bytes[sizeof value];
  store_le(bytes, value);
  out.append(ByteView(bytes));
}

template <std::unsigned_integral T>
void append_be(RecordBytes& out, T value) {
  std::byte bytes[sizeof value];
  store_be(bytes, value);
  out.append(ByteView(bytes));
}

RecordBytes key_of(RecordKind kind) {
  RecordBytes key;
  key.push_back(static_cast<std::byte>(kind));
  return key;
}

std::unexpected<Error> damaged(std::string_view what, ByteView bytes) {
  return failf(Code::kCorrupt, "{} does not decode: {}", what, to_hex(bytes));
}

/// The bytes after the version, which is checked.
Result<Decoder> open_value(ByteView value, std::string_view what, std::byte newest = kVersion) {
  if (value.empty()) return damaged(what, value);
  if (value[0] > newest)
    return failf(Code::kNewerFormat, "{} has version {}, this build knows {}: use a newer Cenote", what,
                 static_cast<unsigned>(value[0]), static_cast<unsigned>(newest));
  if (value[0] == std::byte{0}) return damaged(what, value);
  return Decoder(value.subspan(1));
}

std::uint64_t nanoseconds(WallTime time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }
WallTime take_time(Decoder& in) { return WallTime(Duration(static_cast<std::int64_t>(in.integer<std::uint64_t>()))); }

}  // namespace

std::string container_tree_name(store::TreeId tree) { return fmt::format("object.container.{}", tree.value()); }

RecordBytes ceiling_key() { return key_of(RecordKind::kCeiling); }

RecordBytes container_key(RecordKind kind, const Uuid& container) {
  RecordBytes key = key_of(kind);
  key.append(container.bytes());
  return key;
}

RecordBytes destroying_key(store::TreeId tree) {
  RecordBytes key = key_of(RecordKind::kDestroying);
  append_be(key, tree.value());
  return key;
}

RecordBytes snapshot_key(const Uuid& container, Epoch epoch) {
  RecordBytes key = container_key(RecordKind::kSnapshot, container);
  append_be(key, epoch.value());
  return key;
}

RecordBytes request_key(std::uint64_t session, std::uint64_t sequence) {
  RecordBytes key;
  append_be(key, session);
  append_be(key, sequence);
  return key;
}

Result<SystemKey> parse_system_key(ByteView key) {
  if (key.empty()) return damaged("a key of the system tree", key);
  SystemKey parsed;
  parsed.kind = static_cast<RecordKind>(key[0]);
  switch (parsed.kind) {
    case RecordKind::kCeiling:
      if (key.size() == 1) return parsed;
      break;
    case RecordKind::kContainer:
    case RecordKind::kUsage:
    case RecordKind::kBound:
    case RecordKind::kRollback:
    case RecordKind::kIncomplete:
      if (key.size() != 17) break;
      parsed.container = Uuid::from_bytes(key.subspan<1, 16>());
      return parsed;
    case RecordKind::kDestroying:
      if (key.size() != 5) break;
      parsed.tree = store::TreeId(load_be<std::uint32_t>(key.data() + 1));
      return parsed;
    case RecordKind::kSnapshot:
      if (key.size() != 25) break;
      parsed.container = Uuid::from_bytes(key.subspan<1, 16>());
      parsed.epoch = Epoch(load_be<std::uint64_t>(key.data() + 17));
      return parsed;
  }
  return damaged("a key of the system tree", key);
}

RecordBytes encode_container(const ContainerRecord& record) {
  RecordBytes out;
  const std::byte version = version_of(record);
  std::uint8_t flags = record.properties.checksums ? kFlagChecksums : 0;
  if (record.has_snapshots) flags |= kFlagSnapshots;
  if (record.has_rollbacks) flags |= kFlagRollbacks;
  if (record.properties.encrypted) flags |= kFlagEncrypted;
  if (record.clone) flags |= kFlagClone;
  if (record.kept) flags |= kFlagKept;
  out.push_back(version);
  out.push_back(std::byte{flags} & std::byte{known_flags(version)});
  append_le(out, record.tree.value());
  if (version >= kVersionPacked) out.push_back(static_cast<std::byte>(record.properties.compression));
  ASSERT(record.properties.encrypted == record.key.has_value());
  if (record.key) out.append(ByteView(record.key->envelope));
  if (record.key) out.append(ByteView(record.key->key));
  if (record.clone) {
    out.append(record.clone->container.bytes());
    append_le(out, record.clone->epoch.value());
  }
  return out;
}

Result<ContainerRecord> decode_container(ByteView value) {
  TRY(Decoder in, open_value(value, "a container's record", kVersionClone));
  ContainerRecord record;
  const auto flags = in.integer<std::uint8_t>();
  in.require(flags <= known_flags(value[0]));
  record.has_rollbacks = value[0] == kVersionWithRollbacks || (flags & kFlagRollbacks) != 0;
  record.properties.checksums = (flags & kFlagChecksums) != 0;
  record.has_snapshots = value[0] == kVersionWithSnapshots || (flags & kFlagSnapshots) != 0;
  record.tree = store::TreeId(in.integer<std::uint32_t>());
  if (value[0] >= kVersionPacked) {
    const bool clone_or_kept = (flags & (kFlagClone | kFlagKept)) != 0;
    record.properties.compression = static_cast<Compression>(in.integer<std::uint8_t>());
    record.properties.encrypted = (flags & kFlagEncrypted) != 0;
    in.require(record.properties.compression <= Compression::kZstd);
    in.require(record.properties.compression != Compression::kNone || record.properties.encrypted ||
               value[0] == kVersionClone);
    in.require(clone_or_kept == (value[0] == kVersionClone));
    if (record.properties.encrypted) {
      SealedKey& key = record.key.emplace();
      copy_bytes(in.raw(key.envelope.size()), key.envelope);
      copy_bytes(in.raw(key.key.size()), key.key);
    }
    record.kept = (flags & kFlagKept) != 0;
    if ((flags & kFlagClone) != 0) {
      CloneSource& source = record.clone.emplace();
      const ByteView parent = in.raw(16);
      if (parent.size() == 16) source.container = Uuid::from_bytes(parent.first<16>());
      source.epoch = Epoch(in.integer<std::uint64_t>());
      in.require(!source.container.is_null() && source.epoch != kEpochZero);
    }
  }
  if (!in.finish("")) return damaged("a container's record", value);
  return record;
}

RecordBytes encode_number(std::uint64_t number) {
  RecordBytes out;
  out.push_back(kVersion);
  append_le(out, number);
  return out;
}

Result<std::uint64_t> decode_number(ByteView value) {
  TRY(Decoder in, open_value(value, "a record of the system tree"));
  const auto number = in.integer<std::uint64_t>();
  if (!in.finish("")) return damaged("a record of the system tree", value);
  return number;
}

RecordBytes encode_usage(const Usage& used) {
  RecordBytes out;
  out.push_back(kVersionWithObjects);
  append_le(out, used.bytes);
  append_le(out, used.objects);
  return out;
}

Result<UsageRecord> decode_usage(ByteView value) {
  TRY(Decoder in, open_value(value, "the record of what a container holds", kVersionWithObjects));
  UsageRecord record;
  record.bytes = in.integer<std::uint64_t>();
  if (value[0] == kVersionWithObjects) record.objects = in.integer<std::uint64_t>();
  if (!in.finish("")) return damaged("the record of what a container holds", value);
  return record;
}

RecordBytes encode_snapshot() {
  RecordBytes out;
  out.push_back(kVersion);
  return out;
}

Result<> decode_snapshot(ByteView value) {
  TRY(Decoder in, open_value(value, "the record of a snapshot"));
  if (!in.finish("")) return damaged("the record of a snapshot", value);
  return {};
}

// Version 1 has no note, and is read by builds that know none.
Bytes encode_incomplete(ByteView progress) {
  ASSERT(progress.size() <= kMaxHistoryProgressBytes);
  Bytes bytes;
  Encoder out(bytes);
  out.integer(static_cast<std::uint8_t>(progress.empty() ? kVersion : kVersionWithProgress));
  out.raw(progress);
  return bytes;
}

Result<Bytes> decode_incomplete(ByteView value) {
  constexpr std::string_view kWhat = "the record of an incomplete container";
  TRY(Decoder in, open_value(value, kWhat, kVersionWithProgress));
  const ByteView progress = in.rest();
  if (progress.empty() == (value[0] == kVersionWithProgress) || progress.size() > kMaxHistoryProgressBytes)
    return damaged(kWhat, value);
  return to_bytes(progress);
}

Bytes encode_rollback(const RollbackRecord& record) {
  ASSERT(record.ranges.size() <= kMaxRolledBack);
  Bytes bytes;
  Encoder out(bytes);
  out.integer(static_cast<std::uint8_t>(kVersion));
  out.raw(record.request.bytes());
  out.integer(static_cast<std::uint16_t>(record.ranges.size()));
  for (const RolledBack& range : record.ranges) {
    out.integer(range.after.value());
    out.integer(range.upto.value());
  }
  return bytes;
}

Result<RollbackRecord> decode_rollback(ByteView value) {
  TRY(Decoder in, open_value(value, "the record of a rollback"));
  RollbackRecord record;
  const ByteView request = in.raw(16);
  if (request.size() == 16) record.request = Uuid::from_bytes(request.first<16>());
  in.require(!record.request.is_null());
  const auto count = in.integer<std::uint16_t>();
  in.require(count <= kMaxRolledBack);
  for (Epoch last = kEpochZero; !in.bad() && record.ranges.size() < count;) {
    const Epoch after(in.integer<std::uint64_t>());
    const Epoch upto(in.integer<std::uint64_t>());
    in.require(last <= after && after < upto);
    record.ranges.push_back({after, upto});
    last = upto;
  }
  if (!in.finish("")) return damaged("the record of a rollback", value);
  return record;
}

Bytes encode_destroying(ByteView position) {
  Bytes out{kVersion};
  out.insert(out.end(), position.begin(), position.end());
  return out;
}

Result<ByteView> decode_destroying(ByteView value) {
  TRY(Decoder in, open_value(value, "the record of a destroyed container"));
  return in.rest();
}

RecordBytes encode_request(const RequestRecord& record) {
  RecordBytes out;
  out.push_back(kVersion);
  append_le(out, record.epoch.value());
  append_le(out, nanoseconds(record.expiry));
  append_le(out, nanoseconds(record.keep_until));
  append_le(out, record.acknowledged);
  return out;
}

Result<RequestRecord> decode_request(ByteView value) {
  TRY(Decoder in, open_value(value, "the result of a request"));
  RequestRecord record;
  record.epoch = Epoch(in.integer<std::uint64_t>());
  record.expiry = take_time(in);
  record.keep_until = take_time(in);
  record.acknowledged = in.integer<std::uint64_t>();
  if (!in.finish("")) return damaged("the result of a request", value);
  return record;
}

Result<RequestKey> parse_request_key(ByteView key) {
  if (key.size() != 16) return damaged("a key of the tree of request results", key);
  return RequestKey{load_be<std::uint64_t>(key.data()), load_be<std::uint64_t>(key.data() + 8)};
}

Result<> check_system_record(ByteView key_bytes, ByteView value) {
  TRY(const SystemKey key, parse_system_key(key_bytes));
  switch (key.kind) {
    case RecordKind::kCeiling:
    case RecordKind::kBound:
      CHECK_OK(decode_number(value));
      return {};
    case RecordKind::kUsage:
      CHECK_OK(decode_usage(value));
      return {};
    case RecordKind::kContainer:
      CHECK_OK(decode_container(value));
      return {};
    case RecordKind::kSnapshot:
      return decode_snapshot(value);
    case RecordKind::kRollback:
      CHECK_OK(decode_rollback(value));
      return {};
    case RecordKind::kDestroying:
      CHECK_OK(decode_destroying(value));
      return {};
    case RecordKind::kIncomplete:
      CHECK_OK(decode_incomplete(value));
      return {};
  }
  return fail(Code::kInternal);
}

}  // namespace cenote::object
