#include "system_stops.h"

#include <chrono>
#include <set>

#include "cenote/base/format.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/cluster/system_stop.h"
#include "cenote/protocol/control_requests.h"

namespace cenote::engine {
namespace {

std::uint64_t seconds_of(WallTime time) {
  return static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

/// That have a part in a pool.
Task<Result<std::set<cluster::Rank>>> needed_engines(cluster::Coordinator& coordinator) {
  std::set<cluster::Rank> needed;
  CO_TRY(const auto pools, co_await cluster::list_stored_maps(coordinator));
  for (const Uuid& pool : pools) {
    CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator, pool));
    if (!stored) continue;
    for (const cluster::MappedEngine& engine : cluster::mapped_engines(stored->map))
      if (engine.is_used) needed.insert(engine.rank);
  }
  co_return needed;
}

Error missing_error(const std::vector<std::uint32_t>& ranks) {
  return {Code::kConditionFailed,
          fmt::format("engine{} {} {} not up: start {}, or go on without by 'cenote system start --now'",
                      ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "), ranks.size() == 1 ? "is" : "are",
                      ranks.size() == 1 ? "it" : "them")};
}

}  // namespace

Task<Result<SystemStopInfo>> SystemStops::query() {
  SystemStopInfo info;
  CO_TRY(const auto stopped, co_await cluster::load_stop(coordinator_));
  CO_TRY(const auto listed, co_await cluster::list_engines(coordinator_));
  CO_TRY(const auto needed, co_await needed_engines(coordinator_));
  std::set<cluster::Rank> quiet;
  if (stopped) {
    info.stopped_since_s = seconds_of(stopped->since);
    CO_TRY(quiet, co_await cluster::list_quiet(coordinator_, *stopped));
  }
  for (const cluster::ListedEngine& engine : listed) {
    const cluster::Rank rank = engine.place.rank;
    info.engines.push_back({.rank = rank.value(),
                            .state = engine.up ? kEngineUp : kEngineGone,
                            .needed = needed.contains(rank),
                            .quiet = engine.up && quiet.contains(rank)});
  }
  co_return info;
}

Task<Result<SystemStopInfo>> SystemStops::stop() {
  const auto saved = co_await cluster::save_stop(coordinator_, reactor_.wall_now());
  // Stopped already.
  if (!saved && !(saved.error() == Code::kConditionFailed)) co_return fail(saved.error());
  CO_TRY(SystemStopInfo info, co_await query());
  info.changed = saved.has_value();
  co_return info;
}

Task<Result<SystemStopInfo>> SystemStops::start(StartSystem request) {
  CO_TRY(const auto stopped, co_await cluster::load_stop(coordinator_));
  CO_TRY(SystemStopInfo info, co_await query());
  if (!stopped) co_return info;
  if (const auto missing = info.missing(); !missing.empty() && !request.now) co_return fail(missing_error(missing));
  const auto erased = co_await cluster::erase_stop(coordinator_, *stopped);
  if (!erased && !(erased.error() == Code::kConditionFailed)) co_return fail(erased.error());
  info.stopped_since_s = 0;
  info.changed = erased.has_value();
  for (StoppedEngine& engine : info.engines) engine.quiet = false;
  co_return info;
}

Task<Result<>> SystemStops::check_running() {
  CO_TRY(const auto stopped, co_await cluster::load_stop(coordinator_));
  if (stopped) co_return fail(cluster::stopped_error());
  co_return Result<>();
}

}  // namespace cenote::engine
