#pragma once

#include <map>
#include <memory>

#include "cenote/base/error.h"
#include "cenote/base/log.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/member.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "control_copy.h"
#include "pool_serving.h"

namespace cenote::engine {

/// The data reactors, as those that follow the versions of pools.
class LayoutFollower {
 public:
  /// When this returned no reactor has anything left of what was served before. The latest epoch that a target used.
  virtual Task<Result<Epoch>> follow(LayoutSwitch change) = 0;
  /// What any target begins from now on gets a later epoch.
  virtual Task<Result<>> close(Epoch epoch) = 0;
  /// As of cluster::MapUser.
  virtual Task<Result<>> hold_clients(bool hold) = 0;
  virtual Task<Result<>> await_quiet(Until until) = 0;

 protected:
  ~LayoutFollower() = default;
};

/// The pools that an engine has a part in, or had, each with the version of its map that the data path works on. What
/// the membership tells the data path, and what the data path asks when it does not know a pool's version. Control
/// reactor only.
///
/// Invariants: at most one PoolServing of a pool is active; none is before the version is, nor without a registration;
/// one that has ended is never active again. An engine without a target in use serves nothing of the pool.
class ServedPools final : public cluster::MapUser {
 public:
  /// How long a request for what was not heard of yet waits for it.
  static constexpr Duration kLookPatience = std::chrono::seconds(2);

  /// All of them outlive it.
  ServedPools(Reactor& reactor, cluster::Coordinator& coordinator, LayoutFollower& follower, ControlCopy& copy,
              Logger logger)
      : coordinator_(coordinator),
        copy_(copy),
        reactor_(reactor),
        follower_(follower),
        logger_(std::move(logger)),
        changed_(reactor),
        activations_(reactor) {}

  /// Of this engine, before anything else.
  void set_rank(cluster::Rank rank) { rank_ = rank; }

  // MapUser
  Task<Result<Epoch>> switch_to(std::shared_ptr<const cluster::PoolMap> map, std::uint32_t redundancy,
                                Until until) override;
  Task<> remember(cluster::Revision revision) override;
  void serve(Uuid pool, Epoch closed) override;
  void pause_moves(Uuid pool, bool paused) override;
  Task<Result<>> hold_clients(bool hold) override;
  Task<Result<>> await_quiet(Until until) override { return follower_.await_quiet(until); }
  void serve_nothing() override;
  void drop(Uuid pool) override;

  /// What a request of `version` (0: of any) is to be served by: it was active at some moment during the call. Waits
  /// until the version that the engine works on is active; for one that it has not heard of, for kLookPatience.
  /// nullptr: the pool was made without a map. kStaleMap: the engine works on a later version, or has not heard of that
  /// one in time, or has no part in the pool any more. kNotReady: not active in time, the system is stopped so that it
  /// does not become active, or the engine stops.
  Task<Result<std::shared_ptr<const PoolServing>>> of(Uuid pool, std::uint64_t version, Until until);
  /// Whoever waits is told that the engine stops, and so is who comes later.
  void stop();
  /// Once nobody calls it as a MapUser any more; before destruction.
  Task<> end() { return activations_.stop(); }

 private:
  struct Pool {
    std::shared_ptr<PoolServing> serving;  ///< the last one; not worked on if not `current`
    bool current = false;
    bool has_part = false;
    bool activating = false;
  };
  static Task<> activate(ServedPools& self, Uuid id, std::shared_ptr<PoolServing> serving, Epoch closed);
  Result<> check_part(const Pool& pool) const;
  Task<Result<bool>> look(Uuid pool, Until until);
  static void end(Pool& pool);

  cluster::Coordinator& coordinator_;
  ControlCopy& copy_;
  Reactor& reactor_;
  LayoutFollower& follower_;
  Logger logger_;
  cluster::Rank rank_;
  std::map<Uuid, Pool> pools_;
  Condition changed_;
  Scope activations_;
  bool held_ = false;  ///< the system is stopped: no version becomes active
  bool stopped_ = false;
};

}  // namespace cenote::engine
