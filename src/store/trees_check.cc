#include <algorithm>

#include "trees.h"

namespace cenote::store {
namespace {

/// A page still to be checked, with what its parent says about it.
struct Expected {
  PageId id;
  std::uint32_t level;
  Bytes lower;
  std::optional<Bytes> upper;
};

/// Keeps a fetched page from being evicted for the length of a block.
class Pinned {
 public:
  Pinned(PageCache& cache, Frame& frame) : cache_(cache), frame_(frame) {}
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { cache_.unpin(frame_); }

 private:
  PageCache& cache_;
  Frame& frame_;
};

bool bounds_agree(PageView page, const Expected& expected) {
  const std::optional<ByteView> upper = page.upper_fence();
  if (!equal(page.lower_fence(), expected.lower) || upper.has_value() != expected.upper.has_value()) return false;
  return !upper || equal(*upper, *expected.upper);
}

/// What is wrong with a page as a part of its tree; empty if nothing is.
std::string_view violation(PageView page, TreeId tree, const Expected& expected, bool is_root) {
  if (page.tree() != tree) return "belongs to another tree";
  if (!is_root && page.level() != expected.level) return "is not one level below its parent";
  if (!bounds_agree(page, expected)) return "has other fences than its parent says";
  if (page.is_leaf()) return page.count() == 0 && !is_root ? "is an empty leaf" : "";
  if (page.count() == 1 && page.child(0) == kNoPage) return "has no child";
  for (std::uint32_t slot = 1; slot < page.count(); ++slot) {
    if (page.child(slot) == kNoPage && page.child(slot - 1) == kNoPage) return "has two neighbouring empty ranges";
  }
  return "";
}

void expect_children(PageView page, std::vector<Expected>& todo) {
  KeyBuffer buffer;
  for (std::uint32_t slot = 0; slot < page.count(); ++slot) {
    if (page.child(slot) == kNoPage) continue;
    Expected child{page.child(slot), page.level() - 1u, to_bytes(page.lower_fence()), std::nullopt};
    if (slot > 0) child.lower = to_bytes(page.key(slot, buffer));
    if (slot + 1 < page.count()) {
      child.upper = to_bytes(page.key(slot + 1, buffer));
    } else if (const auto upper = page.upper_fence()) {
      child.upper = to_bytes(*upper);
    }
    todo.push_back(std::move(child));
  }
}

}  // namespace

Task<Result<>> Trees::check(TreeId tree, std::vector<PageId>* reached) {
  const std::optional<PageId> root_id = root(tree);
  if (!root_id) co_return fail(Code::kNotFound);
  std::vector<Expected> todo;
  todo.push_back({*root_id, 0, {}, std::nullopt});
  while (!todo.empty()) {
    const Expected expected = std::move(todo.back());
    todo.pop_back();
    CO_TRY(Frame * frame, co_await cache_.fetch(expected.id));
    const Pinned pinned(cache_, *frame);
    CO_CHECK_OK(verify_unsealed({frame->data, kPageBytes}, expected.id));
    const PageView page(frame->data);
    const std::string_view wrong = violation(page, tree, expected, expected.id == *root_id);
    if (!wrong.empty()) co_return contradiction(expected.id, wrong);
    if (reached != nullptr) reached->push_back(expected.id);
    if (!page.is_leaf()) expect_children(page, todo);
  }
  co_return Result<>{};
}

/// The last entry of an inner page that has a page.
std::optional<std::uint32_t> Trees::last_child(PageView page) {
  for (std::uint32_t slot = page.is_leaf() ? 0 : page.count(); slot > 0; --slot) {
    if (page.child(slot - 1) != kNoPage) return slot - 1;
  }
  return std::nullopt;
}

/// Each turn goes down along the last children to a page that can give one up, and makes it do so: a level-1 page its
/// leaves, a higher one a child that has nothing left.
Result<bool> Trees::reclaim(PageId root, std::uint64_t most_pages, Lsn lsn) {
  bool nothing_left = false;  // a page that gave up its last child goes in the same slice
  for (std::uint64_t freed = 0; freed < most_pages || nothing_left;) {
    Frame* frame = cache_.find(root);
    if (frame == nullptr) return page_fault(root);
    Frame* parent = nullptr;
    std::optional<std::uint32_t> last = last_child(PageView(frame->data));
    while (last && PageView(frame->data).level() > 1) {
      const PageView page(frame->data);
      const PageId child = page.child(*last);
      parent = frame;
      frame = cache_.find(child);
      if (frame == nullptr) return page_fault(child);
      if (PageView(frame->data).level() + 1 != page.level()) return contradiction(child, "does not belong here");
      last = last_child(PageView(frame->data));
    }
    if (!last && parent == nullptr) {
      free_page(root);
      return true;
    }
    Frame& giving = last ? *frame : *parent;
    if (cache_.frames_to_modify(giving) > cache_.writable_frames()) return fail(Code::kMustWait);
    Page page(cache_.modify(giving, lsn).data);
    page.set_lsn(std::max(page.lsn(), lsn));
    do {
      give_up_last_child(page);
      ++freed;
    } while (page.level() == 1 && freed < most_pages && last_child(page));
    nothing_left = !last_child(page);
  }
  return false;
}

/// Frees the last child of a page; its range and those behind it become one empty range.
void Trees::give_up_last_child(Page page) {
  const std::uint32_t slot = *last_child(page);
  free_page(page.child(slot));
  page.set_child(slot, kNoPage);
  while (page.count() > slot + 1) page.erase(page.count() - 1);
  if (slot > 0 && page.child(slot - 1) == kNoPage) page.erase(slot);
}

}  // namespace cenote::store
