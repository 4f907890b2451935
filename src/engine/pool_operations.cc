#include "pool_operations.h"

#include <algorithm>
#include <ranges>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/cluster/pool_redundancy.h"
#include "engine_briefing.h"

namespace cenote::engine {

using cluster::ComponentState;
using cluster::MapOperation;
using cluster::PoolMap;
using cluster::Rank;
using cluster::TargetId;

/// What is asked, and of whom.
struct PoolOperations::Wish {
  PoolRecord pool;
  PoolOperation operation;
  std::vector<Rank> ranks;
  std::vector<cluster::ListedEngine> listed;
  bool by_itself = false;  ///< nobody's: engines that were lost are back

  bool is_up(Rank rank) const { return rank.value() < listed.size() && listed[rank.value()].up; }
};

namespace {

/// What an operation comes to for one engine.
struct Step {
  const char* outcome = kChangeDone;
  bool missed = false;  ///< it has to be told what it missed first
};

std::vector<TargetId> targets_of(const PoolMap& map, Rank rank) {
  std::vector<TargetId> found;
  for (std::uint32_t i = 0; i < map.targets().size(); ++i)
    if (map.engines()[map.targets()[i].engine].rank == rank) found.emplace_back(i);
  return found;
}

std::vector<TargetId> in_states(const PoolMap& map, Rank rank, std::initializer_list<ComponentState> states) {
  std::vector<TargetId> found = targets_of(map, rank);
  std::erase_if(found, [&](TargetId id) { return std::ranges::find(states, map.target(id).state) == states.end(); });
  return found;
}

bool has(const PoolMap& map, Rank rank, std::initializer_list<ComponentState> states) {
  return !in_states(map, rank, states).empty();
}

/// The targets that a wish is about, as they are.
std::vector<TargetId> affected(const PoolMap& map, PoolOperation operation, Rank rank) {
  using enum ComponentState;
  switch (operation) {
    case PoolOperation::kExclude:
      return in_states(map, rank, {kUp, kUpIn, kDraining});
    case PoolOperation::kDrain:
      return in_states(map, rank, {kUpIn});
    case PoolOperation::kReintegrate:
      return in_states(map, rank, {kDraining, kDown, kDownOut});
    case PoolOperation::kExtend:
      return in_states(map, rank, {kNew});
  }
  return {};
}

Result<Step> plan_exclude(const PoolMap& map, Rank rank) {
  using enum ComponentState;
  if (!cluster::used_targets(map, rank).empty()) return Step{.outcome = kChangeBegun};
  return Step{.outcome = has(map, rank, {kDown}) ? kChangeUnderWay : kChangeDone};
}

Result<Step> plan_drain(const PoolMap& map, Rank rank) {
  using enum ComponentState;
  if (has(map, rank, {kUp}))
    return failf(Code::kInvalidArgument,
                 "engine {} cannot be drained while its data still moves in: wait until that is done ('cenote pool "
                 "rebuild status'), or exclude it",
                 rank.value());
  if (has(map, rank, {kUpIn})) return Step{.outcome = kChangeBegun};
  return Step{.outcome = has(map, rank, {kDraining, kDown}) ? kChangeUnderWay : kChangeDone};
}

Result<Step> plan_reintegrate(const PoolMap& map, Rank rank) {
  using enum ComponentState;
  if (has(map, rank, {kNew}))
    return failf(Code::kInvalidArgument, "engine {} never had a part in the pool: extend the pool by it", rank.value());
  const bool missed = has(map, rank, {kDown, kDownOut});
  if (missed || has(map, rank, {kDraining})) return Step{.outcome = kChangeBegun, .missed = missed};
  return Step{.outcome = has(map, rank, {kUp}) ? kChangeUnderWay : kChangeDone};
}

Result<Step> plan_extend(const PoolMap& map, Rank rank) {
  using enum ComponentState;
  if (targets_of(map, rank).empty() || has(map, rank, {kNew})) return Step{.outcome = kChangeBegun, .missed = true};
  if (has(map, rank, {kDraining, kDown, kDownOut}))
    return failf(Code::kInvalidArgument, "engine {} had a part in the pool before: reintegrate it", rank.value());
  return Step{.outcome = has(map, rank, {kUp}) ? kChangeUnderWay : kChangeDone};
}

Result<Step> plan(const PoolMap& map, PoolOperation operation, Rank rank) {
  if (operation != PoolOperation::kExtend && targets_of(map, rank).empty())
    return failf(Code::kInvalidArgument, "engine {} has no part in the pool{}", rank.value(),
                 operation == PoolOperation::kReintegrate ? ": extend the pool by it" : "");
  switch (operation) {
    case PoolOperation::kExclude:
      return plan_exclude(map, rank);
    case PoolOperation::kDrain:
      return plan_drain(map, rank);
    case PoolOperation::kReintegrate:
      return plan_reintegrate(map, rank);
    case PoolOperation::kExtend:
      return plan_extend(map, rank);
  }
  return Step();
}

MapOperation map_operation(PoolOperation operation) {
  switch (operation) {
    case PoolOperation::kExclude:
      return MapOperation::kExclude;
    case PoolOperation::kDrain:
      return MapOperation::kDrain;
    case PoolOperation::kReintegrate:
      return MapOperation::kReintegrate;
    case PoolOperation::kExtend:
      break;
  }
  return MapOperation::kActivate;
}

/// Whether the pool keeps what it promises if engines leave.
Result<> check_rest(const PoolMap& next, PoolOperation operation, std::uint32_t redundancy) {
  if (operation != PoolOperation::kExclude && operation != PoolOperation::kDrain) return {};
  const std::size_t lacking = cluster::copies_lacking(next, redundancy);
  if (operation == PoolOperation::kExclude && lacking > redundancy)
    return failf(
        Code::kInvalidArgument,
        "all {} copies of some data would be lost: drain engines that run, bring back those that are away, or wait "
        "until data that was lost is made anew",
        redundancy + 1);
  auto left = cluster::check_wanted(next, redundancy);
  if (left) return left;
  return failf(Code::kInvalidArgument, "{}; extend the pool by other engines first", left.error().message());
}

/// Of these engines the ones that are taken back as the pool is now.
std::vector<Rank> still_awaited(const cluster::StoredMap& stored, std::vector<Rank> ranks) {
  const auto awaited = cluster::awaited_engines(stored);
  std::erase_if(ranks, [&](Rank rank) {
    return stored.paused || std::ranges::find(awaited, rank, &cluster::Loss::rank) == awaited.end();
  });
  return ranks;
}

std::string levels_text(std::size_t levels) { return fmt::format("{} level{}", levels, levels == 1 ? "" : "s"); }

}  // namespace

Task<Result<cluster::StoredMap>> PoolOperations::load(PoolRecord pool) {
  CO_TRY(auto stored, co_await cluster::load_stored_map(store_.coordinator(), pool.id));
  if (!stored)
    co_return failf(Code::kUnsupported, "pool '{}' was made before pools had maps: copy what it holds to a new one",
                    pool.label);
  co_return *std::move(stored);
}

Task<Result<PoolChanged>> PoolOperations::change(std::string pool, ChangeEngines request) {
  CO_TRY(auto found, co_await store_.find_pool(std::move(pool)));
  if (request.engines.empty())
    co_return fail(Code::kInvalidArgument, "no engine was named: they have ranks, from 0 on");
  std::ranges::sort(request.engines);
  const auto [end, last] = std::ranges::unique(request.engines);
  request.engines.erase(end, last);
  Wish wish{.pool = std::move(found.record), .operation = request.operation, .ranks = {}, .listed = {}};
  CO_TRY(wish.listed, co_await cluster::list_engines(store_.coordinator()));
  if (wish.listed.empty())
    co_return fail(
        Code::kUnsupported,
        "the engine of this system is alone: engines that share a coordinator can leave pools and join them");
  for (const std::uint32_t rank : request.engines) {
    if (rank >= wish.listed.size())
      co_return failf(Code::kNotFound, "there is no engine {}: see 'cenote system query'", rank);
    wish.ranks.emplace_back(rank);
  }
  co_return co_await carry_out(std::move(wish));
}

Task<Result<PoolChanged>> PoolOperations::carry_out(Wish wish) {
  std::set<Rank> briefed;
  auto changed = co_await without_conflict<PoolChanged>([&] { return try_change(wish, briefed); });
  // The wish is well-formed: it is the pool's state that forbids it. (Within, that code is of conflicts.)
  if (!changed && changed.error() == Code::kInvalidArgument)
    changed = fail(Code::kConditionFailed, changed.error().message());
  if (!changed) co_return fail(std::move(changed).error().with_context(fmt::format("pool '{}'", wish.pool.label)));
  co_return changed;
}

Task<Result<PoolChanged>> PoolOperations::take_back(Uuid pool, std::vector<Rank> engines) {
  CO_TRY(auto found, co_await store_.pool(pool));
  // It goes, or has gone.
  if (!found || found->record.destroying)
    co_return PoolChanged{.pool = pool, .label = {}, .map_version = 0, .engines = {}};
  Wish wish{.pool = std::move(found->record),
            .operation = PoolOperation::kReintegrate,
            .ranks = std::move(engines),
            .listed = {},
            .by_itself = true};
  CO_TRY(wish.listed, co_await cluster::list_engines(store_.coordinator()));
  co_return co_await carry_out(std::move(wish));
}

Task<Result<>> PoolOperations::forget_losses(Uuid pool, std::vector<Rank> engines) {
  co_return co_await without_conflict<void>([&] { return try_forget(pool, engines); });
}

/// All of it is where the map wants it, and containers that are made anew when it comes back are told everything.
Task<Result<>> PoolOperations::empty_left(Uuid pool, Rank rank) {
  CO_TRY(const auto stored, co_await cluster::load_stored_map(store_.coordinator(), pool));
  if (!stored) co_return Result<>();
  const std::vector<Rank> left = cluster::engines_that_left(*stored);
  if (std::ranges::find(left, rank) == left.end()) co_return Result<>();
  ContainerTargets* const engine = targets_.engine(rank);
  if (engine == nullptr) co_return failf(Code::kUnreachable, "engine {} cannot be asked", rank.value());
  CO_TRY(const auto held, co_await held_containers(*engine));
  CO_TRY(auto records, co_await store_.containers());
  std::erase_if(records,
                [&](const ContainerRecord& record) { return record.pool != pool || !held.contains(record.id); });
  // Clones before their sources, so that nothing is kept for them.
  records = in_clone_order(std::move(records));
  for (const ContainerRecord& record : std::views::reverse(records)) CO_CHECK_OK(co_await engine->destroy(record.id));
  co_return Result<>();
}

Task<Result<>> PoolOperations::try_forget(Uuid pool, const std::vector<Rank>& engines) {
  CO_TRY(auto stored, co_await cluster::load_stored_map(store_.coordinator(), pool));
  if (!stored) co_return Result<>();
  std::vector<Rank> present = engines;
  for (const cluster::Loss& awaited : cluster::awaited_engines(*stored)) std::erase(present, awaited.rank);
  auto losses = cluster::without_losses(stored->losses, present);
  co_return co_await cluster::save_losses(store_.coordinator(), *std::move(stored), std::move(losses));
}

Task<Result<PoolChanged>> PoolOperations::try_change(const Wish& wish, std::set<Rank>& briefed) {
  CO_TRY(cluster::StoredMap stored, co_await load(wish.pool));
  PoolChanged changed{
      .pool = wish.pool.id, .label = wish.pool.label, .map_version = stored.map.version().value(), .engines = {}};
  std::vector<Rank> begun, newcomers;
  for (const Rank rank : wish.by_itself ? still_awaited(stored, wish.ranks) : wish.ranks) {
    CO_TRY(const Step step, plan(stored.map, wish.operation, rank));
    changed.engines.push_back({.rank = rank.value(), .outcome = step.outcome, .state = {}});
    if (step.outcome != kChangeBegun) continue;
    // Who is excluded need not be there; nobody else can take part in a move without running.
    if (wish.operation != PoolOperation::kExclude && !wish.is_up(rank))
      co_return failf(Code::kInvalidArgument, "engine {} does not run: start it first", rank.value());
    begun.push_back(rank);
    if (step.missed) newcomers.push_back(rank);
  }
  PoolMap next = stored.map;
  if (!begun.empty()) {
    if (wish.operation == PoolOperation::kExtend) {
      CO_TRY(next, extended(next, begun));
    }
    std::vector<TargetId> targets;
    for (const Rank rank : begun) std::ranges::copy(affected(next, wish.operation, rank), std::back_inserter(targets));
    CO_CHECK_OK(next.apply(map_operation(wish.operation), targets));
    CO_CHECK_OK(check_rest(next, wish.operation, stored.redundancy));
    CO_CHECK_OK(co_await brief(next, wish, newcomers, briefed));
  }
  CO_CHECK_OK(co_await publish(wish, std::move(stored), next));
  changed.map_version = next.version().value();
  for (EngineChange& engine : changed.engines)
    engine.state = cluster::state_name(next.state_of(targets_of(next, Rank(engine.rank))));
  co_return changed;
}

/// Who decides about an engine that was lost keeps it from coming back by itself, or has brought it back.
Task<Result<>> PoolOperations::publish(const Wish& wish, cluster::StoredMap stored, const PoolMap& next) {
  auto losses = wish.by_itself ? stored.losses : cluster::without_losses(stored.losses, wish.ranks);
  if (next.version() == stored.map.version())
    co_return co_await cluster::save_losses(store_.coordinator(), std::move(stored), std::move(losses));
  cluster::Transaction also;
  cluster::put_losses(also, stored, losses);
  CO_CHECK_OK(co_await cluster::publish_map(store_.coordinator(), std::move(stored), next, std::move(also)));
  targets_.take_map(next);
  co_return Result<>();
}

/// The map with the engines that it does not have yet.
Result<PoolMap> PoolOperations::extended(const PoolMap& map, const std::vector<Rank>& ranks) const {
  const auto known = targets_.engines();
  std::vector<cluster::EngineSpec> added;
  for (const Rank rank : ranks) {
    if (!targets_of(map, rank).empty()) continue;
    const auto spec = std::ranges::find(known, rank, &cluster::EngineSpec::rank);
    if (spec == known.end())
      return failf(Code::kUnreachable, "engine {} has not said yet what its targets are: try again", rank.value());
    const auto levels = static_cast<std::size_t>(std::ranges::count(spec->path, '/'));
    if (levels != map.levels().size())
      return failf(
          Code::kInvalidArgument,
          "engine {} is in fault domain '{}', with {} above it; the engines of this pool have {}: start it with "
          "a --fault-domain of that depth",
          rank.value(), spec->path, levels_text(levels), levels_text(map.levels().size()));
    added.push_back(*spec);
  }
  PoolMap next = map;
  if (!added.empty()) CHECK_OK(next.add(added));
  return next;
}

Task<Result<>> PoolOperations::brief(const PoolMap& next, const Wish& wish, const std::vector<Rank>& newcomers,
                                     std::set<Rank>& briefed) {
  if (wish.operation == PoolOperation::kExtend && !newcomers.empty())
    CO_CHECK_OK(co_await shrink_shares(next, newcomers));
  for (const Rank rank : newcomers) {
    // Of what happened since, in the same turn, there is nothing to tell.
    if (briefed.contains(rank)) continue;
    ContainerTargets* const engine = targets_.engine(rank);
    if (engine == nullptr)
      co_return failf(Code::kUnreachable, "engine {} cannot be asked yet: try again", rank.value());
    EngineBriefing briefing(store_, containers_, targets_, *engine, rank, next);
    auto told = co_await briefing.run();
    // That would be taken for a conflict of the map.
    if (!told && told.error() == Code::kConditionFailed) co_return fail(Code::kBusy, told.error().message());
    CO_CHECK_OK(told);
    briefed.insert(rank);
  }
  co_return Result<>();
}

/// Whoever cannot be told now is told when it can be asked again, as all are then.
Task<Result<>> PoolOperations::shrink_shares(const PoolMap& next, const std::vector<Rank>& newcomers) {
  CO_TRY(const auto records, co_await store_.containers());
  for (const ContainerRecord& record : records) {
    if (record.pool != next.pool() || record.state != ContainerRecord::State::kReady) continue;
    CO_TRY(const Containers::Terms terms, co_await containers_.terms(record));
    for (const cluster::MappedEngine& member : cluster::mapped_engines(next)) {
      ContainerTargets* const engine = targets_.engine(member.rank);
      if (!member.is_used || engine == nullptr || std::ranges::find(newcomers, member.rank) != newcomers.end())
        continue;
      auto told = co_await engine->charge_to(record.id, targets_.share_of(*terms.account, next, member.rank));
      if (!told && !is_of_the_way(told.error())) co_return told;
    }
  }
  co_return Result<>();
}

Task<Result<PoolMoves>> PoolOperations::pause(std::string pool, bool paused) {
  CO_TRY(auto found, co_await store_.find_pool(std::move(pool)));
  CO_CHECK_OK(co_await load(found.record));
  CO_CHECK_OK(co_await without_conflict<void>(
      [&] { return cluster::pause_moves(store_.coordinator(), found.record.id, paused); }));
  CO_TRY(const cluster::StoredMap stored, co_await load(found.record));
  co_return co_await describe(std::move(found.record), stored);
}

Task<Result<PoolMoves>> PoolOperations::moves(std::string pool) {
  CO_TRY(auto found, co_await store_.find_pool(std::move(pool)));
  CO_TRY(const cluster::StoredMap stored, co_await load(found.record));
  co_return co_await describe(std::move(found.record), stored);
}

Task<Result<PoolMoves>> PoolOperations::describe(PoolRecord pool, const cluster::StoredMap& stored) {
  const PoolMap& map = stored.map;
  PoolMoves moves{.pool = pool.id,
                  .label = pool.label,
                  .map_version = map.version().value(),
                  .active_version = stored.active.value(),
                  .moving = map.is_moving(),
                  .paused = stored.paused,
                  .state = cluster::pool_state(stored)};
  for (const cluster::MappedEngine& engine : cluster::mapped_engines(map)) {
    moves.engines.push_back({.rank = engine.rank.value(),
                             .state = std::string(cluster::state_name(engine.state)),
                             .since = engine.since.value()});
    if (moves.moving && engine.is_used) co_await ask_moves(moves, engine.rank);
  }
  if (moves.moving) co_await estimate(moves, map);
  co_return moves;
}

Task<> PoolOperations::ask_moves(PoolMoves& moves, Rank rank) {
  ContainerTargets* const engine = targets_.engine(rank);
  Result<std::vector<TargetMoveStatus>> told = fail(Code::kUnreachable);
  if (engine != nullptr) told = co_await engine->moves(moves.pool);
  if (!told) {
    moves.silent.push_back(rank.value());
    co_return;
  }
  for (TargetMoveStatus& move : *told) {
    // It has not heard of this version yet, or not of the end of that one.
    if (move.version != moves.map_version) continue;
    moves.moved_bytes += move.bytes;
    moves.moved_objects += move.objects;
    moves.targets.push_back({.rank = rank.value(),
                             .target = move.index,
                             .bytes = move.bytes,
                             .objects = move.objects,
                             .done = move.done,
                             .obstacle = std::move(move.obstacle)});
  }
}

Task<std::optional<std::uint64_t>> PoolOperations::used_at(Rank rank, const std::vector<Uuid>& containers) {
  ContainerTargets* const engine = targets_.engine(rank);
  if (engine == nullptr) co_return std::nullopt;
  std::uint64_t bytes = 0;
  for (const Uuid& container : containers) {
    const auto used = co_await engine->used(container);
    if (!used) co_return std::nullopt;
    bytes += used->bytes;
  }
  co_return bytes;
}

/// From what complete engines hold, but for what they got for this version, and their weights.
Task<> PoolOperations::estimate(PoolMoves& moves, const PoolMap& map) {
  const auto containers = co_await containers_.ids(map.pool());
  if (!containers) co_return;
  double held = 0, weight = 0, all = 0;
  for (const cluster::MappedEngine& engine : cluster::mapped_engines(map)) {
    double relied_on = 0;
    bool complete = false;
    for (const TargetId id : targets_of(map, engine.rank)) {
      if (map.is_relied_on(map.target(id))) relied_on += static_cast<double>(map.target(id).bytes);
      complete = complete || PoolMap::is_complete(map.target(id));
    }
    all += relied_on;
    if (!complete) continue;
    const auto used = co_await used_at(engine.rank, *containers);
    if (!used) continue;
    std::uint64_t got = 0;
    for (const TargetMove& move : moves.targets)
      if (move.rank == engine.rank.value()) got += move.bytes;
    held += static_cast<double>(*used - std::min(*used, got));
    weight += relied_on;
  }
  if (weight == 0) co_return;
  const double whole = held * all / weight;
  const auto total = static_cast<std::uint64_t>(whole * cluster::moving_share(map));
  moves.total_bytes = std::max(total, moves.moved_bytes);
}

}  // namespace cenote::engine
