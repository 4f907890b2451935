#pragma once

#include <map>
#include <optional>
#include <vector>

#include "containers.h"

namespace cenote::engine {

/// Sources before their clones.
std::vector<ContainerRecord> in_clone_order(std::vector<ContainerRecord> records);
/// What one engine has, and in which ways: each of its targets may have a container in another one.
Task<Result<std::map<Uuid, std::vector<HeldContainer>>>> held_containers(ContainerTargets& engine);

/// Containers that an engine has and no record knows; those that are only kept for clones excepted.
Task<Result<std::vector<Uuid>>> unknown_containers(ControlStore& store, ContainerTargets& engine);

/// Tells one engine what it has missed of a pool, before it has a part in it (again): its containers, in the order of
/// clones, with their limits and snapshots. What the engine has and no record of any pool knows is destroyed there,
/// unless the records may be too old (ControlStore::keeps_unknown).
/// Everything can be told twice. Nothing of the pool may change meanwhile, so it is done in the control service's turn.
///
/// A container that cannot be made to be like its record, as when its versions of the time of a new snapshot were
/// merged, or when it was flattened elsewhere, is destroyed there and made anew: all of it is copied anyway. So is one
/// that was rolled back meanwhile: told later than to the others a rollback would take back what was written in
/// between, and what comes with the copied data, ranges of epochs that nobody sees, says nothing of what was merged
/// away since.
class EngineBriefing {
 public:
  /// `engine` leads to that engine alone; `map` is what its shares of limits go by. References outlive it.
  EngineBriefing(ControlStore& store, Containers& containers, ContainerTargets& all, ContainerTargets& engine,
                 cluster::Rank rank, const cluster::PoolMap& map)
      : store_(store), containers_(containers), all_(all), engine_(engine), rank_(rank), map_(map) {}

  /// kInvalidArgument: it cannot have a part in the pool yet, naming the container; and what the engine says. A failure
  /// leaves it with some of what it has missed.
  Task<Result<>> run();

 private:
  using Records = std::vector<ContainerRecord>;

  Task<Result<>> forget_strangers();
  Result<> check(const Records& mine) const;
  Result<> check_source(const ContainerRecord& record) const;
  Task<Result<>> bring(const Records& mine);
  std::optional<std::size_t> to_remake(const Records& mine, std::size_t which) const;
  Task<Result<>> tell(ContainerRecord record);
  Task<Result<>> create(const ContainerRecord& record);
  Task<Result<>> create_clone(const ContainerRecord& record, const Containers::Terms& terms);
  Task<Result<>> tell_snapshots(const ContainerRecord& record);
  Task<Result<>> forget_with_clones(const Records& mine, std::size_t which);
  bool differs(const ContainerRecord& record) const;

  ControlStore& store_;
  Containers& containers_;
  ContainerTargets& all_;
  ContainerTargets& engine_;
  const cluster::Rank rank_;
  const cluster::PoolMap& map_;
  Records all_records_;
  bool keeps_unknown_ = false;
  std::map<Uuid, Uuid> rollbacks_;                   // the last one of each container that was rolled back
  std::map<Uuid, std::vector<HeldContainer>> held_;  // what the engine had and keeps, and in which ways
};

}  // namespace cenote::engine
