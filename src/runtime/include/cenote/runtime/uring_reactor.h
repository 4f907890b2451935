#pragma once

#include <liburing.h>

#include <memory>

#include "cenote/runtime/reactor.h"

namespace cenote {

/// One submitted io_uring operation; the kernel's answer comes to `complete` on the reactor's thread. Intrusive, lives
/// until then. `flags` are the CQE's (IORING_CQE_F_MORE: more answers follow).
class UringOperation {
 public:
  virtual void complete(std::int32_t result, std::uint32_t flags) = 0;

 protected:
  ~UringOperation() = default;
};

struct UringReactorOptions {
  unsigned queue_entries = 1024;
  /// How long the loop keeps polling after its last work before it sleeps in the kernel.
  Duration spin = std::chrono::microseconds(20);
  /// Pin the thread that calls `run` to this CPU; negative for none.
  int cpu = -1;
};

/// The reactor of a real machine: one io_uring, run by one thread. It polls while it has work and sleeps in the kernel
/// when it has none.
class UringReactor final : public Reactor {
 public:
  /// kIoError with the reason when the kernel refuses io_uring.
  static Result<std::unique_ptr<UringReactor>> create(UringReactorOptions options = {});
  ~UringReactor() override;

  Instant now() const override;
  WallTime wall_now() const override;
  std::uint64_t random() override;
  void schedule(std::coroutine_handle<> handle) override;
  void arm(Timer& timer, Instant at) override;
  void disarm(Timer& timer) override;
  void post(Mail& mail) override;
  bool is_current() const override;

  /// Runs the loop on the calling thread until `stop`.
  void run();
  /// Thread-safe: `run` returns after the current turn.
  void stop();
  /// Runs the loop on the calling thread until `task` has ended and returns its value. For tests, tools and the
  /// blocking form of the client.
  template <typename T>
  T block_on(Task<T> task);

  /// A free submission entry, already bound to `operation`; submitted at the end of this turn together with all others.
  io_uring_sqe& prepare(UringOperation& operation);
  io_uring& ring();
  /// Operations submitted or prepared whose final answer has not come.
  std::uint64_t operations_in_flight() const;
  /// io_uring_enter calls so far, for the per-operation accounting of the benchmarks.
  std::uint64_t system_calls() const;

 private:
  struct Impl;
  explicit UringReactor(std::unique_ptr<Impl> impl);
  void run_until_done(const bool& done);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote
