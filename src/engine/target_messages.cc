#include "target_messages.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/rpc/wire.h"

namespace cenote::engine {
namespace {

/// What a finding has beside its kind and message; one bit each, in the order of the wire.
enum FindingPart : std::uint16_t {
  kRepaired = 1u << 0,
  kDamage = 1u << 1,
  kLost = 1u << 2,
  kBlock = 1u << 3,
  kPage = 1u << 4,
  kContainer = 1u << 5,
  kObject = 1u << 6,
  kDkey = 1u << 7,
  kAkey = 1u << 8,
  kEpoch = 1u << 9,
  kFirst = 1u << 10,
  kRecords = 1u << 11,
  kAllParts = (1u << 12) - 1,
};

constexpr std::size_t kFindingHeadBytes = 1 + 2 + 4 + 4;  // kind, parts, lengths of two texts
constexpr std::size_t kHeldHeadBytes = 16 + 1 + 1 + 16;   // id, whether it is kept, whether it has a source, rollback
constexpr std::size_t kScrubbedHeadBytes = 8 * 8 + 8 + 8 + 2 + 4 + 4;

// A reply with everything that every target may say fits a body: heads and errors, and findings up to their limit.
static_assert(kMaxTargets * (kScrubbedHeadBytes + kMaxTargetsTextBytes) + kMaxDamageBytesTold < rpc::kMaxBodyBytes);

static_assert((kMaxHeldContainers + kMaxTargets) * (kHeldHeadBytes + 24) < rpc::kMaxBodyBytes);
static_assert(kMaxTargets * object::kMaxSnapshots * 8 + 4 < rpc::kMaxBodyBytes);

std::string_view cut(std::string_view text) { return text.substr(0, kMaxTargetsTextBytes); }

void put(Encoder& to, const Uuid& id) { to.raw(id.bytes()); }
Uuid take_uuid(Decoder& in) {
  const ByteView bytes = in.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}
void put(Encoder& to, bool value) { to.integer(static_cast<std::uint8_t>(value)); }
bool take_bool(Decoder& in) {
  const auto value = in.integer<std::uint8_t>();
  in.require(value <= 1);
  return value == 1;
}
void put_text(Encoder& to, std::string_view text) { to.text(cut(text)); }
std::string take_text(Decoder& in) { return in.text(kMaxTargetsTextBytes); }
Epoch take_epoch(Decoder& in) { return Epoch(in.integer<std::uint64_t>()); }

void put(Encoder& to, const object::Usage& usage) {
  to.integer(usage.bytes);
  to.integer(usage.objects);
}
object::Usage take_usage(Decoder& in) {
  const auto bytes = in.integer<std::uint64_t>();
  return {bytes, in.integer<std::uint64_t>()};
}

void put(Encoder& to, const AccountTerms& terms) {
  put(to, terms.id);
  put_text(to, terms.name);
  put(to, terms.limit);
  put(to, terms.soft_limit);
}
AccountTerms take_terms(Decoder& in) {
  AccountTerms terms;
  terms.id = take_uuid(in);
  terms.name = take_text(in);
  terms.limit = take_usage(in);
  terms.soft_limit = take_usage(in);
  return terms;
}

void put(Encoder& to, const object::ContainerProperties& properties) {
  put(to, properties.checksums);
  put(to, properties.encrypted);
  to.integer(static_cast<std::uint8_t>(properties.compression));
}
object::ContainerProperties take_properties(Decoder& in) {
  object::ContainerProperties properties;
  properties.checksums = take_bool(in);
  properties.encrypted = take_bool(in);
  const auto compression = in.integer<std::uint8_t>();
  in.require(compression <= static_cast<std::uint8_t>(object::Compression::kZstd));
  properties.compression = static_cast<object::Compression>(compression);
  return properties;
}

void put(Encoder& to, const std::optional<object::CloneSource>& source) {
  put(to, source.has_value());
  if (!source) return;
  put(to, source->container);
  to.integer(source->epoch.value());
}
std::optional<object::CloneSource> take_source(Decoder& in) {
  if (!take_bool(in)) return std::nullopt;
  object::CloneSource source;
  source.container = take_uuid(in);
  source.epoch = take_epoch(in);
  return source;
}

std::uint16_t parts_of(const object::TargetFinding& finding) {
  std::uint16_t parts = 0;
  const auto add = [&](bool has, FindingPart part) {
    if (has) parts = static_cast<std::uint16_t>(parts | part);
  };
  add(finding.finding.repaired, kRepaired);
  add(finding.finding.severity == store::Severity::kDamage, kDamage);
  add(finding.finding.lost.has_value(), kLost);
  add(finding.finding.block.has_value(), kBlock);
  add(finding.finding.page.has_value(), kPage);
  add(finding.container.has_value(), kContainer);
  add(finding.object.has_value(), kObject);
  add(finding.dkey.has_value(), kDkey);
  add(finding.akey.has_value(), kAkey);
  add(finding.epoch.has_value(), kEpoch);
  add(finding.first.has_value(), kFirst);
  add(finding.records.has_value(), kRecords);
  return parts;
}

void put(Encoder& to, const object::TargetFinding& finding) {
  const store::Finding& inner = finding.finding;
  to.integer(static_cast<std::uint8_t>(inner.kind));
  to.integer(parts_of(finding));
  put_text(to, inner.message);
  put_text(to, inner.device);
  if (inner.block) {
    to.integer(*inner.block);
    to.integer(inner.blocks);
  }
  if (inner.page) to.integer(*inner.page);
  if (finding.container) put(to, *finding.container);
  if (finding.object) {
    to.integer(finding.object->high());
    to.integer(finding.object->low());
  }
  if (finding.dkey) put_text(to, *finding.dkey);
  if (finding.akey) put_text(to, *finding.akey);
  if (finding.epoch) to.integer(finding.epoch->value());
  if (finding.first) to.integer(*finding.first);
  if (finding.records) to.integer(*finding.records);
}

object::TargetFinding take_finding(Decoder& in) {
  object::TargetFinding finding;
  store::Finding& inner = finding.finding;
  const auto kind = in.integer<std::uint8_t>();
  const auto parts = in.integer<std::uint16_t>();
  in.require(kind <= static_cast<std::uint8_t>(store::FindingKind::kData) && parts <= kAllParts);
  inner.kind = static_cast<store::FindingKind>(kind);
  inner.repaired = (parts & kRepaired) != 0;
  inner.severity = (parts & kDamage) != 0 ? store::Severity::kDamage : store::Severity::kWarning;
  // Which keys is not told; that there are some decides what is advised.
  if ((parts & kLost) != 0) inner.lost.emplace();
  inner.message = take_text(in);
  inner.device = take_text(in);
  if ((parts & kBlock) != 0) {
    inner.block = in.integer<std::uint64_t>();
    inner.blocks = in.integer<std::uint64_t>();
  }
  if ((parts & kPage) != 0) inner.page = in.integer<std::uint64_t>();
  if ((parts & kContainer) != 0) finding.container = take_uuid(in);
  if ((parts & kObject) != 0) {
    const auto high = in.integer<std::uint64_t>();
    finding.object = ObjectId(high, in.integer<std::uint64_t>());
  }
  if ((parts & kDkey) != 0) finding.dkey = take_text(in);
  if ((parts & kAkey) != 0) finding.akey = take_text(in);
  if ((parts & kEpoch) != 0) finding.epoch = take_epoch(in);
  if ((parts & kFirst) != 0) finding.first = in.integer<std::uint64_t>();
  if ((parts & kRecords) != 0) finding.records = in.integer<std::uint64_t>();
  return finding;
}

void put(Encoder& to, const ScrubbedTarget& target) {
  const object::ScrubReport& report = target.report;
  for (const std::uint64_t count : {report.leaves, report.images, report.entries, report.read_bytes,
                                    report.verified_bytes, report.unprotected_bytes, report.damages, report.repaired})
    to.integer(count);
  to.integer(target.found);
  to.integer(target.damages);
  to.integer(static_cast<std::uint16_t>(target.outcome));
  put_text(to, target.error);
  to.integer(static_cast<std::uint32_t>(target.findings.size()));
  for (const object::TargetFinding& finding : target.findings) put(to, finding);
}

Result<> take(Decoder& in, ScrubbedTarget& target) {
  object::ScrubReport& report = target.report;
  for (std::uint64_t* count : {&report.leaves, &report.images, &report.entries, &report.read_bytes,
                               &report.verified_bytes, &report.unprotected_bytes, &report.damages, &report.repaired})
    *count = in.integer<std::uint64_t>();
  target.found = in.integer<std::uint64_t>();
  target.damages = in.integer<std::uint64_t>();
  const auto outcome = in.integer<std::uint16_t>();
  target.outcome = code_from_wire(outcome);
  // A code of a newer build would not be told as it was; that engine is not one to lead.
  in.require(static_cast<std::uint16_t>(target.outcome) == outcome);
  target.error = take_text(in);
  const auto findings = in.integer<std::uint32_t>();
  CHECK_OK(in.check("targets reply"));
  if (findings > kMaxDamagesTold) return failf(Code::kOutOfRange, "{} findings of one target", findings);
  in.require(findings <= in.remaining() / kFindingHeadBytes);
  CHECK_OK(in.check("targets reply"));
  target.findings.reserve(findings);
  for (std::uint32_t i = 0; i < findings; ++i) target.findings.push_back(take_finding(in));
  return {};
}

void put(Encoder& to, const ScrubNews& news) {
  put(to, news.ended);
  to.integer(static_cast<std::uint32_t>(news.targets.size()));
  for (const ScrubbedTarget& target : news.targets) put(to, target);
}

Result<> take(Decoder& in, ScrubNews& news) {
  news.ended = take_bool(in);
  const auto targets = in.integer<std::uint32_t>();
  CHECK_OK(in.check("targets reply"));
  if (targets > kMaxTargets) return failf(Code::kOutOfRange, "{} targets of one engine", targets);
  in.require(targets <= in.remaining() / kScrubbedHeadBytes);
  CHECK_OK(in.check("targets reply"));
  news.targets.reserve(targets);
  for (std::uint32_t i = 0; i < targets; ++i) CHECK_OK(take(in, news.targets.emplace_back()));
  return {};
}

void put(Encoder& to, const TargetsAbout& about) {
  put(to, about.encrypted);
  to.zeros(3);
  to.integer(static_cast<std::uint32_t>(about.target_bytes.size()));
  to.integer(about.capacity_bytes);
  for (const std::uint64_t bytes : about.target_bytes) to.integer(bytes);
}

Result<> take(Decoder& in, TargetsAbout& about) {
  about.encrypted = take_bool(in);
  in.zeros(3);
  const auto targets = in.integer<std::uint32_t>();
  about.capacity_bytes = in.integer<std::uint64_t>();
  CHECK_OK(in.check("targets reply"));
  if (targets > kMaxTargets) return failf(Code::kOutOfRange, "{} targets of one engine", targets);
  for (std::uint32_t i = 0; i < targets; ++i) about.target_bytes.push_back(in.integer<std::uint64_t>());
  return {};
}

void put(Encoder& to, const std::optional<FlattenInfo>& info) {
  put(to, info.has_value());
  if (!info) return;
  for (const std::uint64_t count :
       {info->copied_bytes, info->copied_objects, info->left_bytes, info->left_objects, info->damaged})
    to.integer(count);
  put_text(to, info->obstacle);
}

std::optional<FlattenInfo> take_flattening(Decoder& in) {
  if (!take_bool(in)) return std::nullopt;
  FlattenInfo info;
  for (std::uint64_t* count :
       {&info.copied_bytes, &info.copied_objects, &info.left_bytes, &info.left_objects, &info.damaged})
    *count = in.integer<std::uint64_t>();
  info.obstacle = take_text(in);
  return info;
}

void put(Encoder& to, const std::vector<HeldContainer>& containers) {
  to.integer(static_cast<std::uint32_t>(containers.size()));
  for (const HeldContainer& container : containers) {
    put(to, container.id);
    put(to, container.kept);
    put(to, container.source);
    put(to, container.last_rollback);
  }
}

Result<> take(Decoder& in, std::vector<HeldContainer>& containers) {
  const auto count = in.integer<std::uint32_t>();
  in.require(count <= in.remaining() / kHeldHeadBytes);
  CHECK_OK(in.check("targets reply"));
  // Of the last one there may be as many ways as there are targets.
  if (count > kMaxHeldContainers + kMaxTargets) return failf(Code::kOutOfRange, "{} containers in one answer", count);
  containers.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    HeldContainer& container = containers.emplace_back();
    container.id = take_uuid(in);
    container.kept = take_bool(in);
    container.source = take_source(in);
    container.last_rollback = take_uuid(in);
  }
  return {};
}

void put(Encoder& to, const std::vector<Epoch>& epochs) {
  to.integer(static_cast<std::uint32_t>(epochs.size()));
  for (const Epoch epoch : epochs) to.integer(epoch.value());
}

Result<> take(Decoder& in, std::vector<Epoch>& epochs) {
  const auto count = in.integer<std::uint32_t>();
  in.require(count <= in.remaining() / sizeof(std::uint64_t));
  CHECK_OK(in.check("targets reply"));
  if (count > kMaxTargets * object::kMaxSnapshots) return failf(Code::kOutOfRange, "{} snapshots in one answer", count);
  epochs.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) epochs.push_back(take_epoch(in));
  return {};
}

void put(Encoder& to, const std::vector<TargetMoveStatus>& moves) {
  to.integer(static_cast<std::uint32_t>(moves.size()));
  for (const TargetMoveStatus& move : moves) {
    to.integer(move.index);
    put(to, move.done);
    to.zeros(1);
    for (const std::uint64_t number : {move.version, move.bytes, move.objects}) to.integer(number);
    put_text(to, move.obstacle);
  }
}

Result<> take(Decoder& in, std::vector<TargetMoveStatus>& moves) {
  const auto count = in.integer<std::uint32_t>();
  CHECK_OK(in.check("targets reply"));
  if (count > kMaxTargets) return failf(Code::kOutOfRange, "{} targets of one engine", count);
  for (std::uint32_t i = 0; i < count; ++i) {
    TargetMoveStatus& move = moves.emplace_back();
    move.index = in.integer<std::uint16_t>();
    move.done = take_bool(in);
    in.zeros(1);
    for (std::uint64_t* number : {&move.version, &move.bytes, &move.objects}) *number = in.integer<std::uint64_t>();
    move.obstacle = take_text(in);
  }
  return {};
}

void put_known(Encoder& to, const std::vector<std::uint32_t>& known) {
  to.integer(static_cast<std::uint32_t>(known.size()));
  for (const std::uint32_t count : known) to.integer(count);
}

Result<> take_known(Decoder& in, std::vector<std::uint32_t>& known) {
  const auto count = in.integer<std::uint32_t>();
  CHECK_OK(in.check("targets request"));
  if (count > kMaxTargets) return failf(Code::kOutOfRange, "{} targets of one engine", count);
  for (std::uint32_t i = 0; i < count; ++i) known.push_back(in.integer<std::uint32_t>());
  return {};
}

/// What comes after the head.
void put_arguments(Encoder& to, const TargetsRequest& request) {
  switch (request.op) {
    case TargetsOp::kDescribe:
    case TargetsOp::kNewestEpoch:
    case TargetsOp::kHoldAnswers:
      return;
    case TargetsOp::kReleaseAnswers:
      return to.integer(request.hold_number);
    case TargetsOp::kCreate:
      put(to, request.container);
      put(to, request.properties);
      put(to, request.source);
      put(to, request.account);
      return put(to, request.pool_account);
    case TargetsOp::kCharge:
      put(to, request.container);
      put(to, request.account);
      return put(to, request.pool_account);
    case TargetsOp::kLimits:
      return put(to, request.account);
    case TargetsOp::kDestroy:
    case TargetsOp::kMeasureFlattening:
    case TargetsOp::kStartFlattening:
    case TargetsOp::kFlattening:
    case TargetsOp::kUsed:
    case TargetsOp::kListSnapshots:
      return put(to, request.container);
    case TargetsOp::kAddSnapshot:
    case TargetsOp::kRemoveSnapshot:
    case TargetsOp::kCheckRollback:
      put(to, request.container);
      return to.integer(request.epoch.value());
    case TargetsOp::kRollBack:
      put(to, request.container);
      to.integer(request.epoch.value());
      return put(to, request.id);
    case TargetsOp::kBeginScrub:
      put(to, request.container);
      put(to, request.id);
      return to.integer(request.bytes_per_second);
    case TargetsOp::kScrubProgress:
      put(to, request.id);
      return put_known(to, request.findings_known);
    case TargetsOp::kCancelScrub:
    case TargetsOp::kEndScrub:
    case TargetsOp::kListContainers:
    case TargetsOp::kMoves:
      return put(to, request.id);
    case TargetsOp::kKeepCopy:
      return to.integer(request.revision.value());
  }
}

Result<> take_arguments(Decoder& in, TargetsRequest& request) {
  switch (request.op) {
    case TargetsOp::kDescribe:
    case TargetsOp::kNewestEpoch:
    case TargetsOp::kHoldAnswers:
      break;
    case TargetsOp::kReleaseAnswers:
      request.hold_number = in.integer<std::uint64_t>();
      break;
    case TargetsOp::kCreate:
      request.container = take_uuid(in);
      request.properties = take_properties(in);
      request.source = take_source(in);
      request.account = take_terms(in);
      request.pool_account = take_terms(in);
      break;
    case TargetsOp::kCharge:
      request.container = take_uuid(in);
      request.account = take_terms(in);
      request.pool_account = take_terms(in);
      break;
    case TargetsOp::kLimits:
      request.account = take_terms(in);
      break;
    case TargetsOp::kDestroy:
    case TargetsOp::kMeasureFlattening:
    case TargetsOp::kStartFlattening:
    case TargetsOp::kFlattening:
    case TargetsOp::kUsed:
    case TargetsOp::kListSnapshots:
      request.container = take_uuid(in);
      break;
    case TargetsOp::kAddSnapshot:
    case TargetsOp::kRemoveSnapshot:
    case TargetsOp::kCheckRollback:
      request.container = take_uuid(in);
      request.epoch = take_epoch(in);
      break;
    case TargetsOp::kRollBack:
      request.container = take_uuid(in);
      request.epoch = take_epoch(in);
      request.id = take_uuid(in);
      break;
    case TargetsOp::kBeginScrub:
      request.container = take_uuid(in);
      request.id = take_uuid(in);
      request.bytes_per_second = in.integer<std::uint64_t>();
      break;
    case TargetsOp::kScrubProgress:
      request.id = take_uuid(in);
      CHECK_OK(take_known(in, request.findings_known));
      break;
    case TargetsOp::kCancelScrub:
    case TargetsOp::kEndScrub:
    case TargetsOp::kListContainers:
    case TargetsOp::kMoves:
      request.id = take_uuid(in);
      break;
    case TargetsOp::kKeepCopy:
      request.revision = cluster::Revision(in.integer<std::uint64_t>());
      break;
  }
  return {};
}

}  // namespace

bool is_change(TargetsOp op) {
  switch (op) {
    case TargetsOp::kCreate:
    case TargetsOp::kCharge:
    case TargetsOp::kLimits:
    case TargetsOp::kDestroy:
    case TargetsOp::kHoldAnswers:
    case TargetsOp::kReleaseAnswers:
    case TargetsOp::kAddSnapshot:
    case TargetsOp::kRemoveSnapshot:
    case TargetsOp::kRollBack:
    case TargetsOp::kStartFlattening:
      return true;
    default:
      return false;
  }
}

std::size_t encoded_bytes(const object::TargetFinding& finding) {
  Bytes encoded;
  Encoder to(encoded);
  put(to, finding);
  return encoded.size();
}

void encode(const TargetsRequest& request, Bytes& out) {
  Encoder to(out);
  to.integer(request.token);
  to.integer(request.number);
  to.integer(static_cast<std::uint8_t>(request.op));
  to.zeros(7);
  put_arguments(to, request);
}

Result<TargetsRequest> decode_targets_request(ByteView from) {
  Decoder in(from);
  Result<TargetsRequest> result(std::in_place);
  TargetsRequest& request = *result;
  request.token = in.integer<std::uint64_t>();
  request.number = in.integer<std::uint64_t>();
  const auto op = in.integer<std::uint8_t>();
  in.zeros(7);
  CHECK_OK(in.check("targets request"));
  request.op = static_cast<TargetsOp>(op);
  if (request.op < TargetsOp::kDescribe || request.op > TargetsOp::kKeepCopy)
    return failf(Code::kUnsupported, "this engine knows no call {} to its targets: is it older than the leader?", op);
  CHECK_OK(take_arguments(in, request));
  CHECK_OK(in.finish("targets request"));
  return result;
}

void encode(TargetsOp op, const TargetsReply& reply, Bytes& out) {
  Encoder to(out);
  switch (op) {
    case TargetsOp::kDescribe:
      return put(to, reply.about);
    case TargetsOp::kNewestEpoch:
      return to.integer(reply.epoch.value());
    case TargetsOp::kMeasureFlattening:
    case TargetsOp::kUsed:
      return put(to, reply.usage);
    case TargetsOp::kFlattening:
      return put(to, reply.flattening);
    case TargetsOp::kScrubProgress:
      return put(to, reply.scrub);
    case TargetsOp::kListContainers:
      return put(to, reply.containers);
    case TargetsOp::kListSnapshots:
      return put(to, reply.snapshots);
    case TargetsOp::kMoves:
      return put(to, reply.moves);
    default:
      return;
  }
}

Result<TargetsReply> decode_targets_reply(TargetsOp op, ByteView from) {
  Decoder in(from);
  Result<TargetsReply> result(std::in_place);
  TargetsReply& reply = *result;
  switch (op) {
    case TargetsOp::kDescribe:
      CHECK_OK(take(in, reply.about));
      break;
    case TargetsOp::kNewestEpoch:
      reply.epoch = take_epoch(in);
      break;
    case TargetsOp::kMeasureFlattening:
    case TargetsOp::kUsed:
      reply.usage = take_usage(in);
      break;
    case TargetsOp::kFlattening:
      reply.flattening = take_flattening(in);
      break;
    case TargetsOp::kScrubProgress:
      CHECK_OK(take(in, reply.scrub));
      break;
    case TargetsOp::kListContainers:
      CHECK_OK(take(in, reply.containers));
      break;
    case TargetsOp::kListSnapshots:
      CHECK_OK(take(in, reply.snapshots));
      break;
    case TargetsOp::kMoves:
      CHECK_OK(take(in, reply.moves));
      break;
    default:
      break;
  }
  CHECK_OK(in.finish("targets reply"));
  return result;
}

}  // namespace cenote::engine
