#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "cenote/base/assert.h"
#include "cenote/base/bytes.h"
#include "cenote/base/codec.h"
#include "cenote/base/error.h"
#include "cenote/store/types.h"
#include "page_id.h"

/// The slotted page of the B+trees (docs/formats/page.md): views that read and change the raw 16 KiB in place. Nothing
/// here owns memory or waits. A view may be made of a page that `verify` passed or that `Page::format` made; then no
/// call can leave the page, whatever the caller's keys are within the stated limits.
namespace cenote::store {

inline constexpr std::uint32_t kPageMagic = 0x67506e43;  // "CnPg"
inline constexpr std::uint8_t kPageVersion = 1;
inline constexpr std::uint32_t kPageHeaderBytes = 64;
/// Heads of evenly spaced entries, beside the header: they leave a search a few slots instead of all, and with them
/// most of its cache misses.
inline constexpr std::uint32_t kHints = 16;
inline constexpr std::uint32_t kFencesBegin = kPageHeaderBytes + 4 * kHints;
inline constexpr std::uint32_t kSlotBytes = 8;
inline constexpr std::uint32_t kRecordHeaderBytes = 2;
inline constexpr std::uint32_t kChildBytes = 8;
/// Levels a tree can have. A root splits only when it is full, and even with the longest keys that is six children or
/// more, so a tree this high would have 6^23 leaves.
inline constexpr std::uint32_t kPageLevels = 24;

/// What an entry takes of a page.
constexpr std::uint32_t entry_bytes(std::uint32_t suffix_bytes, std::uint32_t value_bytes) {
  return kSlotBytes + kRecordHeaderBytes + suffix_bytes + value_bytes;
}

inline constexpr std::uint32_t kMaxLeafEntryBytes = entry_bytes(kMaxKeyBytes, kMaxValueBytes);
inline constexpr std::uint32_t kMaxInnerEntryBytes = entry_bytes(kMaxKeyBytes, kChildBytes);
/// What entries can share when both fences are as long as they get.
inline constexpr std::uint32_t kMinEntrySpace = kPageBytes - kFencesBegin - 2 * kMaxKeyBytes;
static_assert(4 * kMaxLeafEntryBytes <= kMinEntrySpace, "a leaf holds four entries of the largest size");
static_assert(8 * kMaxInnerEntryBytes <= kMinEntrySpace, "an inner page holds eight children under the longest keys");

enum class PageKind : std::uint8_t { kLeaf = 1, kInner = 2 };

/// The keys a page is for: lower <= key < upper. An empty lower fence is below every key, no upper fence above every
/// key.
struct Fences {
  ByteView lower;
  std::optional<ByteView> upper;

  std::uint32_t bytes() const { return static_cast<std::uint32_t>(lower.size() + (upper ? upper->size() : 0)); }
  /// Length of what every key between the fences begins with.
  std::uint32_t prefix_bytes() const;
};

/// What stays the same as long as a page is part of a tree (but the level of a root).
struct PageIdentity {
  PageId id;
  TreeId tree;
  std::uint8_t level = 0;
};

/// A copy of `key` in `buffer`, for a key that outlives the page it was found in.
inline ByteView copy_key(ByteView key, KeyBuffer& buffer) {
  ASSERT(key.size() <= buffer.size());
  if (!key.empty()) std::memcpy(buffer.data(), key.data(), key.size());
  return {buffer.data(), key.size()};
}

/// Length of the common beginning of two byte strings.
std::uint32_t common_bytes(ByteView a, ByteView b);

/// Where a key stands, or would stand.
struct SlotSearch {
  std::uint32_t slot = 0;
  bool found = false;
};

/// Reads a page. Slots are numbered from 0 in key order; a slot argument is below `count()`.
class PageView {
 public:
  explicit PageView(const std::byte* data) : data_(data) {}

  PageId id() const { return PageId{load_le<std::uint64_t>(data_ + kAtId)}; }
  TreeId tree() const { return TreeId{load_le<std::uint32_t>(data_ + kAtTree)}; }
  Lsn lsn() const { return Lsn{load_le<std::uint64_t>(data_ + kAtLsn)}; }
  PageKind kind() const { return static_cast<PageKind>(data_[kAtKind]); }
  std::uint8_t level() const { return static_cast<std::uint8_t>(data_[kAtLevel]); }
  bool is_leaf() const { return level() == 0; }
  PageIdentity identity() const { return {id(), tree(), level()}; }
  std::uint32_t count() const { return field(kAtCount); }
  std::uint32_t append_run() const { return field(kAtAppendRun); }

  ByteView lower_fence() const { return {data_ + kFencesBegin, field(kAtLowerBytes)}; }
  std::optional<ByteView> upper_fence() const;
  Fences fences() const { return {lower_fence(), upper_fence()}; }
  std::uint32_t prefix_bytes() const { return field(kAtPrefixBytes); }
  ByteView prefix() const { return lower_fence().first(prefix_bytes()); }
  /// True for every key between the fences; the searches below need it.
  bool has_prefix_of(ByteView key) const {
    const std::uint32_t bytes = prefix_bytes();
    return key.size() >= bytes && (bytes == 0 || std::memcmp(key.data(), lower_fence().data(), bytes) == 0);
  }

  ByteView suffix(std::uint32_t slot) const { return {record(slot) + kRecordHeaderBytes, suffix_bytes(slot)}; }
  ByteView value(std::uint32_t slot) const {
    const std::byte* at = record(slot);
    return {at + kRecordHeaderBytes + suffix_bytes(slot), load_le<std::uint16_t>(at)};
  }
  /// The whole key, put together in `buffer`. For slot 0 of an inner page that is the prefix, not the lower fence.
  ByteView key(std::uint32_t slot, KeyBuffer& buffer) const;
  /// Of an inner page; kNoPage for an empty range.
  PageId child(std::uint32_t slot) const { return PageId{load_le<std::uint64_t>(value(slot).data())}; }
  /// What entry `slot` takes of the page.
  std::uint32_t bytes_of(std::uint32_t slot) const { return kSlotBytes + record_bytes(slot); }

  /// First slot whose key is >= `key` (count() if none); `key` begins with the prefix.
  SlotSearch find(ByteView key) const { return find_suffix(key.subspan(prefix_bytes())); }
  /// Of an inner page: the entry for `key`.
  std::uint32_t child_slot(ByteView key) const {
    const SlotSearch search = find(key);
    return search.found || search.slot == 0 ? search.slot : search.slot - 1;
  }
  /// Of an inner page: the entry for the keys just below `bound`, which lies above the lower fence.
  std::uint32_t child_slot_below(ByteView bound) const {
    const SlotSearch search = find(bound);
    return search.slot == 0 ? 0 : search.slot - 1;
  }

  /// Bytes for new entries, dead ones included.
  std::uint32_t free_bytes() const { return contiguous_bytes() + field(kAtFragmented); }
  /// Bytes of all entries.
  std::uint32_t entries_bytes() const { return kPageBytes - slots_begin() - free_bytes(); }
  bool fits(std::uint32_t suffix_bytes, std::uint32_t value_bytes) const {
    return entry_bytes(suffix_bytes, value_bytes) <= free_bytes();
  }

  const std::byte* data() const { return data_; }

 protected:
  // Offsets of the header's fields.
  static constexpr std::uint32_t kAtChecksum = 0, kAtMagic = 4, kAtVersion = 8, kAtOldestReader = 9, kAtKind = 10;
  static constexpr std::uint32_t kAtLevel = 11, kAtTree = 12, kAtId = 16, kAtLsn = 24, kAtCount = 32, kAtHeapBegin = 34;
  static constexpr std::uint32_t kAtFragmented = 36, kAtPrefixBytes = 38, kAtLowerBytes = 40, kAtUpperBytes = 42;
  static constexpr std::uint32_t kAtFlags = 44, kAtAppendRun = 46, kAtReserved = 48;
  static constexpr std::uint32_t kNoUpperFence = 1;
  /// Of an image on the media only; see page_seal.h.
  static constexpr std::uint32_t kSealed = 2;
  static_assert(kAtReserved + 16 == kPageHeaderBytes);

  std::uint32_t field(std::uint32_t at) const { return load_le<std::uint16_t>(data_ + at); }
  std::uint32_t slots_begin() const { return slots_begin(field(kAtLowerBytes) + field(kAtUpperBytes)); }
  static constexpr std::uint32_t slots_begin(std::uint32_t fence_bytes) {
    return (kFencesBegin + fence_bytes + kSlotBytes - 1) / kSlotBytes * kSlotBytes;
  }
  const std::byte* slot_at(std::uint32_t slot) const { return data_ + slots_begin() + kSlotBytes * slot; }
  std::uint32_t head(std::uint32_t slot) const { return load_be<std::uint32_t>(slot_at(slot)); }
  std::uint32_t record_offset(std::uint32_t slot) const { return load_le<std::uint16_t>(slot_at(slot) + 4); }
  std::uint32_t suffix_bytes(std::uint32_t slot) const { return load_le<std::uint16_t>(slot_at(slot) + 6); }
  const std::byte* record(std::uint32_t slot) const { return data_ + record_offset(slot); }
  std::uint32_t record_bytes(std::uint32_t slot) const {
    return kRecordHeaderBytes + suffix_bytes(slot) + load_le<std::uint16_t>(record(slot));
  }
  std::uint32_t contiguous_bytes() const { return field(kAtHeapBegin) - slots_begin() - kSlotBytes * count(); }
  /// Entries from one hint to the next; 0: too few entries for hints, which are zero then.
  std::uint32_t hint_distance() const { return count() / (kHints + 1); }
  std::uint32_t hint(std::uint32_t index) const { return load_le<std::uint32_t>(data_ + kPageHeaderBytes + 4 * index); }
  SlotSearch find_suffix(ByteView suffix) const;

 private:
  friend class PageVerifier;
  friend class PageSeal;

  const std::byte* data_;
};

/// Changes a page. Views into it (keys, values, fences) are stale after each change, and arguments must not be such
/// views.
class Page : public PageView {
 public:
  explicit Page(std::byte* data) : PageView(data), data_(data) {}

  /// Makes an empty page; every byte is set. An inner page needs its first entry before it is valid.
  static Page format(std::byte* data, PageIdentity identity, Fences fences);

  std::byte* bytes() const { return data_; }
  void set_append_run(std::uint32_t run) { set_field(kAtAppendRun, run); }
  void set_lsn(Lsn lsn) { store_le(data_ + kAtLsn, lsn.value()); }
  /// Puts an entry before `slot`; it must fit. The slot must be the one that keeps the order.
  void insert(std::uint32_t slot, ByteView suffix, ByteView value) { insert(slot, {}, suffix, value); }
  /// The same for a suffix in two parts.
  void insert(std::uint32_t slot, ByteView suffix_front, ByteView suffix_back, ByteView value);
  /// Puts an entry behind the last, as the copying of a page does: no sign of an appending workload, and the hints wait
  /// for `set_hints`.
  void append(ByteView suffix_front, ByteView suffix_back, ByteView value);
  void set_hints();
  void erase(std::uint32_t slot);
  /// True: the new value of `slot` would fit.
  bool fits_value(std::uint32_t slot, std::uint32_t value_bytes) const {
    return kSlotBytes + kRecordHeaderBytes + suffix(slot).size() + value_bytes <= free_bytes() + bytes_of(slot);
  }
  /// Replaces the value, which must fit; in place unless it grows.
  void set_value(std::uint32_t slot, ByteView value);
  /// Of an inner page.
  void insert_child(std::uint32_t slot, ByteView suffix, PageId child);
  void set_child(std::uint32_t slot, PageId child);

  /// Stamps the checksum; the page is then ready for the media, until its next change.
  void stamp();

 private:
  void set_field(std::uint32_t at, std::uint32_t value) { store_le(data_ + at, static_cast<std::uint16_t>(value)); }
  void remove(std::uint32_t slot);
  void place(std::uint32_t slot, ByteView suffix_front, ByteView suffix_back, ByteView value);
  void compact();

  std::byte* data_;
};

/// Checks kPageBytes of anything against every rule of the format; kCorrupt names the page and the rule, kNewerFormat a
/// newer writer. Reads only those bytes, whatever they are. After success the views above are safe to use.
Result<> verify(ByteView page, PageId expected);

/// The same for a page in memory that may have changed since it was stamped: all rules but the checksum.
Result<> verify_unstamped(ByteView page, PageId expected);
/// Of these rules those that an image keeps while it is sealed: magic, checksum, version, whose page it is.
Result<> verify_envelope(ByteView image, PageId expected);
/// The others but those of the hints, whose place an image that was sealed needed for something else.
Result<> verify_without_hints(ByteView page, PageId expected);

}  // namespace cenote::store
