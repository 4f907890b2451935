#include "target_calls.h"

#include <algorithm>
#include <utility>

namespace cenote::engine {

Task<Result<>> forget_at(DataReactor& reactor, Uuid container) {
  reactor.forget_container(container);
  co_return Result<>();
}

Task<Result<>> charge_at(Target& target, Uuid container, std::shared_ptr<object::SpaceAccount> account) {
  target.objects().charge_to(container, std::move(account));
  co_return Result<>();
}

Task<Result<>> create_at(Target& target, Uuid container, object::ContainerProperties properties,
                         std::optional<object::CloneSource> source, std::shared_ptr<object::SpaceAccount> account) {
  Task<Result<>> creation = source ? target.objects().clone_container(container, properties, *source)
                                   : target.objects().create_container(container, properties);
  CO_CHECK_OK(co_await std::move(creation));
  // No request can have come before: nobody was told that the container exists.
  co_return co_await charge_at(target, container, std::move(account));
}

Task<Result<>> destroy_at(Target& target, Uuid container) {
  auto destroyed = co_await target.objects().destroy_container(container);
  // Destroyed here before a crash kept the others from it: the start after that crash comes this way again.
  if (!destroyed && destroyed.error() == Code::kContainerNotFound) co_return Result<>();
  co_return destroyed;
}

Task<Result<>> remove_snapshot_at(Target& target, Uuid container, Epoch epoch) {
  auto removed = co_await target.objects().remove_snapshot(container, epoch);
  if (!removed && removed.error() == Code::kContainerNotFound) co_return Result<>();
  co_return removed;
}

Task<Result<>> hold_answers_at(Target& target) {
  target.objects().hold_answers(ContainerTargets::kHoldAnswers);
  co_return Result<>();
}

Task<Result<>> release_answers_at(Target& target) {
  target.objects().release_answers();
  co_return Result<>();
}

Task<Result<>> read_clock_at(Target& target, Epoch& epoch) {
  epoch = target.objects().now();
  co_return Result<>();
}

Task<Result<>> measure_at(Target& target, Uuid container, object::Usage& used) {
  const auto usage = co_await target.objects().container_usage(container);
  // One that is being created or destroyed may be unknown here.
  if (usage) used = *usage;
  if (!usage && !(usage.error() == Code::kContainerNotFound)) co_return fail(usage.error());
  co_return Result<>();
}

namespace {

/// A target where a container was never made, or went, has nothing to flatten.
Result<> without_missing(Result<> outcome) {
  if (!outcome && outcome.error() == Code::kContainerNotFound) return {};
  return outcome;
}

}  // namespace

Task<Result<>> measure_flattening_at(Target& target, Uuid container, object::Usage& added) {
  const auto measured = co_await target.objects().measure_flattening(container, ContainerTargets::kMeasure);
  if (!measured) co_return without_missing(fail(measured.error()));
  added = *measured;
  co_return Result<>();
}

Task<Result<>> start_flattening_at(Target& target, Uuid container) {
  co_return without_missing(co_await target.objects().start_flattening(container, std::nullopt));
}

Task<Result<>> describe_flattening_at(Target& target, Uuid container, std::optional<object::FlattenStatus>& status) {
  const auto source = co_await target.objects().clone_source(container);
  if (!source) co_return without_missing(fail(source.error()));
  const auto progress = co_await target.objects().flattening(container);
  if (!progress) co_return without_missing(fail(progress.error()));
  if (*source) status = progress->value_or(object::FlattenStatus());
  co_return Result<>();
}

Task<Result<>> list_containers_at(Target& target, Uuid after, std::vector<HeldContainer>& held) {
  CO_TRY(const std::vector<Uuid> ids, co_await target.objects().list_containers());
  for (auto id = std::ranges::upper_bound(ids, after); id != ids.end() && held.size() < kMaxHeldContainers; ++id) {
    const auto source = co_await target.objects().clone_source(*id);
    if (!source && !(source.error() == Code::kContainerNotFound)) co_return fail(source.error());
    const auto rollback = co_await target.objects().last_rollback(*id);
    if (!rollback && rollback.error() == Code::kContainerNotFound) continue;  // it went meanwhile
    if (!rollback) co_return fail(rollback.error());
    held.push_back({.id = *id, .kept = !source, .source = source ? *source : std::nullopt, .last_rollback = *rollback});
  }
  co_return Result<>();
}

Task<Result<>> list_snapshots_at(Target& target, Uuid container, std::vector<Epoch>& epochs) {
  auto listed = co_await target.objects().list_snapshots(container);
  if (!listed) co_return without_missing(fail(listed.error()));
  epochs = *std::move(listed);
  co_return Result<>();
}

Task<Result<>> describe_at(Target& target, TargetInfo& info) {
  info = target.info();
  co_return Result<>();
}

}  // namespace cenote::engine
