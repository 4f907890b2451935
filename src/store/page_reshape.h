#pragma once

#include <cstdint>
#include <optional>

#include "page.h"

/// Splitting one page into two, merging two into one, and moving the fences of one: the same entries in other pages.
/// All of it is about bytes in pages; which pages, and what their parents say, is the business of Trees.
namespace cenote::store {

/// Largest part of a page's entries that a split leaves on one side is 5/8, or a half and half an entry; with the entry
/// that caused the split, and two fences of the greatest length, that fits.
static_assert(kPageBytes * 5 / 8 + kMaxLeafEntryBytes <= kMinEntrySpace);
static_assert(kPageBytes / 2 + kMaxLeafEntryBytes / 2 + kMaxLeafEntryBytes <= kMinEntrySpace);

/// Where to split a page of at least two entries that has no room for one more before `position`: the first slot of the
/// right half. In the middle by bytes, give or take an eighth for the shortest separator; but at the end when entries
/// have been appended one after the other, so that a sequential load leaves full pages behind.
std::uint32_t choose_split(PageView page, std::uint32_t position);

/// The shortest key that is above all entries before `slot` and not above entry `slot`.
ByteView separator(PageView page, std::uint32_t slot, KeyBuffer& buffer);

/// Moves the entries from `slot` on to `right`, a page that is made here, and sets the fence between the two.
void split(Page left, std::byte* right, PageId right_id, std::uint32_t slot, ByteView separator);

/// A page with the contents of one or two pages and of the empty ranges between `fences` and theirs.
struct Merge {
  PageView left;
  std::optional<PageView> right;  ///< begins where `left` ends
  Fences fences;                  ///< of the result: at least what the sources cover

  /// Bytes free in the result; nullopt: they do not fit.
  std::optional<std::uint32_t> free_bytes() const;
  /// Writes the result over `into`, which may be a source.
  void write(std::byte* into, PageIdentity identity) const;

 private:
  std::uint32_t entries_bytes(PageView from, std::uint32_t prefix_bytes) const;
  bool empty_before() const;
  bool empty_behind() const;
};

}  // namespace cenote::store
