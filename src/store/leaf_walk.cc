#include "leaf_walk.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "parallel.h"

namespace cenote::store {
namespace {

/// Leaves read at the same time: enough to use the device, few beside the smallest cache.
constexpr std::size_t kReadAhead = 32;

}  // namespace

LeafWalk::LeafWalk(ExaminationState& state, TreeId tree, TreeWalk::Purpose purpose, ByteView from)
    : state_(state), tree_(tree), purpose_(purpose), from_(to_bytes(from)) {
  const auto root = state_.store_state().trees.root(tree);
  if (!root) return;
  root_ = *root;
  todo_.push_back({root_, 0, {}, std::nullopt});
}

void LeafWalk::release() {
  if (leaf_ != nullptr) state_.store_state().cache.unpin(*std::exchange(leaf_, nullptr));
}

bool LeafWalk::hides_leaves(const ExpectedPage& expected) const {
  // What level the root has nobody says but itself.
  return purpose_ == TreeWalk::Purpose::kSalvage && (expected.level > 0 || expected.id == root_);
}

void LeafWalk::fault(const ExpectedPage& expected, std::string message) {
  if (purpose_ == TreeWalk::Purpose::kAgain) return;
  if (hides_leaves(expected)) {
    lost_.emplace(expected, std::move(message));
    return;
  }
  state_.report_in_tree(expected.id, tree_, std::move(message), {expected.lower, expected.upper});
}

bool LeafWalk::admit(const ExpectedPage& expected) {
  if (expected.upper && !from_.empty() && compare(*expected.upper, from_) <= 0) return false;
  if (purpose_ != TreeWalk::Purpose::kCheck) return true;
  if (expected.id.value() >= state_.reached.size()) {
    fault(expected, fmt::format("page {} cannot exist", expected.id.value()));
    return false;
  }
  if (state_.reached[expected.id.value()]) {
    fault(expected, fmt::format("page {} belongs to two parents", expected.id.value()));
    return false;
  }
  state_.reached[expected.id.value()] = true;
  ++state_.totals.pages;
  return true;
}

Task<Result<>> LeafWalk::fetch_ahead(PageId id) {
  PageCache& cache = state_.store_state().cache;
  if (cache.peek(id) != nullptr) co_return Result<>{};
  auto frame = co_await cache.fetch(id);
  // Whoever comes to the page reports what is wrong with it.
  if (frame) cache.unpin(**frame);
  co_return Result<>{};
}

/// Leaves lie scattered over the device: the next ones are read together.
Task<> LeafWalk::read_ahead() {
  if (todo_.size() > read_to_ || todo_.back().level != 0 || todo_.back().id == root_) {
    read_to_ = std::min(read_to_, todo_.size());
    co_return;
  }
  std::vector<PageId> ids;
  for (std::size_t at = todo_.size(); at > 0 && ids.size() < kReadAhead && todo_[at - 1].level == 0; --at)
    ids.push_back(todo_[at - 1].id);
  read_to_ = todo_.size() - ids.size();
  const auto fetch_one = [this, &ids](std::uint64_t i) { return fetch_ahead(ids[i]); };
  static_cast<void>(co_await in_parallel(state_.reactor, ids.size(), ids.size(), fetch_one));
}

Task<Frame*> LeafWalk::fetch(const ExpectedPage& expected) {
  const PageMap& map = state_.store_state().map;
  auto frame = co_await state_.store_state().cache.fetch(expected.id);
  if (!frame && frame.error() == Code::kPageFault) {
    fault(expected, fmt::format("page {} is in no place that the page map knows", expected.id.value()));
    co_return nullptr;
  }
  if (!frame) {
    if (purpose_ == TreeWalk::Purpose::kCheck) state_.verified[expected.id.value()] = true;  // reported here
    fault(expected, frame.error().message());
    co_return nullptr;
  }
  if (purpose_ == TreeWalk::Purpose::kCheck && !(*frame)->dirty && map.find(expected.id).slot != 0) {
    state_.verified[expected.id.value()] = true;
    ++state_.totals.images;
    state_.options.progress(kPageBytes);
  }
  co_return *frame;
}

bool LeafWalk::check_page(PageView page, const ExpectedPage& expected) {
  // What was read has been verified; what the log changed has not.
  if (const auto valid = verify_unstamped({page.data(), kPageBytes}, expected.id); !valid) {
    fault(expected, valid.error().message());
    return false;
  }
  const std::string_view wrong = tree_violation(page, tree_, expected, expected.id == root_);
  if (wrong.empty()) return true;
  fault(expected, fmt::format("page {} {}", expected.id.value(), wrong));
  return false;
}

void LeafWalk::push_children(PageView page) {
  const std::size_t begin = todo_.size();
  expect_children(page, todo_);
  std::reverse(todo_.begin() + static_cast<std::ptrdiff_t>(begin), todo_.end());
  read_to_ = todo_.size();
}

/// All of them, ascending. One that cannot be read is missed by its neighbours.
Task<> LeafWalk::list_leaves() {
  leaves_.emplace();
  std::vector<PageId> ids;
  state_.store_state().map.for_each_live([&ids](PageId id) { ids.push_back(id); });
  PageCache& cache = state_.store_state().cache;
  for (const PageId id : ids) {
    auto frame = co_await cache.fetch(id);
    if (!frame) continue;
    const PageView page((*frame)->data);
    if (page.tree() == tree_ && page.is_leaf() && verify_unstamped({page.data(), kPageBytes}, id)) {
      ExpectedPage leaf{id, 0, to_bytes(page.lower_fence()), std::nullopt};
      if (const auto upper = page.upper_fence()) leaf.upper = to_bytes(*upper);
      leaves_->push_back(std::move(leaf));
    }
    cache.unpin(**frame);
  }
  std::ranges::sort(*leaves_, {}, &ExpectedPage::lower);
}

/// The fences of leaves that are next to each other are equal. What lies between two that are not had no entries, or is
/// lost: the page that would tell is.
Task<> LeafWalk::find_leaves_below(ExpectedPage lost, std::string message) {
  if (!leaves_) co_await list_leaves();
  const std::size_t begin = todo_.size();
  std::optional<Bytes> at = lost.lower;  // nullopt: the end of all keys
  const auto missing = [&](std::optional<Bytes> upto) {
    state_.report_in_tree(lost.id, tree_, message, {*at, std::move(upto)});
  };
  for (const ExpectedPage& leaf : *leaves_) {
    if (leaf.lower < lost.lower || (lost.upper && (!leaf.upper || *leaf.upper > *lost.upper))) continue;
    if (!at || leaf.lower < *at) continue;  // two that are for the same keys: the first one it is
    if (leaf.lower > *at) missing(leaf.lower);
    todo_.push_back(leaf);
    at = leaf.upper;
  }
  if (at && (!lost.upper || *at < *lost.upper)) {
    missing(lost.upper);
  } else if (todo_.size() > begin) {
    Finding finding = state_.page_finding(lost.id, tree_, message + "; all leaves below it were found without it");
    finding.severity = Severity::kWarning;
    state_.report(std::move(finding));
  }
  std::reverse(todo_.begin() + static_cast<std::ptrdiff_t>(begin), todo_.end());
  read_to_ = todo_.size();
}

Task<bool> LeafWalk::next() {
  release();
  while (!todo_.empty() || lost_) {
    if (lost_) {
      auto [page, message] = *std::exchange(lost_, std::nullopt);
      co_await find_leaves_below(std::move(page), std::move(message));
      continue;
    }
    co_await read_ahead();
    const ExpectedPage expected = std::move(todo_.back());
    todo_.pop_back();
    if (!admit(expected)) continue;
    Frame* frame = co_await fetch(expected);
    if (frame == nullptr) continue;
    leaf_ = frame;
    const PageView page(frame->data);
    if (!check_page(page, expected)) {
      release();
      continue;
    }
    if (!page.is_leaf()) {
      push_children(page);
      release();
      continue;
    }
    first_ = 0;
    end_ = page.count();
    while (first_ < end_ && !from_.empty() && compare(page.key(first_, key_), from_) < 0) ++first_;
    if (first_ < end_) co_return true;
    release();
  }
  co_return false;
}

}  // namespace cenote::store
