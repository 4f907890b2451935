#include "page_reshape.h"

#include <algorithm>

namespace cenote::store {
namespace {

/// So many inserts in a row at the end of a page mean that a sequential load is under way. It also bounds how often a
/// full page can be split at its end: once per so many inserts.
constexpr std::uint32_t kAppendRun = 8;

std::uint32_t separator_bytes(PageView page, std::uint32_t slot) {
  const ByteView suffix = page.suffix(slot);
  if (!page.is_leaf()) return page.prefix_bytes() + static_cast<std::uint32_t>(suffix.size());
  return page.prefix_bytes() + common_bytes(page.suffix(slot - 1), suffix) + 1;
}

/// Entry `slot` of `from`, whose key loses or regains the bytes by which the prefixes differ. A child that is an empty
/// range goes into the one before it.
void append_entry(Page& to, PageView from, std::uint32_t slot) {
  const bool child = !from.is_leaf();
  if (child && to.count() > 0 && from.child(slot) == kNoPage && to.child(to.count() - 1) == kNoPage) return;
  const std::uint32_t new_prefix = to.prefix_bytes();
  const std::uint32_t old_prefix = from.prefix_bytes();
  if (child && to.count() == 0) {
    to.append({}, {}, from.value(slot));
  } else if (child && slot == 0) {
    to.append({}, from.lower_fence().subspan(new_prefix), from.value(0));
  } else if (new_prefix >= old_prefix) {
    to.append({}, from.suffix(slot).subspan(new_prefix - old_prefix), from.value(slot));
  } else {
    to.append(from.prefix().subspan(new_prefix), from.suffix(slot), from.value(slot));
  }
}

void append_entries(Page& to, PageView from, std::uint32_t begin, std::uint32_t end) {
  for (std::uint32_t slot = begin; slot < end; ++slot) append_entry(to, from, slot);
}

/// A child that is an empty range from `from` on.
void append_empty_range(Page& to, ByteView from) {
  constexpr std::array<std::byte, kChildBytes> kNone{};
  if (to.count() == 0) {
    to.append({}, {}, kNone);
  } else if (to.child(to.count() - 1) != kNoPage) {
    to.append({}, from.subspan(to.prefix_bytes()), kNone);
  }
}

/// A copy of a page, to read from while the page itself is written again.
class PageCopy {
 public:
  explicit PageCopy(PageView page) { std::memcpy(bytes_.data(), page.data(), kPageBytes); }
  PageView view() const { return PageView(bytes_.data()); }

 private:
  std::array<std::byte, kPageBytes> bytes_;
};

}  // namespace

std::uint32_t choose_split(PageView page, std::uint32_t position) {
  const std::uint32_t count = page.count();
  ASSERT(count >= 2);
  if (position == count && page.append_run() >= kAppendRun &&
      separator_bytes(page, count - 1) + kSlotBytes <= page.free_bytes() + page.bytes_of(count - 1)) {
    return count - 1;
  }
  const std::uint32_t half = page.entries_bytes() / 2;
  const std::uint32_t tolerance = page.entries_bytes() / 8;
  struct Choice {
    bool outside;
    std::uint32_t separator_bytes, distance;
    std::uint32_t slot;
    auto operator<=>(const Choice&) const = default;
  };
  Choice best{true, UINT32_MAX, UINT32_MAX, 1};
  std::uint32_t before = 0;
  for (std::uint32_t slot = 1; slot < count; ++slot) {
    before += page.bytes_of(slot - 1);
    const std::uint32_t distance = before > half ? before - half : half - before;
    const bool outside = distance > tolerance;
    best = std::min(best, Choice{outside, outside ? 0 : separator_bytes(page, slot), distance, slot});
  }
  return best.slot;
}

ByteView separator(PageView page, std::uint32_t slot, KeyBuffer& buffer) {
  return page.key(slot, buffer).first(separator_bytes(page, slot));
}

void split(Page left, std::byte* right, PageId right_id, std::uint32_t slot, ByteView separator) {
  const PageCopy copy(left);
  const PageView whole = copy.view();
  PageIdentity identity = whole.identity();
  Page kept = Page::format(left.bytes(), identity, {whole.lower_fence(), separator});
  append_entries(kept, whole, 0, slot);
  kept.set_hints();
  kept.set_lsn(whole.lsn());

  identity.id = right_id;
  Page moved = Page::format(right, identity, {separator, whole.upper_fence()});
  append_entries(moved, whole, slot, whole.count());
  moved.set_append_run(whole.append_run());
  moved.set_hints();
  moved.set_lsn(whole.lsn());
}

bool Merge::empty_before() const { return !left.is_leaf() && !equal(fences.lower, left.lower_fence()); }

bool Merge::empty_behind() const {
  const std::optional<ByteView> upper = right ? right->upper_fence() : left.upper_fence();
  return !left.is_leaf() && upper && !(fences.upper && equal(*fences.upper, *upper));
}

std::uint32_t Merge::entries_bytes(PageView from, std::uint32_t prefix_bytes) const {
  const std::uint32_t longer = from.prefix_bytes() - prefix_bytes;
  if (from.is_leaf()) return from.entries_bytes() + from.count() * longer;
  // The first child may get its lower fence as a key.
  return from.entries_bytes() + (from.count() - 1) * longer + static_cast<std::uint32_t>(from.lower_fence().size()) -
         prefix_bytes;
}

std::optional<std::uint32_t> Merge::free_bytes() const {
  const std::uint32_t prefix_bytes = fences.prefix_bytes();
  std::uint32_t bytes = kFencesBegin + fences.bytes() + kSlotBytes + entries_bytes(left, prefix_bytes);
  if (right) bytes += entries_bytes(*right, prefix_bytes);
  if (empty_before()) bytes += kMaxInnerEntryBytes;
  if (empty_behind()) bytes += kMaxInnerEntryBytes;
  if (bytes > kPageBytes) return std::nullopt;
  return kPageBytes - bytes;
}

void Merge::write(std::byte* into, PageIdentity identity) const {
  const PageCopy left_copy(left);
  const std::optional<PageCopy> right_copy = right ? std::optional<PageCopy>(*right) : std::nullopt;
  KeyBuffer lower;
  KeyBuffer upper;
  Fences kept{copy_key(fences.lower, lower), std::nullopt};
  if (fences.upper) kept.upper = copy_key(*fences.upper, upper);
  const Merge sources{left_copy.view(), right_copy ? std::optional(right_copy->view()) : std::nullopt, kept};

  Page page = Page::format(into, identity, kept);
  if (sources.empty_before()) append_empty_range(page, kept.lower);
  append_entries(page, sources.left, 0, sources.left.count());
  if (sources.right) append_entries(page, *sources.right, 0, sources.right->count());
  if (sources.empty_behind()) {
    append_empty_range(page, sources.right ? *sources.right->upper_fence() : *sources.left.upper_fence());
  }
  page.set_hints();
  page.set_lsn(std::max(sources.left.lsn(), sources.right ? sources.right->lsn() : Lsn{}));
}

}  // namespace cenote::store
