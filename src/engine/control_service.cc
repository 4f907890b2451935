#include "control_service.h"

#include <algorithm>
#include <set>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "engine_briefing.h"
#include "turn.h"

namespace cenote::engine {

Task<Result<>> ControlService::resume() {
  CO_CHECK_OK(co_await containers_.resume());
  CO_CHECK_OK(co_await snapshots_.resume());
  CO_CHECK_OK(co_await pools_.resume());
  if (std::exchange(held_, false)) turn_.release();
  co_return co_await flattenings_.resume();
}

Task<Result<>> ControlService::settle(Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  CO_CHECK_OK(co_await containers_.resume());
  CO_CHECK_OK(co_await snapshots_.resume());
  co_return co_await pools_.resume();
}

Task<> ControlService::stop() {
  co_await flattenings_.stop();
  co_await checks_.stop();
}

Task<Result<PoolInfo>> ControlService::create_pool(CreatePool request, Uuid id, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await pools_.create(std::move(request), id);
}

Task<Result<PoolInfo>> ControlService::set_pool_properties(std::string name,
                                                           std::map<std::string, std::string> properties, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await pools_.set_properties(std::move(name), std::move(properties));
}

Task<Result<>> ControlService::destroy_pool(std::string name, bool force, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await pools_.destroy(std::move(name), force);
}

Task<Result<SystemStopInfo>> ControlService::stop_system(Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await stops_.stop();
}

Task<Result<SystemStopInfo>> ControlService::start_system(StartSystem request, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await stops_.start(request);
}

Task<Result<PoolChanged>> ControlService::change_engines(std::string pool, ChangeEngines request, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await operations_.change(std::move(pool), std::move(request));
}

Task<Result<PoolChanged>> ControlService::take_back(Uuid pool, std::vector<cluster::Rank> engines, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await operations_.take_back(pool, std::move(engines));
}

Task<Result<>> ControlService::empty_left(Uuid pool, cluster::Rank engine, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await operations_.empty_left(pool, engine);
}

Task<Result<>> ControlService::forget_losses(Uuid pool, std::vector<cluster::Rank> engines, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await operations_.forget_losses(pool, std::move(engines));
}

Task<Result<PoolMoves>> ControlService::pause_moves(std::string pool, bool paused, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await operations_.pause(std::move(pool), paused);
}

Task<Result<ContainerInfo>> ControlService::create_container(CreateContainer request, Uuid id, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await containers_.create(std::move(request), id);
}

Task<Result<ContainerInfo>> ControlService::clone_container(CloneContainer request, Uuid id, Until until) {
  CO_CHECK_OK(validate_label("container", request.label));
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  CO_TRY(const auto made, co_await containers_.find_clone(request, id));
  if (made) co_return *made;
  CO_TRY(const Snapshots::Moment moment,
         co_await snapshots_.begin_moment(request.pool, request.source, request.snapshot, id));
  auto cloned = co_await containers_.clone(request, CloneOf{moment.container, moment.epoch}, id);
  // From here on the clone keeps it. What this cannot do now the next start does.
  static_cast<void>(co_await snapshots_.end_moment(moment));
  co_return cloned;
}

Task<Result<>> ControlService::destroy_container(std::string pool, std::string container, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await containers_.destroy(std::move(pool), std::move(container));
}

Task<Result<ContainerInfo>> ControlService::set_properties(std::string pool, std::string container,
                                                           std::map<std::string, std::string> properties, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await containers_.set_properties(std::move(pool), std::move(container), std::move(properties));
}

Task<Result<OidLease>> ControlService::lease_oids(Uuid container, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await containers_.lease_oids(container);
}

Task<Result<SnapshotInfo>> ControlService::create_snapshot(std::string pool, std::string container, std::string name,
                                                           Uuid id, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await snapshots_.create(std::move(pool), std::move(container), std::move(name), id);
}

Task<Result<>> ControlService::destroy_snapshot(std::string pool, std::string container, std::string name,
                                                Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await snapshots_.destroy(std::move(pool), std::move(container), std::move(name));
}

Task<Result<SnapshotInfo>> ControlService::roll_back(std::string pool, std::string container, std::string name,
                                                     bool force, Uuid id, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  co_return co_await snapshots_.roll_back(std::move(pool), std::move(container), std::move(name), force, id);
}

Task<Result<ContainerCheck>> ControlService::begin_check(std::string pool, std::string container, BeginCheck request,
                                                         Uuid id) {
  CO_TRY(ContainerInfo found, co_await query_container(std::move(pool), std::move(container)));
  co_return co_await checks_.begin(std::move(found), request, id);
}

Task<Result<ContainerCheck>> ControlService::query_check(std::string pool, std::string container) {
  CO_TRY(ContainerInfo found, co_await query_container(std::move(pool), std::move(container)));
  co_return co_await checks_.query(std::move(found));
}

Task<Result<ContainerCheck>> ControlService::cancel_check(std::string pool, std::string container, Until until) {
  CO_TRY(ContainerInfo found, co_await query_container(std::move(pool), std::move(container)));
  co_return co_await checks_.cancel(std::move(found), until);
}

Task<Result<std::vector<Uuid>>> ControlService::kept_unknown(cluster::Rank engine) {
  CO_TRY(const bool kept, co_await store_.keeps_unknown());
  ContainerTargets* const targets = targets_.engine(engine);
  if (!kept || targets == nullptr) co_return std::vector<Uuid>();
  co_return co_await unknown_containers(store_, *targets);
}

Task<Result<>> ControlService::check() {
  CO_CHECK_OK(co_await snapshots_.check());
  CO_TRY(const auto pools, co_await store_.pools());
  CO_TRY(const auto containers, co_await store_.containers());
  CO_TRY(const auto promised, co_await store_.number(kPromisedKey));
  std::uint64_t sizes = 0;
  std::set<std::string> labels;
  for (const PoolRecord& pool : pools) {
    sizes += pool.size_bytes;
    std::uint32_t living = 0;
    std::size_t members = 0;
    for (const ContainerRecord& container : containers) {
      if (container.pool != pool.id) continue;
      ++members;
      if (container.flattening && !container.clone_of) {
        co_return failf(Code::kCorrupt, "container '{}' is being flattened and no clone", container.label);
      }
      if (container.state == ContainerRecord::State::kDestroying) continue;
      ++living;
      if (!labels.insert(pool.id.to_string() + container.label).second) {
        co_return failf(Code::kCorrupt, "two containers of pool '{}' are called '{}'", pool.label, container.label);
      }
      CO_TRY(const auto named, co_await store_.find_container(pool, container.label));
      if (named.record.id != container.id) {
        co_return failf(Code::kCorrupt, "label '{}' names another container", container.label);
      }
    }
    CO_TRY(const auto listed, co_await store_.members(pool.id));
    if (living != pool.containers || listed.size() != members) {
      co_return failf(Code::kCorrupt, "pool '{}' counts {} containers and lists {}; it has {} and {}", pool.label,
                      pool.containers, listed.size(), living, members);
    }
    if (!pool.destroying && !labels.insert(pool.label).second) {
      co_return failf(Code::kCorrupt, "two pools are called '{}'", pool.label);
    }
  }
  CO_TRY(const auto maps, co_await cluster::list_stored_maps(store_.coordinator()));
  for (const Uuid& map : maps) {
    if (std::ranges::find(pools, map, &PoolRecord::id) == pools.end())
      co_return failf(Code::kCorrupt, "there is a map of pool {}, which does not exist", map.to_string());
  }
  if (sizes != promised.record) {
    co_return failf(Code::kCorrupt, "pools have {} bytes together, but {} are promised", sizes, promised.record);
  }
  co_return Result<>();
}

}  // namespace cenote::engine
