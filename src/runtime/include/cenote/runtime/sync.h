#pragma once

#include <coroutine>
#include <cstdint>

#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"

namespace cenote {

/// Told when a waiter left a list before it was served, so that the list's owner can serve those behind it.
class GiveUpListener {
 public:
  virtual void on_give_up() = 0;

 protected:
  ~GiveUpListener() = default;
};

/// A coroutine waiting in a list of waiters, with its deadline timer and cancel callback. Lives in the awaiting frame.
///
/// A wait ends once, with the first of: a wake, the deadline, the cancellation. From that moment the waiter stands in
/// no list, timer queue or cancel source, and its outcome is fixed; the coroutine only resumes later, in the order of
/// scheduling. In between, whoever woke it may be reset or destroyed and the cancel source may be cancelled or
/// destroyed: the coroutine still sees the outcome it was given. What it must not assume is that the state it waited
/// for still holds.
class Waiter final : public ListNode<struct WaitListTag>, private Timer, private CancelCallback {
 public:
  Waiter(Reactor& reactor, Until until, std::uint64_t amount = 1, GiveUpListener* listener = nullptr)
      : reactor_(reactor), until_(until), amount_(amount), listener_(listener) {}
  ~Waiter();

  /// What the waiter asked for (units of a semaphore).
  std::uint64_t amount() const { return amount_; }
  /// True from `start` until the wait has ended.
  bool waiting() const { return handle_ != nullptr; }
  /// Ends the wait, which must not have ended; the coroutine is scheduled, not resumed in place.
  void wake(Code outcome = Code::kOk);
  /// Registers timer and cancellation; the caller has put the waiter in a list. May end the wait at once.
  void start(std::coroutine_handle<> handle);
  Result<> result() const;

 private:
  void fire() override { give_up(Code::kDeadlineExceeded); }
  void on_cancel() override { give_up(Code::kCancelled); }
  void give_up(Code outcome);

  Reactor& reactor_;
  Until until_;
  std::uint64_t amount_;
  GiveUpListener* listener_;
  std::coroutine_handle<> handle_;
  Code outcome_ = Code::kOk;
};

/// Suspends until `at`: ok then, kCancelled as soon as `cancel` is. `Reactor::sleep_until` is for where nothing can
/// cancel.
inline auto sleep_until(Reactor& reactor, Instant at, CancelSource& cancel) {
  struct Awaiter {
    Waiter waiter;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { waiter.start(handle); }
    Result<> await_resume() const {
      Result<> result = waiter.result();
      if (!result && result.error() == Code::kDeadlineExceeded) return {};
      return result;
    }
  };
  return Awaiter{Waiter(reactor, Until{at, &cancel})};
}
inline auto sleep_for(Reactor& reactor, Duration duration, CancelSource& cancel) {
  return sleep_until(reactor, reactor.now() + duration, cancel);
}

/// Manual-reset event. Nobody may be waiting when it is destroyed; one that was woken and has not resumed is not
/// waiting.
class Event {
 public:
  explicit Event(Reactor& reactor) : reactor_(reactor) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { ASSERT(waiters_.empty()); }

  bool is_set() const { return set_; }
  /// Wakes all waiters; later waits return at once until `reset`.
  void set();
  void reset() { set_ = false; }

  /// ok, kDeadlineExceeded or kCancelled. Ok means that the event was set during the wait; `reset` may have come since.
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

/// Wakes coroutines that wait for some state to change; the waiter checks the state again itself, in a loop. Nobody may
/// be waiting when it is destroyed.
class Condition {
 public:
  explicit Condition(Reactor& reactor) : reactor_(reactor) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition() { ASSERT(waiters_.empty()); }

  void notify_all();
  bool has_waiters() const { return !waiters_.empty(); }
  /// ok after a notification, kDeadlineExceeded or kCancelled. Always suspends.
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
  IntrusiveList<Waiter, WaitListTag> waiters_;
};

/// Counting semaphore, first come first served: a large request at the head is not overtaken by small ones. Units are
/// granted at the wake, not at the resumption, so no later event takes them back and none is lost. Nobody may be
/// waiting when it is destroyed.
///
/// Invariants: the first waiter, if there is one, asks for more than is available; nobody waits after `close`.
class Semaphore final : private GiveUpListener {
 public:
  Semaphore(Reactor& reactor, std::uint64_t units) : reactor_(reactor), available_(units) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  ~Semaphore() { ASSERT(waiters_.empty()); }

  std::uint64_t available() const { return available_; }
  bool has_waiters() const { return !waiters_.empty(); }
  /// False when there are too few units, when others wait already, or after `close`.
  bool try_acquire(std::uint64_t units = 1);
  /// Gives back units, or adds new ones.
  void release(std::uint64_t units = 1);
  /// Ends every wait with kStopped and refuses later ones. Units that were granted stay granted.
  void close();
  bool closed() const { return closed_; }
  void check_invariants() { ASSERT(waiters_.empty() || (!closed_ && waiters_.front()->amount() > available_)); }

  /// ok once `units` are held; kDeadlineExceeded, kCancelled or kStopped and nothing is held. More units than will ever
  /// be there at once are waited for until the deadline.
  auto acquire(std::uint64_t units, Until until) {
    struct Awaiter {
      Semaphore& semaphore;
      Waiter waiter;
      bool await_ready() { return semaphore.try_acquire(waiter.amount()); }
      void await_suspend(std::coroutine_handle<> handle) {
        semaphore.waiters_.push_back(waiter);
        waiter.start(handle);
        if (semaphore.closed_ && waiter.waiting()) waiter.wake(Code::kStopped);
      }
      Result<> await_resume() const { return waiter.result(); }
    };
    return Awaiter{*this, Waiter(reactor_, until, units, this)};
  }

 private:
  // A waiter that gave up at the head may have been all that kept smaller ones behind it waiting.
  void on_give_up() override { grant(); }
  void grant();

  Reactor& reactor_;
  std::uint64_t available_;
  bool closed_ = false;
  IntrusiveList<Waiter, WaitListTag> waiters_;
};

/// Counts operations that use an object; `close` refuses new ones and waits for the rest.
class Gate {
 public:
  explicit Gate(Reactor& reactor) : idle_(reactor) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
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
  /// Idempotent; returns when the last operation has left. An operation that awaits it from inside waits for ever.
  Task<> close();

 private:
  Event idle_;
  std::uint64_t count_ = 0;
  bool closed_ = false;
};

}  // namespace cenote
