#pragma once

#include <coroutine>
#include <cstddef>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote {

/// The coroutines that can run, first in first out: a ring that grows and never shrinks, so that a reactor in its
/// stride schedules without allocating.
class ReadyQueue {
 public:
  bool empty() const { return head_ == tail_; }
  std::size_t size() const { return tail_ - head_; }

  void push(std::coroutine_handle<> handle) {
    ASSERT(handle);
    if (size() == ring_.size()) grow();
    ring_[tail_++ & (ring_.size() - 1)] = handle;
  }
  std::coroutine_handle<> pop() {
    ASSERT(!empty());
    return ring_[head_++ & (ring_.size() - 1)];
  }

 private:
  static constexpr std::size_t kFirstSize = 256;
  static_assert((kFirstSize & (kFirstSize - 1)) == 0, "positions are masked, so sizes are powers of two");

  void grow() {
    std::vector<std::coroutine_handle<>> larger(ring_.size() * 2);
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_ = std::move(larger);
    head_ = 0;
    tail_ = count;
  }

  std::vector<std::coroutine_handle<>> ring_ = std::vector<std::coroutine_handle<>>(kFirstSize);
  // Positions grow without bound and are masked on use; tail_ - head_ elements are in the ring.
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace cenote
