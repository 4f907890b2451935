#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "cenote/base/assert.h"
#include "page_cache.h"

namespace cenote::store {

/// PageId to frame: open addressing with linear probing, at most half full, sized once. A hit touches one cache line of
/// the table; nothing is ever allocated after construction.
class PageTable {
 public:
  explicit PageTable(std::uint64_t most)
      : entries_(std::bit_ceil(most * 2 + 1)), shift_(64 - std::countr_zero(entries_.size())) {}

  Frame* find(PageId id) const {
    for (std::size_t at = home(id);; at = after(at)) {
      if (entries_[at].id == id) return entries_[at].frame;
      if (entries_[at].frame == nullptr) return nullptr;
    }
  }
  /// Adds the page, which is not there, or gives one that is there another frame.
  void set(PageId id, Frame& frame) {
    std::size_t at = home(id);
    while (entries_[at].frame != nullptr && entries_[at].id != id) at = after(at);
    size_ += entries_[at].frame == nullptr ? 1 : 0;
    ASSERT(size_ <= entries_.size() / 2);
    entries_[at] = {id, &frame};
  }
  /// Removes a page that is there, and moves the entries behind it up, so that no search meets a gap too early.
  void erase(PageId id) {
    std::size_t gap = home(id);
    while (entries_[gap].id != id) gap = after(gap);
    for (std::size_t at = after(gap); entries_[at].frame != nullptr; at = after(at)) {
      const std::size_t wanted = home(entries_[at].id);
      const bool stays = ((at - wanted) & mask()) < ((at - gap) & mask());
      if (stays) continue;
      entries_[gap] = entries_[at];
      gap = at;
    }
    entries_[gap] = {};
    --size_;
  }
  std::uint64_t size() const { return size_; }

 private:
  struct Entry {
    PageId id{};
    Frame* frame = nullptr;
  };

  std::size_t mask() const { return entries_.size() - 1; }
  std::size_t after(std::size_t at) const { return (at + 1) & mask(); }
  /// Numbers of pages are mostly dense; the golden ratio spreads them and puts neighbours apart.
  std::size_t home(PageId id) const { return (id.value() * 0x9e3779b97f4a7c15u) >> shift_; }

  std::vector<Entry> entries_;
  int shift_;
  std::uint64_t size_ = 0;
};

}  // namespace cenote::store
