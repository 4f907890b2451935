#pragma once

// Keys of a container's tree (docs/formats/object.md). Byte order is the order everything here relies on: object, dkey,
// akey, then the entries of an akey by kind and position, each position's newest version first; entries of a level (its
// punches) before everything below it.

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::object {

/// First byte after the akey.
enum class Kind : std::uint8_t {
  kAkeyEntry = 0x00,  ///< a punch of the akey, or the birth of an array
  kWidePunch = 0x01,  ///< a punched range of whole windows; with its first record
  kSingle = 0x02,     ///< a version of a single value
  kExtent =
      0x10,  ///< a piece of an array inside one window, of size class 0; classes 1-3 follow. With its first record
};

/// Extents are kept apart by size, so that a reader who looks for what covers one record need not start at the
/// beginning of the window but at most one longest extent of each class before it.
inline constexpr std::uint32_t kExtentClasses = 4;
/// Most bytes of an extent of a class: 256, 4 KiB, 64 KiB, 1 MiB.
constexpr std::uint64_t class_bytes(std::uint32_t extent_class) { return 256ull << (4 * extent_class); }
static_assert(class_bytes(kExtentClasses - 1) == kArrayWindowBytes && kMaxRecordBytes <= kArrayWindowBytes);

constexpr std::uint32_t extent_class(std::uint64_t bytes) {
  std::uint32_t extent_class = 0;
  while (class_bytes(extent_class) < bytes) ++extent_class;
  return extent_class;
}
/// Most records of an extent of a class.
constexpr std::uint64_t class_records(std::uint32_t extent_class, std::uint32_t record_bytes) {
  const std::uint64_t records = class_bytes(extent_class) / record_bytes;
  return records == 0 ? 1 : records;
}

/// Inline room for the path of common keys.
using PathBytes = SmallVector<std::byte, 64>;

/// Builds keys of one object. Holds the path down to an akey and puts one entry's tail behind a part of it; the view it
/// returns is valid until the next call. Keys must have been validated.
class KeyPath {
 public:
  explicit KeyPath(const ObjectId& object);
  KeyPath(const ObjectId& object, ByteView dkey) : KeyPath(object) { set_dkey(dkey); }

  /// Forgets the akey.
  void set_dkey(ByteView dkey);
  void set_akey(ByteView akey);
  /// The same from the encoded forms that a parsed key gives.
  void set_encoded_dkey(ByteView encoded);
  void set_encoded_akey(ByteView encoded);

  // Everything of the object, dkey or akey starts with these bytes.
  ByteView object_prefix() const { return prefix(kObjectEnd); }
  ByteView dkey_prefix() const { return prefix(dkey_end_); }
  ByteView akey_prefix() const { return prefix(akey_end_); }

  ByteView object_entry(Epoch epoch) { return level_entry(kObjectEnd, epoch); }
  ByteView dkey_entry(Epoch epoch) { return level_entry(dkey_end_, epoch); }
  ByteView akey_entry(Epoch epoch) { return level_entry(akey_end_, epoch); }
  ByteView wide_punch(std::uint64_t first, Epoch epoch) { return ranged(0x01, first, epoch); }
  ByteView single(Epoch epoch);
  ByteView extent(std::uint32_t extent_class, std::uint64_t first, Epoch epoch) {
    return ranged(static_cast<std::uint8_t>(Kind::kExtent) + extent_class, first, epoch);
  }
  /// What all entries of one kind (and size class) of the akey start with.
  ByteView kind_prefix(Kind kind, std::uint32_t extent_class = 0);
  /// What all keys below the level start with: all akeys of the dkey, all dkeys of the object.
  ByteView below_dkey() { return marker(dkey_end_); }
  ByteView below_object() { return marker(kObjectEnd); }

  static constexpr std::uint32_t kObjectEnd = 16;

 private:
  ByteView prefix(std::uint32_t end) const { return {bytes_.data(), end}; }
  ByteView level_entry(std::uint32_t end, Epoch epoch);
  ByteView ranged(std::uint32_t kind, std::uint64_t first, Epoch epoch);
  ByteView marker(std::uint32_t end);
  KeyFlavour dkeys_, akeys_;
  std::uint32_t dkey_end_ = kObjectEnd;
  std::uint32_t akey_end_ = kObjectEnd;
  PathBytes bytes_;  // the path itself
  PathBytes entry_;  // a part of it with the tail of an entry
};

enum class Level : std::uint8_t { kObject, kDkey, kAkey };

/// A key taken apart; views point into it.
struct ParsedKey {
  ObjectId object;
  Level level = Level::kObject;  ///< deepest level the key names
  ByteView encoded_dkey, encoded_akey;
  std::uint32_t dkey_end = 0;  ///< length of the dkey's prefix
  std::uint32_t akey_end = 0;
  Kind kind = Kind::kAkeyEntry;  ///< only below an akey
  std::uint32_t extent_class = 0;
  std::uint64_t first = 0;
  Epoch epoch;

  KeyBytes dkey() const;
  KeyBytes akey() const;
};

/// kCorrupt: not a key of this format.
Result<ParsedKey> parse_key(ByteView key);

/// Appends the encoded form of a key: order-preserving, and no encoded key is a prefix of another.
void append_encoded(ByteView key, KeyFlavour flavour, PathBytes& out);

bool starts_with(ByteView key, ByteView prefix);
/// The smallest key greater than every key that starts with `prefix`: where a skip-scan continues. Empty: there is
/// none.
Bytes after_prefix(ByteView prefix);

/// "object 0002….…, dkey 'x', akey 'y'" for messages.
std::string describe(const ObjectId& object, ByteView dkey, ByteView akey);

}  // namespace cenote::object
