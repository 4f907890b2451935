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

/// Each turn goes down along the last entries to a page whose last entry can be given up, and gives it up: a level-1
/// page its leaves, a higher one a child that has nothing left or an empty range.
Result<bool> Trees::reclaim(PageId root, std::uint64_t most_pages, Lsn lsn) {
  for (std::uint64_t freed = 0; freed < most_pages;) {
    Frame* frame = cache_.find(root);
    if (frame == nullptr) return page_fault(root);
    Frame* parent = nullptr;
    PageView page(frame->data);
    const auto last_child = [&] { return page.is_leaf() ? kNoPage : page.child(page.count() - 1); };
    while (page.level() > 1 && last_child() != kNoPage) {
      const PageId child = last_child();
      parent = frame;
      frame = cache_.find(child);
      if (frame == nullptr) return page_fault(child);
      if (PageView(frame->data).level() + 1 != page.level()) return contradiction(child, "does not belong here");
      page = PageView(frame->data);
    }
    const bool nothing_left = page.is_leaf() || (page.count() == 1 && last_child() == kNoPage);
    if (nothing_left && parent == nullptr) {
      free_page(root);
      return true;
    }
    Frame& changing = nothing_left ? *parent : *frame;
    if (cache_.frames_to_modify(changing) > cache_.writable_frames()) return fail(Code::kMustWait);
    Page changed(cache_.modify(changing, lsn).data);
    changed.set_lsn(std::max(changed.lsn(), lsn));
    freed += give_up_last(changed, most_pages - freed);
  }
  return false;
}

/// Gives up the last entry; of a level-1 page, as many as have `most_pages` leaves. One empty range stays.
std::uint64_t Trees::give_up_last(Page page, std::uint64_t most_pages) {
  std::uint64_t freed = 0;
  do {
    const std::uint32_t last = page.count() - 1;
    const PageId child = page.child(last);
    if (child != kNoPage) {
      free_page(child);
      ++freed;
    }
    if (last == 0) {
      page.set_child(0, kNoPage);
      break;
    }
    page.erase(last);
  } while (page.level() == 1 && freed < most_pages);
  return freed;
}

}  // namespace cenote::store
