#pragma once

#include <set>
#include <string>
#include <vector>

#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/protocol/pool_changes.h"
#include "containers.h"

namespace cenote::engine {

/// Which engines have a part in a pool, at an operator's wish, or because they were lost and are back: each change is a
/// new version of the pool's map, which the supervisor activates, and whose move of data it ends. Every answer is
/// durable. Control reactor only; whatever changes something is to be made one at a time (ControlService does).
///
/// Invariants: an engine gets a part in a pool only when it has been told all that it missed (EngineBriefing), and
/// nothing of the pool changes between that and the version that gives it the part; from then on it is told of every
/// change. Shares of limits become smaller before others get theirs.
class PoolOperations {
 public:
  PoolOperations(ControlStore& store, Containers& containers, ContainerTargets& targets)
      : store_(store), containers_(containers), targets_(targets) {}

  /// What had begun before or is done is no error. kConditionFailed: it is not possible as the pool is, saying why and
  /// what to do; also that too little would be left for the pool's redundancy, or that an engine does not run.
  /// kNotFound: no such engine. kUnreachable: an engine cannot be asked at the moment.
  /// From then on nothing but another wish changes what these engines are for, unless they are lost.
  Task<Result<PoolChanged>> change(std::string pool, ChangeEngines request);
  /// Gives engines that the supervisor excluded their part again, as `change` does, but for those that it is not true
  /// of any more, and none while no data of the pool is to move: names those whose return has begun.
  Task<Result<PoolChanged>> take_back(Uuid pool, std::vector<cluster::Rank> engines);
  /// Forgets that these engines were lost, but for those that are awaited.
  Task<Result<>> forget_losses(Uuid pool, std::vector<cluster::Rank> engines);
  /// Destroys what an engine holds of the pool, if it has left it and that is not needed any more. kUnreachable.
  Task<Result<>> empty_left(Uuid pool, cluster::Rank rank);
  /// No data of the pool moves until it is said again that it may.
  Task<Result<PoolMoves>> pause(std::string pool, bool paused);
  Task<Result<PoolMoves>> moves(std::string pool);

 private:
  struct Wish;
  Task<Result<cluster::StoredMap>> load(PoolRecord pool);
  Task<Result<PoolChanged>> carry_out(Wish wish);
  Task<Result<PoolChanged>> try_change(const Wish& wish, std::set<cluster::Rank>& briefed);
  Task<Result<>> publish(const Wish& wish, cluster::StoredMap stored, const cluster::PoolMap& next);
  Task<Result<>> try_forget(Uuid pool, const std::vector<cluster::Rank>& engines);
  Task<Result<>> brief(const cluster::PoolMap& next, const Wish& wish, const std::vector<cluster::Rank>& newcomers,
                       std::set<cluster::Rank>& briefed);
  Task<Result<>> shrink_shares(const cluster::PoolMap& next, const std::vector<cluster::Rank>& newcomers);
  Result<cluster::PoolMap> extended(const cluster::PoolMap& map, const std::vector<cluster::Rank>& ranks) const;
  Task<Result<PoolMoves>> describe(PoolRecord pool, const cluster::StoredMap& stored);
  Task<> ask_moves(PoolMoves& moves, cluster::Rank rank);
  Task<> estimate(PoolMoves& moves, const cluster::PoolMap& map);
  Task<std::optional<std::uint64_t>> used_at(cluster::Rank rank, const std::vector<Uuid>& containers);

  ControlStore& store_;
  Containers& containers_;
  ContainerTargets& targets_;
};

}  // namespace cenote::engine
