#pragma once

#include <memory>

#include "cenote/posix/attributes.h"

namespace cenote::posix {

/// Something in a FileSystem that was found once. Means the same thing whatever names it has or gets, also by others.
/// Cheap to copy; all nodes of one FileSystem for the same thing share what it knows of it.
class Node {
 public:
  const ObjectId& object() const;
  FileType type() const;
  /// In a snapshot, and so nothing of it ever changes.
  bool is_in_snapshot() const;
  std::uint64_t number() const;

  struct State;
  explicit Node(std::shared_ptr<State> state) : state_(std::move(state)) {}
  const std::shared_ptr<State>& state() const { return state_; }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace cenote::posix
