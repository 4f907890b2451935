#pragma once

// A page of a container's history as it travels between targets (docs/formats/object.md, "Pages of history").

#include <vector>

#include "keys.h"
#include "rolled_back.h"
#include "values.h"

namespace cenote::object {

/// About how large a page gets; with one entry, or many births and punches of one akey, it may be longer.
inline constexpr std::size_t kHistoryPageBytes = 1u << 20;

/// What a reader of the container has to know beside its entries.
struct HistoryFacts {
  Epoch bound;         ///< readers below it are refused
  Epoch as_of;         ///< of the source's clock when the page was read
  Uuid last_rollback;  ///< as of RollbackRecord
  std::vector<RolledBack> rolled_back;
};

/// The keys that a page is about, those that it has no entry for included: from `from` on, up to `to`, which is not one
/// of them; empty: to the end. They need not be keys themselves. Those of two pages may overlap where there is nothing.
struct HistoryRange {
  ByteView from, to;
};

/// An entry as it is whatever target holds it; views point into the page.
struct HistoryEntry {
  ByteView key;
  ParsedKey at;
  EntryType type = EntryType::kPunch;
  ArrayFlags flags;                ///< kArray
  std::uint32_t record_bytes = 0;  ///< kArray, kExtent
  std::uint64_t records = 0;       ///< kExtent, kHole
  std::uint64_t bytes = 0;         ///< kSingle, kExtent: of data
  ByteView checksums;              ///< of the chunks of the data, little-endian u32 each; empty: none
  ByteView data;                   ///< kSingle, kExtent
  bool is_stub = false;            ///< the data is not in the page, its checksums are

  bool holds_data() const { return type == EntryType::kSingle || type == EntryType::kExtent; }
};

class HistoryPageWriter {
 public:
  HistoryPageWriter(const HistoryFacts& facts, const HistoryRange& range);

  /// Bytes that an entry takes at most.
  static std::size_t room_for(ByteView key, const Entry& entry, bool stub);
  /// An entry without data; or the head of one, whose data, `entry.bytes` bytes of it, follows by `append`.
  void add(ByteView key, const Entry& entry, std::span<const std::uint32_t> checksums);
  /// One that holds data, which stays away; it has checksums.
  void add_stub(ByteView key, const Entry& entry);
  void append(ByteView data) { bytes_.insert(bytes_.end(), data.begin(), data.end()); }
  Bytes finish();

 private:
  void add_head(ByteView key, const Entry& entry);

  Bytes bytes_;
  std::size_t count_at_ = 0;
  std::uint32_t count_ = 0;
};

struct HistoryContent {
  HistoryFacts facts;
  HistoryRange range;
  std::vector<HistoryEntry> entries;  ///< keys ascending, in the range

  /// nullptr: the page has none with this key.
  const HistoryEntry* find(ByteView key) const;
  /// The newest of a level that is not newer than `key`, an entry of it.
  const HistoryEntry* find_newest(ByteView key) const;
};
/// kMalformed, kUnsupported: of a later version. Good as long as the bytes.
Result<HistoryContent> decode_history(ByteView page);

}  // namespace cenote::object
