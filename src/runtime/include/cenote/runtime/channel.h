#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "cenote/runtime/sync.h"

namespace cenote {

/// Bounded queue from many producers to one consumer, all on one reactor: the shape of every work queue. First in,
/// first out, and producers that wait for room get it in their order. What is still queued when the channel is
/// destroyed is dropped; every `push` and `pop` must have returned.
///
/// Invariants: values queued + units of `room_` + places granted to producers that have not resumed == capacity, until
/// `close`. At most one coroutine is in `pop`.
template <typename T>
class Channel {
 public:
  Channel(Reactor& reactor, std::size_t capacity)
      : room_(reactor, capacity), filled_(reactor), ring_(capacity), capacity_(capacity) {
    ASSERT(capacity > 0);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel() { ASSERT(!popping_ && pushing_ == 0); }

  std::size_t size() const { return count_; }
  std::size_t capacity() const { return capacity_; }
  bool closed() const { return room_.closed(); }

  /// kResourceExhausted when there is no room or others wait for it, kStopped after `close`; `value` is then untouched.
  Result<> try_push(T&& value) {
    if (closed()) return fail(Code::kStopped);
    if (!room_.try_acquire()) return fail(Code::kResourceExhausted);
    append(std::move(value));
    return {};
  }

  /// Waits for room. kDeadlineExceeded, kCancelled, or kStopped if the channel was closed first; the value is then
  /// lost.
  Task<Result<>> push(T value, Until until) {
    ++pushing_;
    const Result<> room = co_await room_.acquire(1, until);
    --pushing_;
    if (!room) co_return fail(room.error().code());
    // Room may have been granted and the channel closed before this coroutine resumed.
    if (closed()) co_return fail(Code::kStopped);
    append(std::move(value));
    co_return Result<>();
  }

  /// Waits for a value. kDeadlineExceeded, kCancelled, or kStopped once the channel is closed and empty.
  Task<Result<T>> pop(Until until) {
    ASSERT(!popping_);
    popping_ = true;
    while (count_ == 0 && !closed()) {
      const Result<> changed = co_await filled_.wait(until);
      // A value that came with the deadline is handed out all the same.
      if (!changed && count_ == 0) {
        popping_ = false;
        co_return fail(changed.error().code());
      }
    }
    popping_ = false;
    std::optional<T> value = try_pop();
    if (!value) co_return fail(Code::kStopped);
    co_return *std::move(value);
  }

  /// Empty when nothing is queued. Must not be called while a `pop` waits.
  std::optional<T> try_pop() {
    ASSERT(!popping_);
    if (count_ == 0) return std::nullopt;
    std::optional<T> value(std::move(ring_[first_]));
    ring_[first_].reset();
    first_ = (first_ + 1) % capacity_;
    --count_;
    room_.release();
    return value;
  }

  /// Idempotent. Refuses later values and ends waiting producers with kStopped; what is queued can still be popped.
  void close() {
    room_.close();
    filled_.notify_all();
  }

  void check_invariants() const {
    ASSERT(count_ <= capacity_ && first_ < capacity_);
    // The difference are places granted to producers that have not resumed.
    const std::size_t free = room_.available();
    ASSERT(closed() || (count_ + free <= capacity_ && count_ + free + pushing_ >= capacity_));
    for (std::size_t i = 0; i < capacity_; ++i) ASSERT(ring_[(first_ + i) % capacity_].has_value() == (i < count_));
  }

 private:
  void append(T&& value) {
    ASSERT(count_ < capacity_);
    ring_[(first_ + count_) % capacity_].emplace(std::move(value));
    ++count_;
    filled_.notify_all();
  }

  Semaphore room_;
  Condition filled_;
  std::vector<std::optional<T>> ring_;
  std::size_t capacity_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t pushing_ = 0;
  bool popping_ = false;
};

}  // namespace cenote
