#include "check_read.h"

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::posix {

bool tells_of_damage(const Error& error) {
  return error == Code::kCorrupt || error == Code::kChecksumMismatch || error == Code::kOutOfRange ||
         error == Code::kTypeMismatch;
}

Task<Result<std::vector<StoredValue>>> read_values(async::Container container, std::vector<ValueName> names,
                                                   Until until) {
  std::vector<async::FetchItem> items(names.size());
  Bytes buffer(names.size() * kMaxEntryBytes);
  for (std::size_t i = 0; i < names.size(); ++i) {
    FetchRequest& request = items[i].request;
    request.object = names[i].place.object;
    request.dkey = to_bytes(as_bytes(names[i].place.dkey));
    AkeyFetch& value = request.akeys.emplace_back();
    value.akey = to_bytes(as_bytes(names[i].akey));
    value.max_bytes = kMaxEntryBytes;
    items[i].into = {MutableBytes(buffer).subspan(i * kMaxEntryBytes, kMaxEntryBytes)};
  }
  co_await container.fetch_many(items, until);
  std::vector<StoredValue> values(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!items[i].result) {
      if (!tells_of_damage(items[i].result.error())) co_return fail(std::move(items[i].result).error());
      values[i] = fail(std::move(items[i].result).error());
      continue;
    }
    const AkeyFetched& fetched = items[i].result->akeys[0];
    if (!fetched.exists) continue;
    const ByteView stored = ByteView(buffer).subspan(i * kMaxEntryBytes, fetched.bytes);
    values[i] = std::optional<Bytes>(to_bytes(stored));
  }
  co_return values;
}

Task<Result<StoredValue>> read_value(async::Container container, ValueName name, Until until) {
  std::vector<ValueName> names{std::move(name)};
  CO_TRY(auto values, co_await read_values(std::move(container), std::move(names), until));
  co_return std::move(values.front());
}

ReadEntry judge_entry(const StoredValue& value) {
  using enum ReadEntry::State;
  if (!value) return {.state = kUnreadable, .entry = {}, .what = value.error().to_string()};
  if (!*value) return {};
  auto decoded = decode_entry(**value, "it");
  if (decoded) return {.state = kWhole, .entry = *std::move(decoded), .what = {}};
  const bool newer = decoded.error() == Code::kNewerFormat;
  return {.state = newer ? kUnreadable : kDamaged, .entry = {}, .what = decoded.error().to_string()};
}

ReadEntry judge_name(const StoredValue& value, std::uint32_t redundancy) {
  using enum ReadEntry::State;
  ReadEntry read = judge_entry(value);
  if (read.state == kAbsent) return {.state = kDamaged, .entry = {}, .what = "it has no value"};
  if (read.state != kWhole) return read;
  const Entry& entry = read.entry;
  const bool is_directory = entry.type == FileType::kDirectory;
  if (is_object_of(entry.type, entry.object, redundancy) && !(is_directory && entry.inode)) return read;
  return {.state = kDamaged, .entry = {}, .what = "it leads to an object that it cannot have"};
}

ReadEntry judge_directory(const StoredValue& value, const ObjectId& object) {
  using enum ReadEntry::State;
  ReadEntry read = judge_entry(value);
  if (read.state != kWhole) return read;
  const Entry& entry = read.entry;
  if (entry.inode && entry.type == FileType::kDirectory && entry.object == object) return read;
  return {.state = kDamaged, .entry = {}, .what = "it is the record of something else"};
}

bool is_object_of(FileType type, const ObjectId& object, std::uint32_t redundancy) {
  return object == object_of(type, object.low(), redundancy) && object.low() >= kFirstLeasedObject;
}

ObjectId object_of(FileType type, std::uint64_t number, std::uint32_t redundancy) {
  const KeyFlavour dkeys = type == FileType::kFile ? KeyFlavour::kUint64 : KeyFlavour::kLexical;
  return ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy), dkeys, KeyFlavour::kLexical, 0, number);
}

}  // namespace cenote::posix
