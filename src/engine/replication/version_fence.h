#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// Keeps what one target does under one version of a pool's map apart from what it does under the next: whatever
/// changes data, or says what becomes of a change, enters first, and `advance` returns when all that entered before has
/// ended. Single reactor.
class VersionFence {
  struct Pool {
    cluster::MapVersion version;
    std::uint32_t running = 0;
  };

 public:
  explicit VersionFence(Reactor& reactor) : ended_(reactor) {}
  ~VersionFence() {
    for (const auto& [id, pool] : pools_) ASSERT(pool.running == 0);
  }

  /// Something that runs under a version; ends before the fence does.
  class Pass {
   public:
    Pass(VersionFence& fence, Pool& pool) : fence_(&fence), pool_(&pool) { ++pool.running; }
    Pass(Pass&& other) noexcept : fence_(std::exchange(other.fence_, nullptr)), pool_(other.pool_) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (fence_ != nullptr && --pool_->running == 0) fence_->ended_.notify_all();
    }

   private:
    VersionFence* fence_;
    Pool* pool_;
  };

  /// kStaleMap: the target works on another version, or has not heard of the pool.
  Result<Pass> enter(const Uuid& pool, cluster::MapVersion version);
  /// The target works on this version from now on.
  Task<Result<>> advance(Uuid pool, cluster::MapVersion version, Until until);

 private:
  std::map<Uuid, Pool> pools_;  // those that were heard of since the start
  Condition ended_;
};

}  // namespace cenote::engine
