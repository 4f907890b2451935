#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fault_tree.h"
#include "placement_hash.h"

namespace cenote::cluster {

/// An entry of a group that has fewer members than its size.
inline constexpr std::uint32_t kNoEntry = UINT32_MAX;

/// Groups of one size, one a row, in rounds of rows. The number of rounds is a power of two; where it doubles, the
/// second half begins as a copy of the first.
struct SlotTable {
  std::uint32_t group_size = 0;
  std::uint32_t rows = 0;          ///< of a round
  std::uint32_t first_rounds = 0;  ///< when the pool was made
  std::uint32_t rounds = 0;
  std::vector<std::uint32_t> entries;

  bool empty() const { return entries.empty(); }
  std::span<const std::uint32_t> row(std::uint32_t round, std::uint32_t row) const {
    return {entries.data() + offset(round, row), group_size};
  }
  std::span<std::uint32_t> row(std::uint32_t round, std::uint32_t row) {
    return {entries.data() + offset(round, row), group_size};
  }
  std::uint64_t all_rows() const { return std::uint64_t{rounds} * rows; }

 private:
  std::size_t offset(std::uint32_t round, std::uint32_t row) const {
    return (std::size_t{round} * rows + row) * group_size;
  }
};

/// Whether `target` may stand at `column` of a group: no other member lies in the same domain of the level.
bool is_apart(const FaultTree& tree, std::size_t level, std::span<const std::uint32_t> group, std::size_t column,
              std::uint32_t target);
/// Whether no level above that gets more members into one domain than its share, rounded up.
bool is_even(const FaultTree& tree, const Shares& shares, std::span<const std::uint32_t> group, std::size_t column,
             std::uint32_t target);

/// Makes the table of a pool from its history: the targets that it began with, then those that joined later, in the
/// order in which they did. What joined takes entries from those that have most too many; no other entry changes. So
/// the table of a longer history differs from that of a shorter one by what had to move.
class SlotTableBuilder {
 public:
  SlotTableBuilder(const FaultTree& tree, std::uint32_t group_size);

  /// Targets that joined in one version. As long as there are fewer than a group needs, the table is empty.
  void add(std::span<const std::uint32_t> targets);
  const SlotTable& table() const { return table_; }

 private:
  void start();
  void extend(std::span<const std::uint32_t> joined);
  void add_rounds();
  void count_entries();
  void separate(Random& random);
  void separate_row(std::span<std::uint32_t> group, Random& random);
  std::uint32_t best_apart(std::span<const std::uint32_t> group, std::size_t column, Random& random) const;
  void hand_over(std::span<const std::uint32_t> joined, Random& random);
  bool take_entry(std::uint32_t round, std::uint32_t target, Random& random);
  void replace(std::uint32_t& entry, std::uint32_t target);
  /// Entries beyond the share, in units of kOne.
  std::int64_t excess(std::uint32_t target) const;

  const FaultTree& tree_;
  SlotTable table_;
  Shares shares_;
  std::uint32_t generation_ = 0;
  std::vector<std::uint32_t> members_;
  std::vector<std::uint32_t> counts_;                          // entries of each target
  std::vector<std::vector<std::uint32_t>> members_of_domain_;  // at the level of separation, while rows are repaired
};

}  // namespace cenote::cluster
