#include "timer_queue.h"

#include <algorithm>

namespace cenote {
namespace {

// Four children share a cache line of pointers and the tree is half as deep as a binary one.
constexpr std::size_t kChildren = 4;

constexpr std::size_t parent_of(std::size_t index) { return (index - 1) / kChildren; }

}  // namespace

void TimerQueue::arm(Timer& timer, Instant at) {
  ASSERT(!timer.armed_);
  timer.at_ = at;
  timer.order_ = next_order_++;
  timer.armed_ = true;
  heap_.push_back(&timer);
  sift_up(heap_.size() - 1, timer);
}

void TimerQueue::disarm(Timer& timer) {
  if (!timer.armed_) return;
  timer.armed_ = false;
  const std::size_t hole = timer.heap_index_;
  Timer& last = *heap_.back();
  heap_.pop_back();
  if (&last == &timer) return;
  if (hole > 0 && before(last, *heap_[parent_of(hole)])) {
    sift_up(hole, last);
  } else {
    sift_down(hole, last);
  }
}

void TimerQueue::fire_first() {
  ASSERT(!heap_.empty());
  Timer& first = *heap_.front();
  disarm(first);
  first.fire();
}

std::size_t TimerQueue::fire_due(Instant now) {
  const std::uint64_t armed_later = next_order_;
  std::size_t fired = 0;
  while (!heap_.empty() && heap_.front()->at_ <= now && heap_.front()->order_ < armed_later) {
    fire_first();
    ++fired;
  }
  return fired;
}

void TimerQueue::check_invariants() const {
  for (std::size_t i = 0; i < heap_.size(); ++i) {
    ASSERT(heap_[i]->armed_ && heap_[i]->heap_index_ == i && heap_[i]->order_ < next_order_);
    ASSERT(i == 0 || before(*heap_[parent_of(i)], *heap_[i]));
  }
}

void TimerQueue::place(std::size_t index, Timer& timer) {
  heap_[index] = &timer;
  timer.heap_index_ = index;
}

void TimerQueue::sift_up(std::size_t index, Timer& timer) {
  while (index > 0 && before(timer, *heap_[parent_of(index)])) {
    place(index, *heap_[parent_of(index)]);
    index = parent_of(index);
  }
  place(index, timer);
}

void TimerQueue::sift_down(std::size_t index, Timer& timer) {
  while (true) {
    const std::size_t first_child = index * kChildren + 1;
    if (first_child >= heap_.size()) break;
    const std::size_t end = std::min(first_child + kChildren, heap_.size());
    std::size_t earliest = first_child;
    for (std::size_t child = first_child + 1; child < end; ++child) {
      if (before(*heap_[child], *heap_[earliest])) earliest = child;
    }
    if (!before(*heap_[earliest], timer)) break;
    place(index, *heap_[earliest]);
    index = earliest;
  }
  place(index, timer);
}

}  // namespace cenote
