#include <algorithm>

#include "cenote/store/view.h"
#include "trees.h"

namespace cenote::store {

/// That a tree is not there is an answer like any other.
void View::note_answer(const Error& error) {
  if (error == Code::kNotFound) seen_ = std::max(seen_, trees_.roots_changed());
}

Result<std::optional<ByteView>> View::get(TreeId tree, ByteView key) {
  auto value = trees_.get(tree, key, seen_);
  if (!value) note_answer(value.error());
  return value;
}

/// Takes a new position in, if there is one; if not, or on an error, the cursor stays where it was.
Result<bool> Cursor::move_to(const Result<std::optional<LeafPosition>>& found) {
  if (!found) {
    view_.note_answer(found.error());
    return fail(found.error());
  }
  if (!*found) return false;
  const LeafPosition position = **found;
  leaf_ = position.leaf;
  slot_ = position.slot;
  key_ = view_.trees_.key_at(position, key_buffer_);
  value_ = view_.trees_.value_at(position);
  return true;
}

Result<bool> Cursor::seek(ByteView key) { return move_to(view_.trees_.seek(tree_, key, view_.seen_)); }

Result<bool> Cursor::seek_at_most(ByteView key) { return move_to(view_.trees_.seek_at_most(tree_, key, view_.seen_)); }

Result<bool> Cursor::next() {
  ASSERT(leaf_ != nullptr);
  return move_to(view_.trees_.next(tree_, {leaf_, slot_}, view_.seen_));
}

Result<bool> Cursor::previous() {
  ASSERT(leaf_ != nullptr);
  return move_to(view_.trees_.previous(tree_, {leaf_, slot_}, view_.seen_));
}

}  // namespace cenote::store
