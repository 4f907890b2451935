#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/object/examine.h"
#include "keys.h"
#include "values.h"

namespace cenote::object {
namespace {

std::string key_text(ByteView key, KeyFlavour flavour) {
  if (flavour == KeyFlavour::kUint64 && key.size() == 8) return std::to_string(load_le<std::uint64_t>(key.data()));
  return printable(key, 1024);
}

const char* type_name(EntryType type) {
  switch (type) {
    case EntryType::kPunch:
      return "punch";
    case EntryType::kArray:
      return "array";
    case EntryType::kSingle:
      return "single";
    case EntryType::kExtent:
      return "extent";
    case EntryType::kHole:
      return "hole";
  }
  return "unknown";
}

bool type_fits(const ParsedKey& key, EntryType type) {
  if (key.level != Level::kAkey) return type == EntryType::kPunch;
  switch (key.kind) {
    case Kind::kAkeyEntry:
      return type == EntryType::kPunch || type == EntryType::kArray;
    case Kind::kWidePunch:
      return type == EntryType::kHole;
    case Kind::kSingle:
      return type == EntryType::kSingle;
    case Kind::kExtent:
      return type == EntryType::kExtent || type == EntryType::kHole;
  }
  return false;
}

/// What a reader relies on when it looks for extents that cover a record.
bool extent_fits(const ParsedKey& key, const Entry& entry) {
  if (entry.type != EntryType::kExtent) return true;
  if (entry.records > class_records(key.extent_class, entry.record_bytes)) return false;
  const std::uint64_t window = window_records(entry.record_bytes);
  return key.first / window == (key.first + entry.records - 1) / window;
}

}  // namespace

Result<EntryDescription> describe_entry(ByteView key_bytes, ByteView value) {
  TRY(const ParsedKey key, parse_key(key_bytes));
  TRY(const Entry entry, decode_entry(value));
  EntryDescription described;
  described.object = key.object;
  if (key.level != Level::kObject) described.dkey = key_text(key.dkey(), key.object.dkey_flavour());
  if (key.level == Level::kAkey) described.akey = key_text(key.akey(), key.object.akey_flavour());
  described.type = type_name(entry.type);
  described.epoch = key.epoch;
  if (!type_fits(key, entry.type))
    return failf(Code::kCorrupt, "{}: a value of type {} stands where none can be", describe_key_prefix(key_bytes),
                 described.type);
  if (!extent_fits(key, entry))
    return failf(Code::kCorrupt, "{}: an extent of {} records of {} bytes stands where it is not looked for",
                 describe_key_prefix(key_bytes), entry.records, entry.record_bytes);
  if (entry.type == EntryType::kExtent || entry.type == EntryType::kHole) {
    described.first = key.first;
    described.records = entry.records;
  }
  described.record_bytes = entry.record_bytes;
  described.bytes = entry.bytes;
  described.holds_data = entry.holds_data();
  described.is_inline = entry.is_inline;
  described.checksummed = !entry.checksums.empty();
  described.compression = entry.compression;
  described.encrypted = entry.is_sealed;
  for (const store::Extent& extent : entry.extents()) described.extents.push_back(extent);
  return described;
}

Result<EntryPlace> dkey_of(ByteView key) {
  const auto parsed = parse_key(key);
  if (!parsed || parsed->level == Level::kObject) return fail(Code::kMalformed, "this is no key below a dkey");
  return EntryPlace{parsed->object, to_bytes(parsed->dkey())};
}

std::string describe_key_prefix(ByteView key) {
  if (const auto whole = parse_key(key)) {
    std::string text = "object " + whole->object.to_string();
    if (whole->level != Level::kObject)
      text += fmt::format(", dkey '{}'", key_text(whole->dkey(), whole->object.dkey_flavour()));
    if (whole->level == Level::kAkey)
      text += fmt::format(", akey '{}'", key_text(whole->akey(), whole->object.akey_flavour()));
    if (whole->level == Level::kAkey && (whole->kind == Kind::kExtent || whole->kind == Kind::kWidePunch))
      text += fmt::format(", record {}", whole->first);
    return text;
  }
  // A bound between two pages may be cut anywhere: what is left of it is shown as it is.
  if (key.size() < KeyPath::kObjectEnd) return key.empty() ? "the beginning" : "key " + to_hex(key);
  const ObjectId object(load_be<std::uint64_t>(key.data()), load_be<std::uint64_t>(key.data() + 8));
  const ByteView rest = key.subspan(KeyPath::kObjectEnd);
  return "object " + object.to_string() + (rest.empty() ? "" : fmt::format(", key '{}'", printable(rest, 256)));
}

bool is_container_tree(std::string_view name) { return name.starts_with("object.container."); }

}  // namespace cenote::object
