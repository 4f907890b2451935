#include "cenote/store/store_check.h"

#include <algorithm>
#include <unordered_set>

#include "cenote/base/format.h"
#include "cenote/store/inspect.h"
#include "page.h"
#include "store_checker.h"
#include "store_impl.h"

namespace cenote::store {
namespace {

class WholeCheck {
 public:
  WholeCheck(Store& store, std::optional<std::vector<Extent>> owned)
      : impl_(StoreChecker::inside(store)), state_(impl_.state()), owned_(std::move(owned)) {}

  Task<Result<CheckReport>> run() {
    co_await impl_.pause_background();
    auto outcome = co_await check();
    impl_.resume_background();
    CO_CHECK_OK(std::move(outcome));
    co_return report_;
  }

 private:
  Task<Result<>> check() {
    impl_.check_invariants();
    CO_CHECK_OK(co_await check_trees());
    CO_CHECK_OK(check_pages());
    CO_CHECK_OK(co_await check_images());
    co_return check_bitmaps();
  }

  Task<Result<>> check_trees() {
    std::vector<TreeId> trees = {kCatalogTree};
    for (const auto& [id, entry] : state_.catalog.trees()) trees.push_back(id);
    std::ranges::sort(trees);
    for (TreeId tree : trees) {
      auto whole = co_await state_.trees.check(tree, &reached_);
      if (!whole) co_return fail(whole.error().with_context(fmt::format("tree {}", tree.value())));
    }
    for (const DroppedTree& tree : state_.catalog.dropped()) CO_CHECK_OK(co_await collect_pages(tree.root));
    report_.trees = trees.size();
    report_.pages = reached_.size();
    co_return Result<>{};
  }

  /// Of a tree that is being given back: its leaves are nobody's business but for their numbers.
  Task<Result<>> collect_pages(PageId root) {
    std::vector<PageId> todo = {root};
    while (!todo.empty()) {
      const PageId id = todo.back();
      todo.pop_back();
      reached_.push_back(id);
      CO_TRY(Frame * frame, co_await state_.cache.fetch(id));
      const PageView page(frame->data);
      for (std::uint32_t slot = 0; !page.is_leaf() && slot < page.count(); ++slot) {
        if (page.child(slot) != kNoPage) todo.push_back(page.child(slot));
      }
      state_.cache.unpin(*frame);
    }
    co_return Result<>{};
  }

  Result<> check_pages() {
    std::unordered_set<PageId> seen;
    for (PageId id : reached_) {
      if (!seen.insert(id).second) return failf(Code::kCorrupt, "page {} belongs to two parents", id.value());
      if (!state_.map.in_use(id)) return failf(Code::kCorrupt, "page {} is used and counts as free", id.value());
    }
    Result<> outcome;
    state_.map.for_each_live([&](PageId id) {
      if (outcome && !seen.contains(id)) outcome = failf(Code::kCorrupt, "page {} belongs to no tree", id.value());
    });
    return outcome;
  }

  Task<Result<>> check_images() {
    AlignedBuffer buffer(kPageBytes);
    std::vector<PageId> ids;
    state_.map.for_each_image([&](PageId id, PageMap::Entry) { ids.push_back(id); });
    for (PageId id : ids) CO_CHECK_OK(co_await state_.read_page(id, buffer.span()));
    report_.images = ids.size();
    co_return Result<>{};
  }

  Result<> check_bitmaps() {
    std::vector<GroupBits> used(state_.allocator.meta().groups());
    Result<> outcome;
    state_.map.for_each_image([&](PageId id, PageMap::Entry entry) {
      const std::uint64_t block = std::uint64_t{entry.slot} * kPageBlocks;
      if (outcome) outcome = take(used, block, kPageBlocks, fmt::format("page {}", id.value()));
    });
    CHECK_OK(std::move(outcome));
    if (state_.superblock.geometry.separate_data()) {
      CHECK_OK(compare_bitmap(state_.allocator.meta(), used, false));
      used.assign(state_.allocator.data().groups(), {});
    }
    for (const Extent& extent : owned_.value_or(std::vector<Extent>())) {
      CHECK_OK(take(used, extent.first.value(), extent.blocks, "an extent"));
      report_.extent_blocks += extent.blocks;
      ++report_.extents;
    }
    return compare_bitmap(state_.allocator.data(), used, !owned_.has_value());
  }

  static Result<> take(std::vector<GroupBits>& used, std::uint64_t block, std::uint32_t blocks, std::string_view who) {
    const std::uint64_t group = block / kGroupBlocks;
    const auto first = static_cast<std::uint32_t>(block % kGroupBlocks);
    if (group >= used.size() || !used[group].none_in(first, blocks)) {
      return failf(Code::kCorrupt, "{} lies on blocks {}+{}, which are used already or do not exist", who, block,
                   blocks);
    }
    used[group].set_run(first, blocks);
    return {};
  }

  static Result<> compare_bitmap(const Space& space, const std::vector<GroupBits>& used, bool more_allowed) {
    for (std::uint64_t block = 0; block < space.groups() * kGroupBlocks; ++block) {
      const bool is_used = used[block / kGroupBlocks].test(block % kGroupBlocks);
      const bool marked = space.persistent(block);
      if (is_used && !marked) return failf(Code::kCorrupt, "block {} is used and free in the bitmap", block);
      if (marked && !is_used && !more_allowed) {
        return failf(Code::kCorrupt, "block {} is taken in the bitmap and nobody uses it", block);
      }
    }
    return {};
  }

  StoreImpl& impl_;
  StoreState& state_;
  std::optional<std::vector<Extent>> owned_;
  std::vector<PageId> reached_;
  CheckReport report_;
};

}  // namespace

std::vector<TreeReport> list_trees(const Store& store) {
  std::vector<TreeReport> trees;
  for (const auto& [id, entry] : StoreChecker::inside(store).state().catalog.trees()) trees.push_back({id, entry.name});
  std::ranges::sort(trees, {}, &TreeReport::id);
  return trees;
}

Task<Result<CheckReport>> check_store(Store& store, std::optional<std::vector<Extent>> owned) {
  WholeCheck checker(store, std::move(owned));
  co_return co_await checker.run();
}

}  // namespace cenote::store
