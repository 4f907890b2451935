#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote::rpc {

/// A map from sequence numbers (never 0) to small movable values: open addressing, no allocation in steady state.
/// Pointers to values are valid until the next insert or erase.
///
/// Invariant: from the home slot of every key to the slot it stands in no slot is free, and at most half are in use.
template <typename Value>
class SequenceMap {
 public:
  std::size_t size() const { return size_; }

  Value* find(std::uint64_t key) {
    if (slots_.empty()) return nullptr;
    Slot& slot = slots_[locate(key)];
    return slot.key == key ? &slot.value : nullptr;
  }
  /// The key must be new.
  Value& insert(std::uint64_t key, Value value) {
    ASSERT(key != 0);
    if ((size_ + 1) * 2 > slots_.size()) grow();
    Slot& slot = slots_[locate(key)];
    ASSERT(slot.key == 0);
    slot = {key, std::move(value)};
    ++size_;
    return slot.value;
  }
  bool erase(std::uint64_t key) {
    if (slots_.empty()) return false;
    std::size_t hole = locate(key);
    if (slots_[hole].key != key) return false;
    // Those behind the hole that would no longer be found move up.
    for (std::size_t at = next(hole); slots_[at].key != 0; at = next(at)) {
      if (distance(home(slots_[at].key), at) < distance(hole, at)) continue;
      slots_[hole] = std::move(slots_[at]);
      hole = at;
    }
    slots_[hole] = {};
    --size_;
    return true;
  }
  /// Erases every entry for which `remove(key, value)` is true.
  template <typename Predicate>
  void erase_if(Predicate remove) {
    std::vector<std::uint64_t> doomed;
    for (Slot& slot : slots_) {
      if (slot.key != 0 && remove(slot.key, slot.value)) doomed.push_back(slot.key);
    }
    for (std::uint64_t key : doomed) erase(key);
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Value value{};
  };
  static constexpr std::size_t kFirstSize = 16;

  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t home(std::uint64_t key) const { return (key * 0x9e3779b97f4a7c15u >> 32) & mask(); }
  std::size_t next(std::size_t at) const { return (at + 1) & mask(); }
  std::size_t distance(std::size_t from, std::size_t to) const { return (to - from) & mask(); }
  /// The slot of `key`, or the free one where it would go.
  std::size_t locate(std::uint64_t key) const {
    std::size_t at = home(key);
    while (slots_[at].key != 0 && slots_[at].key != key) at = next(at);
    return at;
  }
  void grow() {
    std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.empty() ? kFirstSize : slots_.size() * 2));
    for (Slot& slot : old) {
      if (slot.key != 0) slots_[locate(slot.key)] = std::move(slot);
    }
  }

  std::vector<Slot> slots_;
  std::size_t size_ = 0;
};

}  // namespace cenote::rpc
