#pragma once

#include <cstdint>
#include <vector>

#include "cenote/runtime/reactor.h"

namespace cenote {

/// The armed timers of one reactor, the earliest first: a 4-ary heap of pointers in which each timer knows its place,
/// so that arming and disarming are O(log n) and allocate only when the heap grows.
///
/// Invariants: no timer is before its parent in (at, order); heap_[t.heap_index_] == &t and t.armed_ for each; `order_`
/// is unique and grows with arming, so timers of one instant fire in the order in which they were armed.
class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  /// When the earliest timer fires; kNoDeadline when there is none.
  Instant next() const { return heap_.empty() ? kNoDeadline : heap_.front()->at_; }

  /// The timer must not be armed.
  void arm(Timer& timer, Instant at);
  /// Harmless on a timer that is not armed.
  void disarm(Timer& timer);
  /// Fires the earliest timer, which must exist; it is disarmed before its `fire` runs.
  void fire_first();
  /// Fires what is due at `now` and was armed before this call, so that a timer armed anew from its own `fire` cannot
  /// hold the loop. Returns how many fired.
  std::size_t fire_due(Instant now);

  void check_invariants() const;

 private:
  static bool before(const Timer& a, const Timer& b) { return a.at_ != b.at_ ? a.at_ < b.at_ : a.order_ < b.order_; }
  void place(std::size_t index, Timer& timer);
  void sift_up(std::size_t index, Timer& timer);
  void sift_down(std::size_t index, Timer& timer);

  std::vector<Timer*> heap_;
  std::uint64_t next_order_ = 0;
};

}  // namespace cenote
