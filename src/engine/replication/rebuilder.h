#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container_cache.h"
#include "engine_links.h"
#include "group_member.h"
#include "pool_serving.h"
#include "rebuild_messages.h"

namespace cenote::engine {

/// Brings to one target what it should hold of a pool and does not, and takes away what it need not hold any more.
///
/// After a change of the pool's map it copies what was done under earlier versions from the complete members of its
/// groups, with epochs and results of requests, while the target takes part in all that is done since ("A member
/// returns" in docs/protocols/replication.md); whatever else is here of that time goes, as it is left over from an
/// earlier time as a member. How far that is, is noted with each tree, so that it goes on after a restart; all of it
/// can be done twice. When the map says that nothing moves any more, what the target has no part in is given back. On
/// the target's reactor.
class Rebuilder {
 public:
  /// All of them outlive it.
  Rebuilder(GroupMember& member, ContainerCache& containers, EngineLinks& links, EngineServices& services,
            Reactor& reactor, Logger logger);
  ~Rebuilder();

  /// The target works on this version of the pool's map; after `end` of what was before.
  void follow(Uuid pool, std::shared_ptr<const PoolServing> serving);
  /// Nothing is done for the pool any more when it returns.
  Task<> end(Uuid pool);
  Task<> stop();
  /// How far it is with the pools whose data moves.
  std::vector<MoveStatus> status() const;
  /// In all moves since the engine started.
  struct Copied {
    std::uint64_t bytes = 0, objects = 0;
  };
  const Copied& copied() const { return copied_; }

 private:
  struct Job;
  struct Tree;
  struct Page;
  struct Copying;

  static Task<> run(Rebuilder& self, std::shared_ptr<Job> job);
  Task<Result<>> work(Job& job);
  static Result<> check_paused(const Job& job);
  Task<Result<>> await_activation(Job& job);
  Task<Result<std::vector<Tree>>> find_trees(Job& job);
  Task<Result<>> await_settled(Job& job, Uuid container);
  Task<Result<>> copy_tree(Job& job, const Tree& tree);
  Task<Result<CopyProgress>> find_progress(Job& job, const Tree& tree);
  Task<Result<>> note(const Tree& tree, const CopyProgress& progress);
  Task<Result<>> copy_from(Job& job, const Tree& tree, cluster::TargetId source, CopyProgress& progress);
  Task<Result<>> read_page(Job& job, const Copying& copying, Page& into, Bytes from);
  Task<Result<>> put_page(Job& job, Copying& copying);
  void take_in(Job& job, const CopyProgress& progress);
  Task<Result<>> copy_results(Job& job, Uuid container, cluster::TargetId source);
  Task<Result<>> report(Job& job);
  Task<Result<>> tidy(Job& job, const Tree& tree);
  Task<Result<rpc::Reply>> ask(Job& job, cluster::TargetId source, Opcode opcode, ByteView body, MutableBytes into);
  Task<Result<>> give_way(Job& job, Instant began);

  GroupMember& member_;
  ContainerCache& containers_;
  EngineLinks& links_;
  EngineServices& services_;
  Reactor& reactor_;
  Logger logger_;
  std::map<Uuid, std::shared_ptr<Job>> jobs_;
  std::map<Uuid, MoveStatus> progress_;  // of the last version of each pool that was followed
  Copied copied_;
  Scope scope_;
};

}  // namespace cenote::engine
