#include "catalog.h"

#include <algorithm>

#include "cenote/base/assert.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::store {
namespace {

constexpr std::byte kNamePrefix{'n'};
constexpr std::byte kDroppedPrefix{'r'};

}  // namespace

std::optional<TreeId> Catalog::find(std::string_view name) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

const Catalog::Entry* Catalog::find(TreeId id) const {
  const auto found = trees_.find(id);
  return found == trees_.end() ? nullptr : &found->second;
}

void Catalog::add(TreeId id, std::string_view name, PageId root) {
  const bool new_name = names_.emplace(name, id).second;
  const bool new_id = trees_.emplace(id, Entry{std::string(name), root}).second;
  ASSERT(new_name && new_id);
  see_id(id);
}

void Catalog::drop(TreeId id) {
  const auto found = trees_.find(id);
  ASSERT(found != trees_.end());
  dropped_.push_back({id, found->second.root});
  names_.erase(found->second.name);
  trees_.erase(found);
}

void Catalog::forget_dropped(TreeId id) {
  const auto found = std::ranges::find(dropped_, id, &DroppedTree::id);
  ASSERT(found != dropped_.end());
  dropped_.erase(found);
}

Bytes Catalog::name_key(std::string_view name) {
  Bytes key = {kNamePrefix};
  Encoder(key).raw(as_bytes(name));
  return key;
}

Bytes Catalog::tree_value(TreeId id, PageId root) {
  Bytes value;
  Encoder out(value);
  out.integer(id.value());
  out.integer(root.value());
  ASSERT(value.size() == kTreeValueBytes);
  return value;
}

Bytes Catalog::dropped_key(TreeId id) {
  Bytes key(5, kDroppedPrefix);
  store_be(key.data() + 1, id.value());
  return key;
}

Bytes Catalog::dropped_value(PageId root) {
  Bytes value;
  Encoder(value).integer(root.value());
  return value;
}

Result<> Catalog::load(ByteView key, ByteView value) {
  Decoder in(value);
  if (!key.empty() && key[0] == kNamePrefix) {
    const TreeId id(in.integer<std::uint32_t>());
    const PageId root(in.integer<std::uint64_t>());
    const std::string_view name = as_text(key.subspan(1));
    in.require(id != kCatalogTree && !find(id) && !find(name));
    if (in.finish("catalog")) {
      add(id, name, root);
      return {};
    }
  } else if (key.size() == 5 && key[0] == kDroppedPrefix) {
    const PageId root(in.integer<std::uint64_t>());
    if (in.finish("catalog")) {
      dropped_.push_back({TreeId(load_be<std::uint32_t>(key.data() + 1)), root});
      return {};
    }
  }
  return failf(Code::kCorrupt, "the catalog holds an entry that means nothing: '{}'", printable(key));
}

}  // namespace cenote::store
