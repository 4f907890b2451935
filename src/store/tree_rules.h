#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "page.h"

/// What a page has to be as a part of its tree (docs/formats/page.md, "Inner page"), for whoever walks one.
namespace cenote::store {

/// A page still to be checked, with what its parent says about it.
struct ExpectedPage {
  PageId id;
  std::uint32_t level = 0;
  Bytes lower;
  std::optional<Bytes> upper;
};

/// What is wrong with a page as a part of its tree; empty if nothing is.
std::string_view tree_violation(PageView page, TreeId tree, const ExpectedPage& expected, bool is_root);

/// Appends what an inner page says about its children, in the order of their keys.
void expect_children(PageView page, std::vector<ExpectedPage>& todo);

}  // namespace cenote::store
