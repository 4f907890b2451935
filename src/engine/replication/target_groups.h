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
  Task<> stop() {
    co_await leader.stop();
    co_await member.stop();
  }

  GroupMember member;
  GroupLeader leader;
};

}  // namespace cenote::engine
