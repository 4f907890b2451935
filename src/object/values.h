#pragma once

// Values of a container's tree (docs/formats/object.md): small headers with data inline, or the blocks that hold it,
// and the checksums of its chunks.

#include <array>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/sealer.h"
#include "cenote/object/compression.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/store/types.h"

namespace cenote::object {

/// What an entry says about its position from its epoch on.
enum class EntryType : std::uint8_t {
  kPunch = 1,   ///< of an object, dkey or akey: everything below with the same or an earlier epoch is gone
  kArray = 2,   ///< birth of an array
  kSingle = 3,  ///< a value
  kExtent = 4,  ///< records of an array
  kHole = 5,    ///< punched records of an array, inside one window or (wide) of whole windows
};

/// Facts about an array that save its readers lookups. They may claim more than there is, never less.
struct ArrayFlags {
  std::uint8_t bits = 0;
  bool has_class(std::uint32_t extent_class) const { return (bits >> extent_class & 1) != 0; }
  void add_class(std::uint32_t extent_class) { bits = static_cast<std::uint8_t>(bits | 1u << extent_class); }
  bool has_wide_punches() const { return (bits & kWide) != 0; }
  void add_wide_punch() { bits |= kWide; }
  friend bool operator==(ArrayFlags, ArrayFlags) = default;

 private:
  static constexpr std::uint8_t kWide = 0x80;
};

using Extents = SmallVector<store::Extent, 2>;
using ValueBytes = SmallVector<std::byte, 64>;

/// Data that is not stored as it is is cut into units of this many bytes, from the start of the value, each of which is
/// read, verified and unpacked alone.
inline constexpr std::uint32_t kUnitBytes = 32u << 10;

/// A unit of packed data as it is stored. One that did not become smaller is not compressed.
struct StoredUnit {
  std::uint32_t bytes = 0;
  std::uint32_t checksum = 0;                     ///< CRC32C of the stored bytes
  std::array<std::byte, kSealTagBytes> tag = {};  ///< of sealed data

  /// A unit of data on the media begins in a block of its own, so that it can be given back alone.
  std::uint32_t blocks() const { return static_cast<std::uint32_t>(chunk_count(bytes)); }
};
constexpr std::uint32_t unit_count(std::uint64_t bytes) {
  return static_cast<std::uint32_t>((bytes + kUnitBytes - 1) / kUnitBytes);
}
/// Plain bytes of a value's unit.
constexpr std::uint32_t unit_bytes(std::uint64_t value_bytes, std::uint32_t unit) {
  const std::uint64_t left = value_bytes - std::uint64_t{unit} * kUnitBytes;
  return left < kUnitBytes ? static_cast<std::uint32_t>(left) : kUnitBytes;
}

/// The nonce of the unit that comes `units` after the one with nonce `first`.
std::array<std::byte, kSealNonceBytes> nonce_after(ByteView first, std::uint32_t units);

/// A decoded value; views point into the encoded one.
struct Entry {
  EntryType type = EntryType::kPunch;
  ArrayFlags flags;                ///< kArray
  std::uint32_t record_bytes = 0;  ///< kArray, kExtent
  std::uint64_t records = 0;       ///< kExtent, kHole
  std::uint64_t bytes = 0;         ///< kSingle, kExtent: of data
  bool is_inline = false;
  ByteView data;       ///< inline data, as it is stored
  ByteView checksums;  ///< one little-endian u32 per chunk of the plain data; empty: none
  bool is_packed = false;
  Compression compression = Compression::kNone;  ///< packed: of the units that became smaller
  bool is_sealed = false;                        ///< packed: the units are encrypted
  ByteView nonce;                                ///< sealed: of the first unit; those of the others count on from it
  ByteView units;
  std::uint32_t extent_count = 0;
  ByteView packed_extents;

  bool holds_data() const { return type == EntryType::kSingle || type == EntryType::kExtent; }
  std::uint32_t checksum(std::uint64_t chunk) const;
  StoredUnit unit(std::uint32_t index) const;
  /// Stored blocks; of packed data also those of the units before `end`.
  std::uint64_t blocks() const { return is_packed ? blocks_before(unit_count(bytes)) : chunk_count(bytes); }
  std::uint64_t blocks_before(std::uint32_t end) const;
  /// The extents in the order of the data, which is also ascending on the device.
  Extents extents() const;
};

/// Largest data that may stay inline whatever the options say.
inline constexpr std::uint32_t kMaxInlineBytes = 2048;

/// Whether the entry of sealed data has room for the checksums of its chunks besides, in so many extents.
bool sealed_has_room_for_checksums(std::uint64_t bytes, std::size_t extents);
/// Room for packed data in the entry of a value of `bytes` bytes, beside its checksums and units.
std::size_t packed_inline_room(std::uint64_t bytes);

struct DataHeader {
  EntryType type = EntryType::kSingle;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;       ///< kExtent
  std::uint32_t record_bytes = 0;  ///< kExtent
  std::span<const std::uint32_t> checksums;
  // Packed data only.
  Compression compression = Compression::kNone;
  ByteView nonce;                     ///< empty: not sealed
  std::span<const StoredUnit> units;  ///< empty: the data is stored as it is
};

// Each appends one value to `out`.
void append_punch(ValueBytes& out);
void append_array(std::uint32_t record_bytes, ArrayFlags flags, ValueBytes& out);
void append_hole(std::uint64_t records, ValueBytes& out);
void append_inline(const DataHeader& header, ByteView data, ValueBytes& out);
/// `extents` ascending, together ceil(bytes / block) blocks, or the sum of those of the units.
void append_stored(const DataHeader& header, std::span<const store::Extent> extents, ValueBytes& out);

/// The same value with its data in other extents, of as many blocks. `entry` is `value` decoded.
void append_moved(ByteView value, const Entry& entry, std::span<const store::Extent> extents, ValueBytes& out);

/// Blocks [first, end) of a list of extents, counted from its start.
Extents blocks_of(std::span<const store::Extent> extents, std::uint64_t first, std::uint64_t end);

/// kCorrupt: not a value of this format; kNewerFormat: of a later version.
Result<Entry> decode_entry(ByteView value);

}  // namespace cenote::object
