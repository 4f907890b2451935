#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote::store {

/// A set of small integers below a fixed limit, as bits with a summary level: add, remove and "the first member at or
/// after i" cost a few words however large the set is.
class IndexSet {
 public:
  IndexSet() = default;
  explicit IndexSet(std::uint64_t limit)
      : limit_(limit), words_((limit + 63) / 64), summary_((words_.size() + 63) / 64) {}

  std::uint64_t limit() const { return limit_; }
  std::uint64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  bool contains(std::uint64_t index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }

  /// Makes room for more indices; none of the new ones is a member.
  void grow(std::uint64_t limit) {
    ASSERT(limit >= limit_);
    limit_ = limit;
    words_.resize((limit + 63) / 64);
    summary_.resize((words_.size() + 63) / 64);
  }

  /// Adding a member and removing a stranger are harmless.
  void add(std::uint64_t index) {
    ASSERT(index < limit_);
    if (contains(index)) return;
    words_[index / 64] |= bit(index);
    summary_[index / 4096] |= bit(index / 64);
    ++count_;
  }
  void remove(std::uint64_t index) {
    ASSERT(index < limit_);
    if (!contains(index)) return;
    words_[index / 64] &= ~bit(index);
    if (words_[index / 64] == 0) summary_[index / 4096] &= ~bit(index / 64);
    --count_;
  }
  /// Makes every index from `first` on a member.
  void add_all(std::uint64_t first = 0) {
    for (; first < limit_ && first % 64 != 0; ++first) add(first);
    for (; first + 64 <= limit_; first += 64) {
      count_ += 64 - static_cast<std::uint64_t>(std::popcount(words_[first / 64]));
      words_[first / 64] = ~std::uint64_t{0};
      summary_[first / 4096] |= bit(first / 64);
    }
    for (; first < limit_; ++first) add(first);
  }
  void set(std::uint64_t index, bool member) { member ? add(index) : remove(index); }

  /// The smallest member that is not below `from`.
  std::optional<std::uint64_t> first_from(std::uint64_t from) const {
    if (count_ == 0 || from >= limit_) return std::nullopt;
    std::uint64_t word = from / 64;
    const std::uint64_t rest = words_[word] >> (from % 64);
    if (rest != 0) return from + static_cast<std::uint64_t>(std::countr_zero(rest));
    word = next_word(word + 1);
    if (word >= words_.size()) return std::nullopt;
    return word * 64 + static_cast<std::uint64_t>(std::countr_zero(words_[word]));
  }
  std::optional<std::uint64_t> first() const { return first_from(0); }

 private:
  static std::uint64_t bit(std::uint64_t index) { return std::uint64_t{1} << (index % 64); }

  /// The first word at or after `word` that is not zero, or one past the last.
  std::uint64_t next_word(std::uint64_t word) const {
    for (std::uint64_t group = word / 64; group < summary_.size(); ++group, word = group * 64) {
      const std::uint64_t rest = summary_[group] >> (word % 64);
      if (rest != 0) return word + static_cast<std::uint64_t>(std::countr_zero(rest));
    }
    return words_.size();
  }

  std::uint64_t limit_ = 0;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> summary_;
};

}  // namespace cenote::store
