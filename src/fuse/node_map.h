#pragma once

#include <unordered_map>
#include <utility>

#include "cenote/posix/node.h"

namespace cenote::fuse {

/// The nodes that the kernel knows by their inode numbers, each until the kernel has forgotten it as often as it was
/// told of it. The root is always among them.
class NodeMap {
 public:
  explicit NodeMap(posix::Node root) : root_(root.number()) { known_.emplace(root_, Known{std::move(root), 1}); }

  /// nullptr: the kernel was never told of it.
  const posix::Node* find(std::uint64_t number) const {
    const auto found = known_.find(number);
    return found == known_.end() ? nullptr : &found->second.node;
  }
  /// The kernel is about to be told of it.
  void add(const posix::Node& node) { ++known_.try_emplace(node.number(), Known{node, 0}).first->second.lookups; }
  void forget(std::uint64_t number, std::uint64_t lookups) {
    const auto found = known_.find(number);
    if (found == known_.end() || number == root_) return;
    Known& known = found->second;
    known.lookups -= std::min(lookups, known.lookups);
    if (known.lookups == 0) known_.erase(found);
  }
  std::size_t size() const { return known_.size(); }

 private:
  struct Known {
    posix::Node node;
    std::uint64_t lookups = 0;
  };
  std::uint64_t root_;
  std::unordered_map<std::uint64_t, Known> known_;
};

}  // namespace cenote::fuse
