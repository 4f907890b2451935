#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cenote/store/types.h"
#include "page.h"
#include "page_cache.h"

namespace cenote::store {

/// A place in a leaf. Valid until the leaf changes or is evicted.
struct LeafPosition {
  Frame* leaf = nullptr;
  std::uint32_t slot = 0;
};

/// The B+trees of one store over its page cache: plain functions that meet cached pages or report the one that is
/// missing. A tree's root keeps its PageId for life (a root split moves the contents down), so only creating and
/// dropping a tree changes the table of roots.
///
/// Pages are slotted, with lower and upper fence keys and the prefix common to both taken off every key. Leaves are
/// found from fences, not from sibling links, so that a page names nothing but its children.
///
/// A leaf that loses its last entry is freed at once, whether its neighbours are cached or not: its parent keeps the
/// range with no page (an *empty range*), and an insert there makes a new one. Neighbouring empty ranges are one, a
/// page with nothing but empty ranges is freed likewise, and a leaf that is less than a third full takes in empty
/// ranges and siblings beside it if they are cached and fit; if not they stay as they are.
///
/// What a reply waits for (I4): `seen` is raised to the Lsn of the page where each descent ended, the leaf or the inner
/// page with the empty range, and that is enough. An answer about a key depends on the entries of the page that is for
/// the key now. The batch that last changed them changed the page that was for the key then, and every batch that moved
/// the key's range since then (split, merge, a new or removed page) changed the page it moved to. So that page's Lsn is
/// no lower than that of the last change, while a change of an inner page alone moves no answer.
///
/// Invariants, per tree: the root has no fences; a child is one level below its parent and its fences are the keys that
/// bound its entry; no leaf but the root is empty, no inner page has two neighbouring empty ranges, or only empty ones.
class Trees {
 public:
  Trees(PageCache& cache, PageSource& source) : cache_(cache), source_(source) {}

  /// Makes an empty tree with a new root page (takes one frame), or takes in one whose root exists.
  PageId create(TreeId tree, Lsn lsn);
  void attach(TreeId tree, PageId root);
  /// Forgets the tree, by the batch at `lsn`; its pages are given back by `reclaim`.
  PageId detach(TreeId tree, Lsn lsn = Lsn{});
  std::optional<PageId> root(TreeId tree) const;
  /// The last batch that made or dropped a tree: what an answer that a tree is not there waits for.
  Lsn roots_changed() const { return roots_changed_; }

  // Reading. kPageFault sets `fault()`; kNotFound: no such tree; kCorrupt: pages that contradict each other.
  Result<std::optional<ByteView>> get(TreeId tree, ByteView key, Lsn& seen);
  Result<std::optional<LeafPosition>> seek(TreeId tree, ByteView key, Lsn& seen);          ///< first >= key
  Result<std::optional<LeafPosition>> seek_at_most(TreeId tree, ByteView key, Lsn& seen);  ///< last <= key
  Result<std::optional<LeafPosition>> next(TreeId tree, LeafPosition from, Lsn& seen);
  Result<std::optional<LeafPosition>> previous(TreeId tree, LeafPosition from, Lsn& seen);
  /// The full key at a position, assembled in `buffer`; and its value.
  ByteView key_at(LeafPosition position, KeyBuffer& buffer) const;
  ByteView value_at(LeafPosition position) const;

  // Writing, a batch at a time and without any wait in between:
  //
  //   begin_batch();
  //   std::uint64_t frames = 0;
  //   for each change, in order: prepare_put / prepare_erase(.., frames)   an error ends the batch; nothing has changed
  //   cache.writable_frames() >= frames, else wait for room and begin again
  //   for each change, in the same order: put / erase                      cannot fail
  //   finish_batch();
  //
  // `prepare_*` makes sure that every page the change can touch is cached, else kPageFault, and holds it for the batch.
  // It raises `frames` by the most frames the change can make dirty or create, pages that an earlier change of the
  // batch has counted already not counted again. A tree made by the same batch needs no prepare but
  // `frames_for_new_tree`.
  void begin_batch();
  Result<> prepare_put(TreeId tree, ByteView key, std::size_t value_bytes, std::uint64_t& frames);
  Result<> prepare_erase(TreeId tree, ByteView key, std::uint64_t& frames);
  /// The most frames that making a tree and putting this many entries takes: its root; then a put can split one leaf,
  /// and inner pages split far less often, since each split of one leaves room for several more children.
  static constexpr std::uint64_t frames_for_new_tree(std::uint64_t puts) { return 1 + 2 * puts; }
  void put(TreeId tree, ByteView key, ByteView value, Lsn lsn);
  /// False: the key was not there.
  bool erase(TreeId tree, ByteView key, Lsn lsn);
  /// Frees and merges pages that the batch has emptied or nearly so. It waits until the end, so that within a batch
  /// pages only split, which is what `prepare_put` counts on.
  void finish_batch();

  /// Frees about `most_pages` pages of a detached tree, from its end. True: all are free, the root too. kPageFault and
  /// kMustWait (no frame to change an inner page in): some may be free; go on later. What is left is at any time a tree
  /// that a checkpoint can keep. Leaves are not read.
  Result<bool> reclaim(PageId root, std::uint64_t most_pages, Lsn lsn);

  /// The page the last kPageFault was about.
  PageId fault() const { return fault_; }

  /// Walks one whole tree, fetching what is not cached, and checks every page by itself and against its parent:
  /// kCorrupt names the first violation. Adds the pages met to `reached`. Nothing may change the tree meanwhile.
  Task<Result<>> check(TreeId tree, std::vector<PageId>* reached = nullptr);

 private:
  /// Where a descent ended: a leaf, or the inner page whose entry `slot` is an empty range.
  struct Landing {
    Frame* frame = nullptr;
    std::uint32_t slot = 0;

    PageView page() const { return PageView(frame->data); }
    bool at_leaf() const { return page().is_leaf(); }
    ByteView lower(KeyBuffer& buffer) const;
    std::optional<ByteView> upper(KeyBuffer& buffer) const;
  };
  /// The pages from the root (level `top`) to where the descent ended (level `bottom`), each with the entry taken.
  struct Path {
    struct Step {
      Frame* frame = nullptr;
      std::uint32_t slot = 0;
    };
    std::array<Step, kPageLevels> steps;
    std::uint32_t top = 0;
    std::uint32_t bottom = 0;

    PageView page(std::uint32_t level) const { return PageView(steps[level].frame->data); }
  };
  enum class Side : std::uint8_t { kAt, kBelow };
  struct Shrunk {
    TreeId tree;
    std::uint32_t key_begin, key_bytes;
  };

  // trees_read.cc
  template <Side kSide, bool kKeepPath>
  Result<Landing> descend(TreeId tree, ByteView key, Path* path);
  Result<Landing> descend(TreeId tree, ByteView key, Path& path);
  Result<std::optional<LeafPosition>> first_from(TreeId tree, ByteView key, Lsn& seen);
  Result<std::optional<LeafPosition>> last_below(TreeId tree, ByteView bound, Lsn& seen);
  std::unexpected<Error> page_fault(PageId id);
  static std::unexpected<Error> contradiction(PageId id, std::string_view what);
  static Fences child_bounds(PageView page, std::uint32_t slot, KeyBuffer& lower, KeyBuffer& upper);

  // trees_write.cc
  Result<Path*> prepare(TreeId tree, ByteView key, std::uint64_t& frames);
  Path path_for_change(TreeId tree, ByteView key);
  Page writable(Path& path, std::uint32_t level, Lsn lsn);
  void add_pages(Path& path, TreeId tree, Lsn lsn);
  void split_page(Path& path, std::uint32_t level, ByteView key, std::uint32_t position, Lsn lsn);
  void grow_root(Path& path, Lsn lsn);

  // trees_merge.cc
  void rebalance(TreeId tree, ByteView key, Lsn lsn);
  void remove_page(Path& path, std::uint32_t level, Lsn lsn);
  void merge_page(Path& path, std::uint32_t level, Lsn lsn);
  bool join(Path& path, std::uint32_t level, std::uint32_t other_slot, Lsn lsn);
  void shrink(Path& path, std::uint32_t level, Lsn lsn);
  void collapse_root(Path& path, Lsn lsn);
  void free_page(PageId id);

  // trees_check.cc
  static std::optional<std::uint32_t> last_child(PageView page);
  void give_up_last_child(Page page);

  /// The paths of a batch's first prepared changes, in order, so that making these changes need not descend again. The
  /// batch holds their pages, so none is evicted. What an earlier change of the batch can do to a path is to copy a
  /// frozen page (the frame is not current any more) or to add and split pages (all paths are forgotten).
  class PreparedPaths {
   public:
    /// Where to descend to for the next prepared change; `keep` if it got there.
    Path& next_path() { return entries_[count_].path; }
    void keep(TreeId tree, ByteView key);
    /// The path of the next change to be made, or null if it has to descend.
    const Path* take(TreeId tree, ByteView key);
    void forget() { count_ = taken_ = 0; }

   private:
    static constexpr std::uint32_t kMost =
        8;  // an update of an object is four changes; more of one batch descend again
    struct Entry {
      TreeId tree{};
      std::uint32_t key_bytes = 0;
      KeyBuffer key;
      Path path;
    };
    std::uint32_t count_ = 0;
    std::uint32_t taken_ = 0;
    std::array<Entry, kMost + 1> entries_;  // the last is for those that are not kept
  };

  PageCache& cache_;
  PageSource& source_;
  PreparedPaths prepared_;
  std::unordered_map<TreeId, PageId> roots_;
  Lsn roots_changed_{};
  PageId fault_{};
  // Leaves of the batch that became empty or underfull, by a key in them; reused, so that erasing allocates nothing.
  std::vector<Shrunk> shrunk_;
  Bytes shrunk_keys_;
  Lsn batch_lsn_{};
};

}  // namespace cenote::store
