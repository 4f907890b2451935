#include "engine_returns.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_losses.h"

namespace cenote::engine {

PoolLosses PoolLosses::of(const cluster::StoredMap& stored) {
  PoolLosses losses{.awaited = cluster::awaited_engines(stored), .returned = {}, .paused = stored.paused};
  std::ranges::set_difference(stored.losses, losses.awaited, std::back_inserter(losses.returned), {},
                              &cluster::Loss::rank, &cluster::Loss::rank);
  return losses;
}

Duration EngineReturns::wait_after(std::uint32_t losses) const {
  Duration wait = options_.first_wait;
  for (std::uint32_t loss = 1; loss < losses && wait < options_.longest_wait; ++loss) wait *= 2;
  return std::min(wait, options_.longest_wait);
}

void EngineReturns::look(const std::vector<cluster::ListedEngine>& engines, const std::map<Uuid, PoolLosses>& pools,
                         Instant now) {
  std::map<Key, Seen> now_seen;
  const auto see_all = [&](const Uuid& pool, const std::vector<cluster::Loss>& losses, bool awaited, bool paused) {
    for (const cluster::Loss& loss : losses) {
      const std::uint32_t rank = loss.rank.value();
      if (rank < engines.size() && engines[rank].up) see(now_seen, pool, engines[rank], loss, awaited, paused, now);
    }
  };
  for (const auto& [pool, losses] : pools) {
    see_all(pool, losses.awaited, true, losses.paused);
    see_all(pool, losses.returned, false, losses.paused);
  }
  seen_ = std::move(now_seen);
}

// Whoever has been away since, or has gone and come, counts from now on.
void EngineReturns::see(std::map<Key, Seen>& now_seen, const Uuid& pool, const cluster::ListedEngine& engine,
                        const cluster::Loss& loss, bool awaited, bool paused, Instant now) const {
  Seen seen{.registered = engine.registered, .awaited = awaited, .since = now};
  const auto before = seen_.find(Key(pool, loss.rank));
  if (before != seen_.end() && before->second.registered == engine.registered && before->second.awaited == awaited)
    seen = before->second;
  seen.losses = loss.times;
  seen.paused = paused;
  now_seen.emplace(Key(pool, loss.rank), std::move(seen));
}

std::vector<EngineReturns::Due> EngineReturns::due(Instant now) const {
  std::vector<Due> all;
  if (!options_.enabled) return all;
  for (const auto& [key, seen] : seen_) {
    const auto& [pool, rank] = key;
    const Instant ripe = seen.since + (seen.awaited ? wait_after(seen.losses) : options_.forget_after);
    if (now < std::max(ripe, seen.not_before) || (seen.awaited && seen.paused)) continue;
    if (all.empty() || all.back().pool != pool) all.push_back({.pool = pool, .back = {}, .stayed = {}});
    (seen.awaited ? all.back().back : all.back().stayed).push_back(rank);
  }
  return all;
}

void EngineReturns::note_tried(const Uuid& pool, cluster::Rank rank, Instant now) {
  const auto seen = seen_.find(Key(pool, rank));
  if (seen != seen_.end()) seen->second.not_before = now + options_.retry_pause;
}

bool EngineReturns::note_refused(const Uuid& pool, cluster::Rank rank, const Error& error, Instant now) {
  const auto seen = seen_.find(Key(pool, rank));
  if (seen == seen_.end()) return false;
  seen->second.not_before = now + options_.retry_pause;
  return std::exchange(seen->second.refusal, error.message()) != error.message();
}

}  // namespace cenote::engine
