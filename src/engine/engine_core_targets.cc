// What the control state asks of the engine's own targets.

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "engine_core_impl.h"
#include "scrub_calls.h"
#include "target_calls.h"

namespace cenote::engine {
namespace {

constexpr Duration kSettlePatience = std::chrono::seconds(2);

/// On the target's reactor: what needs all changes of a container up to an epoch to be decided, and finds them so.
template <typename MakeTask>
Task<Result<>> when_decided(TargetGroups& groups, Uuid container, Epoch epoch, MakeTask make_task) {
  GroupMember& member = groups.member;
  const Until until = Until::at(member.now() + kSettlePatience);
  for (;;) {
    auto done = co_await make_task();
    if (done || !(done.error() == Code::kUndecided)) co_return done;
    CO_CHECK_OK(co_await member.settle_all(container, epoch, until));
  }
}

/// `groups` is null while the engine starts.
Task<Result<>> create_new_at(TargetGroups* groups, Target& target, const Uuid& container,
                             const object::ContainerProperties& properties,
                             const std::optional<object::CloneSource>& source,
                             const std::shared_ptr<object::SpaceAccount>& account) {
  CO_CHECK_OK(co_await create_at(target, container, properties, source, account));
  if (groups != nullptr) groups->leases.note_created(container);
  co_return Result<>();
}

/// What clients go by may be gone with it, so they are asked before.
Task<Result<>> roll_back_at(TargetGroups& groups, Target& target, Uuid container, Epoch to, Uuid request) {
  LeaseTable::Change change(groups.leases, std::optional(container));
  CO_CHECK_OK(co_await change.enter(0, Until::at(groups.member.now() + 2 * kSettlePatience)));
  co_return co_await target.objects().roll_back(container, to, request);
}

}  // namespace

Task<Result<>> EngineCore::Impl::create(Uuid container, object::ContainerProperties properties,
                                        std::optional<object::CloneSource> source,
                                        std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await on_all_targets([&](Target& target) {
    TargetGroups* const parts = groups.empty() ? nullptr : groups[target.index()].get();
    return create_new_at(parts, target, container, properties, source, account);
  });
}

Task<Result<>> EngineCore::Impl::charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await on_all_targets([&](Target& target) { return charge_at(target, container, account); });
}

Task<Result<>> EngineCore::Impl::destroy(Uuid container) {
  // First everybody stops taking it for granted, then it goes: a request in between is refused by its target.
  static_cast<void>(
      co_await on_all_reactors([&](std::size_t index) { return forget_at(*reactors[index], container); }));
  co_return co_await on_all_targets([=](Target& target) { return destroy_at(target, container); });
}

Task<Result<Epoch>> EngineCore::Impl::newest_epoch(Uuid /*container*/) {
  std::vector<Epoch> seen(targets.size());
  CO_CHECK_OK(co_await on_all_targets([&](Target& target) { return read_clock_at(target, seen[target.index()]); }));
  Epoch newest(static_cast<std::uint64_t>(clock.now(host.control()).time_since_epoch().count()));
  for (const Epoch epoch : seen) newest = std::max(newest, epoch);
  co_return newest;
}

Task<Result<>> EngineCore::Impl::hold_answers(Uuid /*container*/) {
  answers_held = host.control().now();
  const auto held = co_await on_all_targets([](Target& target) { return hold_answers_at(target); });
  // The others must not wait for somebody who gives up.
  if (!held) static_cast<void>(co_await on_all_targets([](Target& target) { return release_answers_at(target); }));
  co_return held;
}

Task<Result<>> EngineCore::Impl::release_answers(Uuid /*container*/) {
  CO_CHECK_OK(co_await on_all_targets([](Target& target) { return release_answers_at(target); }));
  if (host.control().now() - answers_held < kHoldAnswers) co_return Result<>();
  co_return fail(Code::kBusy, "the targets took too long to agree on a moment: try again");
}

Task<Result<>> EngineCore::Impl::add_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_all_targets([=, this](Target& target) {
    return when_decided(*groups[target.index()], container, epoch,
                        [=, &target] { return target.objects().add_snapshot(container, epoch); });
  });
}

Task<Result<>> EngineCore::Impl::remove_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_all_targets([=](Target& target) { return remove_snapshot_at(target, container, epoch); });
}

Task<Result<>> EngineCore::Impl::roll_back(Uuid container, Epoch to, Uuid request) {
  co_return co_await on_all_targets([=, this](Target& target) {
    return when_decided(*groups[target.index()], container, kEpochLatest, [=, this, &target] {
      return roll_back_at(*groups[target.index()], target, container, to, request);
    });
  });
}

Task<Result<>> EngineCore::Impl::check_rollback(Uuid container, Epoch to) {
  co_return co_await on_all_targets([=](Target& target) { return target.objects().check_rollback(container, to); });
}

Task<Result<object::Usage>> EngineCore::Impl::measure_flattening(Uuid container) {
  std::vector<object::Usage> added(targets.size());
  CO_CHECK_OK(co_await on_all_targets(
      [&](Target& target) { return measure_flattening_at(target, container, added[target.index()]); }));
  object::Usage sum;
  for (const object::Usage& part : added) sum = sum + part;
  co_return sum;
}

Task<Result<>> EngineCore::Impl::start_flattening(Uuid container) {
  co_return co_await on_all_targets([=](Target& target) { return start_flattening_at(target, container); });
}

Task<Result<std::optional<FlattenInfo>>> EngineCore::Impl::flattening(Uuid container) {
  std::vector<std::optional<object::FlattenStatus>> parts(targets.size());
  CO_CHECK_OK(co_await on_all_targets(
      [&](Target& target) { return describe_flattening_at(target, container, parts[target.index()]); }));
  std::optional<FlattenInfo> sum;
  for (std::size_t index = 0; index < parts.size(); ++index) {
    if (!parts[index]) continue;
    if (!sum) sum.emplace();
    sum->copied_bytes += parts[index]->copied.bytes;
    sum->copied_objects += parts[index]->copied.objects;
    sum->left_bytes += parts[index]->left.bytes;
    sum->left_objects += parts[index]->left.objects;
    sum->damaged += parts[index]->damaged;
    if (sum->obstacle.empty() && !parts[index]->obstacle.empty())
      sum->obstacle = fmt::format("target {}: {}", index, parts[index]->obstacle);
  }
  co_return sum;
}

Task<Result<object::Usage>> EngineCore::Impl::used(Uuid container) {
  std::vector<object::Usage> used(targets.size());
  CO_CHECK_OK(
      co_await on_all_targets([&](Target& target) { return measure_at(target, container, used[target.index()]); }));
  object::Usage sum;
  for (const object::Usage& part : used) sum = sum + part;
  co_return sum;
}

Task<Result<std::vector<HeldContainer>>> EngineCore::Impl::list_containers(Uuid after) {
  std::vector<std::vector<HeldContainer>> held(targets.size());
  CO_CHECK_OK(
      co_await on_all_targets([&](Target& target) { return list_containers_at(target, after, held[target.index()]); }));
  co_return merge_held(held);
}

Task<Result<std::vector<Epoch>>> EngineCore::Impl::list_snapshots(Uuid container) {
  std::vector<std::vector<Epoch>> kept(targets.size());
  CO_CHECK_OK(co_await on_all_targets(
      [&](Target& target) { return list_snapshots_at(target, container, kept[target.index()]); }));
  std::set<Epoch> epochs;
  for (const auto& part : kept) epochs.insert(part.begin(), part.end());
  co_return std::vector(epochs.begin(), epochs.end());
}

namespace {

Task<Result<>> read_moves_at(const TargetGroups& groups, std::uint32_t index, Uuid pool,
                             std::optional<TargetMoveStatus>& into) {
  for (MoveStatus& move : groups.rebuilder.status()) {
    if (move.pool != pool) continue;
    into = {.index = static_cast<std::uint16_t>(index),
            .version = move.version.value(),
            .bytes = move.bytes,
            .objects = move.objects,
            .done = move.done,
            .obstacle = std::move(move.obstacle)};
  }
  co_return Result<>();
}

}  // namespace

Task<Result<std::vector<TargetMoveStatus>>> EngineCore::Impl::moves(Uuid pool) {
  std::vector<std::optional<TargetMoveStatus>> parts(targets.size());
  CO_CHECK_OK(co_await on_all_targets([&](Target& target) {
    return read_moves_at(*groups[target.index()], target.index(), pool, parts[target.index()]);
  }));
  std::vector<TargetMoveStatus> all;
  for (auto& part : parts)
    if (part) all.push_back(*std::move(part));
  co_return all;
}

Task<std::vector<Result<>>> EngineCore::Impl::scrub(ContainerScrub& scrub) {
  co_return co_await on_target_reactors(
      [&](std::size_t index) { return scrub_at(*targets[index], scrub, scrub.parts[index]); });
}

Task<std::vector<ContainerScrub::Progress>> EngineCore::Impl::progress_of(ContainerScrub& scrub) {
  std::vector<ContainerScrub::Progress> progress(targets.size());
  static_cast<void>(co_await on_target_reactors(
      [&](std::size_t index) { return read_progress_at(scrub.parts[index], progress[index]); }));
  co_return progress;
}

Task<> EngineCore::Impl::cancel(ContainerScrub& scrub) {
  static_cast<void>(co_await on_target_reactors([&](std::size_t index) { return cancel_at(scrub.parts[index]); }));
}

}  // namespace cenote::engine
