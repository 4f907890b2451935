#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fault_tree.h"
#include "slot_table.h"

namespace cenote::cluster {

/// The groups of one size over one set of targets.
class PlacementView {
 public:
  /// `history`: the table of all targets that ever joined, wanted or not. `members`: those of the set.
  PlacementView(std::shared_ptr<const FaultTree> tree, std::shared_ptr<const SlotTable> history,
                std::vector<std::uint32_t> members);

  /// The targets of one group into `group`, which is as long as the groups are; kNoEntry where there are too few.
  /// `groups` is the number that the object has, 0 for class X.
  void find(std::uint64_t point, std::uint32_t groups, std::uint32_t index, std::span<std::uint32_t> group) const;
  /// All groups one behind the other.
  void find_all(std::uint64_t point, std::uint32_t groups, std::vector<std::uint32_t>& all) const;
  bool is_walked(std::uint32_t groups) const;

  std::span<const std::uint32_t> members() const { return members_; }
  /// Of a target; no two members of a group lie in the same.
  std::uint32_t domain_of(std::uint32_t target) const { return tree_->domain_of(separation_, target); }
  const std::shared_ptr<const SlotTable>& history() const { return history_; }
  const SlotTable& table() const { return *table_; }
  bool shares_history() const { return table_ == history_; }

 private:
  class Walk;
  std::span<const std::uint32_t> row_of(std::uint64_t point, std::uint32_t index) const;

  std::shared_ptr<const FaultTree> tree_;
  std::shared_ptr<const SlotTable> history_;
  std::shared_ptr<const SlotTable> table_;
  std::vector<std::uint32_t> members_;
  std::size_t separation_ = 0;
  std::uint32_t free_rows_ = 0;  // rows_without_repetition
};

}  // namespace cenote::cluster
