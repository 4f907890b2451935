#include "tree_rules.h"

namespace cenote::store {
namespace {

bool bounds_agree(PageView page, const ExpectedPage& expected) {
  const std::optional<ByteView> upper = page.upper_fence();
  if (!equal(page.lower_fence(), expected.lower) || upper.has_value() != expected.upper.has_value()) return false;
  return !upper || equal(*upper, *expected.upper);
}

}  // namespace

std::string_view tree_violation(PageView page, TreeId tree, const ExpectedPage& expected, bool is_root) {
  if (page.tree() != tree) return "belongs to another tree";
  if (!is_root && page.level() != expected.level) return "is not one level below its parent";
  if (!bounds_agree(page, expected)) return "has other fences than its parent says";
  if (page.is_leaf()) return page.count() == 0 && !is_root ? "is an empty leaf" : "";
  if (page.count() == 1 && page.child(0) == kNoPage) return "has no child";
  for (std::uint32_t slot = 1; slot < page.count(); ++slot) {
    if (page.child(slot) == kNoPage && page.child(slot - 1) == kNoPage) return "has two neighbouring empty ranges";
  }
  return "";
}

void expect_children(PageView page, std::vector<ExpectedPage>& todo) {
  KeyBuffer buffer;
  for (std::uint32_t slot = 0; slot < page.count(); ++slot) {
    if (page.child(slot) == kNoPage) continue;
    ExpectedPage child{page.child(slot), page.level() - 1u, to_bytes(page.lower_fence()), std::nullopt};
    if (slot > 0) child.lower = to_bytes(page.key(slot, buffer));
    if (slot + 1 < page.count()) {
      child.upper = to_bytes(page.key(slot + 1, buffer));
    } else if (const auto upper = page.upper_fence()) {
      child.upper = to_bytes(*upper);
    }
    todo.push_back(std::move(child));
  }
}

}  // namespace cenote::store
