#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cenote/runtime/reactor.h"
#include "cenote/runtime/root_task.h"

namespace cenote {

class SimReactor;

/// A whole simulated world: many nodes, one thread, virtual time, one seed. Equal seeds and equal programs give equal
/// runs, to the last bit. Time moves only when no node has anything ready.
///
/// Where a real system leaves the order open the seed decides it: which node (or due action of the world) goes next,
/// one coroutine, timer or mail at a time, and which of these three of a node. Coroutines of one node run in the order
/// of scheduling, its timers in the order of time and arming, its mail in the order of posting, and actions in the
/// order of time and of the calls of `at`.
///
/// When the world is destroyed everything should have ended: coroutines that are still ready or suspended never run
/// again and their frames leak.
class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed);
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;
  ~SimWorld();

  std::uint64_t seed() const;
  Instant now() const;
  /// The world's own generator; simulated devices and networks draw their faults from it.
  std::uint64_t random();
  /// Uniform in [0, bound).
  std::uint64_t random_below(std::uint64_t bound);
  /// True with probability `numerator / denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator);

  /// A new node; lives as long as the world.
  SimReactor& add_node(std::string name);
  /// Calls `action` at virtual time `at` outside every node (a fault, a device's or network's completion).
  void at(Instant when, std::function<void()> action);
  /// The same, run as a part of `node`: what a device of the node completes.
  void at(SimReactor& node, Instant when, std::function<void()> action);
  void after(Duration delay, std::function<void()> action) { at(now() + delay, std::move(action)); }

  /// How many coroutines, timers, mails and actions may run at one instant before the world takes it for a hang and
  /// aborts.
  void set_step_limit(std::uint64_t steps);

  /// Runs until nothing is ready, armed or pending. Returns false if `limit` of virtual time passed first; the time is
  /// then exactly that limit. This and the next two abort, printing the seed, when the program runs on without time
  /// moving.
  bool run_until_idle(Duration limit = std::chrono::hours(24));
  /// Runs until `done()`; false if the world went idle or `limit` passed first (a hang: the test fails with the seed).
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::hours(24));
  /// Runs `task` on `node` until it ends and returns its value; aborts with the seed if it never does, that is when the
  /// world goes idle or `limit` of virtual time passes first.
  template <typename T>
  T block_on(SimReactor& node, Task<T> task, Duration limit = std::chrono::hours(24));

 private:
  friend class SimReactor;
  struct Impl;
  void run_until_done(const bool& done, Duration limit);
  std::unique_ptr<Impl> impl_;
};

/// One node of a SimWorld. A crash is not the reactor's matter: the node's devices and network are cut off (every
/// operation then fails, pending ones included), the software ends through its own error paths without any effect on
/// the world, and a new instance starts on what the devices kept. So every crash also tests that nothing hangs on dead
/// media.
class SimReactor final : public Reactor {
 public:
  ~SimReactor() override;

  const std::string& name() const;
  SimWorld& world();
  Instant now() const override;
  WallTime wall_now() const override;
  std::uint64_t random() override;
  void fill_secret(MutableBytes into) override;
  void schedule(std::coroutine_handle<> handle) override;
  void schedule_next_turn(std::coroutine_handle<> handle) override { schedule(handle); }
  void arm(Timer& timer, Instant at) override;
  void disarm(Timer& timer) override;
  void post(Mail& mail) override;
  bool is_current() const override;

  /// Offset of this node's wall clock from the world's.
  void set_clock_skew(Duration skew);

 private:
  friend class SimWorld;
  struct Impl;
  SimReactor(SimWorld& world, std::string name);
  std::unique_ptr<Impl> impl_;
};

template <typename T>
T SimWorld::block_on(SimReactor& node, Task<T> task, Duration limit) {
  detail::BlockedOn<T> outcome;
  node.schedule(detail::run_blocked(std::move(task), outcome).handle);
  run_until_done(outcome.done, limit);
  return outcome.take();
}

}  // namespace cenote
