#include "history_page.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/types.h"

namespace cenote::object {
namespace {

constexpr std::uint32_t kMagic = 0x50484e43;  // "CNHP"
constexpr std::uint8_t kVersion = 2;
constexpr std::size_t kChecksumBytes = sizeof(std::uint32_t);
/// Beside key, checksums and data.
constexpr std::size_t kHeadBytes = 2 + 1 + 8 + 4 + 1;
constexpr std::uint64_t kLastEpoch = INT64_MAX;
/// What a page has of the data of an entry: it, it and its checksums, or these alone.
constexpr std::uint8_t kPlain = 0, kChecksummed = 1, kStub = 2;

std::unexpected<Error> malformed(std::string_view why) {
  return failf(Code::kMalformed, "a page of history is malformed: {}", why);
}

bool is_epoch(Epoch epoch) { return epoch.value() > 0 && epoch.value() <= kLastEpoch; }

Result<HistoryFacts> decode_facts(Decoder& in) {
  HistoryFacts facts;
  facts.bound = Epoch(in.integer<std::uint64_t>());
  facts.as_of = Epoch(in.integer<std::uint64_t>());
  const ByteView request = in.raw(16);
  const auto ranges = in.integer<std::uint16_t>();
  if (in.bad() || ranges > kMaxRolledBack) return malformed("its head");
  facts.last_rollback = Uuid::from_bytes(request.subspan<0, 16>());
  for (std::uint16_t i = 0; i < ranges; ++i) {
    const Epoch after(in.integer<std::uint64_t>()), upto(in.integer<std::uint64_t>());
    const bool apart = facts.rolled_back.empty() || facts.rolled_back.back().upto <= after;
    if (in.bad() || !apart || after >= upto) return malformed("what was rolled back");
    facts.rolled_back.push_back({after, upto});
  }
  const bool fits =
      facts.bound <= facts.as_of && facts.as_of.value() <= kLastEpoch &&
      (facts.rolled_back.empty() || (facts.rolled_back.back().upto <= facts.bound && !facts.last_rollback.is_null()));
  if (!fits) return malformed("its epochs");
  return facts;
}

Result<HistoryRange> decode_range(Decoder& in) {
  HistoryRange range;
  range.from = in.raw(in.integer<std::uint16_t>());
  range.to = in.raw(in.integer<std::uint16_t>());
  // The one behind a key is the key and a zero.
  if (in.bad() || range.from.size() > store::kMaxKeyBytes + 1 || range.to.size() > store::kMaxKeyBytes + 1 ||
      (!range.to.empty() && compare(range.from, range.to) >= 0))
    return malformed("what it is about");
  return range;
}

Result<ParsedKey> decode_key(ByteView key) {
  if (key.size() > store::kMaxKeyBytes) return malformed("a key is too long");
  const auto parsed = parse_key(key);
  if (!parsed || !parsed->object.validate() || !is_epoch(parsed->epoch)) return malformed("a key");
  if (parsed->level >= Level::kDkey && parsed->dkey().size() > kMaxDkeyBytes) return malformed("a dkey");
  if (parsed->level == Level::kAkey && parsed->akey().size() > kMaxAkeyBytes) return malformed("an akey");
  return *parsed;
}

/// Whether an entry may stand where its key says.
bool fits(const HistoryEntry& entry) {
  if (entry.type == EntryType::kPunch) return entry.at.level != Level::kAkey || entry.at.kind == Kind::kAkeyEntry;
  if (entry.at.level != Level::kAkey) return false;
  switch (entry.at.kind) {
    case Kind::kAkeyEntry:
      return entry.type == EntryType::kArray;
    case Kind::kWidePunch:
      return entry.type == EntryType::kHole && entry.records <= UINT64_MAX - entry.at.first;
    case Kind::kSingle:
      return entry.type == EntryType::kSingle;
    case Kind::kExtent:
      break;
  }
  if (entry.records > kArrayWindowBytes || entry.records > UINT64_MAX - entry.at.first) return false;
  if (entry.type == EntryType::kHole) return true;
  if (entry.type != EntryType::kExtent) return false;
  const RecordRange range{entry.at.first, entry.records};
  return entry.records <= class_records(entry.at.extent_class, entry.record_bytes) &&
         first_piece(range, entry.record_bytes).count == range.count;
}

void take_data(Decoder& in, HistoryEntry& entry) {
  std::uint64_t bytes = 0;
  if (entry.type == EntryType::kSingle) {
    bytes = in.integer<std::uint32_t>();
    in.require(bytes <= kMaxSingleValueBytes);
  } else {
    entry.records = in.integer<std::uint32_t>();
    entry.record_bytes = in.integer<std::uint32_t>();
    bytes = entry.records * entry.record_bytes;
    in.require(entry.records > 0 && entry.record_bytes > 0 && entry.record_bytes <= kMaxRecordBytes &&
               bytes <= kArrayWindowBytes);
  }
  const auto held = in.integer<std::uint8_t>();
  in.require(held <= kStub && (held == kPlain || bytes > 0));
  if (in.bad()) return;
  entry.bytes = bytes;
  entry.is_stub = held == kStub;
  if (held != kPlain) entry.checksums = in.raw(chunk_count(bytes) * sizeof(std::uint32_t));
  if (!entry.is_stub) entry.data = in.raw(bytes);
}

Result<HistoryEntry> decode_entry_of(Decoder& in) {
  HistoryEntry entry;
  entry.key = in.raw(in.integer<std::uint16_t>());
  entry.type = static_cast<EntryType>(in.integer<std::uint8_t>());
  if (in.bad()) return malformed("it ends too early");
  TRY(entry.at, decode_key(entry.key));
  switch (entry.type) {
    case EntryType::kPunch:
      break;
    case EntryType::kArray:
      entry.flags.bits = in.integer<std::uint8_t>();
      entry.record_bytes = in.integer<std::uint32_t>();
      in.require(entry.record_bytes > 0 && entry.record_bytes <= kMaxRecordBytes);
      in.require((entry.flags.bits & 0x70) == 0);
      break;
    case EntryType::kHole:
      entry.records = in.integer<std::uint64_t>();
      in.require(entry.records > 0);
      break;
    case EntryType::kSingle:
    case EntryType::kExtent:
      take_data(in, entry);
      break;
    default:
      return malformed("an entry of unknown type");
  }
  if (in.bad() || !fits(entry)) return malformed("an entry does not fit its key");
  return entry;
}

}  // namespace

HistoryPageWriter::HistoryPageWriter(const HistoryFacts& facts, const HistoryRange& range) {
  Encoder out(bytes_);
  out.integer(kMagic);
  out.integer(kVersion);
  out.zeros(3);
  out.integer(facts.bound.value());
  out.integer(facts.as_of.value());
  out.raw(facts.last_rollback.bytes());
  out.integer(static_cast<std::uint16_t>(facts.rolled_back.size()));
  for (const RolledBack& rolled_back : facts.rolled_back) {
    out.integer(rolled_back.after.value());
    out.integer(rolled_back.upto.value());
  }
  for (const ByteView end : {range.from, range.to}) {
    out.integer(static_cast<std::uint16_t>(end.size()));
    out.raw(end);
  }
  count_at_ = out.size();
  out.integer(count_);
}

std::size_t HistoryPageWriter::room_for(ByteView key, const Entry& entry, bool stub) {
  const std::size_t checksums = entry.holds_data() ? chunk_count(entry.bytes) * kChecksumBytes : 0;
  return kHeadBytes + key.size() + checksums + (entry.holds_data() && !stub ? entry.bytes : 0);
}

void HistoryPageWriter::add_head(ByteView key, const Entry& entry) {
  ++count_;
  Encoder out(bytes_);
  out.integer(static_cast<std::uint16_t>(key.size()));
  out.raw(key);
  out.integer(static_cast<std::uint8_t>(entry.type));
  if (entry.type == EntryType::kArray) {
    out.integer(entry.flags.bits);
    out.integer(entry.record_bytes);
  }
  if (entry.type == EntryType::kHole) out.integer(entry.records);
  if (entry.type == EntryType::kSingle) out.integer(static_cast<std::uint32_t>(entry.bytes));
  if (entry.type == EntryType::kExtent) {
    out.integer(static_cast<std::uint32_t>(entry.records));
    out.integer(entry.record_bytes);
  }
}

void HistoryPageWriter::add(ByteView key, const Entry& entry, std::span<const std::uint32_t> checksums) {
  add_head(key, entry);
  if (!entry.holds_data()) return;
  Encoder out(bytes_);
  out.integer(checksums.empty() ? kPlain : kChecksummed);
  for (const std::uint32_t checksum : checksums) out.integer(checksum);
}

void HistoryPageWriter::add_stub(ByteView key, const Entry& entry) {
  ASSERT(entry.holds_data() && entry.checksums.size() == chunk_count(entry.bytes) * kChecksumBytes);
  add_head(key, entry);
  Encoder out(bytes_);
  out.integer(kStub);
  out.raw(entry.checksums);
}

Bytes HistoryPageWriter::finish() {
  store_le(bytes_.data() + count_at_, count_);
  Encoder(bytes_).integer(crc32c(bytes_));
  return std::move(bytes_);
}

const HistoryEntry* HistoryContent::find(ByteView key) const {
  const HistoryEntry* const found = find_newest(key);
  return found != nullptr && equal(found->key, key) ? found : nullptr;
}

const HistoryEntry* HistoryContent::find_newest(ByteView key) const {
  const auto found = std::ranges::lower_bound(
      entries, key, [](ByteView a, ByteView b) { return compare(a, b) < 0; }, &HistoryEntry::key);
  const bool same_level = found != entries.end() && found->key.size() == key.size() &&
                          starts_with(found->key, key.first(key.size() - sizeof(std::uint64_t)));
  return same_level ? &*found : nullptr;
}

Result<HistoryContent> decode_history(ByteView page) {
  Decoder head(page);
  const auto magic = head.integer<std::uint32_t>();
  const auto version = head.integer<std::uint8_t>();
  if (head.bad() || magic != kMagic || page.size() < kChecksumBytes) return malformed("it is none");
  if (version != kVersion)
    return failf(Code::kUnsupported, "a page of history has version {}, this build knows {}: use the same Cenote",
                 version, kVersion);
  const ByteView body = page.first(page.size() - kChecksumBytes);
  if (crc32c(body) != load_le<std::uint32_t>(page.data() + body.size())) return malformed("its checksum differs");
  Decoder in(body.subspan(5));
  in.zeros(3);
  HistoryContent content;
  TRY(content.facts, decode_facts(in));
  TRY(content.range, decode_range(in));
  const auto count = in.integer<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const HistoryEntry entry, decode_entry_of(in));
    if (!content.entries.empty() && compare(content.entries.back().key, entry.key) >= 0)
      return malformed("its keys are not in order");
    if (compare(entry.key, content.range.from) < 0 ||
        (!content.range.to.empty() && compare(entry.key, content.range.to) >= 0))
      return malformed("a key is none that it is about");
    content.entries.push_back(entry);
  }
  CHECK_OK(in.finish("a page of history"));
  return content;
}

}  // namespace cenote::object
