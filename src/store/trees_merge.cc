#include <algorithm>

#include "page_reshape.h"
#include "trees.h"

namespace cenote::store {
namespace {

/// Below this a page looks for others to join; what joins may fill a page so far. The gap keeps a page that has just
/// been joined from being split or joined again soon.
constexpr std::uint32_t kUnderfullBytes = kPageBytes / 3;
constexpr std::uint32_t kJoinedBytes = kPageBytes * 3 / 4;

bool is_underfull(PageView page) { return kPageBytes - page.free_bytes() < kUnderfullBytes; }

bool same_fences(Fences a, Fences b) {
  if (!equal(a.lower, b.lower) || a.upper.has_value() != b.upper.has_value()) return false;
  return !a.upper || equal(*a.upper, *b.upper);
}

/// The one entry of an inner page that has a page, if there is just one.
std::optional<std::uint32_t> only_child(PageView page) {
  std::optional<std::uint32_t> only;
  for (std::uint32_t slot = 0; slot < page.count(); ++slot) {
    if (page.child(slot) == kNoPage) continue;
    if (only) return std::nullopt;
    only = slot;
  }
  return only;
}

}  // namespace

bool Trees::erase(TreeId tree, ByteView key, Lsn lsn) {
  Path path = path_for_change(tree, key);
  if (path.bottom > 0) return false;
  const SlotSearch search = path.page(0).find(key);
  if (!search.found) return false;
  Page leaf = writable(path, 0, lsn);
  leaf.erase(search.slot);
  batch_lsn_ = std::max(batch_lsn_, lsn);
  if (path.top > 0 && is_underfull(leaf)) {
    shrunk_.push_back({tree, static_cast<std::uint32_t>(shrunk_keys_.size()), static_cast<std::uint32_t>(key.size())});
    shrunk_keys_.insert(shrunk_keys_.end(), key.begin(), key.end());
  }
  return true;
}

void Trees::finish_batch() {
  prepared_.forget();
  for (const Shrunk& shrunk : shrunk_) {
    rebalance(shrunk.tree, ByteView(shrunk_keys_).subspan(shrunk.key_begin, shrunk.key_bytes), batch_lsn_);
  }
  shrunk_.clear();
  shrunk_keys_.clear();
}

/// Looks again at the leaf for `key`: other changes of the batch may have filled, split, joined or freed it.
void Trees::rebalance(TreeId tree, ByteView key, Lsn lsn) {
  if (!roots_.contains(tree)) return;
  Path path = path_for_change(tree, key);
  if (path.bottom > 0 || path.top == 0) return;
  if (path.page(0).count() == 0) {
    remove_page(path, 0, lsn);
  } else if (is_underfull(path.page(0))) {
    merge_page(path, 0, lsn);
  }
}

void Trees::free_page(PageId id) {
  cache_.discard(id);
  source_.free_page(id);
}

/// Frees a page that has nothing left and is no root; its range becomes empty in its parent.
void Trees::remove_page(Path& path, std::uint32_t level, Lsn lsn) {
  free_page(path.steps[level].frame->id);
  Page parent = writable(path, level + 1, lsn);
  std::uint32_t& slot = path.steps[level + 1].slot;
  parent.set_child(slot, kNoPage);
  if (slot + 1 < parent.count() && parent.child(slot + 1) == kNoPage) parent.erase(slot + 1);
  if (slot > 0 && parent.child(slot - 1) == kNoPage) parent.erase(slot--);
  if (parent.count() > 1) return shrink(path, level + 1, lsn);
  if (level + 1 < path.top) return remove_page(path, level + 1, lsn);
  Page::format(parent.bytes(), {parent.id(), parent.tree(), 0}, {{}, std::nullopt}).set_lsn(lsn);
}

/// After the page at `level` lost entries: it may have become underfull itself, or a root with one child.
void Trees::shrink(Path& path, std::uint32_t level, Lsn lsn) {
  if (level == path.top) {
    collapse_root(path, lsn);
  } else if (is_underfull(path.page(level))) {
    merge_page(path, level, lsn);
  }
}

/// Joins an underfull page with what stands beside it, as far as that is cached and fits.
void Trees::merge_page(Path& path, std::uint32_t level, Lsn lsn) {
  bool changed = false;
  while (is_underfull(path.page(level))) {
    const std::uint32_t slot = path.steps[level + 1].slot;
    const bool joined = (slot + 1 < path.page(level + 1).count() && join(path, level, slot + 1, lsn)) ||
                        (slot > 0 && join(path, level, slot - 1, lsn));
    if (!joined) break;
    changed = true;
  }
  if (changed) shrink(path, level + 1, lsn);
}

/// Makes the page at `level` take in what its neighbour in the parent has: an empty range, or a cached page, which is
/// freed. The page keeps its number and takes no frame; its parent was counted when the erase was prepared.
bool Trees::join(Path& path, std::uint32_t level, std::uint32_t other_slot, Lsn lsn) {
  const std::uint32_t first = std::min(path.steps[level + 1].slot, other_slot);
  const PageId other = path.page(level + 1).child(other_slot);
  KeyBuffer lower;
  KeyBuffer between;
  KeyBuffer upper;
  const Fences left_bounds = child_bounds(path.page(level + 1), first, lower, between);
  const Fences right_bounds = child_bounds(path.page(level + 1), first + 1, between, upper);
  const Fences bounds{left_bounds.lower, right_bounds.upper};
  const bool other_is_right = other_slot > first;

  const auto plan = [&]() -> std::optional<Merge> {
    const PageView page = path.page(level);
    if (!same_fences(page.fences(), other_is_right ? left_bounds : right_bounds)) return std::nullopt;
    if (other == kNoPage) return Merge{page, std::nullopt, bounds};
    const Frame* frame = cache_.peek(other);
    if (frame == nullptr) return std::nullopt;
    const PageView sibling(frame->data);
    if (sibling.level() != level || sibling.tree() != page.tree()) return std::nullopt;
    if (!same_fences(sibling.fences(), other_is_right ? right_bounds : left_bounds)) return std::nullopt;
    return other_is_right ? Merge{page, sibling, bounds} : Merge{sibling, page, bounds};
  };
  const std::optional<Merge> wanted = plan();
  if (!wanted) return false;
  const std::optional<std::uint32_t> free = wanted->free_bytes();
  if (!free || (other != kNoPage && kPageBytes - *free > kJoinedBytes)) return false;

  // Copying a frozen parent may just now have evicted the sibling.
  Page parent = writable(path, level + 1, lsn);
  Page page = writable(path, level, lsn);
  const std::optional<Merge> merge = plan();
  if (!merge) return false;
  merge->write(page.bytes(), page.identity());
  page.set_lsn(std::max(page.lsn(), lsn));
  if (other != kNoPage) free_page(other);
  parent.set_child(first, page.id());
  parent.erase(first + 1);
  path.steps[level + 1].slot = first;
  return true;
}

/// As long as the root has one child that is cached and fits, it takes over the contents of that child.
void Trees::collapse_root(Path& path, Lsn lsn) {
  while (!path.page(path.top).is_leaf()) {
    const std::optional<std::uint32_t> slot = only_child(path.page(path.top));
    if (!slot) return;
    Page root = writable(path, path.top, lsn);
    const Frame* frame = cache_.peek(root.child(*slot));
    if (frame == nullptr) return;
    const PageView child(frame->data);
    KeyBuffer lower;
    KeyBuffer upper;
    if (child.level() + 1 != root.level() || child.tree() != root.tree()) return;
    if (!same_fences(child.fences(), child_bounds(root, *slot, lower, upper))) return;
    const Merge merge{child, std::nullopt, {{}, std::nullopt}};
    if (!merge.free_bytes()) return;
    merge.write(root.bytes(), {root.id(), root.tree(), child.level()});
    root.set_lsn(std::max(root.lsn(), lsn));
    free_page(frame->id);
  }
}

}  // namespace cenote::store
