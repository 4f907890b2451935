// The system is stopped as a whole, engines are switched off and on, or die, and it goes on.

#include <fmt/format.h>

#include <map>

#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/system_stop.h"
#include "cenote/protocol/system_stop.h"
#include "faults.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

/// The maps of all pools: versions that are wanted, and that are active.
using Versions = std::map<Uuid, std::pair<cluster::MapVersion, cluster::MapVersion>>;

Task<Result<Versions>> read_versions(cluster::Coordinator& coordinator) {
  Versions versions;
  CO_TRY(const auto pools, co_await cluster::list_stored_maps(coordinator));
  for (const Uuid& pool : pools) {
    CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator, pool));
    if (stored) versions[pool] = {stored->map.version(), stored->active};
  }
  co_return versions;
}

Task<Result<Versions>> versions_now(Run& run) {
  engine::SimCoordinator& shared = run.coordinator();
  return on_node(run, shared.node(), [&shared] { return read_versions(shared.coordinator()); });
}

Task<Result<bool>> is_stopped(Run& run) {
  engine::SimCoordinator& shared = run.coordinator();
  CO_TRY(const auto stopped,
         co_await on_node(run, shared.node(), [&shared] { return cluster::load_stop(shared.coordinator()); }));
  co_return stopped.has_value();
}

Task<Result<SystemStopInfo>> ask_to_stop(ClientNode& client) {
  const Until until = Until::at(client.node().now() + 10s);
  if (!client.connected()) CO_CHECK_OK(co_await client.connect(until));
  CO_TRY(SystemStopInfo info, co_await client.client().stop_system(until));
  while (!info.busy().empty() && client.node().now() + 100ms < until.deadline) {
    co_await client.node().sleep_for(100ms);
    CO_TRY(info, co_await client.client().query_stop(until));
  }
  co_return info;
}

Task<Result<SystemStopInfo>> ask_to_start(ClientNode& client, bool now) {
  const Until until = Until::at(client.node().now() + 20s);
  if (!client.connected()) CO_CHECK_OK(co_await client.connect(until));
  co_return co_await client.client().start_system({.now = now}, until);
}

/// Engines die, are stopped, and start again, or stay away; longer than it takes to exclude one.
Task<> disturb(Run& run) {
  for (std::uint64_t left = 1 + run.below(4); left > 0 && !run.failed(); --left) {
    const std::uint32_t index = run.some_engine();
    if (run.engine(index).running() && run.chance(1, 2)) {
      co_await stop_engine(run, index);
    } else if (run.engine(index).running()) {
      crash(run, index);
      co_await on_node(run, run.engine(index).control(), [&run, index] { return run.engine(index).clear(); });
    } else {
      static_cast<void>(co_await start_engine(run, index));
    }
    co_await run.director().sleep_for(run.random_duration(run.chance(1, 3) ? Duration(20s) : Duration(1s)));
  }
}

Task<> start_missing(Run& run) {
  for (std::uint32_t index = 0; index < run.engine_count() && !run.failed(); ++index)
    if (!run.engine(index).running()) static_cast<void>(co_await start_engine(run, index));
}

bool none_runs(Run& run) {
  for (std::uint32_t index = 0; index < run.engine_count(); ++index)
    if (run.engine(index).running()) return false;
  return true;
}

/// Until somebody has done it: who was asked may have died with the answer.
Task<> start_again(Run& run, ClientNode& client, bool now) {
  for (const Instant begun = run.director().now(); !run.failed();) {
    const auto started = co_await on_node(run, client.node(), [&] { return ask_to_start(client, now); });
    if (!started) run.note("starting the system: " + started.error().to_string());
    const auto stopped = co_await is_stopped(run);
    if (stopped && !*stopped) co_return;
    if (run.director().now() - begun > 10min) run.fail("a system that was stopped cannot be started");
    co_await run.director().sleep_for(1s);
  }
}

/// Between two looks at a system that is stopped.
void check_unchanged(Run& run, const Result<Versions>& before, const Result<Versions>& after) {
  if (!before || !after) {
    run.fail("reading the versions of maps");
  } else if (*before != *after) {
    run.fail("while the system was stopped a version of a pool's map came, or became active");
  }
}

}  // namespace

Task<> stop_and_start(Run& run) {
  ClientNode client(run, fmt::format("operator-{}", run.world().random()));
  run.note("fault: the system is stopped");
  const auto asked = co_await on_node(run, client.node(), [&] { return ask_to_stop(client); });
  // What was not answered may still take effect, until it has expired.
  if (!asked) co_await run.director().sleep_for(5s);
  const auto stopped = co_await is_stopped(run);
  if (stopped && *stopped) {
    run.count("stops");
    if (asked && asked->busy().empty()) run.count("quiet_stops");
    const auto before = co_await versions_now(run);
    if (run.chance(3, 4)) co_await disturb(run);
    const bool now = run.chance(1, 3);
    // Somebody has to be there to be asked.
    if (!now || none_runs(run)) co_await start_missing(run);
    check_unchanged(run, before, co_await versions_now(run));
    co_await start_again(run, client, now);
    run.note("the system goes on");
  } else if (asked) {
    run.fail("a stop of the system was answered, and it is not stopped");
  }
  co_await start_missing(run);
  co_await on_node(run, client.node(), [&] { return client.close(); });
}

}  // namespace cenote::sim
