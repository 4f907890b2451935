#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "page.h"
#include "page_head.h"

namespace cenote::store {
namespace {

/// The bytes of a page that some record has. In a page that was filled in order each record ends where the one before
/// begins, so most are accounted for by one number: all from `lowest_` to the end of the page. The others have bits.
class TakenBytes {
 public:
  /// False if any byte of [begin, end), which is not empty, is taken already.
  bool take(std::uint32_t begin, std::uint32_t end) {
    if (end > lowest_) return false;
    if (end == lowest_) {
      lowest_ = begin;
      return !scattered_ || mark(begin, end);
    }
    if (!scattered_) words_.fill(0);
    scattered_ = true;
    return mark(begin, end);
  }

 private:
  bool mark(std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t at = begin; at < end;) {
      const std::uint32_t shift = at % 64;
      const std::uint32_t width = std::min(end - at, 64 - shift);
      const std::uint64_t mask = (width == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << width) - 1) << shift;
      std::uint64_t& word = words_[at / 64];
      if ((word & mask) != 0) return false;
      word |= mask;
      at += width;
    }
    return true;
  }

  std::uint32_t lowest_ = kPageBytes;
  bool scattered_ = false;
  std::array<std::uint64_t, kPageBytes / 64> words_;  // set when the first record is scattered
};

}  // namespace

/// The rules of docs/formats/page.md, in an order in which each reads only what earlier ones have shown to be in
/// bounds.
class PageVerifier {
 public:
  PageVerifier(const std::byte* data, PageId expected) : data_(data), page_(data), expected_(expected) {}

  enum class Hints { kChecked, kIgnored };

  Result<> check_body(Hints hints) const {
    CHECK_OK(check_header());
    CHECK_OK(check_fences());
    CHECK_OK(check_entries());
    CHECK_OK(check_bounds());
    if (hints == Hints::kChecked) CHECK_OK(check_hints());
    return page_.is_leaf() ? Result<>{} : check_children();
  }

  /// What holds for every version: magic, checksum, whose page it is, who can read it.
  Result<> check_envelope(bool stamped) const {
    if (load<std::uint32_t>(PageView::kAtMagic) != kPageMagic) return damaged("not a page (magic)");
    if (stamped && load<std::uint32_t>(PageView::kAtChecksum) != checksum()) return damaged("checksum does not match");
    if (load<std::uint8_t>(PageView::kAtOldestReader) > kPageVersion) {
      return failf(Code::kNewerFormat, "page {}: needs page format {} or newer, this is {}", expected_.value(),
                   load<std::uint8_t>(PageView::kAtOldestReader), kPageVersion);
    }
    if (expected_ == kNoPage || page_.id() != expected_) {
      return failf(Code::kCorrupt, "page {}: found page {} in its place", expected_.value(), page_.id().value());
    }
    return {};
  }

 private:
  Result<> damaged(std::string_view rule) const {
    return failf(Code::kCorrupt, "page {}: {}", expected_.value(), rule);
  }

  template <typename T>
  T load(std::uint32_t at) const {
    return load_le<T>(data_ + at);
  }

  std::uint32_t checksum() const {
    constexpr std::array<std::byte, 4> kZeros{};
    return crc32c({data_ + kZeros.size(), kPageBytes - kZeros.size()}, crc32c(kZeros));
  }

  Result<> check_header() const {
    if (load<std::uint8_t>(PageView::kAtVersion) < load<std::uint8_t>(PageView::kAtOldestReader)) {
      return damaged("version below its oldest reader");
    }
    const bool leaf = page_.level() == 0;
    if (page_.level() >= kPageLevels) return damaged("level");
    if (page_.kind() != (leaf ? PageKind::kLeaf : PageKind::kInner)) return damaged("kind does not match level");
    if ((page_.field(PageView::kAtFlags) & ~PageView::kNoUpperFence) != 0) return damaged("unknown flags");
    for (std::uint32_t at = PageView::kAtReserved; at < kPageHeaderBytes; ++at) {
      if (data_[at] != std::byte{0}) return damaged("reserved bytes are not zero");
    }
    return {};
  }

  Result<> check_fences() const {
    const std::uint32_t lower_bytes = page_.field(PageView::kAtLowerBytes);
    const std::uint32_t upper_bytes = page_.field(PageView::kAtUpperBytes);
    if (lower_bytes > kMaxKeyBytes || upper_bytes > kMaxKeyBytes) return damaged("fence too long");
    const std::uint32_t fences_end = kFencesBegin + lower_bytes + upper_bytes;
    for (std::uint32_t at = fences_end; at < page_.slots_begin(); ++at) {
      if (data_[at] != std::byte{0}) return damaged("padding of the fences is not zero");
    }
    const Fences fences = page_.fences();
    if (!fences.upper && upper_bytes != 0) return damaged("upper fence both absent and present");
    if (fences.upper && compare(fences.lower, *fences.upper) >= 0) return damaged("fences are not in order");
    if (page_.prefix_bytes() != fences.prefix_bytes()) return damaged("prefix is not what the fences share");
    return {};
  }

  /// Every record inside the heap, none over another, every byte accounted for; lengths; keys in order. In one pass,
  /// since a lookup that reads its page waits for it.
  Result<> check_entries() const {
    const std::uint32_t heap_begin = page_.field(PageView::kAtHeapBegin);
    const std::uint32_t slots_begin = page_.slots_begin();
    const std::uint32_t count = page_.count();
    if (slots_begin + kSlotBytes * count > heap_begin || heap_begin > kPageBytes) {
      return damaged("slots and records overlap");
    }
    const std::uint32_t suffix_most = kMaxKeyBytes - page_.prefix_bytes();
    const bool leaf = page_.is_leaf();
    TakenBytes taken;
    std::uint32_t live = 0;
    std::uint32_t head_before = 0;
    ByteView suffix_before;
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      const std::byte* at = data_ + slots_begin + kSlotBytes * slot;
      const auto head = load_be<std::uint32_t>(at);
      const std::uint32_t offset = load_le<std::uint16_t>(at + 4);
      const std::uint32_t suffix_bytes = load_le<std::uint16_t>(at + 6);
      if (offset < heap_begin || offset + kRecordHeaderBytes > kPageBytes) return damaged("record outside the heap");
      const std::uint32_t value_bytes = load<std::uint16_t>(offset);
      const std::uint32_t bytes = kRecordHeaderBytes + suffix_bytes + value_bytes;
      if (offset + bytes > kPageBytes) return damaged("record past the end of the page");
      if (!taken.take(offset, offset + bytes)) return damaged("records overlap");
      live += bytes;
      if (suffix_bytes > suffix_most) return damaged("key too long");
      if (leaf ? value_bytes > kMaxValueBytes : value_bytes != kChildBytes) return damaged("value length");
      const ByteView suffix(data_ + offset + kRecordHeaderBytes, suffix_bytes);
      if (head != head_of(suffix)) return damaged("head is not the key's");
      // Keys with ascending heads ascend.
      const bool ascends =
          head > head_before || slot == 0 || (head == head_before && compare(suffix_before, suffix) < 0);
      if (!ascends) return damaged("keys are not in order");
      head_before = head;
      suffix_before = suffix;
    }
    if (live + page_.field(PageView::kAtFragmented) != kPageBytes - heap_begin) return damaged("dead bytes miscounted");
    return {};
  }

  Result<> check_hints() const {
    const std::uint32_t distance = page_.hint_distance();
    for (std::uint32_t i = 0; i < kHints; ++i) {
      if (page_.hint(i) != (distance == 0 ? 0 : page_.head((i + 1) * distance))) return damaged("hint is not the head");
    }
    return {};
  }

  /// The first and the last key against the fences; those between follow from the order.
  Result<> check_bounds() const {
    const Fences fences = page_.fences();
    const std::uint32_t first = page_.is_leaf() ? 0 : 1;
    if (page_.count() <= first) return {};
    const ByteView lower = fences.lower.subspan(page_.prefix_bytes());
    const auto order = compare(page_.suffix(first), lower);
    if (page_.is_leaf() ? order < 0 : order <= 0) return damaged("key below the lower fence");
    if (fences.upper && compare(page_.suffix(page_.count() - 1), fences.upper->subspan(page_.prefix_bytes())) >= 0) {
      return damaged("key above the upper fence");
    }
    return {};
  }

  Result<> check_children() const {
    if (page_.count() == 0) return damaged("inner page without children");
    if (!page_.suffix(0).empty()) return damaged("first child has a key");
    for (std::uint32_t slot = 0; slot < page_.count(); ++slot) {
      if (page_.child(slot) == expected_) return damaged("page is its own child");
    }
    return {};
  }

  const std::byte* data_;
  PageView page_;
  PageId expected_;
};

Result<> verify_envelope(ByteView image, PageId expected) {
  ASSERT(image.size() == kPageBytes);
  return PageVerifier(image.data(), expected).check_envelope(true);
}

Result<> verify(ByteView page, PageId expected) {
  CHECK_OK(verify_envelope(page, expected));
  return PageVerifier(page.data(), expected).check_body(PageVerifier::Hints::kChecked);
}

Result<> verify_unstamped(ByteView page, PageId expected) {
  ASSERT(page.size() == kPageBytes);
  const PageVerifier verifier(page.data(), expected);
  CHECK_OK(verifier.check_envelope(false));
  return verifier.check_body(PageVerifier::Hints::kChecked);
}

Result<> verify_without_hints(ByteView page, PageId expected) {
  ASSERT(page.size() == kPageBytes);
  return PageVerifier(page.data(), expected).check_body(PageVerifier::Hints::kIgnored);
}

}  // namespace cenote::store
