#include "page.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "page_head.h"

namespace cenote::store {
namespace {

/// Order of two suffixes with the same head. Where one of them ends within its head, it is the beginning of the other,
/// and the record, mostly the one cache line of a search that nobody has touched before, is not needed.
std::strong_ordering compare_behind_head(ByteView a, ByteView b) {
  if (std::min(a.size(), b.size()) <= kHeadBytes) return a.size() <=> b.size();
  return compare(a.subspan(kHeadBytes), b.subspan(kHeadBytes));
}

void copy(std::byte*& to, ByteView from) {
  if (from.empty()) return;
  std::memcpy(to, from.data(), from.size());
  to += from.size();
}

}  // namespace

std::uint32_t common_bytes(ByteView a, ByteView b) {
  const auto [end, other] = std::ranges::mismatch(a, b);
  return static_cast<std::uint32_t>(end - a.begin());
}

std::uint32_t Fences::prefix_bytes() const { return upper ? common_bytes(lower, *upper) : 0; }

std::optional<ByteView> PageView::upper_fence() const {
  if ((field(kAtFlags) & kNoUpperFence) != 0) return std::nullopt;
  return ByteView{data_ + kFencesBegin + field(kAtLowerBytes), field(kAtUpperBytes)};
}

ByteView PageView::key(std::uint32_t slot, KeyBuffer& buffer) const {
  std::byte* end = buffer.data();
  copy(end, prefix());
  copy(end, suffix(slot));
  return {buffer.data(), end};
}

SlotSearch PageView::find_suffix(ByteView suffix) const {
  const std::uint32_t wanted = head_of(suffix);
  const std::byte* slots = slot_at(0);
  const auto head_at = [slots](std::uint32_t slot) { return load_be<std::uint32_t>(slots + kSlotBytes * slot); };

  // First slot whose head is not smaller, by heads alone; most searches end beside it.
  const std::uint32_t entries = count();
  std::uint32_t low = 0;
  std::uint32_t width = entries;
  if (const std::uint32_t distance = hint_distance(); distance > 0) {
    std::uint32_t smaller = 0;
    for (std::uint32_t i = 0; i < kHints; ++i) smaller += hint(i) < wanted ? 1 : 0;
    low = smaller * distance;
    width = smaller == kHints ? entries - low : distance;
  }
  while (width > 0) {
    const std::uint32_t half = width / 2;
    const bool smaller = head_at(low + half) < wanted;
    low = smaller ? low + half + 1 : low;
    width = smaller ? width - half - 1 : half;
  }
  // Among equal heads whole suffixes decide. Mostly there is one at most, so the first is tried before the middle.
  std::uint32_t middle = low;
  for (std::uint32_t end = count(); low < end; middle = low + (end - low) / 2) {
    if (head_at(middle) != wanted) {
      end = middle;
      continue;
    }
    const auto order = compare_behind_head(this->suffix(middle), suffix);
    if (order == 0) return {middle, true};
    if (order < 0) {
      low = middle + 1;
    } else {
      end = middle;
    }
  }
  return {low, false};
}

Page Page::format(std::byte* data, PageIdentity identity, Fences fences) {
  ASSERT(identity.id != kNoPage && identity.level < kPageLevels);
  ASSERT(fences.lower.size() <= kMaxKeyBytes && (!fences.upper || fences.upper->size() <= kMaxKeyBytes));
  std::memset(data, 0, kPageBytes);
  Page page(data);
  store_le(data + kAtMagic, kPageMagic);
  store_le(data + kAtVersion, kPageVersion);
  store_le(data + kAtOldestReader, kPageVersion);
  store_le(data + kAtKind, static_cast<std::uint8_t>(identity.level == 0 ? PageKind::kLeaf : PageKind::kInner));
  store_le(data + kAtLevel, identity.level);
  store_le(data + kAtTree, identity.tree.value());
  store_le(data + kAtId, identity.id.value());
  page.set_field(kAtHeapBegin, kPageBytes);
  page.set_field(kAtPrefixBytes, fences.prefix_bytes());
  page.set_field(kAtLowerBytes, static_cast<std::uint32_t>(fences.lower.size()));
  std::byte* end = data + kFencesBegin;
  copy(end, fences.lower);
  if (fences.upper) {
    page.set_field(kAtUpperBytes, static_cast<std::uint32_t>(fences.upper->size()));
    copy(end, *fences.upper);
  } else {
    page.set_field(kAtFlags, kNoUpperFence);
  }
  return page;
}

void Page::insert(std::uint32_t slot, ByteView suffix_front, ByteView suffix_back, ByteView value) {
  const bool at_end = slot == count();
  place(slot, suffix_front, suffix_back, value);
  set_field(kAtAppendRun, at_end ? std::min(append_run() + 1, 0xffffu) : 0);
  set_hints();
}

void Page::append(ByteView suffix_front, ByteView suffix_back, ByteView value) {
  place(count(), suffix_front, suffix_back, value);
}

void Page::set_hints() {
  const std::uint32_t distance = hint_distance();
  for (std::uint32_t i = 0; i < kHints; ++i) {
    store_le(data_ + kPageHeaderBytes + 4 * i, distance == 0 ? 0 : head((i + 1) * distance));
  }
}

void Page::place(std::uint32_t slot, ByteView suffix_front, ByteView suffix_back, ByteView value) {
  const auto suffix_bytes = static_cast<std::uint32_t>(suffix_front.size() + suffix_back.size());
  const auto value_bytes = static_cast<std::uint32_t>(value.size());
  const std::uint32_t entries = count();
  ASSERT(slot <= entries && fits(suffix_bytes, value_bytes));
  if (contiguous_bytes() < entry_bytes(suffix_bytes, value_bytes)) compact();

  const std::uint32_t offset = field(kAtHeapBegin) - kRecordHeaderBytes - suffix_bytes - value_bytes;
  std::byte* end = data_ + offset;
  store_le(end, static_cast<std::uint16_t>(value_bytes));
  end += kRecordHeaderBytes;
  copy(end, suffix_front);
  copy(end, suffix_back);
  copy(end, value);

  std::byte* at = data_ + slots_begin() + kSlotBytes * slot;
  std::memmove(at + kSlotBytes, at, kSlotBytes * (entries - slot));
  store_be(at, head_of({data_ + offset + kRecordHeaderBytes, suffix_bytes}));
  store_le(at + 4, static_cast<std::uint16_t>(offset));
  store_le(at + 6, static_cast<std::uint16_t>(suffix_bytes));
  set_field(kAtHeapBegin, offset);
  set_field(kAtCount, entries + 1);
}

void Page::erase(std::uint32_t slot) {
  remove(slot);
  set_field(kAtAppendRun, 0);
  set_hints();
}

void Page::remove(std::uint32_t slot) {
  const std::uint32_t entries = count();
  ASSERT(slot < entries);
  if (entries == 1) {
    set_field(kAtHeapBegin, kPageBytes);
    set_field(kAtFragmented, 0);
  } else if (record_offset(slot) == field(kAtHeapBegin)) {
    set_field(kAtHeapBegin, record_offset(slot) + record_bytes(slot));
  } else {
    set_field(kAtFragmented, field(kAtFragmented) + record_bytes(slot));
  }
  std::byte* at = data_ + slots_begin() + kSlotBytes * slot;
  std::memmove(at, at + kSlotBytes, kSlotBytes * (entries - slot - 1));
  set_field(kAtCount, entries - 1);
}

void Page::set_value(std::uint32_t slot, ByteView value) {
  ASSERT(fits_value(slot, static_cast<std::uint32_t>(value.size())));
  const ByteView old = this->value(slot);
  if (value.size() <= old.size()) {
    std::byte* record = data_ + record_offset(slot);
    std::byte* end = record + kRecordHeaderBytes + suffix_bytes(slot);
    store_le(record, static_cast<std::uint16_t>(value.size()));
    copy(end, value);
    set_field(kAtFragmented, field(kAtFragmented) + static_cast<std::uint32_t>(old.size() - value.size()));
    return;
  }
  KeyBuffer kept;
  std::byte* end = kept.data();
  copy(end, suffix(slot));
  remove(slot);
  place(slot, {kept.data(), end}, {}, value);
}

void Page::insert_child(std::uint32_t slot, ByteView suffix, PageId child) {
  std::array<std::byte, kChildBytes> value;
  store_le(value.data(), child.value());
  insert(slot, suffix, value);
}

void Page::set_child(std::uint32_t slot, PageId child) {
  store_le(data_ + record_offset(slot) + kRecordHeaderBytes + suffix_bytes(slot), child.value());
}

void Page::compact() {
  std::array<std::byte, kPageBytes> scratch;
  std::uint32_t heap_begin = kPageBytes;
  for (std::uint32_t slot = 0; slot < count(); ++slot) {
    const std::uint32_t bytes = record_bytes(slot);
    heap_begin -= bytes;
    std::memcpy(scratch.data() + heap_begin, record(slot), bytes);
    store_le(data_ + slots_begin() + kSlotBytes * slot + 4, static_cast<std::uint16_t>(heap_begin));
  }
  std::memcpy(data_ + heap_begin, scratch.data() + heap_begin, kPageBytes - heap_begin);
  set_field(kAtHeapBegin, heap_begin);
  set_field(kAtFragmented, 0);
}

void Page::stamp() {
  store_le(data_ + kAtChecksum, std::uint32_t{0});
  store_le(data_ + kAtChecksum, crc32c({data_, kPageBytes}));
}

}  // namespace cenote::store
