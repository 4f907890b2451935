#pragma once

#include <liburing.h>

#include <memory>

#include "cenote/runtime/intrusive_list.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/root_task.h"

namespace cenote {

/// One submitted io_uring operation; the kernel's answer comes to `complete` on the reactor's thread. Intrusive, lives
/// until then. `flags` are the CQE's (IORING_CQE_F_MORE: more answers follow).
class UringOperation {
 public:
  virtual void complete(std::int32_t result, std::uint32_t flags) = 0;

 protected:
  ~UringOperation() = default;
};

/// Something to do at the end of a turn: what collects the work of a whole turn into one operation. Intrusive;
/// destroying it takes the request back.
class TurnEnd : public ListNode<struct TurnEndTag> {
 public:
  virtual void at_turn_end() = 0;

 protected:
  ~TurnEnd() = default;
};

struct UringReactorOptions {
  /// Submission entries, 1 to 32768. More operations than this may be in flight; a turn that prepares more submits
  /// early.
  unsigned queue_entries = 1024;
  /// How long the loop keeps polling after its last work before it sleeps in the kernel; zero: not at all. Meanwhile
  /// it leaves the processor to any other thread that wants it.
  Duration spin = std::chrono::microseconds(20);
  /// How long instead while work usually comes within this time; not above `spin`: always the same.
  Duration spin_max = std::chrono::microseconds(200);
  /// Pin the thread that calls `run` to this CPU; negative for none.
  int cpu = -1;
};

/// The reactor of a real machine: one io_uring, run by one thread. It polls while it has work and sleeps in the kernel
/// when it has none.
///
/// It may be created on one thread and run by another, but the first `run` or `block_on` (or the first early submission
/// of `prepare`) binds it to its thread for good, since the kernel then takes submissions from that thread only. Until
/// then, and between two runs, its members are for whoever owns the reactor. The destructor may run on any thread once
/// the loop has ended; every operation must have completed, and other threads may be inside `post` or `stop` but not
/// begin one.
class UringReactor final : public Reactor {
 public:
  /// kIoError with the reason when the kernel refuses io_uring; kInvalidArgument for impossible options.
  static Result<std::unique_ptr<UringReactor>> create(UringReactorOptions options = {});
  ~UringReactor() override;

  /// While the loop runs, the time at the start of the turn; otherwise the clock's.
  Instant now() const override;
  WallTime wall_now() const override;
  WallTime read_wall_clock() override;
  std::uint64_t random() override;
  void fill_secret(MutableBytes into) override;
  void schedule(std::coroutine_handle<> handle) override;
  void schedule_next_turn(std::coroutine_handle<> handle) override;
  void arm(Timer& timer, Instant at) override;
  void disarm(Timer& timer) override;
  void post(Mail& mail) override;
  bool is_current() const override;

  /// Runs the loop on the calling thread until `stop`. What is then still ready, armed or in flight stays so and goes
  /// on in the next run.
  void run();
  /// Thread-safe: `run` returns after the current turn; if none is running, the next one returns after its first turn.
  void stop();
  /// Runs the loop on the calling thread until `task` has ended and returns its value; `stop` does not end it. For
  /// tests, tools and the blocking form of the client, never inside a coroutine.
  template <typename T>
  T block_on(Task<T> task);

  /// A free submission entry, already bound to `operation` (its user data; leave that alone); submitted at the end of
  /// this turn together with all others. Fill it in before the next call: that one may submit when the queue is full.
  io_uring_sqe& prepare(UringOperation& operation);
  /// Calls `work` once, when the coroutines, timers and mail of this turn have run and before what they prepared is
  /// submitted (in a completion: at the end of the next turn). Harmless if it is requested already; the work must not
  /// request itself.
  void at_turn_end(TurnEnd& work);
  /// Makes room for `entries` calls of `prepare` that will reach the kernel in one submission, as linked ones must. At
  /// most the queue's size.
  void reserve_entries(unsigned entries);
  /// Gives the kernel what was prepared so far, in the middle of a turn, for work that others wait for. What the kernel
  /// refuses at this moment follows at the end of the turn.
  void submit_prepared();
  /// For registering files and buffers.
  io_uring& ring();
  /// Operations submitted or prepared whose final answer has not come.
  std::uint64_t operations_in_flight() const;
  /// io_uring_enter calls so far, for the per-operation accounting of the benchmarks.
  std::uint64_t system_calls() const;
  /// True when a system call that waits keeps nobody from anything: the thread runs `block_on`, so it waits for one
  /// task and serves no one, and of what it runs nothing is ready, delivered or in flight. Timers and other threads'
  /// mail wait with it. Never true in `run`.
  bool may_block() const;
  /// Such a call has ended: reads the clock anew, in the middle of the turn.
  void has_blocked();
  /// System calls that other threads made so far to wake this reactor from its sleep. Thread-safe.
  std::uint64_t wake_ups() const;

 private:
  struct Impl;
  explicit UringReactor(std::unique_ptr<Impl> impl);
  void run_until_done(const bool& done);
  std::unique_ptr<Impl> impl_;
};

template <typename T>
T UringReactor::block_on(Task<T> task) {
  detail::BlockedOn<T> outcome;
  schedule(detail::run_blocked(std::move(task), outcome).handle);
  run_until_done(outcome.done);
  return outcome.take();
}

}  // namespace cenote
