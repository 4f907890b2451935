#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin_api.h"
#include "cenote/base/log.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/member.h"
#include "cenote/cluster/supervisor.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/identity.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/link.h"
#include "clock_watch.h"
#include "control_leader.h"
#include "leader_link.h"
#include "served_pools.h"
#include "serving_lease.h"

namespace cenote::engine {

/// The part of one engine in a system with an outside coordinator: its rank, its registration, the pools that it
/// serves, its candidacies for the control service and for the post of supervisor, and the way to whoever has the
/// former. Control reactor only.
///
/// Life: `claim_place`, `join` once the engine can be reached, `stop` whatever became of these.
class SharedControl {
 public:
  struct Options {
    Identity identity;
    std::string advertise_address;  ///< as of EngineOptions
    std::string fault_domain;
    Uuid process;
    // Of member and supervisor alike.
    Duration lease_ttl = std::chrono::seconds(5);
    Duration drift_margin = std::chrono::milliseconds(2500);
    Duration call_timeout = std::chrono::seconds(2);
    EngineReturns::Options returns = {};  ///< of engines that were lost, where this one leads
  };

  /// All of them outlive it. `lease` is kept up to date; `clock` is compared with those of others; `copy` is what it
  /// does and promises depend on; `targets` leads to this engine's targets, for when it leads the control service;
  /// `follower` to its data reactors.
  SharedControl(EngineHost& host, cluster::Coordinator& coordinator, ControlCopy& copy, ServingLease& lease,
                TrustedClock& clock, SystemView& system, EngineLink& targets, LayoutFollower& follower, Options options,
                Logger logger);
  ~SharedControl();

  Task<Result<>> claim_place();
  const cluster::EnginePlace& place() const { return place_; }
  /// Registers as what listens at these addresses, and returns when the engine may serve. kLocked: another process of
  /// this engine goes on serving. kClockOff: the clock of the machine is too far from those of the other engines.
  Task<Result<>> join(std::vector<rpc::Address> addresses, std::string control_address);
  /// Requests wait for nothing any more: before the servers stop.
  void stop_waiting() { pools_.stop(); }
  /// Nothing is served any more; says so to the coordinator if it can be reached. Must be awaited before destruction.
  Task<> stop();

  /// A request about pools and containers: answered here where this engine leads, else by the leader. kNotReady.
  Task<Result<std::string>> admin(AdminRequest request, Until until);
  /// Which versions of pools' maps this engine serves.
  ServedPools& pools() { return pools_; }
  /// The engines of a pool, where they listen now.
  Task<Result<std::vector<PoolEngine>>> members_of(const cluster::PoolMap& map, Until until);
  /// Where an engine listens now; empty: it is not running.
  Task<Result<std::vector<std::string>>> addresses_of(cluster::Rank engine);
  /// The pools of this engine with engines that are lost, or gone, as far as it has heard.
  Task<std::vector<PoolTrouble>> degraded_pools();
  /// Nothing is served, as the clock of this machine is off.
  bool clock_off() const { return clocks_ != nullptr && !clocks_->verdict(); }
  /// Whether the system is stopped, as far as it has heard.
  std::optional<cluster::SystemStop> stopped() const { return member_ == nullptr ? std::nullopt : member_->stopped(); }
  /// All engines of the system. While the coordinator is away: as they were last seen.
  Task<std::vector<EngineInfo>> engines();

 private:
  void make_member(std::vector<std::string> addresses, std::string control_address);
  void make_supervisor();
  Until soon() const { return Until::at(host_.control().now() + options_.call_timeout); }
  /// As far as is known here.
  std::optional<cluster::Rank> leading() const;
  void on_lease();
  void on_stop();
  void on_clock();
  void on_trouble(const Error& error);
  Task<Error> why_not_registered();

  EngineHost& host_;
  cluster::Coordinator& coordinator_;
  ServingLease& lease_;
  TrustedClock& clock_;
  SystemView& system_;
  EngineLink& targets_;
  Options options_;
  Logger logger_;
  cluster::EnginePlace place_;
  ServedPools pools_;
  Condition lease_changed_;
  std::optional<Error> trouble_;  // the last failure of the membership, until it is registered
  std::vector<cluster::ListedEngine> seen_;
  std::vector<std::string> addresses_;  // that this engine tells others
  // From `join` on.
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<ClockWatch> clocks_;
  std::unique_ptr<cluster::Member> member_;
  std::unique_ptr<cluster::Supervisor> supervisor_;
  std::unique_ptr<ControlLeader> leader_;
  std::unique_ptr<LeaderLink> link_;
};

}  // namespace cenote::engine
