#include "membership_format.h"

#include <charconv>
#include <limits>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::cluster {
namespace {

constexpr std::uint16_t kFormat = 1;
/// Of registrations, acknowledgements and active versions, which have more at their end since.
constexpr std::uint16_t kMemberFormat = 2;
constexpr std::uint16_t kAckFormat = 2;
constexpr std::uint16_t kActiveFormat = 2;
constexpr std::uint16_t kOldestReader = 1;

/// Every value begins alike: the format of its writer, and the oldest format whose readers can read it.
struct ValueWriter {
  explicit ValueWriter(std::uint16_t format = kFormat) {
    fields.integer(format);
    fields.integer(kOldestReader);
  }
  std::string take() const { return to_text(bytes); }

  Bytes bytes;
  Encoder fields{bytes};
};

void put_uuid(Encoder& fields, const Uuid& id) { fields.raw(id.bytes()); }

Uuid take_uuid(Decoder& fields) {
  const ByteView bytes = fields.raw(16);
  return fields.bad() ? Uuid() : Uuid::from_bytes(bytes.first<16>());
}

/// Reads a value with `read(fields, format)`, which leaves the decoder bad for what breaks a rule; `newest` is the last
/// format of such values that this version knows.
template <typename Read>
auto decode_versions_of(std::string_view what, std::string_view value, std::uint16_t newest, Read read)
    -> Result<std::invoke_result_t<Read, Decoder&, std::uint16_t>> {
  Decoder fields(as_bytes(value));
  const auto format = fields.integer<std::uint16_t>();
  const auto oldest = fields.integer<std::uint16_t>();
  if (!fields.bad() && oldest > newest)
    return failf(Code::kNewerFormat, "{} is of format {}, which this Cenote cannot read", what, format);
  fields.require(format >= kFormat && oldest >= kOldestReader && oldest <= format);
  auto record = read(fields, format);
  // A newer format that this reader can read may have more at its end.
  CHECK_OK(format > newest ? fields.check(what) : fields.finish(what));
  return record;
}

template <typename Read>
auto decode_value_of(std::string_view what, std::string_view value, Read read)
    -> Result<std::invoke_result_t<Read, Decoder&>> {
  return decode_versions_of(what, value, kFormat, [&](Decoder& fields, std::uint16_t) { return read(fields); });
}

std::string with_rank(std::string_view prefix, Rank rank) { return fmt::format("{}{:010}", prefix, rank.value()); }

}  // namespace

std::string place_key(Rank rank) { return with_rank(kPlacePrefix, rank); }
std::string engine_key(Rank rank) { return with_rank(kEnginePrefix, rank); }
std::string member_key(Rank rank) { return with_rank(kMemberPrefix, rank); }
std::string exit_key(Rank rank) { return with_rank(kExitPrefix, rank); }
std::string quiet_key(Rank rank) { return with_rank(kQuietPrefix, rank); }
std::string pool_prefix(Uuid pool) { return fmt::format("{}{}/", kPoolPrefix, pool.to_string()); }
std::string head_key(Uuid pool) { return pool_prefix(pool) + "head"; }
std::string active_key(Uuid pool) { return pool_prefix(pool) + "active"; }
std::string suspended_key(Uuid pool) { return pool_prefix(pool) + "suspended"; }
std::string losses_key(Uuid pool) { return pool_prefix(pool) + "losses"; }
std::string paused_key(Uuid pool) { return pool_prefix(pool) + "paused"; }
std::string piece_key(Uuid pool, std::size_t index) { return fmt::format("{}piece/{:04}", pool_prefix(pool), index); }
std::string ack_prefix(Uuid pool) { return fmt::format("{}{}/", kAckPrefix, pool.to_string()); }
std::string ack_key(Uuid pool, Rank rank) { return with_rank(ack_prefix(pool), rank); }
std::string moved_prefix(Uuid pool) { return fmt::format("{}{}/", kMovedPrefix, pool.to_string()); }
std::string moved_key(Uuid pool, Rank rank) { return with_rank(moved_prefix(pool), rank); }

Result<Rank> rank_of_key(std::string_view key) {
  const std::string_view digits = key.substr(key.rfind('/') + 1);
  std::uint32_t rank = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (digits.size() != 10 || read.ec != std::errc() || read.ptr != digits.data() + digits.size())
    return failf(Code::kMalformed, "'{}' ends with no rank", printable(as_bytes(key)));
  return Rank(rank);
}

Result<Uuid> pool_of_key(std::string_view key) {
  constexpr std::size_t kUuidText = 36;
  if (!key.starts_with(kPoolPrefix) || key.size() <= kPoolPrefix.size() + kUuidText ||
      key[kPoolPrefix.size() + kUuidText] != '/')
    return failf(Code::kMalformed, "'{}' is no key of a pool's map", printable(as_bytes(key)));
  return Uuid::parse(key.substr(kPoolPrefix.size(), kUuidText));
}

std::string encode(const PlaceRecord& record) {
  ValueWriter value;
  put_uuid(value.fields, record.engine);
  value.fields.integer(record.first_target);
  value.fields.integer(record.targets);
  return value.take();
}

std::string encode(const EngineRecord& record) {
  ValueWriter value;
  value.fields.integer(record.incarnation.value());
  put_uuid(value.fields, record.engine);
  put_uuid(value.fields, record.process);
  value.fields.integer(static_cast<std::uint8_t>(record.ended));
  value.fields.zeros(3);
  return value.take();
}

std::string encode(const MemberRecord& record) {
  ASSERT(record.addresses.size() <= kMaxMemberAddresses && record.control_address.size() <= kMaxMemberAddressBytes &&
         record.fault_domain.size() <= kMaxFaultDomainBytes);
  ValueWriter value(kMemberFormat);
  value.fields.integer(record.incarnation.value());
  put_uuid(value.fields, record.process);
  value.fields.integer(static_cast<std::uint32_t>(record.addresses.size()));
  for (const std::string& address : record.addresses) {
    ASSERT(address.size() <= kMaxMemberAddressBytes);
    value.fields.text(address);
  }
  value.fields.text(record.control_address);
  value.fields.text(record.fault_domain);
  return value.take();
}

std::string encode(const AckRecord& record) {
  ValueWriter value(kAckFormat);
  value.fields.integer(record.incarnation.value());
  value.fields.integer(record.version.value());
  value.fields.integer(record.used.value());
  return value.take();
}

std::string encode(const ActiveRecord& record) {
  ValueWriter value(kActiveFormat);
  value.fields.integer(record.version.value());
  value.fields.integer(record.closed.value());
  return value.take();
}

std::string encode(const HeadRecord& record) {
  ValueWriter value;
  value.fields.integer(record.version.value());
  value.fields.integer(record.bytes);
  value.fields.integer(record.redundancy);
  return value.take();
}

std::string encode(const MovedRecord& record) {
  ValueWriter value;
  value.fields.integer(record.version.value());
  value.fields.integer(record.targets);
  return value.take();
}

std::string encode(const SuspendedRecord& record) {
  ASSERT(record.ranks.size() <= kMaxSuspendedRanks);
  ValueWriter value;
  value.fields.integer(record.version.value());
  value.fields.integer(static_cast<std::uint32_t>(record.ranks.size()));
  for (const Rank rank : record.ranks) value.fields.integer(rank.value());
  return value.take();
}

std::string encode(const LossesRecord& record) {
  static_assert(2 * sizeof(std::uint16_t) + sizeof(std::uint32_t) * (1 + 2 * kMaxLosses) <= kMaxStateValueBytes);
  ASSERT(!record.losses.empty() && record.losses.size() <= kMaxLosses);
  ValueWriter value;
  value.fields.integer(static_cast<std::uint32_t>(record.losses.size()));
  for (const Loss& loss : record.losses) {
    value.fields.integer(loss.rank.value());
    value.fields.integer(loss.times);
  }
  return value.take();
}

std::string encode(const StoppedRecord& record) {
  ValueWriter value;
  value.fields.integer(static_cast<std::uint64_t>(record.since.time_since_epoch().count()));
  return value.take();
}

std::string encode(const QuietRecord& record) {
  ValueWriter value;
  value.fields.integer(record.incarnation.value());
  value.fields.integer(record.stop.value());
  return value.take();
}

std::string encode_exit(Uuid process) {
  ValueWriter value;
  put_uuid(value.fields, process);
  return value.take();
}

Result<PlaceRecord> decode_place(std::string_view value) {
  return decode_value_of("place of an engine", value, [](Decoder& fields) {
    PlaceRecord record;
    record.engine = take_uuid(fields);
    record.first_target = fields.integer<std::uint32_t>();
    record.targets = fields.integer<std::uint32_t>();
    fields.require(record.targets >= 1 && record.targets <= kMaxEngineTargets &&
                   record.first_target <= kMaxMapTargets - record.targets);
    return record;
  });
}

Result<EngineRecord> decode_engine(std::string_view value) {
  return decode_value_of("record of an engine", value, [](Decoder& fields) {
    EngineRecord record;
    record.incarnation = Incarnation(fields.integer<std::uint64_t>());
    record.engine = take_uuid(fields);
    record.process = take_uuid(fields);
    const auto ended = fields.integer<std::uint8_t>();
    fields.require(ended <= 1 && record.incarnation != Incarnation(0));
    record.ended = ended == 1;
    fields.zeros(3);
    return record;
  });
}

Result<MemberRecord> decode_member(std::string_view value) {
  return decode_versions_of("registration of an engine", value, kMemberFormat, [](Decoder& fields, int format) {
    MemberRecord record;
    record.incarnation = Incarnation(fields.integer<std::uint64_t>());
    record.process = take_uuid(fields);
    const auto count = fields.integer<std::uint32_t>();
    fields.require(count <= kMaxMemberAddresses && record.incarnation != Incarnation(0));
    for (std::uint32_t i = 0; i < count && !fields.bad(); ++i)
      record.addresses.push_back(fields.text(kMaxMemberAddressBytes));
    if (format >= 2) {
      record.control_address = fields.text(kMaxMemberAddressBytes);
      record.fault_domain = fields.text(kMaxFaultDomainBytes);
    }
    return record;
  });
}

Result<AckRecord> decode_ack(std::string_view value) {
  return decode_versions_of("acknowledgement of a map", value, kAckFormat, [](Decoder& fields, std::uint16_t format) {
    AckRecord record;
    record.incarnation = Incarnation(fields.integer<std::uint64_t>());
    record.version = MapVersion(fields.integer<std::uint64_t>());
    fields.require(record.incarnation != Incarnation(0) && record.version != MapVersion(0));
    if (format >= 2) record.used = Epoch(fields.integer<std::uint64_t>());
    return record;
  });
}

Result<HeadRecord> decode_head(std::string_view value) {
  return decode_value_of("head of a pool map", value, [](Decoder& fields) {
    HeadRecord record;
    record.version = MapVersion(fields.integer<std::uint64_t>());
    record.bytes = fields.integer<std::uint32_t>();
    record.redundancy = fields.integer<std::uint32_t>();
    fields.require(record.version != MapVersion(0) && record.bytes <= kMaxStoredMapBytes);
    return record;
  });
}

Result<MovedRecord> decode_moved(std::string_view value) {
  return decode_value_of("report of moved data", value, [](Decoder& fields) {
    const MapVersion version(fields.integer<std::uint64_t>());
    fields.require(version != MapVersion(0));
    return MovedRecord{version, fields.integer<std::uint64_t>()};
  });
}

Result<SuspendedRecord> decode_suspended(std::string_view value) {
  return decode_value_of("mark of a suspended pool", value, [](Decoder& fields) {
    SuspendedRecord record;
    record.version = MapVersion(fields.integer<std::uint64_t>());
    const auto count = fields.integer<std::uint32_t>();
    fields.require(count >= 1 && count <= kMaxSuspendedRanks);
    for (std::uint32_t i = 0; i < count && !fields.bad(); ++i)
      record.ranks.emplace_back(fields.integer<std::uint32_t>());
    return record;
  });
}

Result<LossesRecord> decode_losses(std::string_view value) {
  return decode_value_of("losses of a pool", value, [](Decoder& fields) {
    LossesRecord record;
    const auto count = fields.integer<std::uint32_t>();
    fields.require(count >= 1 && count <= kMaxLosses);
    for (std::uint32_t i = 0; i < count && !fields.bad(); ++i) {
      const Loss loss{Rank(fields.integer<std::uint32_t>()), fields.integer<std::uint32_t>()};
      fields.require(loss.times != 0 && (record.losses.empty() || record.losses.back().rank < loss.rank));
      record.losses.push_back(loss);
    }
    return record;
  });
}

Result<Uuid> decode_exit(std::string_view value) {
  return decode_value_of("attested exit of an engine", value, [](Decoder& fields) { return take_uuid(fields); });
}

Result<StoppedRecord> decode_stopped(std::string_view value) {
  return decode_value_of("record of a stopped system", value, [](Decoder& fields) {
    const auto since = fields.integer<std::uint64_t>();
    fields.require(since <= static_cast<std::uint64_t>(std::numeric_limits<Duration::rep>::max()));
    return StoppedRecord{.since = WallTime(Duration(static_cast<Duration::rep>(since)))};
  });
}

Result<QuietRecord> decode_quiet(std::string_view value) {
  return decode_value_of("record of an engine at rest", value, [](Decoder& fields) {
    QuietRecord record;
    record.incarnation = Incarnation(fields.integer<std::uint64_t>());
    record.stop = Revision(fields.integer<std::uint64_t>());
    fields.require(record.incarnation != Incarnation(0) && record.stop != Revision(0));
    return record;
  });
}

Result<ActiveRecord> decode_active(std::string_view value) {
  const auto read = [](Decoder& fields, std::uint16_t format) {
    ActiveRecord record{.version = MapVersion(fields.integer<std::uint64_t>()), .closed = {}};
    fields.require(record.version != MapVersion(0));
    if (format >= 2) record.closed = Epoch(fields.integer<std::uint64_t>());
    return record;
  };
  return decode_versions_of("active version of a pool map", value, kActiveFormat, read);
}

}  // namespace cenote::cluster
