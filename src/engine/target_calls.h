#pragma once

#include <memory>
#include <optional>

#include "container_targets.h"
#include "data_reactor.h"
#include "target.h"

/// What the control side does at one data reactor or target, each to be called on its reactor (`call_on`).
namespace cenote::engine {

Task<Result<>> forget_at(DataReactor& reactor, Uuid container);
Task<Result<>> charge_at(Target& target, Uuid container, std::shared_ptr<object::SpaceAccount> account);
Task<Result<>> create_at(Target& target, Uuid container, object::ContainerProperties properties,
                         std::optional<object::CloneSource> source, std::shared_ptr<object::SpaceAccount> account);
Task<Result<>> destroy_at(Target& target, Uuid container);
Task<Result<>> remove_snapshot_at(Target& target, Uuid container, Epoch epoch);
Task<Result<>> hold_answers_at(Target& target);
Task<Result<>> release_answers_at(Target& target);
Task<Result<>> read_clock_at(Target& target, Epoch& epoch);
Task<Result<>> measure_at(Target& target, Uuid container, object::Usage& used);
Task<Result<>> measure_flattening_at(Target& target, Uuid container, object::Usage& added);
Task<Result<>> start_flattening_at(Target& target, Uuid container);
Task<Result<>> describe_flattening_at(Target& target, Uuid container, std::optional<object::FlattenStatus>& status);
/// Those after a container, as of ContainerTargets.
Task<Result<>> list_containers_at(Target& target, Uuid after, std::vector<HeldContainer>& held);
/// A container that is not there has none.
Task<Result<>> list_snapshots_at(Target& target, Uuid container, std::vector<Epoch>& epochs);
Task<Result<>> describe_at(Target& target, TargetInfo& info);

template <typename ReactorOrTarget>
Task<Result<>> refresh_metrics_at(ReactorOrTarget& where) {
  where.refresh_metrics();
  co_return Result<>();
}

}  // namespace cenote::engine
