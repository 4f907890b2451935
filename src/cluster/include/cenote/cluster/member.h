#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/epoch.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/system_stop.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/scope.h"

namespace cenote::cluster {

/// Number of a registration of an engine, one higher than that of all before it.
using Incarnation = Strong<struct IncarnationTag>;

inline constexpr std::size_t kMaxMemberAddresses = 8;
inline constexpr std::size_t kMaxMemberAddressBytes = 128;
/// A name and a slash for each level above the nodes, and the node's name.
inline constexpr std::size_t kMaxFaultDomainBytes = kMaxMapLevels * (kMaxMapNameBytes + 1) + kMaxMapNameBytes;

/// The data path of an engine, as its membership sees it. What it is told without waiting it must not wait for.
class MapUser {
 public:
  virtual ~MapUser() = default;
  /// Works on `map`, of a pool that can lose `redundancy` engines, from now on: when this returns, nothing is served
  /// any more that was decided on an older version of that pool, and this one is not before `serve`. Returns an epoch
  /// that no change of an older version is later than. May be asked the same again. A failure is reported and asked
  /// again.
  virtual Task<Result<Epoch>> switch_to(std::shared_ptr<const PoolMap> map, std::uint32_t redundancy, Until until) = 0;
  /// Before a version that was published at `revision` is acknowledged, after the switch to it: whoever wants to
  /// remember it without the coordinator has done so when this returns.
  virtual Task<> remember(Revision revision) {
    static_cast<void>(revision);
    co_return;
  }
  /// The version that it was switched to last is active, and this engine has a part in it. Changes of older versions
  /// have epochs up to `closed`, here and elsewhere; those of this one are to get later ones. May be told again.
  virtual void serve(Uuid pool, Epoch closed) {
    static_cast<void>(pool);
    static_cast<void>(closed);
  }
  /// Whether data of a pool that it was switched to is not to be moved. May be told again.
  virtual void pause_moves(Uuid pool, bool paused) {
    static_cast<void>(pool);
    static_cast<void>(paused);
  }
  /// The system is stopped, or goes on: nothing that clients ask for is begun any more when this returned, until it is
  /// told that it may be. May be told again.
  virtual Task<Result<>> hold_clients(bool hold) {
    static_cast<void>(hold);
    co_return Result<>();
  }
  /// Returns when nothing runs any more that clients had asked for before they were held, or they are held no longer.
  virtual Task<Result<>> await_quiet(Until until) {
    static_cast<void>(until);
    co_return Result<>();
  }
  /// The registration has ended, or ends: nothing of any pool is served before it was switched to anew. The next lease
  /// begins after this.
  virtual void serve_nothing() {}
  /// The pool is gone, or this engine is not in its map: nothing of it is served.
  virtual void drop(Uuid pool) { static_cast<void>(pool); }
};

struct MemberOptions {
  Rank rank;
  Uuid engine;
  /// Of this start of the process, chosen by who started it, so that it can attest the exit (`attest_exit`).
  Uuid process;
  std::vector<std::string> addresses = {};  ///< of the data path
  std::string control_address = {};         ///< "" without one
  /// "rack1/node7", as of EngineSpec; "" where nobody named one.
  std::string fault_domain = {};
  Duration lease_ttl = std::chrono::seconds(5);
  Duration renew_every = std::chrono::seconds(1);
  /// How long one call of the coordinator may take, and what passes before the next after a failure.
  Duration call_timeout = std::chrono::seconds(2);
  Duration retry_pause = std::chrono::milliseconds(200);
  /// What an incarnation of another process is granted for clock drift after its lease has ended (SupervisorOptions).
  Duration drift_margin = std::chrono::milliseconds(2500);
  /// Whoever starts the engine knows that no earlier process of it runs, as by the lock of its data directory: its
  /// lease is not waited for.
  bool predecessor_gone = false;
  /// Whether the engine may be a member at all, asked before each registration and renewal: its clock is right, say.
  /// While it may not it serves nothing, says that it has ended, and waits. When it turned false: `reconsider`.
  std::function<Result<>()> may_register = [] { return Result<>(); };
  /// Told of every failure, which is then tried again.
  std::function<void(const Error&)> report = [](const Error&) {};
  /// Called whenever `valid_until` or `lease` has become another.
  std::function<void()> on_lease = [] {};
  /// Called when the system was stopped, or goes on.
  std::function<void()> on_stop = [] {};
};

/// What an engine knows of a pool that it is part of.
struct MemberPool {
  std::shared_ptr<const PoolMap> map;  ///< that the data path was switched to, or is being
  MapVersion switched;                 ///< 0: the data path is being switched
  MapVersion active;                   ///< as far as it was heard of
  std::uint32_t redundancy = 0;        ///< of the pool
  std::vector<Rank> suspended;         ///< engines that are gone and could not be excluded
  bool has_part = false;               ///< a target of this engine is in use: it is not excluded
};

/// An engine's membership: it registers under a lease, renews that, and follows the maps of its pools, and whether the
/// system is stopped.
///
/// Serving rests on `may_serve`, which waits for nothing: the lease counts from when its renewal was *sent*, so it ends
/// here before the coordinator ends it; and a version is served only while it is the active one that the data path was
/// switched to. After its lease has ended the engine registers as a new incarnation, which serves a pool only when it
/// has read that pool's map again: an engine that was excluded meanwhile finds that out before it serves anything.
class Member {
 public:
  /// All of them outlive it.
  Member(Reactor& reactor, Coordinator& coordinator, MapUser& user, MemberOptions options);
  ~Member();

  /// Registers and stays registered, in the background.
  void start();
  /// Serves nothing from the moment of the call; says that it has ended and revokes its lease, if the coordinator can
  /// be reached within `until`. Must be awaited before destruction.
  Task<> stop(Until until);

  /// What `may_register` says may have become another: who may not serves nothing from here on.
  void reconsider();

  /// The lease is valid at this moment.
  bool may_serve() const { return reactor_.now() < valid_until_; }
  /// Requests of this map version may be served at this moment. False for a version that is not active yet: its
  /// requests queue; and always for an engine that is excluded.
  bool may_serve(Uuid pool, MapVersion version) const;
  Instant valid_until() const { return valid_until_; }
  /// Of the present registration, as long as the coordinator has not ended it; kNoLease: there is none. What else
  /// belongs to this incarnation can be put under it.
  LeaseId lease() const { return registered_ ? lease_ : kNoLease; }
  /// 0: none was registered so far.
  Incarnation incarnation() const { return incarnation_; }
  /// 0: the pool is not known (yet), or this engine has never been part of it.
  MapVersion active_version(Uuid pool) const;
  MapVersion wanted_version(Uuid pool) const;
  /// nullptr: as above.
  const MemberPool* find_pool(Uuid pool) const;
  /// As far as it was heard of; nullopt: the system is not stopped.
  const std::optional<SystemStop>& stopped() const { return stopped_; }
  /// All that are known. Changes with every suspension.
  const std::map<Uuid, MemberPool>& pools() const { return pools_; }

 private:
  struct Place;

  static Task<> run(Member& self);
  static Task<> follow(Member& self, Scope& session);
  Task<Result<>> enroll();
  Task<Result<Place>> find_place();
  Result<> check_predecessor(const Place& place);
  Task<Result<>> register_under(Lease lease);
  Task<> renew_until_lost();
  Task<Result<>> follow_from_now(Scope& session);
  Task<Result<>> refresh_stop(Scope& session);
  static Task<> await_quiet(Member& self, SystemStop stop, Scope& session);
  Task<Result<>> say_quiet(SystemStop stop, Scope& session);
  Task<Result<>> refresh(Uuid pool, Scope& session);
  Task<Result<>> acknowledge(Uuid pool, MapVersion version, Epoch used, Scope& session);
  Task<Result<>> say_ended(Until until);
  void serve_until(Instant until);
  void serve_nothing();
  Until soon(CancelSource* cancel) const;

  Reactor& reactor_;
  Coordinator& coordinator_;
  MapUser& user_;
  MemberOptions options_;
  Scope background_;
  LeaseId lease_ = kNoLease;
  bool registered_ = false;
  Incarnation incarnation_{0};
  Instant valid_until_ = Instant::min();
  std::map<Uuid, MemberPool> pools_;
  std::optional<SystemStop> stopped_;
  std::pair<LeaseId, Revision> quiet_awaited_;  ///< for which stop, under which lease
  /// Since when another process's incarnation has been seen without a lease.
  Incarnation predecessor_{0};
  Instant predecessor_absent_since_{};
};

/// What the supervisor of that process is called.
std::string candidate_name(Rank rank, Uuid process);

/// Says for good that a process of the engine has exited; by who waited for it. Its incarnation is then excluded
/// without waiting for its lease.
Task<Result<>> attest_exit(Coordinator& coordinator, Rank rank, Uuid process, Until until = {});
/// The same for who does not know the engine's rank; ends the leases of the process, too, as far as they are found: of
/// its registration, and of its supervisor, if that has the post. False: no engine is registered by that process, or it
/// said itself that it has ended.
Task<Result<bool>> attest_exit(Coordinator& coordinator, Uuid process, Until until = {});

}  // namespace cenote::cluster
