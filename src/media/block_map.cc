#include "block_map.h"

#include <algorithm>
#include <utility>

#include "cenote/base/assert.h"

namespace cenote::media {

// A node of height 0 uses `blocks`, a higher one `children`.
struct BlockMap::Node {
  std::array<NodePointer, kFanout> children;
  std::array<SharedBlock, kFanout> blocks;
};

std::uint64_t BlockMap::span_of(unsigned height) {
  const unsigned bits = (height + 1) * kFanoutBits;
  return bits >= 64 ? UINT64_MAX : std::uint64_t{1} << bits;
}

SharedBlock BlockMap::find(std::uint64_t index) const {
  if (!root_ || index >= span_of(height_)) return nullptr;
  const Node* node = root_.get();
  for (unsigned height = height_; height > 0; --height) {
    const std::uint64_t below = span_of(height - 1);
    node = node->children[index / below].get();
    if (node == nullptr) return nullptr;
    index %= below;
  }
  return node->blocks[index];
}

void BlockMap::store(std::uint64_t index, SharedBlock block) {
  if (!block && !find(index)) return;
  while (index >= span_of(height_)) {
    if (root_) {
      auto above = std::make_shared<Node>();
      above->children[0] = std::move(root_);
      root_ = std::move(above);
    }
    ++height_;
  }
  store_below(root_, height_, index, std::move(block));
}

void BlockMap::store_below(NodePointer& node, unsigned height, std::uint64_t index, SharedBlock block) {
  if (!node) {
    node = std::make_shared<Node>();
  } else if (node.use_count() > 1) {
    node = std::make_shared<Node>(*node);
  }
  if (height == 0) {
    node->blocks[index] = std::move(block);
    return;
  }
  const std::uint64_t below = span_of(height - 1);
  store_below(node->children[index / below], height - 1, index % below, std::move(block));
}

std::uint64_t BlockMap::next_stored(std::uint64_t from, std::uint64_t end) const {
  if (!root_ || from >= span_of(height_)) return end;
  return std::min(next_below(*root_, height_, from), end);
}

// UINT64_MAX when there is none at or after `from`, which is relative to the node.
std::uint64_t BlockMap::next_below(const Node& node, unsigned height, std::uint64_t from) {
  if (height == 0) {
    for (std::uint64_t index = from; index < kFanout; ++index) {
      if (node.blocks[index]) return index;
    }
    return UINT64_MAX;
  }
  const std::uint64_t below = span_of(height - 1);
  for (std::uint64_t child = from / below; child < kFanout; ++child) {
    const std::uint64_t start = child * below;
    if (!node.children[child]) continue;
    const std::uint64_t found = next_below(*node.children[child], height - 1, std::max(from, start) - start);
    if (found != UINT64_MAX) return start + found;
  }
  return UINT64_MAX;
}

}  // namespace cenote::media
