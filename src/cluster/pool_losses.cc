// Invariant: the losses change only with the wanted version, or while it stays; so who has a part in the pool and who
// is awaited are of one moment.

#include "cenote/cluster/pool_losses.h"

#include <algorithm>
#include <limits>

#include "cenote/cluster/pool_redundancy.h"
#include "membership_format.h"

namespace cenote::cluster {

std::vector<Loss> with_loss(std::vector<Loss> losses, Rank rank) {
  const auto place = std::ranges::lower_bound(losses, rank, {}, &Loss::rank);
  if (place != losses.end() && place->rank == rank) {
    if (place->times < std::numeric_limits<std::uint32_t>::max()) ++place->times;
  } else if (losses.size() < kMaxLosses) {
    losses.insert(place, {.rank = rank, .times = 1});
  }
  return losses;
}

std::vector<Loss> without_losses(std::vector<Loss> losses, const std::vector<Rank>& ranks) {
  std::erase_if(losses, [&](const Loss& loss) { return std::ranges::find(ranks, loss.rank) != ranks.end(); });
  return losses;
}

std::vector<Loss> awaited_engines(const StoredMap& stored) {
  std::vector<Loss> awaited;
  std::ranges::copy_if(stored.losses, std::back_inserter(awaited),
                       [&](const Loss& loss) { return used_targets(stored.map, loss.rank).empty(); });
  return awaited;
}

std::vector<Rank> engines_that_left(const StoredMap& stored) {
  std::vector<Rank> left;
  if (stored.active != stored.map.version() || moving_share(stored.map) > 0 ||
      copies_lacking(stored.map, stored.redundancy) > 0)
    return left;
  const std::vector<Loss> awaited = awaited_engines(stored);
  for (const MappedEngine& engine : mapped_engines(stored.map)) {
    const bool is_awaited = std::ranges::find(awaited, engine.rank, &Loss::rank) != awaited.end();
    if (engine.state == ComponentState::kDownOut && !engine.is_used && !is_awaited) left.push_back(engine.rank);
  }
  return left;
}

void put_losses(Transaction& change, const StoredMap& from, const std::vector<Loss>& losses) {
  if (losses == from.losses) return;
  const std::string key = losses_key(from.map.pool());
  change.require(key, from.losses_revision);
  if (losses.empty()) {
    change.erase(key);
  } else {
    change.put(key, encode(LossesRecord{losses}));
  }
}

Task<Result<>> save_losses(Coordinator& coordinator, StoredMap from, std::vector<Loss> losses, Until until) {
  if (losses == from.losses) co_return Result<>();
  Transaction change;
  change.require(head_key(from.map.pool()), from.head_revision);
  put_losses(change, from, losses);
  CO_CHECK_OK(co_await coordinator.commit(std::move(change), until));
  co_return Result<>();
}

}  // namespace cenote::cluster
