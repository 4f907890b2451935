#include <algorithm>

#include "tree_rules.h"
#include "trees.h"

namespace cenote::store {
namespace {

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

}  // namespace

Task<Result<>> Trees::check(TreeId tree, std::vector<PageId>* reached) {
  const std::optional<PageId> root_id = root(tree);
  if (!root_id) co_return fail(Code::kNotFound);
  std::vector<ExpectedPage> todo;
  todo.push_back({*root_id, 0, {}, std::nullopt});
  while (!todo.empty()) {
    const ExpectedPage expected = std::move(todo.back());
    todo.pop_back();
    CO_TRY(Frame * frame, co_await cache_.fetch(expected.id));
    const Pinned pinned(cache_, *frame);
    CO_CHECK_OK(verify_unstamped({frame->data, kPageBytes}, expected.id));
    const PageView page(frame->data);
    const std::string_view wrong = tree_violation(page, tree, expected, expected.id == *root_id);
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
