#pragma once

#include <cstdint>
#include <unordered_set>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "geometry.h"
#include "index_set.h"

namespace cenote::store {

/// Where the newest written image of each page lies, and which page numbers are in use. In memory whole (8 bytes a
/// page); on the media in chunks (docs/formats/store.md).
///
/// Only a checkpoint changes entries: when it has written all its pages, the entries are the page map of exactly its
/// log position. A page made since has a number and no entry; a page freed since keeps its entry until the next freeze.
///
/// Invariants: a number is in use (its page exists), or freed and waiting for a checkpoint, or free; only a free one
/// can be allocated; a free one has no entry.
class PageMap {
 public:
  struct Entry {
    std::uint32_t slot = 0;  ///< 0: no image
    std::uint32_t crc = 0;
  };

  /// `page_limit`: one past the largest number the map has room for.
  explicit PageMap(std::uint64_t page_limit);

  /// Makes room for numbers up to a larger limit. The chunks in between were never written.
  void grow(std::uint64_t page_limit);

  /// Takes in the entries of a chunk that was read from the media, before any other use.
  void load_chunk(std::uint64_t chunk, ByteView bytes);
  /// The present contents of a chunk.
  Bytes chunk_bytes(std::uint64_t chunk) const;

  Entry find(PageId id) const { return id.value() < entries_.size() ? entries_[id.value()] : Entry{}; }
  bool in_use(PageId id) const { return id.value() < entries_.size() && used_.contains(id.value()); }
  /// Pages that exist.
  std::uint64_t live() const { return used_.count(); }

  /// The smallest free number. There is one as long as the allocator lets pages be made.
  PageId allocate();
  /// The page exists no longer. A number that no checkpoint knows is free at once, any other one after the next.
  void release(PageId id);

  /// A checkpoint begins that will write the pages `written`. Drops the entries of the pages released since the last
  /// one and returns their slots; their numbers are free after `thaw`.
  std::vector<std::uint32_t> freeze(const std::vector<PageId>& written);
  /// A page of the running checkpoint has a new image.
  void place(PageId id, Entry entry);
  /// The checkpoint is durable.
  void thaw();

  /// take(chunk) for each chunk that changed since the last call.
  template <typename Take>
  void take_dirty_chunks(Take take) {
    while (const auto chunk = dirty_chunks_.first()) {
      dirty_chunks_.remove(*chunk);
      take(*chunk);
    }
  }
  /// The same for every chunk that may hold an entry, changed or not: for an image of the store in a new place.
  template <typename Take>
  void take_all_chunks(Take take) {
    take_dirty_chunks([](std::uint64_t) {});
    for (std::uint64_t chunk = 0; chunk < dirty_chunks_.limit() && chunk * kMapEntriesPerChunk < entries_.size();
         ++chunk) {
      take(chunk);
    }
  }
  /// visit(id, entry) for each page with an image.
  template <typename Visit>
  void for_each_image(Visit visit) const {
    for (std::uint64_t number = 1; number < entries_.size(); ++number) {
      if (entries_[number].slot != 0) visit(PageId(number), entries_[number]);
    }
  }
  template <typename Visit>
  void for_each_live(Visit visit) const {
    for (auto number = used_.first(); number; number = used_.first_from(*number + 1)) {
      visit(PageId(*number));
    }
  }

  void check_invariants() const;

 private:
  void set_entry(std::uint64_t number, Entry entry);

  std::vector<Entry> entries_;  // as far as numbers were ever used
  IndexSet free_;
  IndexSet used_;
  IndexSet dirty_chunks_;
  std::vector<PageId> released_;              // since the last freeze
  std::vector<PageId> thawing_;               // before it
  std::unordered_set<PageId> in_checkpoint_;  // being written by the running checkpoint
};

}  // namespace cenote::store
