#include "served_pools.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/cluster/system_stop.h"

namespace cenote::engine {

using cluster::PoolLayout;
using cluster::PoolMap;

namespace {

/// Since which version an engine of the map has no part.
cluster::MapVersion excluded_since(const PoolMap& map, cluster::Rank rank) {
  cluster::MapVersion since;
  for (const cluster::MapTarget& target : map.targets())
    if (map.engines()[target.engine].rank == rank) since = std::max(since, target.left);
  return since;
}

}  // namespace

void ServedPools::end(Pool& pool) {
  pool.current = false;
  if (pool.serving != nullptr) pool.serving->end();
}

Task<Result<Epoch>> ServedPools::switch_to(std::shared_ptr<const PoolMap> map, std::uint32_t redundancy, Until until) {
  static_cast<void>(until);
  const Uuid id = map->pool();
  const std::shared_ptr<PoolServing> before = pools_[id].serving;
  end(pools_[id]);
  // After a lost lease its tables are as good as they were.
  std::shared_ptr<const PoolLayout> layout;
  if (before != nullptr && *before->layout()->map() == *map) {
    layout = before->layout();
  } else {
    CO_TRY(layout, PoolLayout::build(*map));
  }
  const auto after = std::make_shared<PoolServing>(id, std::move(layout), redundancy);
  CO_TRY(const Epoch used, co_await follower_.follow({.pool = id, .before = before, .after = after}));
  const bool has_part = !cluster::used_targets(*map, rank_).empty();
  pools_[id] = {.serving = after, .current = true, .has_part = has_part, .activating = false};
  changed_.notify_all();
  if (!has_part) {
    logger_.warn("this engine is excluded from a pool",
                 {{"pool", id}, {"map_version", map->version()}, {"since", excluded_since(*map, rank_)}});
  } else if (before == nullptr || before->version() != map->version()) {
    logger_.info("the map of a pool is another", {{"pool", id}, {"map_version", map->version()}});
  }
  co_return used;
}

// What an engine serves must not be newer than all that is left of the coordinator when that is lost. A copy that
// cannot be written has said so.
Task<> ServedPools::remember(cluster::Revision revision) { static_cast<void>(co_await copy_.keep(revision)); }

void ServedPools::serve(Uuid pool, Epoch closed) {
  const auto found = pools_.find(pool);
  if (found == pools_.end() || !found->second.current || !found->second.has_part) return;
  if (found->second.serving->active() || found->second.activating) return;
  found->second.activating = activations_.spawn(activate(*this, pool, found->second.serving, closed));
}

Task<> ServedPools::activate(ServedPools& self, Uuid id, std::shared_ptr<PoolServing> serving, Epoch closed) {
  const auto done = co_await self.follower_.close(closed);
  const auto found = self.pools_.find(id);
  // Another version, or the lease was lost.
  if (found == self.pools_.end() || found->second.serving != serving || !found->second.current) co_return;
  found->second.activating = false;
  if (done) {
    serving->activate(closed);
  } else {
    self.logger_.error("a pool cannot be served", {{"pool", id}, {"error", done.error()}});
  }
  self.changed_.notify_all();
}

void ServedPools::pause_moves(Uuid pool, bool paused) {
  const auto found = pools_.find(pool);
  if (found != pools_.end() && found->second.current) found->second.serving->pause_moves(paused);
}

Task<Result<>> ServedPools::hold_clients(bool hold) {
  held_ = hold;
  changed_.notify_all();
  return follower_.hold_clients(hold);
}

void ServedPools::serve_nothing() {
  for (auto& [id, pool] : pools_) end(pool);
}

void ServedPools::drop(Uuid pool) {
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return;
  end(found->second);
  pools_.erase(found);
  changed_.notify_all();
}

Result<> ServedPools::check_part(const Pool& pool) const {
  if (pool.has_part) return {};
  const PoolMap& map = *pool.serving->layout()->map();
  return failf(Code::kStaleMap,
               "engine {} has no part in pool {} since version {} of its map: it serves nothing of it until it is "
               "reintegrated",
               rank_.value(), map.pool().to_string(), excluded_since(map, rank_).value());
}

// False: there is nothing to wait for, as the pool has no map.
Task<Result<bool>> ServedPools::look(Uuid pool, Until until) {
  CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator_, pool, until));
  if (!stored) co_return false;
  if (std::ranges::find(stored->map.engines(), rank_, &cluster::MapEngine::rank) == stored->map.engines().end()) {
    co_return failf(Code::kStaleMap, "engine {} has no part in pool {}", rank_.value(), pool.to_string());
  }
  co_return true;
}

Task<Result<std::shared_ptr<const PoolServing>>> ServedPools::of(Uuid pool, std::uint64_t version, Until until) {
  const Until look_until = until.no_later_than(reactor_.now() + kLookPatience);
  if (!pools_.contains(pool)) {
    CO_TRY(const bool has_map, co_await look(pool, look_until));
    if (!has_map) co_return nullptr;
  }
  while (!stopped_) {
    const auto found = pools_.find(pool);
    const bool known = found != pools_.end() && found->second.current;
    const std::uint64_t have = known ? found->second.serving->version().value() : 0;
    const bool heard_of = known && version <= have;
    if (heard_of) {
      CO_CHECK_OK(check_part(found->second));
      if (version != 0 && version < have)
        co_return failf(Code::kStaleMap, "the request was made for version {} of the pool's map; the engine has {}",
                        version, have);
      if (found->second.serving->active()) co_return found->second.serving;
    }
    if (held_) co_return fail(cluster::stopped_error());
    const auto woken = co_await changed_.wait(heard_of ? until : look_until);
    if (woken) continue;
    if (heard_of) co_return failf(Code::kNotReady, "version {} of the pool's map is not active yet: try again", have);
    if (known)
      co_return failf(Code::kStaleMap, "the request was made for version {} of the pool's map; the engine has {}",
                      version, have);
    co_return failf(Code::kNotReady, "the engine has not read the map of pool {} yet: try again", pool.to_string());
  }
  co_return fail(Code::kNotReady, "the engine is stopping");
}

void ServedPools::stop() {
  stopped_ = true;
  changed_.notify_all();
}

}  // namespace cenote::engine
