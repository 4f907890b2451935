#include <limits>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/cluster/pool_map.h"

// docs/formats/pool-map.md
namespace cenote::cluster {
namespace {

constexpr std::string_view kMagic = "CNPOOLMP";
constexpr std::uint16_t kFormat = 1;
constexpr std::uint16_t kOldestReader = 1;
constexpr std::size_t kHeaderBytes = 80;
constexpr std::size_t kLengthAt = 12;
constexpr std::size_t kChecksumAt = 16;
constexpr std::size_t kUuidBytes = 16;
constexpr std::size_t kDomainBytesMin = 6;
constexpr std::size_t kEngineBytes = 28;
constexpr std::size_t kTargetBytes = 40;

struct Counts {
  std::uint32_t domains;
  std::uint32_t engines;
  std::uint32_t targets;
  std::uint8_t levels;
};

void append_name(Encoder& encoder, std::string_view name) {
  encoder.integer(static_cast<std::uint8_t>(name.size()));
  encoder.raw(as_bytes(name));
}

std::string read_name(Decoder& decoder) { return to_text(decoder.raw(decoder.integer<std::uint8_t>())); }

MapVersion read_version(Decoder& decoder) { return MapVersion(decoder.integer<std::uint64_t>()); }

std::uint32_t checksum_of(ByteView bytes) {
  constexpr std::byte kZeros[4] = {};
  const std::uint32_t before = crc32c(kZeros, crc32c(bytes.first(kChecksumAt)));
  return crc32c(bytes.subspan(kChecksumAt + sizeof kZeros), before);
}

/// What can be told without knowing the rest of the format: that it is a map, whole, and for whom.
Result<> check_envelope(ByteView bytes) {
  if (bytes.size() < kHeaderBytes || as_text(bytes.first(kMagic.size())) != kMagic)
    return fail(Code::kMalformed, "these bytes are no pool map");
  if (load_le<std::uint32_t>(bytes.data() + kLengthAt) != bytes.size() ||
      load_le<std::uint32_t>(bytes.data() + kChecksumAt) != checksum_of(bytes))
    return fail(Code::kMalformed, "the pool map is damaged");
  const auto format = load_le<std::uint16_t>(bytes.data() + 8);
  const auto oldest_reader = load_le<std::uint16_t>(bytes.data() + 10);
  if (oldest_reader > kFormat)
    return failf(Code::kNewerFormat, "the pool map has format {}; this version reads format {}", format, kFormat);
  if (format != kFormat || oldest_reader != kOldestReader)
    return fail(Code::kMalformed, "the pool map has a format that never was");
  return {};
}

Result<> check_counts(const Counts& counts, std::size_t bytes) {
  if (counts.levels > kMaxMapLevels || counts.domains > kMaxMapDomains || counts.engines > kMaxMapEngines ||
      counts.targets > kMaxMapTargets)
    return fail(Code::kOutOfRange, "the pool map is beyond the bounds of this version");
  // Before anything is reserved for them.
  if (bytes <
      kHeaderBytes + counts.domains * kDomainBytesMin + counts.engines * kEngineBytes + counts.targets * kTargetBytes)
    return fail(Code::kMalformed, "the pool map is shorter than its counts say");
  return {};
}

std::vector<Domain> read_domains(Decoder& decoder, std::uint32_t count) {
  std::vector<Domain> domains;
  domains.reserve(count);
  while (domains.size() < count && !decoder.bad()) {
    Domain& domain = domains.emplace_back();
    domain.parent = decoder.integer<std::uint32_t>();
    domain.name = read_name(decoder);
  }
  return domains;
}

std::vector<MapEngine> read_engines(Decoder& decoder, std::uint32_t count, std::vector<std::uint16_t>& target_counts) {
  std::vector<MapEngine> engines;
  engines.reserve(count);
  while (engines.size() < count && !decoder.bad()) {
    MapEngine& engine = engines.emplace_back();
    const ByteView id = decoder.raw(kUuidBytes);
    if (id.size() == kUuidBytes) engine.id = Uuid::from_bytes(id.first<kUuidBytes>());
    engine.rank = Rank(decoder.integer<std::uint32_t>());
    engine.node = decoder.integer<std::uint32_t>();
    target_counts.push_back(decoder.integer<std::uint16_t>());
    decoder.zeros(2);
  }
  return engines;
}

MapTarget read_target(Decoder& decoder) {
  MapTarget target;
  target.bytes = decoder.integer<std::uint64_t>();
  target.changed = read_version(decoder);
  target.joined = read_version(decoder);
  target.left = read_version(decoder);
  target.state = static_cast<ComponentState>(decoder.integer<std::uint8_t>());
  decoder.zeros(7);
  return target;
}

std::vector<MapTarget> read_targets(Decoder& decoder, std::uint32_t count,
                                    std::span<const std::uint16_t> target_counts) {
  std::vector<MapTarget> targets;
  targets.reserve(count);
  for (std::uint32_t engine = 0; engine < target_counts.size() && !decoder.bad(); ++engine) {
    decoder.require(target_counts[engine] >= 1 && target_counts[engine] <= kMaxEngineTargets);
    for (std::uint16_t index = 0; index < target_counts[engine] && !decoder.bad(); ++index) {
      MapTarget& target = targets.emplace_back(read_target(decoder));
      target.engine = engine;
      target.index = index;
    }
  }
  decoder.require(targets.size() == count);
  return targets;
}

}  // namespace

Bytes encode_pool_map(const PoolMap& map) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.raw(as_bytes(kMagic));
  encoder.integer(kFormat);
  encoder.integer(kOldestReader);
  encoder.zeros(8);  // length and checksum, below
  encoder.integer(map.features_.incompatible);
  encoder.integer(map.features_.read_only_compatible);
  encoder.integer(map.features_.compatible);
  encoder.raw(map.pool_.bytes());
  encoder.integer(map.version_.value());
  encoder.integer(map.settled_.value());
  encoder.integer(static_cast<std::uint32_t>(map.domains_.size()));
  encoder.integer(static_cast<std::uint32_t>(map.engines_.size()));
  encoder.integer(static_cast<std::uint32_t>(map.targets_.size()));
  encoder.integer(static_cast<std::uint8_t>(map.levels_.size()));
  encoder.zeros(3);
  for (const std::string& level : map.levels_) append_name(encoder, level);
  for (const Domain& domain : map.domains_) {
    encoder.integer(domain.parent);
    append_name(encoder, domain.name);
  }
  std::vector<std::uint16_t> target_counts(map.engines_.size());
  for (const MapTarget& target : map.targets_) ++target_counts[target.engine];
  for (std::size_t i = 0; i < map.engines_.size(); ++i) {
    encoder.raw(map.engines_[i].id.bytes());
    encoder.integer(map.engines_[i].rank.value());
    encoder.integer(map.engines_[i].node);
    encoder.integer(target_counts[i]);
    encoder.zeros(2);
  }
  for (const MapTarget& target : map.targets_) {
    encoder.integer(target.bytes);
    encoder.integer(target.changed.value());
    encoder.integer(target.joined.value());
    encoder.integer(target.left.value());
    encoder.integer(static_cast<std::uint8_t>(target.state));
    encoder.zeros(7);
  }
  ASSERT(bytes.size() <= std::numeric_limits<std::uint32_t>::max());
  store_le(bytes.data() + kLengthAt, static_cast<std::uint32_t>(bytes.size()));
  store_le(bytes.data() + kChecksumAt, checksum_of(bytes));
  return bytes;
}

Result<PoolMap> decode_pool_map(ByteView bytes) {
  CHECK_OK(check_envelope(bytes));
  Decoder decoder(bytes.subspan(kChecksumAt + 4));
  PoolMap map;
  map.features_ = {decoder.integer<std::uint32_t>(), decoder.integer<std::uint32_t>(),
                   decoder.integer<std::uint32_t>()};
  if (map.features_.incompatible != 0)
    return failf(Code::kUnsupported, "the pool map needs features {:#x}, which this version does not know",
                 map.features_.incompatible);
  map.pool_ = Uuid::from_bytes(decoder.raw(kUuidBytes).first<kUuidBytes>());
  map.version_ = read_version(decoder);
  map.settled_ = read_version(decoder);
  Counts counts{};
  counts.domains = decoder.integer<std::uint32_t>();
  counts.engines = decoder.integer<std::uint32_t>();
  counts.targets = decoder.integer<std::uint32_t>();
  counts.levels = decoder.integer<std::uint8_t>();
  decoder.zeros(3);
  CHECK_OK(check_counts(counts, bytes.size()));
  for (std::uint32_t i = 0; i < counts.levels; ++i) map.levels_.push_back(read_name(decoder));
  map.domains_ = read_domains(decoder, counts.domains);
  std::vector<std::uint16_t> target_counts;
  map.engines_ = read_engines(decoder, counts.engines, target_counts);
  map.targets_ = read_targets(decoder, counts.targets, target_counts);
  CHECK_OK(decoder.finish("pool map"));
  if (const char* broken = map.broken_rule()) return failf(Code::kMalformed, "pool map: {}", broken);
  return map;
}

}  // namespace cenote::cluster
