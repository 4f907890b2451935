#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "cenote/base/strong.h"
#include "cenote/media/buffer_pool.h"

namespace cenote::media {

/// Contents of one block; shared between the states that hold it, so never changed once made.
struct BlockContents {
  alignas(8) std::array<std::byte, kBlockBytes> bytes;
};
using SharedBlock = std::shared_ptr<const BlockContents>;

/// A sparse persistent array of blocks: a radix tree whose nodes are shared between copies and copied when they change.
/// Copying costs O(1), a change O(depth), an empty array nothing.
class BlockMap {
 public:
  /// Null where nothing was stored.
  SharedBlock find(std::uint64_t index) const;
  /// Null takes the block out.
  void store(std::uint64_t index, SharedBlock block);
  /// The first stored index in [from, end), or `end`.
  std::uint64_t next_stored(std::uint64_t from, std::uint64_t end) const;

 private:
  static constexpr unsigned kFanoutBits = 6;
  static constexpr std::uint64_t kFanout = 1u << kFanoutBits;
  struct Node;
  using NodePointer = std::shared_ptr<Node>;

  /// Number of indices below a node of height `height`; a node of height 0 holds blocks.
  static std::uint64_t span_of(unsigned height);
  static void store_below(NodePointer& node, unsigned height, std::uint64_t index, SharedBlock block);
  static std::uint64_t next_below(const Node& node, unsigned height, std::uint64_t from);

  NodePointer root_;
  unsigned height_ = 0;
};

}  // namespace cenote::media
