#pragma once

// What a pass of aggregation looks at in one window of an array (merge.cc, merge_trim.cc).

#include <algorithm>
#include <vector>

#include "merge.h"

namespace cenote::object {

/// An old version of records of the window.
struct Merge::Item {
  std::uint64_t first = 0, end = 0;
  Epoch epoch;
  std::size_t era = 0;
  std::uint32_t extent_class = 0;
  bool hole = false;
  bool wide = false;                 // a punch of whole windows, which goes or stays as a whole
  bool visible = false;              // to the reader of its era
  SmallVector<RecordRange, 1> seen;  // by that reader, ascending, when that is not all of a visible extent
};

/// The old versions of the records of a window in one life of the array, and which of them can be seen.
struct Merge::Window {
  const Life& life;
  std::uint64_t first = 0, end = 0;
  std::vector<Item> items;

  bool lived(Epoch epoch) const { return epoch >= life.born && epoch <= life.last; }

  /// Only what is newer and of the same era takes a version out of its reader's sight.
  void resolve() {
    const auto by_era = [](const Item& a, const Item& b) { return a.era < b.era; };
    if (!std::ranges::is_sorted(items, by_era)) std::ranges::sort(items, by_era);
    Overlay overlay;
    Overlay::Slices slices;
    for (std::uint32_t from = 0, to = 0; from < items.size(); from = to) {
      overlay.clear();
      for (; to < items.size() && items[to].era == items[from].era; ++to)
        overlay.add(items[to].first, items[to].end, items[to].epoch, items[to].wide ? Overlay::kHole : to);
      slices.clear();
      overlay.resolve(first, end, slices);
      for (const Overlay::Slice& slice : slices)
        if (slice.version != Overlay::kHole) see(items[slice.version], slice);
    }
  }
  static void see(Item& item, const Overlay::Slice& slice) {
    item.visible = true;
    if (slice.first > item.first || slice.end < item.end)
      item.seen.push_back({.first = slice.first, .count = slice.end - slice.first});
  }
  /// Hides something older that would be seen without it.
  bool needs(const Item& hole) const {
    return hole.visible && std::ranges::any_of(items, [&hole](const Item& item) {
             return !item.hole && item.visible && item.epoch < hole.epoch && item.first < hole.end &&
                    item.end > hole.first;
           });
  }
};

}  // namespace cenote::object
