#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "geometry.h"
#include "group_bits.h"

namespace cenote::store {

/// Who uses which block of one device, against what the bitmap says: bits only, so that a large device needs little
/// memory. It tells that a block is in dispute, not between whom: they are asked for in a second turn.
class BlockLedger {
 public:
  BlockLedger(std::uint64_t device_blocks, const std::vector<Region>& fixed)
      : marked_(device_blocks / kGroupBlocks), used_(marked_.size()), twice_(marked_.size()), flags_(marked_.size()) {
    for (const Region& region : fixed) {
      for (std::uint64_t block = region.first; block < region.first + region.blocks; block += kGroupBlocks) {
        if (block / kGroupBlocks < flags_.size()) flags_[block / kGroupBlocks] |= kFixed;
      }
    }
  }

  std::uint64_t groups() const { return marked_.size(); }
  void set_marked(std::uint64_t group, const GroupBits& bits) { marked_[group] = bits; }
  /// The bitmap of this group cannot be read.
  void set_unknown(std::uint64_t group) { flags_[group] |= kUnknown; }

  enum class Place : std::uint8_t { kSpace, kFixed, kOutside };
  Place place(std::uint64_t first, std::uint64_t blocks) const {
    const std::uint64_t group = first / kGroupBlocks;
    if (group >= groups() || blocks == 0 || first % kGroupBlocks + blocks > kGroupBlocks) return Place::kOutside;
    return (flags_[group] & kFixed) != 0 ? Place::kFixed : Place::kSpace;
  }
  /// Of kSpace.
  void use(std::uint64_t first, std::uint64_t blocks) {
    for (std::uint64_t block = first; block < first + blocks; ++block) {
      GroupBits& used = used_[block / kGroupBlocks];
      (used.test(block % kGroupBlocks) ? twice_[block / kGroupBlocks] : used).set(block % kGroupBlocks);
    }
  }

  bool used_twice(std::uint64_t block) const { return twice_[block / kGroupBlocks].test(block % kGroupBlocks); }
  bool used_while_free(std::uint64_t block) const {
    const std::uint64_t group = block / kGroupBlocks;
    return (flags_[group] & kUnknown) == 0 && used_[group].test(block % kGroupBlocks) &&
           !marked_[group].test(block % kGroupBlocks);
  }
  std::uint64_t disputed_blocks() const {
    std::uint64_t count = 0;
    for (std::uint64_t block = 0; block < groups() * kGroupBlocks; ++block) {
      if (used_twice(block) || used_while_free(block)) ++count;
    }
    return count;
  }
  /// visit(first, blocks) for each run of blocks that count as used and that nobody uses.
  template <typename Visit>
  void for_each_lost_run(Visit visit) const {
    std::uint64_t first = 0, blocks = 0;
    for (std::uint64_t block = 0; block < groups() * kGroupBlocks; ++block) {
      const GroupBits& marked = marked_[block / kGroupBlocks];
      const bool lost = marked.test(block % kGroupBlocks) && !used_[block / kGroupBlocks].test(block % kGroupBlocks);
      if (lost && blocks == 0) first = block;
      if (lost) ++blocks;
      if (!lost && blocks > 0) visit(first, std::exchange(blocks, 0));
    }
    if (blocks > 0) visit(first, blocks);
  }
  const GroupBits& marked(std::uint64_t group) const { return marked_[group]; }
  bool fixed(std::uint64_t group) const { return (flags_[group] & kFixed) != 0; }
  std::uint64_t marked_blocks() const {
    std::uint64_t count = 0;
    for (const GroupBits& bits : marked_) count += bits.taken();
    return count;
  }

 private:
  static constexpr std::uint8_t kFixed = 1, kUnknown = 2;

  std::vector<GroupBits> marked_;
  std::vector<GroupBits> used_;
  std::vector<GroupBits> twice_;
  std::vector<std::uint8_t> flags_;
};

}  // namespace cenote::store
