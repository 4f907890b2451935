#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accept_maps.h"
#include "admin_api.h"
#include "cenote/base/log.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/member.h"
#include "cenote/cluster/pool_layout.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/identity.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/link.h"
#include "control_leader.h"
#include "leader_link.h"
#include "serving_lease.h"

namespace cenote::engine {

/// The part of one engine in a system with an outside coordinator: its rank, its registration, its candidacy for the
/// control service, and the way to whoever has that. Control reactor only.
///
/// Life: `claim_place`, `join` once the engine can be reached, `stop` whatever became of these.
class SharedControl {
 public:
  struct Options {
    Identity identity;
    std::string advertise_address;  ///< as of EngineOptions
    std::string fault_domain;
    Duration lease_ttl = std::chrono::seconds(5);
    Duration drift_margin = std::chrono::milliseconds(2500);
    Duration call_timeout = std::chrono::seconds(2);
  };

  /// All of them outlive it. `lease` is kept up to date; `targets` leads to this engine's targets, for when it leads
  /// the control service.
  SharedControl(EngineHost& host, cluster::Coordinator& coordinator, ServingLease& lease, SystemView& system,
                EngineLink& targets, Options options, Logger logger);
  ~SharedControl();

  Task<Result<>> claim_place();
  const cluster::EnginePlace& place() const { return place_; }
  /// Registers as what listens at these addresses, and returns when the engine may serve. kLocked: another process of
  /// this engine goes on serving.
  Task<Result<>> join(std::vector<rpc::Address> addresses, std::string control_address);
  /// Nothing is served any more; says so to the coordinator if it can be reached. Must be awaited before destruction.
  Task<> stop();

  /// A request about pools and containers: answered here where this engine leads, else by the leader. kNotReady.
  Task<Result<std::string>> admin(AdminRequest request, Until until);
  /// The engines of a pool, where they listen now.
  Task<Result<std::vector<PoolEngine>>> members_of(const cluster::PoolLayout& layout, Until until);
  /// Where an engine listens now; empty: it is not running.
  Task<Result<std::vector<std::string>>> addresses_of(cluster::Rank engine);
  /// All engines of the system. While the coordinator is away: as they were last seen.
  Task<std::vector<EngineInfo>> engines();

 private:
  void make_member(std::vector<std::string> addresses, std::string control_address);
  Until soon() const { return Until::at(host_.control().now() + options_.call_timeout); }
  /// As far as is known here.
  std::optional<cluster::Rank> leading() const;
  void on_lease();
  void on_trouble(const Error& error);
  Task<Error> why_not_registered();

  EngineHost& host_;
  cluster::Coordinator& coordinator_;
  ServingLease& lease_;
  SystemView& system_;
  EngineLink& targets_;
  Options options_;
  Logger logger_;
  cluster::EnginePlace place_;
  AcceptMaps maps_;
  Condition lease_changed_;
  std::optional<Error> trouble_;  // the last failure of the membership, until it is registered
  std::vector<cluster::ListedEngine> seen_;
  std::vector<std::string> addresses_;  // that this engine tells others
  // From `join` on.
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<cluster::Member> member_;
  std::unique_ptr<ControlLeader> leader_;
  std::unique_ptr<LeaderLink> link_;
};

}  // namespace cenote::engine
