#pragma once

#include "group_leader.h"
#include "group_member.h"
#include "group_metrics.h"
#include "leases/lease_calls.h"
#include "leases/lease_table.h"
#include "pool_serving.h"
#include "rebuilder.h"
#include "repairer.h"

namespace cenote::engine {

/// What a target is in redundancy groups: a member of all that have data here, and the leader of some; and what brings
/// to it what it lacks of them, or has damaged. On its reactor.
struct TargetGroups {
  TargetGroups(Target& target, ContainerCache& containers, EngineLinks& links, EngineServices& services,
               GroupMember::Options options, MetricRegistry& metrics, const Logger& logger)
      : leases(target.reactor(), ask_client_from(target.reactor())),
        member(target, containers, links, leases, options, logger.named("groups")),
        leader(member, links, target.reactor(), logger.named("groups")),
        rebuilder(member, containers, links, services, target.reactor(), logger.named("rebuild")),
        repairer(target, member, containers, links, logger.named("repair")),
        metrics(metrics, target.index()) {}

  void start() {
    member.start(leader);
    repairer.start();
  }
  /// The engine works on another version of a pool's map: when this returns, nothing of the one before goes on.
  Task<Result<>> follow(LayoutSwitch change) {
    co_await rebuilder.end(change.pool);
    CO_CHECK_OK(co_await member.follow(change.pool, *change.after->layout()));
    // Whoever leads from now on knows nothing of what was promised here, nor this one of what others have.
    CO_CHECK_OK(co_await leases.recall_all(std::nullopt, Until::forever()));
    leases.wait_out();
    rebuilder.follow(change.pool, change.after);
    co_return Result<>();
  }
  Task<> stop() {
    co_await repairer.stop();
    co_await rebuilder.stop();
    co_await leader.stop();
    co_await member.stop();
    co_await leases.stop();
  }

  LeaseTable leases;
  GroupMember member;
  GroupLeader leader;
  Rebuilder rebuilder;
  Repairer repairer;
  GroupMetrics metrics;
};

}  // namespace cenote::engine
