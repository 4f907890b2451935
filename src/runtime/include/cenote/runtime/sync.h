#pragma once

#include <coroutine>
#include <cstdint>

#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"

namespace cenote {

/// A coroutine waiting in a list of waiters, with its deadline timer and cancel callback. Lives in the awaiting frame.
class Waiter final : public ListNode<struct WaitListTag>, private Timer, private CancelCallback {
 public:
  Waiter(Reactor& reactor, Until until, std::uint64_t amount = 1)
      : reactor_(reactor), until_(until), amount_(amount) {}
  ~Waiter();

  /// What the waiter asked for (units of a semaphore).
  std::uint64_t amount() const { return amount_; }
  /// Ends the wait; the coroutine is scheduled, not resumed in place.
  void wake(Code outcome = Code::kOk);
  /// Registers timer and cancellation; the caller has put the waiter in a list. May end the wait at once.
  void start(std::coroutine_handle<> handle);
  Result<> result() const;

 private:
  void fire() override { wake(Code::kDeadlineExceeded); }
  void on_cancel() override { wake(Code::kCancelled); }

  Reactor& reactor_;
  Until until_;
  std::uint64_t amount_;
  std::coroutine_handle<> handle_;
  Code outcome_ = Code::kOk;
};

/// Manual-reset event.
class Event {
 public:
  explicit Event(Reactor& reactor) : reactor_(reactor) {}
  bool is_set() const { return set_; }
  /// Wakes all waiters; later waits return at once until `reset`.
  void set();
  void reset() { set_ = false; }

  /// ok, kDeadlineExceeded or kCancelled.
  auto wait(Until until) {
    struct Awaiter {
      Event& event;
      Waiter waiter;
      bool await_ready() const { return event.set_; }
      void await_suspend(std::coroutine_handle<> handle) {
        event.waiters_.push_back(waiter);
        waiter.start(handle);
      }
      Result<> await_resume() const { return waiter.result(); }
    };
    return Awaiter{*this, Waiter(reactor_, until)};
  }

 private:
  Reactor& reactor_;
  IntrusiveList<Waiter, WaitListTag> waiters_;
  bool set_ = false;
};

/// Wakes coroutines that wait for some state to change; the waiter checks the state again itself.
class Condition {
 public:
  explicit Condition(Reactor& reactor) : reactor_(reactor) {}
  void notify_all();
  bool has_waiters() const { return !waiters_.empty(); }
  auto wait(Until until) {
    struct Awaiter {
      Condition& condition;
      Waiter waiter;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        condition.waiters_.push_back(waiter);
        waiter.start(handle);
      }
      Result<> await_resume() const { return waiter.result(); }
    };
    return Awaiter{*this, Waiter(reactor_, until)};
  }

 private:
  Reactor& reactor_;
  mutable IntrusiveList<Waiter, WaitListTag> waiters_;
};

/// Counting semaphore, first come first served: a large request at the head is not overtaken by small ones.
class Semaphore {
 public:
  Semaphore(Reactor& reactor, std::uint64_t units) : reactor_(reactor), available_(units) {}
  std::uint64_t available() const { return available_; }
  bool has_waiters() const { return !waiters_.empty(); }
  bool try_acquire(std::uint64_t units = 1);
  void release(std::uint64_t units = 1);

  /// ok once `units` are held; kDeadlineExceeded or kCancelled and nothing is held.
  auto acquire(std::uint64_t units, Until until) {
    struct Awaiter {
      Semaphore& semaphore;
      Waiter waiter;
      bool await_ready() { return semaphore.try_acquire(waiter.amount()); }
      void await_suspend(std::coroutine_handle<> handle) {
        semaphore.waiters_.push_back(waiter);
        waiter.start(handle);
      }
      Result<> await_resume() {
        // A waiter that gave up at the head may have been all that kept smaller ones behind it waiting.
        if (!waiter.result()) semaphore.grant();
        return waiter.result();
      }
    };
    return Awaiter{*this, Waiter(reactor_, until, units)};
  }

 private:
  void grant();

  Reactor& reactor_;
  std::uint64_t available_;
  IntrusiveList<Waiter, WaitListTag> waiters_;
};

/// Counts operations that use an object; `close` refuses new ones and waits for the rest.
class Gate {
 public:
  explicit Gate(Reactor& reactor) : idle_(reactor) {}
  ~Gate() { ASSERT(count_ == 0); }

  /// False once closing has begun.
  bool enter() {
    if (closed_) return false;
    ++count_;
    return true;
  }
  void leave();
  bool closed() const { return closed_; }
  std::uint64_t count() const { return count_; }
  /// Idempotent; returns when the last operation has left.
  Task<> close();

 private:
  Event idle_;
  std::uint64_t count_ = 0;
  bool closed_ = false;
};

}  // namespace cenote
