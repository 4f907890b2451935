#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>

#include "cenote/base/bytes.h"
#include "cenote/base/time.h"
#include "cenote/runtime/task.h"

namespace cenote {

/// A point in time at which `fire` is called on the reactor's thread. Intrusive and owned by the waiter, so arming one
/// allocates nothing. It must be disarmed (or have fired) before it is destroyed.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  bool armed() const { return armed_; }
  Instant at() const { return at_; }

 protected:
  ~Timer() { ASSERT(!armed_); }

 private:
  friend class TimerQueue;
  virtual void fire() = 0;

  Instant at_{};
  std::uint64_t order_ = 0;  // ties fire in arming order
  std::size_t heap_index_ = 0;
  bool armed_ = false;
};

/// A message to another reactor: `deliver` runs there, on its thread, in the order of posting per sender. Intrusive;
/// the sender keeps it alive until it was delivered.
class Mail {
 public:
  Mail() = default;
  Mail(const Mail&) = delete;
  Mail& operator=(const Mail&) = delete;

 protected:
  ~Mail() = default;

 private:
  friend class Mailbox;
  friend class SimWorld;
  virtual void deliver() = 0;
  std::atomic<Mail*> next_{nullptr};
};

/// One event loop of one thread (or of one simulated node): ready coroutines, timers, mail from other reactors, clocks
/// and randomness. Everything above `runtime` gets the world through this and nothing else, which is what lets the
/// whole system run in the simulator. All members but `post` are called on the reactor's own thread only.
class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  virtual ~Reactor() = default;

  /// Monotonic time, read once per turn of the loop.
  virtual Instant now() const = 0;
  /// Wall-clock time; may jump. Read at most once per turn.
  virtual WallTime wall_now() const = 0;
  /// The same, read anew, which `wall_now` then gives as well: before something is refused because of the clock, as the
  /// thread may have lost its core in the midst of a turn.
  virtual WallTime read_wall_clock() { return wall_now(); }
  /// 64 random bits, not for secrets; in the simulator from the seed.
  virtual std::uint64_t random() = 0;
  /// Fills `into` with bits that nobody can foretell, for keys and nonces: from the kernel, so it costs a system call;
  /// in the simulator from the seed, too.
  virtual void fill_secret(MutableBytes into) = 0;

  /// Resumes `handle` in this or the next turn, in order of scheduling.
  virtual void schedule(std::coroutine_handle<> handle) = 0;
  /// Resumes `handle` in the next turn, after whatever the kernel has finished by then was taken in.
  virtual void schedule_next_turn(std::coroutine_handle<> handle) = 0;
  /// Fires `timer` in the first turn at or after `at`; it must not be armed, and a past `at` fires it in the next turn.
  virtual void arm(Timer& timer, Instant at) = 0;
  /// Harmless on a timer that is not armed.
  virtual void disarm(Timer& timer) = 0;
  /// Thread-safe, never fails, never blocks; the only way to reach another core.
  virtual void post(Mail& mail) = 0;
  /// True on the thread that runs this reactor (in the simulator: while this node runs).
  virtual bool is_current() const = 0;

  /// Suspends until `at`.
  auto sleep_until(Instant at) {
    struct Awaiter final : Timer {
      Reactor& reactor;
      Instant until;
      std::coroutine_handle<> waiter;
      Awaiter(Reactor& r, Instant t) : reactor(r), until(t) {}
      bool await_ready() const { return until <= reactor.now(); }
      void await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        reactor.arm(*this, until);
      }
      void await_resume() const {}
      void fire() override { reactor.schedule(waiter); }
    };
    return Awaiter(*this, at);
  }
  auto sleep_for(Duration duration) { return sleep_until(now() + duration); }

  /// Lets every other ready coroutine run first, and I/O come in: long loops await this.
  auto yield() {
    struct Awaiter {
      Reactor& reactor;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> handle) { reactor.schedule_next_turn(handle); }
      void await_resume() const {}
    };
    return Awaiter{*this};
  }
};

}  // namespace cenote
