// What the object store of a target keeps in its trees: keys and values of a container's tree, the records of the
// system tree and of the tree of request results, the findings of the scrub. The first byte of an input says which.

#include <array>
#include <cstdint>

#include "cenote/base/assert.h"
#include "entries.h"
#include "fuzz_input.h"
#include "keys.h"
#include "records.h"
#include "scrub_findings.h"
#include "values.h"

namespace {

using namespace cenote;
using namespace cenote::object;

// The key that a parsed one names; nullopt where it has no deepest level that a path can spell.
Bytes key_of(const ParsedKey& parsed) {
  KeyPath path(parsed.object);
  if (parsed.level == Level::kObject) return to_bytes(path.object_entry(parsed.epoch));
  path.set_encoded_dkey(parsed.encoded_dkey);
  if (parsed.level == Level::kDkey) return to_bytes(path.dkey_entry(parsed.epoch));
  path.set_encoded_akey(parsed.encoded_akey);
  switch (parsed.kind) {
    case Kind::kAkeyEntry:
      return to_bytes(path.akey_entry(parsed.epoch));
    case Kind::kWidePunch:
      return to_bytes(path.wide_punch(parsed.first, parsed.epoch));
    case Kind::kSingle:
      return to_bytes(path.single(parsed.epoch));
    case Kind::kExtent:
      return to_bytes(path.extent(parsed.extent_class, parsed.first, parsed.epoch));
  }
  return {};
}

void check_encoded(ByteView encoded, const KeyBytes& key, KeyFlavour flavour) {
  PathBytes again;
  append_encoded(key, flavour, again);
  ASSERT(equal(again, encoded));
}

void check_key(ByteView input) {
  const auto parsed = parse_key(input);
  if (!parsed) {
    ASSERT(parsed.error() == Code::kCorrupt);
    return;
  }
  ASSERT(equal(key_of(*parsed), input));
  if (parsed->level >= Level::kDkey) check_encoded(parsed->encoded_dkey, parsed->dkey(), parsed->object.dkey_flavour());
  if (parsed->level == Level::kAkey) check_encoded(parsed->encoded_akey, parsed->akey(), parsed->object.akey_flavour());
  const Bytes after = after_prefix(input);
  ASSERT(after.empty() || compare(after, input) > 0);
}

std::vector<std::uint32_t> checksums_of(const Entry& entry) {
  std::vector<std::uint32_t> checksums;
  if (!entry.checksums.empty()) {
    for (std::uint64_t chunk = 0; chunk < chunk_count(entry.bytes); ++chunk) checksums.push_back(entry.checksum(chunk));
  }
  return checksums;
}

Extents checked_extents(const Entry& entry) {
  const Extents extents = entry.extents();
  std::uint64_t blocks = 0;
  std::uint64_t end = 0;
  for (const store::Extent& extent : extents) {
    ASSERT(extent.blocks > 0 && extent.first.value() >= end);
    end = extent.first.value() + extent.blocks;
    blocks += extent.blocks;
  }
  ASSERT(blocks == entry.blocks());
  return extents;
}

// An entry written again; empty for one that no version of this build would write, though it can read it.
ValueBytes value_of(const Entry& entry) {
  ValueBytes out;
  if (entry.type == EntryType::kPunch) append_punch(out);
  if (entry.type == EntryType::kArray) append_array(entry.record_bytes, entry.flags, out);
  if (entry.type == EntryType::kHole) append_hole(entry.records, out);
  if (!entry.holds_data()) return out;
  const std::vector<std::uint32_t> checksums = checksums_of(entry);
  DataHeader header{.type = entry.type,
                    .bytes = entry.bytes,
                    .records = entry.records,
                    .record_bytes = entry.record_bytes,
                    .checksums = checksums};
  std::vector<StoredUnit> units;
  for (std::uint32_t i = 0; entry.is_packed && i < unit_count(entry.bytes); ++i) units.push_back(entry.unit(i));
  header.compression = entry.compression;
  header.units = units;
  header.nonce = entry.nonce;
  if (!entry.is_inline) {
    append_stored(header, checked_extents(entry).view(), out);
  } else if (entry.data.size() <= kMaxInlineBytes) {
    append_inline(header, entry.data, out);
  }
  return out;
}

void check_value(ByteView input) {
  const auto entry = decode_entry(input);
  if (!entry) {
    ASSERT(entry.error() == Code::kCorrupt || entry.error() == Code::kNewerFormat);
    return;
  }
  const ValueBytes again = value_of(*entry);
  if (!again.empty()) ASSERT(equal(again, input));
}

void check_system_key(ByteView input) {
  const auto key = parse_system_key(input);
  if (!key) return;
  RecordBytes again = container_key(key->kind, key->container);
  if (key->kind == RecordKind::kCeiling) again = ceiling_key();
  if (key->kind == RecordKind::kDestroying) again = destroying_key(key->tree);
  if (key->kind == RecordKind::kSnapshot) again = snapshot_key(key->container, key->epoch);
  ASSERT(equal(again, input));
}

// Records of the system tree do not say of which kind they are, so each decoder gets each input.
void check_system_value(ByteView input) {
  if (const auto record = decode_container(input)) ASSERT(equal(encode_container(*record), input));
  if (const auto number = object::decode_number(input)) ASSERT(equal(encode_number(*number), input));
  if (decode_snapshot(input)) ASSERT(equal(encode_snapshot(), input));
  if (const auto record = object::decode_rollback(input)) ASSERT(equal(encode_rollback(*record), input));
  if (const auto position = decode_destroying(input)) ASSERT(equal(encode_destroying(*position), input));
}

void check_request_key(ByteView input) {
  if (const auto key = parse_request_key(input)) ASSERT(equal(request_key(key->session, key->sequence), input));
}

void check_request_value(ByteView input) {
  if (const auto record = decode_request(input)) ASSERT(equal(encode_request(*record), input));
}

void check_entry_key(ByteView input) {
  if (const auto key = parse_entry_key(input)) ASSERT(equal(entry_key(key->name, key->piece), input));
}

void check_entry_header(ByteView input) {
  if (const auto header = decode_entry_header(input)) ASSERT(equal(encode_entry_header(*header), input));
}

void check_entry_changes(ByteView input) {
  const auto changes = decode_entry_changes(input);
  if (!changes) return;
  ASSERT(equal(encode_entry_changes(changes->touched, changes->batch), input));
  for (const store::Extent& extent : changes->claims) ASSERT(extent.blocks > 0);
}

// Texts are cut and ids spelled one way when they are written, so what is read need not be what would be written.
void check_finding(ByteView input) {
  const auto kept = decode_finding(input);
  if (!kept) {
    ASSERT(kept.error() == Code::kMalformed || kept.error() == Code::kCorrupt);
    return;
  }
  const Bytes written = encode_finding(*kept);
  const auto again = decode_finding(written);
  ASSERT(again.has_value() && encode_finding(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_key,          check_value,         check_system_key, check_system_value,
                                  check_request_key,  check_request_value, check_finding,    check_entry_key,
                                  check_entry_header, check_entry_changes};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
