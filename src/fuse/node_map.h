#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cenote/posix/file_system.h"

namespace cenote::fuse {

/// The nodes that the kernel knows by their inode numbers, each until the kernel has forgotten it as often as it was
/// told of it. The root is always among them.
class NodeMap {
 public:
  explicit NodeMap(posix::Node root) : root_(root.number()) { known_.emplace(root_, Known{std::move(root), 1, {}}); }

  /// nullptr: the kernel was never told of it.
  const posix::Node* find(std::uint64_t number) const {
    const auto found = known_.find(number);
    return found == known_.end() ? nullptr : &found->second.node;
  }
  /// The kernel is about to be told of it; true: it did not know it.
  bool add(const posix::Found& found) {
    Known& known = known_.try_emplace(found.node.number(), Known{found.node, 0, {}}).first->second;
    note(known, found.attributes);
    return known.lookups++ == 0;
  }
  /// What the kernel does not know any more.
  std::optional<posix::Node> forget(std::uint64_t number, std::uint64_t lookups) {
    const auto found = known_.find(number);
    if (found == known_.end() || number == root_) return {};
    Known& known = found->second;
    known.lookups -= std::min(lookups, known.lookups);
    if (known.lookups > 0) return {};
    posix::Node node = std::move(known.node);
    known_.erase(found);
    return node;
  }
  /// The kernel is told of attributes again.
  void note(std::uint64_t number, const posix::Attributes& attributes) {
    if (const auto found = known_.find(number); found != known_.end()) note(found->second, attributes);
  }
  /// What the kernel was told last of anything but a file; nullptr: of a file. Programs may have it open, or be in it,
  /// without our knowledge, when it is removed.
  const posix::Attributes* last_told(std::uint64_t number) const {
    const auto found = known_.find(number);
    return found == known_.end() ? nullptr : found->second.told.get();
  }
  std::vector<posix::Node> all() const {
    std::vector<posix::Node> nodes;
    nodes.reserve(known_.size());
    for (const auto& [number, known] : known_) nodes.push_back(known.node);
    return nodes;
  }

 private:
  struct Known {
    posix::Node node;
    std::uint64_t lookups = 0;
    std::unique_ptr<posix::Attributes> told;
  };
  static void note(Known& known, const posix::Attributes& attributes) {
    if (attributes.type == posix::FileType::kFile) return;
    if (!known.told) known.told = std::make_unique<posix::Attributes>();
    *known.told = attributes;
  }

  std::uint64_t root_;
  std::unordered_map<std::uint64_t, Known> known_;
};

}  // namespace cenote::fuse
