#include "keys.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::object {
namespace {

constexpr std::byte kEntryOfLevel{0x00};
constexpr std::byte kDeeper{0x01};
// Inside an escaped key a zero byte is followed by 0xff; zero and one end it. So the end sorts before every
// continuation.
constexpr std::byte kZero{0x00};
constexpr std::byte kEscaped{0xff};
constexpr std::byte kTerminator{0x01};

template <typename Out>
void append_be(Out& out, std::uint64_t value) {
  std::byte bytes[8];
  store_be(bytes, value);
  out.append(ByteView(bytes));
}

std::uint64_t inverted(Epoch epoch) { return ~epoch.value(); }

/// Length of the encoded key at the start of `from`, 0 when it does not end.
std::size_t encoded_length(ByteView from, KeyFlavour flavour) {
  if (flavour == KeyFlavour::kUint64) return from.size() >= 8 ? 8 : 0;
  for (std::size_t i = 0; i + 1 < from.size(); ++i) {
    if (from[i] != kZero) continue;
    if (from[i + 1] == kTerminator) return i + 2;
    if (from[i + 1] != kEscaped) return 0;
    ++i;
  }
  return 0;
}

KeyBytes decoded(ByteView encoded, KeyFlavour flavour) {
  KeyBytes key;
  if (flavour == KeyFlavour::kUint64) {
    key.resize(8);
    store_le(key.data(), load_be<std::uint64_t>(encoded.data()));
    return key;
  }
  key.reserve(encoded.size() - 2);
  for (std::size_t i = 0; i + 2 < encoded.size(); ++i) {
    key.push_back(encoded[i]);
    if (encoded[i] == kZero) ++i;
  }
  return key;
}

std::unexpected<Error> no_key(ByteView key) {
  return failf(Code::kCorrupt, "a tree of a container holds a key that is none: {}", to_hex(key));
}

Result<ParsedKey> parse_tail(ByteView whole, ByteView tail, ParsedKey parsed) {
  const auto kind = static_cast<std::uint8_t>(tail[0]);
  const bool extent = kind >= 0x10 && kind < 0x10 + kExtentClasses;
  const bool ranged = extent || kind == static_cast<std::uint8_t>(Kind::kWidePunch);
  if (!ranged && kind > static_cast<std::uint8_t>(Kind::kSingle)) return no_key(whole);
  if (tail.size() != (ranged ? 17u : 9u)) return no_key(whole);
  parsed.kind = extent ? Kind::kExtent : static_cast<Kind>(kind);
  parsed.extent_class = extent ? kind - 0x10u : 0;
  if (ranged) parsed.first = load_be<std::uint64_t>(tail.data() + 1);
  parsed.epoch = Epoch(~load_be<std::uint64_t>(tail.data() + tail.size() - 8));
  return parsed;
}

}  // namespace

void append_encoded(ByteView key, KeyFlavour flavour, PathBytes& out) {
  if (flavour == KeyFlavour::kUint64) {
    ASSERT(key.size() == 8);
    return append_be(out, load_le<std::uint64_t>(key.data()));
  }
  for (std::byte value : key) {
    out.push_back(value);
    if (value == kZero) out.push_back(kEscaped);
  }
  out.push_back(kZero);
  out.push_back(kTerminator);
}

KeyPath::KeyPath(const ObjectId& object) : dkeys_(object.dkey_flavour()), akeys_(object.akey_flavour()) {
  append_be(bytes_, object.high());
  append_be(bytes_, object.low());
}

void KeyPath::set_dkey(ByteView dkey) {
  bytes_.resize(kObjectEnd);
  bytes_.push_back(kDeeper);
  append_encoded(dkey, dkeys_, bytes_);
  dkey_end_ = akey_end_ = static_cast<std::uint32_t>(bytes_.size());
}

void KeyPath::set_akey(ByteView akey) {
  bytes_.resize(dkey_end_);
  bytes_.push_back(kDeeper);
  append_encoded(akey, akeys_, bytes_);
  akey_end_ = static_cast<std::uint32_t>(bytes_.size());
}

void KeyPath::set_encoded_dkey(ByteView encoded) {
  bytes_.resize(kObjectEnd);
  bytes_.push_back(kDeeper);
  bytes_.append(encoded);
  dkey_end_ = akey_end_ = static_cast<std::uint32_t>(bytes_.size());
}

void KeyPath::set_encoded_akey(ByteView encoded) {
  bytes_.resize(dkey_end_);
  bytes_.push_back(kDeeper);
  bytes_.append(encoded);
  akey_end_ = static_cast<std::uint32_t>(bytes_.size());
}

ByteView KeyPath::level_entry(std::uint32_t end, Epoch epoch) {
  entry_.assign(prefix(end));
  entry_.push_back(kEntryOfLevel);
  append_be(entry_, inverted(epoch));
  return entry_.view();
}

ByteView KeyPath::single(Epoch epoch) {
  entry_.assign(akey_prefix());
  entry_.push_back(static_cast<std::byte>(Kind::kSingle));
  append_be(entry_, inverted(epoch));
  return entry_.view();
}

ByteView KeyPath::ranged(std::uint32_t kind, std::uint64_t first, Epoch epoch) {
  entry_.assign(akey_prefix());
  entry_.push_back(static_cast<std::byte>(kind));
  append_be(entry_, first);
  append_be(entry_, inverted(epoch));
  return entry_.view();
}

ByteView KeyPath::kind_prefix(Kind kind, std::uint32_t extent_class) {
  entry_.assign(akey_prefix());
  entry_.push_back(static_cast<std::byte>(static_cast<std::uint8_t>(kind) + extent_class));
  return entry_.view();
}

ByteView KeyPath::marker(std::uint32_t end) {
  entry_.assign(prefix(end));
  entry_.push_back(kDeeper);
  return entry_.view();
}

KeyBytes ParsedKey::dkey() const { return decoded(encoded_dkey, object.dkey_flavour()); }
KeyBytes ParsedKey::akey() const { return decoded(encoded_akey, object.akey_flavour()); }

Result<ParsedKey> parse_key(ByteView key) {
  ParsedKey parsed;
  if (key.size() < KeyPath::kObjectEnd + 1) return no_key(key);
  parsed.object = ObjectId(load_be<std::uint64_t>(key.data()), load_be<std::uint64_t>(key.data() + 8));
  ByteView rest = key.subspan(KeyPath::kObjectEnd);
  for (const Level level : {Level::kObject, Level::kDkey}) {
    parsed.level = level;
    if (rest[0] == kEntryOfLevel) {
      if (rest.size() != 9) return no_key(key);
      parsed.epoch = Epoch(~load_be<std::uint64_t>(rest.data() + 1));
      return parsed;
    }
    if (rest[0] != kDeeper) return no_key(key);
    const bool dkey = level == Level::kObject;
    const std::size_t length =
        encoded_length(rest.subspan(1), dkey ? parsed.object.dkey_flavour() : parsed.object.akey_flavour());
    if (length == 0 || rest.size() <= length + 1) return no_key(key);
    (dkey ? parsed.encoded_dkey : parsed.encoded_akey) = rest.subspan(1, length);
    rest = rest.subspan(1 + length);
    (dkey ? parsed.dkey_end : parsed.akey_end) = static_cast<std::uint32_t>(key.size() - rest.size());
  }
  parsed.level = Level::kAkey;
  return parse_tail(key, rest, parsed);
}

bool starts_with(ByteView key, ByteView prefix) {
  return key.size() >= prefix.size() && equal(key.first(prefix.size()), prefix);
}

Bytes after_prefix(ByteView prefix) {
  Bytes after = to_bytes(prefix);
  while (!after.empty() && after.back() == std::byte{0xff}) after.pop_back();
  if (!after.empty()) after.back() = static_cast<std::byte>(static_cast<std::uint8_t>(after.back()) + 1);
  return after;
}

std::string describe(const ObjectId& object, ByteView dkey, ByteView akey) {
  return fmt::format("object {}, dkey '{}', akey '{}'", object.to_string(), printable(dkey), printable(akey));
}

}  // namespace cenote::object
