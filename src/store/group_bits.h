#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "cenote/store/types.h"

namespace cenote::store {

/// The 256 bits of one allocation group, a set bit meaning "taken".
struct GroupBits {
  std::array<std::uint64_t, kGroupBlocks / 64> words{};

  bool test(std::uint32_t block) const { return (words[block / 64] >> (block % 64) & 1) != 0; }
  void set(std::uint32_t block) { words[block / 64] |= std::uint64_t{1} << (block % 64); }
  void clear(std::uint32_t block) { words[block / 64] &= ~(std::uint64_t{1} << (block % 64)); }
  std::uint32_t taken() const {
    std::uint32_t count = 0;
    for (std::uint64_t word : words) count += static_cast<std::uint32_t>(std::popcount(word));
    return count;
  }

  bool none_in(std::uint32_t first, std::uint32_t blocks) const { return next_taken(first) >= first + blocks; }
  bool all_in(std::uint32_t first, std::uint32_t blocks) const { return next_free(first) >= first + blocks; }
  void set_run(std::uint32_t first, std::uint32_t blocks) {
    for (std::uint32_t block = first; block < first + blocks; ++block) set(block);
  }
  void clear_run(std::uint32_t first, std::uint32_t blocks) {
    for (std::uint32_t block = first; block < first + blocks; ++block) clear(block);
  }

  /// The first taken (free) block at or after `from`, kGroupBlocks if there is none.
  std::uint32_t next_taken(std::uint32_t from) const { return find(from, 0); }
  std::uint32_t next_free(std::uint32_t from) const { return find(from, ~std::uint64_t{0}); }

  struct Run {
    std::uint32_t first = 0;
    std::uint32_t blocks = 0;
  };
  /// The first free run of at least `blocks`; when there is none, the longest.
  Run free_run(std::uint32_t blocks) const {
    Run best;
    for (std::uint32_t from = next_free(0); from < kGroupBlocks;) {
      const std::uint32_t end = next_taken(from);
      if (end - from > best.blocks) best = {from, end - from};
      if (best.blocks >= blocks) return best;
      from = next_free(end);
    }
    return best;
  }
  std::uint32_t longest_free_run() const { return free_run(kGroupBlocks).blocks; }
  /// The shortest free run of at least `blocks`, so that longer ones stay whole; when there is none, the longest.
  Run tightest_run(std::uint32_t blocks) const {
    Run best;
    for (std::uint32_t from = next_free(0); from < kGroupBlocks;) {
      const Run run{from, next_taken(from) - from};
      const bool fits = run.blocks >= blocks;
      if (best.blocks < blocks ? run.blocks > best.blocks : fits && run.blocks < best.blocks) best = run;
      from = next_free(run.first + run.blocks);
    }
    return best;
  }

 private:
  std::uint32_t find(std::uint32_t from, std::uint64_t flip) const {
    if (from >= kGroupBlocks) return kGroupBlocks;
    std::uint32_t word = from / 64;
    std::uint64_t rest = (words[word] ^ flip) >> (from % 64) << (from % 64);
    while (rest == 0) {
      if (++word == words.size()) return kGroupBlocks;
      rest = words[word] ^ flip;
    }
    return word * 64 + static_cast<std::uint32_t>(std::countr_zero(rest));
  }
};

}  // namespace cenote::store
