#pragma once

#include <optional>
#include <unordered_map>

#include "cenote/store/types.h"
#include "page_cache.h"

namespace cenote::store {

/// A place in a leaf. Valid until the leaf changes or is evicted.
struct LeafPosition {
  Frame* leaf = nullptr;
  std::uint32_t slot = 0;
};

/// The B+trees of one store over its page cache: plain functions that meet cached pages or report the one that is
/// missing. A tree's root keeps its PageId for life (a root split moves the contents down), so only creating and dropping
/// a tree changes the table of roots.
///
/// Pages are slotted, with lower and upper fence keys and the prefix common to both taken off every key. Leaves are found
/// from fences, not from sibling links, so that a page names nothing but its children.
class Trees {
 public:
  Trees(PageCache& cache, PageSource& source) : cache_(cache), source_(source) {}

  /// Makes an empty tree with a new root page, or takes in one whose root exists.
  PageId create(TreeId tree, Lsn lsn);
  void attach(TreeId tree, PageId root);
  /// Forgets the tree; its pages are reclaimed by `reclaim`.
  PageId detach(TreeId tree);
  std::optional<PageId> root(TreeId tree) const;

  // Reading. kPageFault sets `fault()`; kNotFound: no such tree. `seen` is raised to the Lsn of every page looked at.
  Result<std::optional<ByteView>> get(TreeId tree, ByteView key, Lsn& seen);
  Result<std::optional<LeafPosition>> seek(TreeId tree, ByteView key, Lsn& seen);          ///< first >= key
  Result<std::optional<LeafPosition>> seek_at_most(TreeId tree, ByteView key, Lsn& seen);  ///< last <= key
  Result<std::optional<LeafPosition>> next(TreeId tree, LeafPosition from, Lsn& seen);
  Result<std::optional<LeafPosition>> previous(TreeId tree, LeafPosition from, Lsn& seen);
  /// The full key at a position, assembled in `buffer`; and its value.
  ByteView key_at(LeafPosition position, Bytes& buffer) const;
  ByteView value_at(LeafPosition position) const;

  // Writing. `prepare` makes sure that the change cannot fail: every page it can touch is cached (else kPageFault) and
  // `frames` is raised by the most frames it can newly dirty or create. `put` and `erase` then always succeed.
  Result<> prepare(TreeId tree, ByteView key, std::uint64_t& frames);
  void put(TreeId tree, ByteView key, ByteView value, Lsn lsn);
  /// False: the key was not there. Merges pages that have become too empty with a cached neighbour.
  bool erase(TreeId tree, ByteView key, Lsn lsn);

  /// The page the last kPageFault was about.
  PageId fault() const { return fault_; }

  /// Walks one whole tree of cached or fetched pages and asserts order, fences, levels and fill; test and debug check.
  Task<Result<>> check(TreeId tree);

 private:
  PageCache& cache_;
  PageSource& source_;
  std::unordered_map<TreeId, PageId> roots_;
  PageId fault_{};
};

}  // namespace cenote::store
