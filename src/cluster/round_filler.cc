#include "round_filler.h"

#include <algorithm>
#include <numeric>

#include "cenote/base/assert.h"

namespace cenote::cluster {

RoundFiller::RoundFiller(const FaultTree& tree, std::span<const std::uint32_t> targets, const Shares& shares,
                         std::uint32_t group_size, std::uint32_t rows)
    : group_size_(group_size), rows_(rows), scratch_(tree.levels()), row_order_(rows) {
  std::iota(row_order_.begin(), row_order_.end(), 0u);
  build(tree, targets, shares);
  ASSERT(nodes_[0].capacity >= rows * group_size);
}

void RoundFiller::build(const FaultTree& tree, std::span<const std::uint32_t> targets, const Shares& shares) {
  std::vector<std::uint32_t> sorted(targets.begin(), targets.end());
  std::ranges::sort(sorted, [&tree](std::uint32_t a, std::uint32_t b) {
    for (std::size_t level = 0; level < tree.levels(); ++level) {
      if (tree.domain_of(level, a) != tree.domain_of(level, b))
        return tree.domain_of(level, a) < tree.domain_of(level, b);
    }
    return false;
  });
  struct Range {
    std::size_t begin;
    std::size_t end;
    std::size_t level;  // of its children
  };
  std::vector<Range> ranges = {{0, sorted.size(), 0}};
  nodes_.emplace_back();
  // Breadth first, so that the children of a node are neighbours and stand behind it.
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    const Range range = ranges[i];
    if (range.level == tree.levels()) {
      nodes_[i].target = sorted[range.begin];
      nodes_[i].share = shares.of_target[sorted[range.begin]];
      continue;
    }
    nodes_[i].first_child = static_cast<std::uint32_t>(nodes_.size());
    for (std::size_t begin = range.begin, end = begin; begin < range.end; begin = end) {
      while (end < range.end && tree.domain_of(range.level, sorted[end]) == tree.domain_of(range.level, sorted[begin]))
        ++end;
      nodes_.emplace_back();
      ranges.push_back({begin, end, range.level + 1});
      ++nodes_[i].child_count;
    }
  }
  for (auto i = static_cast<std::uint32_t>(nodes_.size()); i-- > 0;)
    sum_up(i, ranges[i].level == shares.separation + 1);
}

void RoundFiller::sum_up(std::uint32_t index, bool is_separate) {
  Node& node = nodes_[index];
  const std::span children(nodes_.data() + node.first_child, node.child_count);
  if (children.empty()) node.capacity = 1;
  for (const Node& child : children) {
    node.share += child.share;
    node.capacity += child.capacity;
  }
  if (is_separate) node.capacity = std::min(node.capacity, rows_);
  // What rounding took from whole numbers does not count.
  constexpr std::uint64_t kTolerance = kOne >> 12;
  node.least = static_cast<std::uint32_t>((rows_ * node.share + kTolerance) >> kPointBits);
  node.most = static_cast<std::uint32_t>((rows_ * node.share + kOne - 1 - kTolerance) >> kPointBits);
  node.most = std::min(node.most, node.capacity);
  node.least = std::min(node.least, node.most);
  std::uint64_t left = kOne;
  for (Node& child : children) {
    const bool is_last = &child == &children.back();
    child.ratio = is_last ? left : static_cast<std::uint64_t>(Wide{child.share} * kOne / node.share);
    left -= child.ratio;
  }
}

void RoundFiller::append_round(Random& random, std::vector<std::uint32_t>& entries) {
  listed_.clear();
  hand_down(0, rows_ * group_size_, 0, random);
  random.shuffle(row_order_);
  for (const std::uint32_t row : row_order_) {
    const std::size_t first = entries.size();
    for (std::uint32_t column = 0; column < group_size_; ++column)
      entries.push_back(listed_[std::size_t{column} * rows_ + row]);
    std::span group(entries.data() + first, group_size_);
    random.shuffle(group);
  }
}

void RoundFiller::hand_down(std::uint32_t index, std::uint32_t count, std::size_t depth, Random& random) {
  const Node& node = nodes_[index];
  if (node.child_count == 0) {
    if (count > 0) listed_.push_back(node.target);
    return;
  }
  Scratch& scratch = scratch_[depth];
  scratch.order.resize(node.child_count);
  std::iota(scratch.order.begin(), scratch.order.end(), node.first_child);
  random.shuffle(scratch.order);
  apportion(node, count, scratch);
  for (std::uint32_t i = 0; i < node.child_count; ++i) {
    nodes_[scratch.order[i]].credit -= static_cast<std::int64_t>(std::uint64_t{scratch.counts[i]} << kPointBits);
    hand_down(scratch.order[i], scratch.counts[i], depth + 1, random);
  }
}

void RoundFiller::apportion(const Node& node, std::uint32_t count, Scratch& scratch) {
  scratch.counts.assign(node.child_count, 0);
  std::int64_t missing = count;
  for (std::uint32_t i = 0; i < node.child_count; ++i) {
    Node& child = nodes_[scratch.order[i]];
    child.credit += static_cast<std::int64_t>(count * child.ratio);
    const std::int64_t whole = std::clamp<std::int64_t>(child.credit >> kPointBits, child.least, child.most);
    scratch.counts[i] = static_cast<std::uint32_t>(whole);
    missing -= whole;
  }
  while (missing != 0) {
    const bool adjusted = adjust(node, missing, false, scratch) || adjust(node, missing, true, scratch);
    ASSERT(adjusted);
    missing = count - std::accumulate(scratch.counts.begin(), scratch.counts.end(), std::int64_t{0});
  }
}

// Gives one member more to those with the largest rest, or one less to those with the smallest. The bounds of a round's
// shares do not always add up, as those of many targets that are each a little less than full; then they are forced.
bool RoundFiller::adjust(const Node& node, std::int64_t missing, bool is_forced, Scratch& scratch) {
  const bool is_more = missing > 0;
  scratch.rests.clear();
  for (std::uint32_t i = 0; i < node.child_count; ++i) {
    const Node& child = nodes_[scratch.order[i]];
    const std::uint32_t least = is_forced ? 0 : child.least;
    const std::uint32_t most = is_forced ? child.capacity : child.most;
    if (is_more ? scratch.counts[i] >= most : scratch.counts[i] <= least) continue;
    scratch.rests.push_back(
        {child.credit - static_cast<std::int64_t>(std::uint64_t{scratch.counts[i]} << kPointBits), i});
  }
  const auto wanted = static_cast<std::size_t>(is_more ? missing : -missing);
  const std::size_t chosen = std::min(wanted, scratch.rests.size());
  const auto is_before = [is_more](const Rest& a, const Rest& b) {
    if (a.credit != b.credit) return is_more ? a.credit > b.credit : a.credit < b.credit;
    return a.place < b.place;
  };
  std::nth_element(scratch.rests.begin(), scratch.rests.begin() + static_cast<std::ptrdiff_t>(chosen),
                   scratch.rests.end(), is_before);
  for (std::size_t i = 0; i < chosen; ++i) scratch.counts[scratch.rests[i].place] += is_more ? 1 : UINT32_MAX;
  return chosen > 0;
}

}  // namespace cenote::cluster
