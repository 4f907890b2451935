#include "node_table.h"

#include <algorithm>

#include "snapshot_trees.h"

namespace cenote::posix {

const ObjectId& Node::object() const { return state_->object; }
FileType Node::type() const { return state_->type; }
bool Node::is_in_snapshot() const { return state_->snapshot != nullptr; }
std::uint64_t Node::number() const {
  return inode_number(state_->object, state_->snapshot ? state_->snapshot->index : std::uint16_t{0});
}

Node NodeTable::get(FileType type, const ObjectId& object, Place place) {
  if (states_.size() > sweep_at_) sweep();
  std::weak_ptr<Node::State>& known = states_[object];
  auto state = known.lock();
  if (!state) {
    state = std::make_shared<Node::State>();
    state->type = type;
    state->object = object;
    state->snapshot = snapshot_.lock();
    state->place = std::move(place);
    known = state;
  } else if (!state->is_removed) {
    state->place = std::move(place);  // the later news
  }
  return Node(std::move(state));
}

std::shared_ptr<Node::State> NodeTable::find(const ObjectId& object) const {
  const auto found = states_.find(object);
  return found == states_.end() ? nullptr : found->second.lock();
}

void NodeTable::sweep() {
  std::erase_if(states_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<std::size_t>(1024, 2 * states_.size());
}

}  // namespace cenote::posix
