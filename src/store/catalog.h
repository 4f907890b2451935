#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/store/types.h"
#include "page_id.h"

namespace cenote::store {

/// The tree that holds the catalog; a batch cannot name it.
inline constexpr TreeId kCatalogTree{0};

/// A tree that was dropped and whose pages are still being given back.
struct DroppedTree {
  TreeId id{};
  PageId root{};
};

/// The named trees of a store, in memory, and the keys and values under which the catalog tree keeps them
/// (docs/formats/store.md, "The catalog"). Whoever changes one changes the other.
class Catalog {
 public:
  struct Entry {
    std::string name;
    PageId root{};
  };

  std::optional<TreeId> find(std::string_view name) const;
  /// Null: no such tree. Valid until the next change.
  const Entry* find(TreeId id) const;
  const std::unordered_map<TreeId, Entry>& trees() const { return trees_; }
  const std::deque<DroppedTree>& dropped() const { return dropped_; }

  void add(TreeId id, std::string_view name, PageId root);
  /// The tree joins the dropped ones.
  void drop(TreeId id);
  /// The pages of the dropped tree `id` are all given back.
  void forget_dropped(TreeId id);

  /// A number no tree has or had.
  TreeId take_id() { return TreeId(next_id_++); }
  TreeId next_id() const { return TreeId(next_id_); }
  /// A tree of this number exists: later ones are larger.
  void see_id(TreeId id) { next_id_ = next_id_ > id.value() ? next_id_ : id.value() + 1; }

  static Bytes name_key(std::string_view name);
  static Bytes tree_value(TreeId id, PageId root);
  static Bytes dropped_key(TreeId id);
  static Bytes dropped_value(PageId root);
  static constexpr std::size_t kTreeValueBytes = 12;
  static constexpr std::size_t kDroppedValueBytes = 8;
  /// Takes in one entry of the catalog tree.
  Result<> load(ByteView key, ByteView value);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };

  std::unordered_map<std::string, TreeId, Hash, std::equal_to<>> names_;
  std::unordered_map<TreeId, Entry> trees_;
  std::deque<DroppedTree> dropped_;
  std::uint32_t next_id_ = 1;
};

}  // namespace cenote::store
