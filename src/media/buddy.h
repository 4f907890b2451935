#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace cenote::media {

/// Which blocks of a growing range are free, in power-of-two runs (the buddy system): a freed run joins its free
/// neighbour, so that memory used once for small buffers can serve large ones later. Knows numbers only, no memory.
///
/// Invariants (check_invariants):
///  - Every block belongs to exactly one run; a run of order k has 2^k blocks and starts at a multiple of 2^k.
///  - A run stands in the free list of its order exactly when it is free.
///  - Two free runs that are buddies are never left apart.
///  - free_blocks() is the sum of the free runs.
class BuddyAllocator {
 public:
  static constexpr unsigned kMaxOrder = 9;
  static constexpr std::uint32_t kRunBlocksMax = 1u << kMaxOrder;

  /// Adds a region of up to kRunBlocksMax free blocks. It takes the next kRunBlocksMax numbers, the first of which is
  /// returned, whatever its length; numbers past its length are never handed out.
  std::uint32_t add_region(std::uint32_t blocks);
  /// First block of a run of 2^order blocks, or nothing when no run that large is free.
  std::optional<std::uint32_t> allocate(unsigned order);
  /// Asserts that exactly this run is allocated: a double free ends the program here.
  void free(std::uint32_t first, unsigned order);

  std::uint64_t free_blocks() const { return free_blocks_; }
  void check_invariants() const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  enum class State : std::uint8_t {
    kInside,     ///< Not the first block of a run, or past the end of its region.
    kFree,       ///< First block of a free run.
    kAllocated,  ///< First block of an allocated run.
  };
  struct Block {
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint8_t order = 0;
    State state = State::kInside;
  };

  void link(std::uint32_t first, unsigned order);
  void unlink(std::uint32_t first);

  std::vector<Block> blocks_;
  std::array<std::uint32_t, kMaxOrder + 1> free_ = filled_with_none();
  std::uint64_t free_blocks_ = 0;

  static constexpr std::array<std::uint32_t, kMaxOrder + 1> filled_with_none() {
    std::array<std::uint32_t, kMaxOrder + 1> heads{};
    heads.fill(kNone);
    return heads;
  }
};

}  // namespace cenote::media
