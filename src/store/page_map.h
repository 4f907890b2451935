#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "geometry.h"
#include "index_set.h"

namespace cenote::store {

/// Where the newest written image of each page lies, and which page numbers are in use. In memory whole (8 bytes a page);
/// on the media in chunks (docs/formats/store.md).
///
/// Only a checkpoint changes entries: when it has written all its pages, the entries are the page map of exactly its log
/// position. A page made since has a number and no entry; a page freed since keeps its entry until the next freeze.
class PageMap {
 public:
  struct Entry {
    std::uint32_t slot = 0;  ///< 0: no image
    std::uint32_t crc = 0;
  };
  struct Freed {
    PageId id{};
    std::uint32_t slot = 0;
  };

  /// `page_limit`: one past the largest number the map has room for.
  explicit PageMap(std::uint64_t page_limit);

  /// Loading: the chunk's entries; kCorrupt if one names a page 0. Calls found(id, entry) for each page.
  template <typename Found>
  Result<> load_chunk(std::uint64_t chunk, ByteView bytes, Found found);
  /// The present contents of a chunk.
  Bytes chunk(std::uint64_t chunk) const;

  Entry find(PageId id) const {
    return id.value() < entries_.size() ? entries_[id.value()] : Entry{};
  }
  bool in_use(PageId id) const { return id.value() < entries_.size() && !free_.contains(id.value()) && id.value() != 0; }
  /// Numbers in use: the pages that exist.
  std::uint64_t live() const { return live_; }

  /// The smallest number free. There is one as long as the allocator lets pages be made.
  PageId allocate();
  void release(PageId id);

  /// The pages freed since the last freeze, whose entries are now gone. Their numbers stay taken until `thaw`.
  std::vector<Freed> freeze(const std::vector<PageId>& written);
  /// A page of the running checkpoint has its new image.
  void place(PageId id, Entry entry);
  /// The checkpoint is durable: the numbers it freed can be used again.
  void thaw();
  template <typename Take>
  void take_dirty_chunks(Take take) {
    while (const auto chunk = dirty_chunks_.first()) {
      dirty_chunks_.remove(*chunk);
      take(*chunk);
    }
  }

  std::uint64_t limit() const { return free_.limit(); }
  void check_invariants() const;

 private:
  void grow(std::uint64_t size);
  void put(std::uint64_t number, Entry entry);

  std::vector<Entry> entries_;  // as far as numbers were ever used
  IndexSet free_;
  IndexSet dirty_chunks_;
  std::uint64_t live_ = 0;
  std::vector<PageId> freed_;                 // since the last freeze
  std::vector<PageId> thawing_;               // by the running checkpoint
  std::unordered_set<PageId> in_checkpoint_;  // being written by it
};

}  // namespace cenote::store
