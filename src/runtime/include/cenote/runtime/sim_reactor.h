#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cenote/runtime/reactor.h"

namespace cenote {

class SimReactor;

/// A whole simulated world: many nodes, one thread, virtual time, one seed. Equal seeds and equal programs give equal
/// runs, to the last bit. Time moves only when no node has anything ready.
class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed);
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
  void after(Duration delay, std::function<void()> action) { at(now() + delay, std::move(action)); }

  /// Runs until nothing is ready, armed or pending. Returns false if `limit` of virtual time passed first.
  bool run_until_idle(Duration limit = std::chrono::hours(24));
  /// Runs until `done()`; false if the world went idle or `limit` passed first (a hang: the test fails with the seed).
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::hours(24));
  /// Runs `task` on `node` until it ends and returns its value; aborts with the seed if it never does.
  template <typename T>
  T block_on(SimReactor& node, Task<T> task);

 private:
  friend class SimReactor;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One node of a SimWorld. A crash is not the reactor's matter: the node's devices and network are cut off (every
/// operation then fails, pending ones included), the software ends through its own error paths without any effect on the
/// world, and a new instance starts on what the devices kept. So every crash also tests that nothing hangs on dead media.
class SimReactor final : public Reactor {
 public:
  SimReactor(SimWorld& world, std::string name);
  ~SimReactor() override;

  const std::string& name() const;
  SimWorld& world();
  Instant now() const override;
  WallTime wall_now() const override;
  std::uint64_t random() override;
  void schedule(std::coroutine_handle<> handle) override;
  void arm(Timer& timer, Instant at) override;
  void disarm(Timer& timer) override;
  void post(Mail& mail) override;
  bool is_current() const override;

  /// Offset of this node's wall clock from the world's.
  void set_clock_skew(Duration skew);

 private:
  friend class SimWorld;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote
