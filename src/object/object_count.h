#pragma once

// A container counts, on each target, the objects of which its tree holds any entry, punches included. What changes the
// tree finds out, in the attempt that does it, which objects come into being with it and of which it leaves nothing.

#include <vector>

#include "core.h"

namespace cenote::object {

/// Of `objects`, which may repeat, those that the container's own tree holds nothing of. Entries of all of them must be
/// in the batch that is about to be applied.
Result<std::uint64_t> count_born(const Container& container, store::View& view, std::span<const ObjectId> objects);

/// What a batch removes from a tree, to tell of which objects it leaves nothing.
class Emptied {
 public:
  void clear();
  void removed(ByteView key);
  /// Something of the key's object stays whatever else is removed: the batch puts it.
  void stays(ByteView key);
  /// As the tree is before the batch. Looks at no more entries than are removed, and one for each object.
  Result<std::uint64_t> count(store::View& view, store::TreeId tree);

 private:
  struct Key {
    std::uint32_t offset, bytes;
  };
  ByteView view_of(const Key& key) const { return ByteView(bytes_).subspan(key.offset, key.bytes); }
  bool is_kept(ByteView object) const;
  Result<bool> is_emptied(store::View& view, store::TreeId tree, std::span<const Key> keys) const;

  Bytes bytes_;
  std::vector<Key> keys_;
  std::vector<PathBytes> kept_;  // prefixes of objects
};

}  // namespace cenote::object
