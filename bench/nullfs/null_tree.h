#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

namespace cenote::nullfs {

using Ino = std::uint64_t;
inline constexpr Ino kRoot = 1;

struct Node {
  struct stat attributes{};
  std::map<std::string, Ino, std::less<>> entries;  // of a directory
  std::uint64_t lookups = 0;
};

/// Names and sizes, in memory, with nothing behind them. A node lives while it has a name or the kernel knows it.
class NullTree {
 public:
  NullTree() {
    Node& root = make(S_IFDIR | 0777);
    root.lookups = 1;
  }
  Node& at(Ino ino) { return nodes_.at(ino); }
  /// Null: there is no such name.
  Node* find(Ino directory, std::string_view name) {
    const auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    return found == entries.end() ? nullptr : &at(found->second);
  }
  Node& add(Ino directory, std::string name, mode_t mode) {
    Node& node = make(mode);
    at(directory).entries.insert_or_assign(std::move(name), node.attributes.st_ino);
    return node;
  }
  bool remove(Ino directory, std::string_view name) {
    auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    if (found == entries.end()) return false;
    Node& node = at(found->second);
    entries.erase(found);
    node.attributes.st_nlink = 0;
    drop_unused(node);
    return true;
  }
  void forget(Ino ino, std::uint64_t lookups) {
    Node& node = at(ino);
    node.lookups -= lookups;
    drop_unused(node);
  }

 private:
  Node& make(mode_t mode) {
    const Ino ino = next_++;
    Node& node = nodes_[ino];
    node.attributes.st_ino = ino;
    node.attributes.st_mode = mode;
    node.attributes.st_nlink = 1;
    node.attributes.st_blksize = 4096;
    return node;
  }
  void drop_unused(const Node& node) {
    if (node.lookups == 0 && node.attributes.st_nlink == 0) nodes_.erase(node.attributes.st_ino);
  }

  std::unordered_map<Ino, Node> nodes_;
  Ino next_ = kRoot;
};

}  // namespace cenote::nullfs
