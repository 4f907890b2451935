#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "cenote/base/time.h"

namespace cenote::sim {

/// One operation of a history: when it was called, when it is known to be over (an answer, or an end after which it
/// cannot take effect any more), and whether its outcome is known. One of unknown outcome may have happened or not.
template <typename Operation>
struct HistoryEntry {
  Operation operation;
  Instant called;
  Instant ended;
  bool certain = true;
};

/// Searches for an order of the operations that a single copy of the data, working on one at a time, could have gone
/// through: each takes effect once, between its call and its end (Herlihy and Wing, "Linearizability", 1990; the search
/// is that of Wing and Gong with the memory of Lowe). `Model` has a State with operator== and a hash, and `step(state,
/// operation)`, which gives the next state, or nothing when the operation cannot have had its result in that state.
template <typename Model>
class LinearizabilityCheck {
 public:
  using State = typename Model::State;
  using Entry = HistoryEntry<typename Model::Operation>;

  enum class Verdict : std::uint8_t { kLinearizable, kViolated, kGaveUp };

  explicit LinearizabilityCheck(std::vector<Entry> history, std::uint64_t step_limit = 5'000'000)
      : history_(std::move(history)), steps_left_(step_limit) {
    std::ranges::sort(history_, {}, &Entry::called);
  }

  /// `initial`: the state before the first operation.
  Verdict run(State initial) {
    done_.assign((history_.size() + 63) / 64, 0);
    certain_left_ = static_cast<std::size_t>(std::ranges::count_if(history_, &Entry::certain));
    return search(std::move(initial));
  }
  /// Operations of the longest order that was found: what comes next in the history is where it breaks.
  std::size_t longest() const { return longest_; }
  const std::vector<Entry>& history() const { return history_; }

 private:
  struct Visited {
    std::vector<std::uint64_t> done;
    State state;
    friend bool operator==(const Visited&, const Visited&) = default;
  };
  struct VisitedHash {
    std::size_t operator()(const Visited& visited) const {
      std::size_t hash = visited.state.hash();
      for (const std::uint64_t word : visited.done) hash = hash * 0x9e3779b97f4a7c15u + word;
      return hash;
    }
  };

  bool is_done(std::size_t index) const { return (done_[index / 64] >> (index % 64) & 1) != 0; }
  void flip(std::size_t index) { done_[index / 64] ^= std::uint64_t{1} << (index % 64); }

  Verdict search(State state) {
    if (certain_left_ == 0) return Verdict::kLinearizable;
    if (steps_left_ == 0) return Verdict::kGaveUp;
    --steps_left_;
    if (!visited_.insert({done_, state}).second) return Verdict::kViolated;
    // Only what was called before the first certain end among the rest can be next.
    Instant first_end = Instant::max();
    for (std::size_t i = 0; i < history_.size(); ++i) {
      if (!is_done(i)) first_end = std::min(first_end, history_[i].certain ? history_[i].ended : Instant::max());
    }
    longest_ = std::max(longest_, placed_);
    for (std::size_t i = 0; i < history_.size() && history_[i].called <= first_end; ++i) {
      if (is_done(i) || (!history_[i].certain && history_[i].ended < latest_call_)) continue;
      const Verdict verdict = place(i, state);
      if (verdict != Verdict::kViolated) return verdict;
    }
    return Verdict::kViolated;
  }

  Verdict place(std::size_t index, const State& state) {
    const Entry& entry = history_[index];
    std::optional<State> next = Model::step(state, entry.operation);
    if (!next) return Verdict::kViolated;
    const Instant before = latest_call_;
    latest_call_ = std::max(latest_call_, entry.called);
    flip(index);
    certain_left_ -= entry.certain ? 1 : 0;
    ++placed_;
    const Verdict verdict = search(*std::move(next));
    --placed_;
    certain_left_ += entry.certain ? 1 : 0;
    flip(index);
    latest_call_ = before;
    return verdict;
  }

  std::vector<Entry> history_;
  std::vector<std::uint64_t> done_;  // a bit per operation that has its place in the order
  std::unordered_set<Visited, VisitedHash> visited_;
  // The latest call among the placed: what ended before it can no longer come.
  Instant latest_call_{};
  std::size_t certain_left_ = 0;
  std::size_t placed_ = 0;
  std::size_t longest_ = 0;
  std::uint64_t steps_left_;
};

}  // namespace cenote::sim
