#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cenote/base/epoch.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/pool_layout.h"

namespace cenote::engine {

/// One version of a pool's map, as this engine works on it: first it waits for the version to be active, then it serves
/// it, until it ends for good. Whoever works on the version again, after a lost lease, gets another one of these.
///
/// The control reactor changes it; any reactor may ask.
class PoolServing {
 public:
  PoolServing(Uuid pool, std::shared_ptr<const cluster::PoolLayout> layout, std::uint32_t redundancy)
      : pool_(pool), layout_(std::move(layout)), redundancy_(redundancy), version_(layout_->version()) {}

  const Uuid& pool() const { return pool_; }
  const std::shared_ptr<const cluster::PoolLayout>& layout() const { return layout_; }
  /// Of the pool.
  std::uint32_t redundancy() const { return redundancy_; }
  cluster::MapVersion version() const { return version_; }
  /// Requests of this version may be served, as far as the map is concerned; without a valid lease nothing is
  /// (ServingLease).
  bool active() const { return active_.load(std::memory_order_acquire); }

  /// What is done under this version gets epochs above this one, what was done under earlier ones has none above it.
  /// Known once it is active; 0: nothing was done before.
  Epoch closed() const { return Epoch(closed_.load(std::memory_order_relaxed)); }

  /// No data of the pool is to be moved.
  bool moves_paused() const { return moves_paused_.load(std::memory_order_relaxed); }
  void pause_moves(bool paused) { moves_paused_.store(paused, std::memory_order_relaxed); }

  void activate(Epoch closed) {
    closed_.store(closed.value(), std::memory_order_relaxed);
    active_.store(true, std::memory_order_release);
  }
  void end() { active_.store(false, std::memory_order_release); }

 private:
  const Uuid pool_;
  const std::shared_ptr<const cluster::PoolLayout> layout_;
  const std::uint32_t redundancy_;
  const cluster::MapVersion version_;
  std::atomic<std::uint64_t> closed_ = 0;
  std::atomic<bool> active_ = false;
  std::atomic<bool> moves_paused_ = false;
};

/// From one version of a pool's map to the next.
struct LayoutSwitch {
  Uuid pool;
  /// What was served, and has ended; nullptr: nothing since the engine started.
  std::shared_ptr<const PoolServing> before;
  /// What will be served once it is active. Of the same version as `before` after a lost lease.
  std::shared_ptr<const PoolServing> after;
};

}  // namespace cenote::engine
