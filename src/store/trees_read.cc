#include <algorithm>

#include "cenote/base/format.h"
#include "trees.h"

namespace cenote::store {

namespace {

/// Asks for what a search of the page reads first, header, hints and fences, at once instead of line by line.
void prefetch_search(const std::byte* page) {
  constexpr std::size_t kCacheLine = 64;
  for (std::size_t line = 0; line < 4; ++line) __builtin_prefetch(page + line * kCacheLine);
}

}  // namespace

void Trees::attach(TreeId tree, PageId root) {
  ASSERT(root != kNoPage);
  const bool added = roots_.emplace(tree, root).second;
  ASSERT(added);
}

PageId Trees::detach(TreeId tree, Lsn lsn) {
  const auto found = roots_.find(tree);
  ASSERT(found != roots_.end());
  const PageId root = found->second;
  prepared_.forget();
  roots_.erase(found);
  roots_changed_ = lsn;
  return root;
}

std::optional<PageId> Trees::root(TreeId tree) const {
  const auto found = roots_.find(tree);
  return found == roots_.end() ? std::nullopt : std::optional(found->second);
}

std::unexpected<Error> Trees::page_fault(PageId id) {
  fault_ = id;
  return fail(Code::kPageFault);
}

std::unexpected<Error> Trees::contradiction(PageId id, std::string_view what) {
  return failf(Code::kCorrupt, "page {}: {}", id.value(), what);
}

ByteView Trees::Landing::lower(KeyBuffer& buffer) const {
  return at_leaf() || slot == 0 ? page().lower_fence() : page().key(slot, buffer);
}

std::optional<ByteView> Trees::Landing::upper(KeyBuffer& buffer) const {
  if (at_leaf() || slot + 1 == page().count()) return page().upper_fence();
  return page().key(slot + 1, buffer);
}

/// From the root to the leaf for `key` or, on the side kBelow, for the keys just below `key`. Beside what `verify` has
/// shown for each page alone, this needs that the pages fit together: that a search stays inside its key, and that the
/// levels come to an end.
template <Trees::Side kSide, bool kKeepPath>
Result<Trees::Landing> Trees::descend(TreeId tree, ByteView key, Path* path) {
  const auto root = roots_.find(tree);
  if (root == roots_.end()) return failf(Code::kNotFound, "no tree {}", tree.value());
  Frame* frame = cache_.find(root->second);
  if (frame == nullptr) return page_fault(root->second);
  PageView page(frame->data);
  if (page.tree() != tree || page.prefix_bytes() != 0) return contradiction(page.id(), "is not the root of its tree");
  if constexpr (kKeepPath) path->top = page.level();
  while (true) {
    const std::uint32_t slot = page.is_leaf()       ? 0
                               : kSide == Side::kAt ? page.child_slot(key)
                                                    : page.child_slot_below(key);
    if constexpr (kKeepPath) path->steps[page.level()] = {frame, slot};
    const PageId child_id = page.is_leaf() ? kNoPage : page.child(slot);
    if (child_id == kNoPage) {
      if constexpr (kKeepPath) path->bottom = page.level();
      return Landing{frame, slot};
    }
    frame = cache_.find(child_id);
    if (frame == nullptr) return page_fault(child_id);
    prefetch_search(frame->data);
    const PageView child(frame->data);
    if (child.level() + 1 != page.level() || child.tree() != tree || child.prefix_bytes() < page.prefix_bytes() ||
        !child.has_prefix_of(key)) {
      return contradiction(child_id, "does not belong below its parent");
    }
    page = child;
  }
}

Result<Trees::Landing> Trees::descend(TreeId tree, ByteView key, Path& path) {
  return descend<Side::kAt, true>(tree, key, &path);
}

/// The keys entry `slot` of an inner page is for, as copies that outlive a change of the page.
Fences Trees::child_bounds(PageView page, std::uint32_t slot, KeyBuffer& lower, KeyBuffer& upper) {
  Fences bounds;
  bounds.lower = slot == 0 ? copy_key(page.lower_fence(), lower) : page.key(slot, lower);
  if (slot + 1 < page.count()) {
    bounds.upper = page.key(slot + 1, upper);
  } else if (const auto fence = page.upper_fence()) {
    bounds.upper = copy_key(*fence, upper);
  }
  return bounds;
}

Result<std::optional<ByteView>> Trees::get(TreeId tree, ByteView key, Lsn& seen) {
  TRY(const Landing landing, descend<Side::kAt, false>(tree, key, nullptr));
  seen = std::max(seen, landing.frame->modified);
  if (!landing.at_leaf()) return std::nullopt;
  const SlotSearch search = landing.page().find(key);
  if (!search.found) return std::nullopt;
  return landing.page().value(search.slot);
}

Result<std::optional<LeafPosition>> Trees::first_from(TreeId tree, ByteView key, Lsn& seen) {
  std::array<KeyBuffer, 2> buffers;  // one holds `key` while the other receives the next
  for (std::size_t turn = 0;; ++turn) {
    TRY(const Landing landing, descend<Side::kAt, false>(tree, key, nullptr));
    seen = std::max(seen, landing.frame->modified);
    if (landing.at_leaf()) {
      const std::uint32_t slot = landing.page().find(key).slot;
      if (slot < landing.page().count()) return LeafPosition{landing.frame, slot};
    }
    const std::optional<ByteView> upper = landing.upper(buffers[turn % 2]);
    if (!upper) return std::nullopt;
    if (compare(*upper, key) <= 0) return contradiction(landing.frame->id, "ends before the keys it is for");
    key = *upper;
  }
}

/// The last entry whose key is below `bound`.
Result<std::optional<LeafPosition>> Trees::last_below(TreeId tree, ByteView bound, Lsn& seen) {
  std::array<KeyBuffer, 2> buffers;  // as above
  for (std::size_t turn = 0; !bound.empty(); ++turn) {
    TRY(const Landing landing, descend<Side::kBelow, false>(tree, bound, nullptr));
    seen = std::max(seen, landing.frame->modified);
    if (landing.at_leaf()) {
      const std::uint32_t slot = landing.page().find(bound).slot;
      if (slot > 0) return LeafPosition{landing.frame, slot - 1};
    }
    const ByteView lower = landing.lower(buffers[turn % 2]);
    if (compare(lower, bound) >= 0) return contradiction(landing.frame->id, "begins behind the keys it is for");
    bound = lower;
  }
  return std::nullopt;
}

Result<std::optional<LeafPosition>> Trees::seek(TreeId tree, ByteView key, Lsn& seen) {
  return first_from(tree, key, seen);
}

Result<std::optional<LeafPosition>> Trees::seek_at_most(TreeId tree, ByteView key, Lsn& seen) {
  TRY(const Landing landing, descend<Side::kAt, false>(tree, key, nullptr));
  seen = std::max(seen, landing.frame->modified);
  if (landing.at_leaf()) {
    const SlotSearch search = landing.page().find(key);
    if (search.found) return LeafPosition{landing.frame, search.slot};
    if (search.slot > 0) return LeafPosition{landing.frame, search.slot - 1};
  }
  KeyBuffer buffer;
  return last_below(tree, landing.lower(buffer), seen);
}

Result<std::optional<LeafPosition>> Trees::next(TreeId tree, LeafPosition from, Lsn& seen) {
  const PageView page(from.leaf->data);
  seen = std::max(seen, from.leaf->modified);
  if (from.slot + 1 < page.count()) return LeafPosition{from.leaf, from.slot + 1};
  const std::optional<ByteView> upper = page.upper_fence();
  if (!upper) return std::nullopt;
  return first_from(tree, *upper, seen);
}

Result<std::optional<LeafPosition>> Trees::previous(TreeId tree, LeafPosition from, Lsn& seen) {
  seen = std::max(seen, from.leaf->modified);
  if (from.slot > 0) return LeafPosition{from.leaf, from.slot - 1};
  return last_below(tree, PageView(from.leaf->data).lower_fence(), seen);
}

ByteView Trees::key_at(LeafPosition position, KeyBuffer& buffer) const {
  const PageView page(position.leaf->data);
  const ByteView prefix = page.prefix();
  const ByteView suffix = page.suffix(position.slot);
  const std::size_t bytes = prefix.size() + suffix.size();
  ASSERT(bytes <= buffer.size());
  std::ranges::copy(suffix, std::ranges::copy(prefix, buffer.begin()).out);
  return ByteView(buffer).first(bytes);
}

ByteView Trees::value_at(LeafPosition position) const { return PageView(position.leaf->data).value(position.slot); }

}  // namespace cenote::store
