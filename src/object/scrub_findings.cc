#include "scrub_findings.h"

#include <algorithm>

#include "cenote/base/codec.h"

namespace cenote::object {
namespace {

constexpr std::byte kFindingKey{2};
constexpr std::byte kVersion{1};
constexpr std::uint32_t kChangesAtOnce = 32;
// Longest texts that are kept; what is longer is cut.
constexpr std::size_t kMessageBytes = 1024, kKeyTextBytes = 384, kNameBytes = 128;
// With all numbers and lengths.
static_assert(kMessageBytes + 2 * kKeyTextBytes + 2 * kNameBytes + 200 <= store::kMaxValueBytes);
static_assert(std::uint64_t{kChangesAtOnce} * store::kMaxValueBytes < store::kMaxBatchBytes / 2);

Bytes key_of(std::uint32_t number) {
  Bytes key{kFindingKey};
  key.resize(5);
  store_be(key.data() + 1, number);
  return key;
}

bool is_same(const TargetFinding& one, const TargetFinding& other) {
  const auto cut = [](const std::string& message) { return std::string_view(message).substr(0, kMessageBytes); };
  return one.container == other.container && one.finding.kind == other.finding.kind &&
         cut(one.finding.message) == cut(other.finding.message);
}

class Writer {
 public:
  explicit Writer(Bytes& bytes) : out_(bytes) {}
  void time(WallTime time) { out_.integer(static_cast<std::uint64_t>(time.time_since_epoch().count())); }
  void number(std::uint64_t value) { out_.integer(value); }
  void number_if(const std::optional<std::uint64_t>& value) {
    out_.integer(static_cast<std::uint8_t>(value.has_value()));
    if (value) out_.integer(*value);
  }
  void text(std::string_view value, std::size_t limit) { out_.text(value.substr(0, limit)); }
  void text_if(const std::optional<std::string>& value, std::size_t limit) {
    out_.integer(static_cast<std::uint8_t>(value.has_value()));
    if (value) text(*value, limit);
  }
  Encoder& out() { return out_; }

 private:
  Encoder out_;
};

class Reader {
 public:
  explicit Reader(ByteView bytes) : in_(bytes) {}
  WallTime time() {
    const auto nanoseconds = in_.integer<std::uint64_t>();
    in_.require(nanoseconds <= INT64_MAX);
    return WallTime(Duration(static_cast<Duration::rep>(nanoseconds)));
  }
  bool flag() {
    const auto byte = in_.integer<std::uint8_t>();
    in_.require(byte <= 1);
    return byte == 1;
  }
  std::uint64_t number() { return in_.integer<std::uint64_t>(); }
  std::optional<std::uint64_t> number_if() { return flag() ? std::optional(number()) : std::nullopt; }
  std::string text(std::size_t limit) { return in_.text(limit); }
  std::optional<std::string> text_if(std::size_t limit) { return flag() ? std::optional(text(limit)) : std::nullopt; }
  Decoder& in() { return in_; }

 private:
  Decoder in_;
};

}  // namespace

Bytes encode_finding(const KeptFinding& kept) {
  Bytes bytes{kVersion};
  Writer writer(bytes);
  const store::Finding& inner = kept.finding.finding;
  writer.time(kept.found);
  writer.time(kept.seen);
  writer.out().integer(static_cast<std::uint8_t>(inner.kind));
  // Which keys are lost stands in the message.
  writer.out().integer(static_cast<std::uint8_t>(inner.lost.has_value()));
  writer.text(inner.message, kMessageBytes);
  writer.text(inner.device, kNameBytes);
  writer.text(inner.tree_name, kNameBytes);
  writer.number_if(inner.block);
  writer.number(inner.blocks);
  writer.number_if(inner.page);
  writer.number_if(inner.tree ? std::optional<std::uint64_t>(inner.tree->value()) : std::nullopt);
  writer.out().raw(kept.finding.container.value_or(Uuid()).bytes());
  writer.text_if(kept.finding.object ? std::optional(kept.finding.object->to_string()) : std::nullopt, kNameBytes);
  writer.text_if(kept.finding.dkey, kKeyTextBytes);
  writer.text_if(kept.finding.akey, kKeyTextBytes);
  writer.number_if(kept.finding.epoch ? std::optional(kept.finding.epoch->value()) : std::nullopt);
  writer.number_if(kept.finding.first);
  writer.number_if(kept.finding.records);
  ASSERT(bytes.size() <= store::kMaxValueBytes);
  return bytes;
}

Result<KeptFinding> decode_finding(ByteView value) {
  Reader reader(value);
  KeptFinding kept;
  store::Finding& inner = kept.finding.finding;
  reader.in().require(reader.in().integer<std::uint8_t>() == static_cast<std::uint8_t>(kVersion));
  kept.found = reader.time();
  kept.seen = reader.time();
  const auto kind = reader.in().integer<std::uint8_t>();
  reader.in().require(kind <= static_cast<std::uint8_t>(store::FindingKind::kData));
  inner.kind = static_cast<store::FindingKind>(kind);
  if (reader.flag()) inner.lost.emplace();
  inner.message = reader.text(kMessageBytes);
  inner.device = reader.text(kNameBytes);
  inner.tree_name = reader.text(kNameBytes);
  inner.block = reader.number_if();
  inner.blocks = reader.number();
  inner.page = reader.number_if();
  if (const auto tree = reader.number_if()) {
    reader.in().require(*tree <= UINT32_MAX);
    inner.tree = store::TreeId(static_cast<std::uint32_t>(*tree));
  }
  if (const ByteView id = reader.in().raw(16); id.size() == 16) {
    const Uuid container = Uuid::from_bytes(id.first<16>());
    if (!container.is_null()) kept.finding.container = container;
  }
  if (const auto object = reader.text_if(kNameBytes)) {
    const auto parsed = ObjectId::parse(*object);
    reader.in().require(parsed.has_value());
    if (parsed) kept.finding.object = *parsed;
  }
  kept.finding.dkey = reader.text_if(kKeyTextBytes);
  kept.finding.akey = reader.text_if(kKeyTextBytes);
  if (const auto epoch = reader.number_if()) kept.finding.epoch = Epoch(*epoch);
  kept.finding.first = reader.number_if();
  kept.finding.records = reader.number_if();
  CHECK_OK(reader.in().finish("finding of a scrub"));
  return kept;
}

ScrubFindings::Noted ScrubFindings::note(const TargetFinding& finding, WallTime now, WallTime pass) {
  const auto known =
      std::ranges::find_if(findings_, [&](const auto& entry) { return is_same(entry.second.finding, finding); });
  if (known != findings_.end()) {
    if (known->second.seen == pass) return Noted::kAgain;
    known->second.seen = pass;
    unsaved_.insert(known->first);
    return Noted::kKept;
  }
  if (findings_.size() >= kMax) return Noted::kTooMany;
  findings_.emplace(next_, KeptFinding{finding, now, pass});
  unsaved_.insert(next_++);
  return Noted::kKept;
}

template <typename Predicate>
void ScrubFindings::drop_if(Predicate is) {
  std::erase_if(findings_, [&](const auto& entry) {
    if (!is(entry.second)) return false;
    unsaved_.erase(entry.first);
    dropped_.insert(entry.first);
    return true;
  });
}

void ScrubFindings::end_pass(WallTime pass) {
  drop_if([pass](const KeptFinding& kept) { return kept.seen != pass; });
}

void ScrubFindings::forget(const Uuid& container, const EntryDescription& entry) {
  const auto cut = [](const std::optional<std::string>& text) {
    return std::string_view(*text).substr(0, kKeyTextBytes);
  };
  drop_if([&](const KeptFinding& kept) {
    const TargetFinding& found = kept.finding;
    if (found.finding.kind != store::FindingKind::kData || found.container != container) return false;
    if (found.object != entry.object || found.epoch != entry.epoch || !found.dkey || !found.akey) return false;
    if (cut(found.dkey) != cut(entry.dkey) || cut(found.akey) != cut(entry.akey)) return false;
    if (!entry.first) return !found.first;
    return found.first >= *entry.first && *found.first - *entry.first < entry.records;
  });
}

std::vector<KeptFinding> ScrubFindings::list() const {
  std::vector<KeptFinding> all;
  all.reserve(findings_.size());
  for (const auto& [number, kept] : findings_) all.push_back(kept);
  return all;
}

Bytes ScrubFindings::first_key() { return Bytes{kFindingKey}; }

void ScrubFindings::load(ByteView key, ByteView value) {
  if (key.size() != 5 || key[0] != kFindingKey) return;
  const auto number = load_be<std::uint32_t>(key.data() + 1);
  next_ = std::max(next_, number + 1);
  if (auto kept = decode_finding(value)) {
    findings_.emplace(number, *std::move(kept));
  } else {
    dropped_.insert(number);
  }
}

ScrubFindings::Changes ScrubFindings::add_changes(store::TreeId tree, store::Batch& batch) const {
  Changes changes;
  for (const std::uint32_t number : unsaved_) {
    if (changes.put.size() == kChangesAtOnce) break;
    batch.put(tree, key_of(number), encode_finding(findings_.at(number)));
    changes.put.push_back(number);
  }
  for (const std::uint32_t number : dropped_) {
    if (changes.erased.size() == kChangesAtOnce) break;
    batch.erase(tree, key_of(number));
    changes.erased.push_back(number);
  }
  changes.all = changes.put.size() == unsaved_.size() && changes.erased.size() == dropped_.size();
  return changes;
}

void ScrubFindings::saved(const Changes& changes) {
  for (const std::uint32_t number : changes.put) unsaved_.erase(number);
  for (const std::uint32_t number : changes.erased) dropped_.erase(number);
}

}  // namespace cenote::object
