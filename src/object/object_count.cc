#include "object_count.h"

#include <algorithm>

namespace cenote::object {
namespace {

ByteView object_of(ByteView key) { return key.first(KeyPath::kObjectEnd); }

Result<bool> is_present(const Container& container, store::View& view, const ObjectId& object) {
  if (container.present == object) return true;
  const KeyPath path(object);
  store::Cursor cursor(view, container.tree);
  TRY(const bool found, cursor.seek(path.object_prefix()));
  return found && starts_with(cursor.key(), path.object_prefix());
}

}  // namespace

Result<std::uint64_t> count_born(const Container& container, store::View& view, std::span<const ObjectId> objects) {
  std::vector<ObjectId> each;
  if (objects.size() > 1) {
    each.assign(objects.begin(), objects.end());
    std::ranges::sort(each);
    const auto repeated = std::ranges::unique(each);
    each.erase(repeated.begin(), repeated.end());
    objects = each;
  }
  std::uint64_t born = 0;
  for (const ObjectId& object : objects) {
    TRY(const bool present, is_present(container, view, object));
    if (!present) ++born;
  }
  return born;
}

void Emptied::clear() {
  bytes_.clear();
  keys_.clear();
  kept_.clear();
}

void Emptied::removed(ByteView key) {
  keys_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(key.size())});
  bytes_.insert(bytes_.end(), key.begin(), key.end());
}

void Emptied::stays(ByteView key) {
  if (!is_kept(object_of(key))) kept_.emplace_back(object_of(key));
}

bool Emptied::is_kept(ByteView object) const {
  return std::ranges::any_of(kept_, [&](const PathBytes& kept) { return equal(kept, object); });
}

Result<std::uint64_t> Emptied::count(store::View& view, store::TreeId tree) {
  std::ranges::sort(keys_, [&](const Key& a, const Key& b) { return compare(view_of(a), view_of(b)) < 0; });
  std::uint64_t emptied = 0;
  for (std::span<const Key> left(keys_); !left.empty();) {
    const ByteView object = object_of(view_of(left.front()));
    const auto other = std::ranges::find_if(left, [&](const Key& key) { return !starts_with(view_of(key), object); });
    const auto keys = left.first(static_cast<std::size_t>(other - left.begin()));
    left = left.subspan(keys.size());
    if (is_kept(object)) continue;
    TRY(const bool nothing_left, is_emptied(view, tree, keys));
    if (nothing_left) ++emptied;
  }
  return emptied;
}

/// Whether `keys`, ascending and all of one object, are all that there is of it, and there is something: others may
/// have removed what a pass of aggregation still knows of.
Result<bool> Emptied::is_emptied(store::View& view, store::TreeId tree, std::span<const Key> keys) const {
  const ByteView object = object_of(view_of(keys.front()));
  store::Cursor cursor(view, tree);
  TRY(bool more, cursor.seek(object));
  bool any = false;
  for (const Key* key = keys.data(); more && starts_with(cursor.key(), object);) {
    any = true;
    const Key* const end = keys.data() + keys.size();
    while (key != end && compare(view_of(*key), cursor.key()) < 0) ++key;
    if (key == end || !equal(view_of(*key), cursor.key())) return false;
    TRY(more, cursor.next());
  }
  return any;
}

}  // namespace cenote::object
