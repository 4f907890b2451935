#pragma once

#include "group_leader.h"
#include "group_member.h"

namespace cenote::engine {

/// What a target is in redundancy groups: a member of all that have data here, and the leader of some. On its reactor.
struct TargetGroups {
  TargetGroups(Target& target, ContainerCache& containers, EngineLinks& links, GroupMember::Options options,
               const Logger& logger)
      : member(target, containers, links, options, logger.named("groups")),
        leader(member, links, target.reactor(), logger.named("groups")) {}

  void start() { member.start(leader); }
  /// The engine works on another version of a pool's map.
  Task<Result<>> follow(Uuid pool, const cluster::PoolLayout& layout) {
    if (has_part(layout)) co_return Result<>();
    co_return co_await member.leave(pool);
  }
  bool has_part(const cluster::PoolLayout& layout) const {
    for (std::uint32_t number = 0; number < layout.target_count(); ++number) {
      const cluster::TargetPlace place = layout.place_of(cluster::TargetId(number));
      if (place.engine != member.self().engine || place.index != member.self().index) continue;
      const cluster::MapTarget& target = layout.map()->target(cluster::TargetId(number));
      return target.state == cluster::ComponentState::kUp || cluster::PoolMap::is_complete(target);
    }
    return false;
  }
  Task<> stop() {
    co_await leader.stop();
    co_await member.stop();
  }

  GroupMember member;
  GroupLeader leader;
};

}  // namespace cenote::engine
