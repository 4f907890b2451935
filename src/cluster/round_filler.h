#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fault_tree.h"
#include "placement_hash.h"

namespace cenote::cluster {

/// Fills the rounds of a pool's first targets. A round is a number of groups (rows) in which no target occurs twice;
/// over many rounds every domain, at every level, gets its share to within one member.
///
/// Each domain keeps a credit: what it should have got so far, less what it has. A round's members are handed down the
/// tree: of the number that comes to a domain, each child gets its credit rounded down, and those with the largest rest
/// one more. What was handed down is then listed in a random order that keeps every domain together, and row i takes
/// the members i, i + R, i + 2R .. of the list (R rows): a domain that has at most R of them occurs at most once in a
/// row.
class RoundFiller {
 public:
  RoundFiller(const FaultTree& tree, std::span<const std::uint32_t> targets, const Shares& shares,
              std::uint32_t group_size, std::uint32_t rows);

  /// Appends `rows` groups to `entries`.
  void append_round(Random& random, std::vector<std::uint32_t>& entries);

 private:
  struct Node {
    std::uint32_t first_child = 0;
    std::uint32_t child_count = 0;
    std::uint32_t target = 0;    ///< of a leaf
    std::uint32_t least = 0;     ///< members of a round: its share rounded down
    std::uint32_t most = 0;      ///< and rounded up
    std::uint32_t capacity = 0;  ///< more are not possible
    std::uint64_t share = 0;
    std::uint64_t ratio = 0;  ///< of the parent's share, in units of kOne
    std::int64_t credit = 0;  ///< in units of kOne
  };
  /// A child that may get one member more or less.
  struct Rest {
    std::int64_t credit;
    std::uint32_t place;  ///< in the random order: no two are equal, whatever sorts them
  };
  struct Scratch {
    std::vector<std::uint32_t> order;
    std::vector<std::uint32_t> counts;
    std::vector<Rest> rests;
  };

  void build(const FaultTree& tree, std::span<const std::uint32_t> targets, const Shares& shares);
  void sum_up(std::uint32_t index, bool is_separate);
  void hand_down(std::uint32_t index, std::uint32_t count, std::size_t depth, Random& random);
  void apportion(const Node& node, std::uint32_t count, Scratch& scratch);
  bool adjust(const Node& node, std::int64_t missing, bool is_forced, Scratch& scratch);

  std::uint32_t group_size_;
  std::uint32_t rows_;
  std::vector<Node> nodes_;
  std::vector<Scratch> scratch_;  // one for each depth
  std::vector<std::uint32_t> listed_;
  std::vector<std::uint32_t> row_order_;
};

}  // namespace cenote::cluster
