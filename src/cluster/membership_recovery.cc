#include "cenote/cluster/membership_recovery.h"

#include <limits>
#include <map>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
#include "membership_format.h"

namespace cenote::cluster {
namespace {

/// The pools that have a map, with everything below their prefix.
Result<std::map<Uuid, std::vector<KeyValue>>> entries_of_pools(const std::vector<KeyValue>& entries) {
  std::map<Uuid, std::vector<KeyValue>> pools;
  for (const KeyValue& entry : entries) {
    if (!entry.key.starts_with(kPoolPrefix)) continue;
    TRY(const Uuid pool, pool_of_key(entry.key));
    pools[pool].push_back(entry);
  }
  return pools;
}

Result<> check_room(std::uint64_t number) {
  if (number <= std::numeric_limits<std::uint64_t>::max() - kRecoveryStep) return {};
  return fail(Code::kMalformed, "a number is beyond what anybody counts to");
}

Result<> raise_engine(KeyValue& entry) {
  TRY(EngineRecord record, decode_engine(entry.value));
  CHECK_OK(check_room(record.incarnation.value()));
  record.incarnation = Incarnation(record.incarnation.value() + kRecoveryStep);
  entry.value = encode(record);
  return {};
}

}  // namespace

Result<std::vector<CopiedEngine>> engines_of_copy(const std::vector<KeyValue>& entries) {
  std::map<Rank, CopiedEngine> engines;
  for (const KeyValue& entry : entries) {
    if (!entry.key.starts_with(kPlacePrefix)) continue;
    TRY(const Rank rank, rank_of_key(entry.key));
    TRY(const PlaceRecord record, decode_place(entry.value));
    engines[rank].place = {
        .rank = rank, .engine = record.engine, .first_target = record.first_target, .targets = record.targets};
  }
  TRY(const auto pools, entries_of_pools(entries));
  for (const auto& [pool, of_pool] : pools) {
    TRY(const StoredMap stored, stored_map_of(pool, of_pool));
    for (auto& [rank, engine] : engines)
      if (!used_targets(stored.map, rank).empty()) ++engine.pools;
  }
  std::vector<CopiedEngine> all;
  for (auto& [rank, engine] : engines) all.push_back(engine);
  return all;
}

Result<> raise_membership(std::vector<KeyValue>& entries) {
  TRY(const auto pools, entries_of_pools(entries));
  std::map<std::string, std::string> changed;
  for (const auto& [pool, of_pool] : pools) {
    TRY(StoredMap stored, stored_map_of(pool, of_pool));
    CHECK_OK(check_room(stored.map.version().value()));
    stored.map.skip_versions(kRecoveryStep);
    TRY(auto values, values_of_map(stored.map, stored.redundancy));
    changed.merge(std::move(values));
  }
  for (KeyValue& entry : entries) {
    if (entry.key.starts_with(kEnginePrefix)) CHECK_OK(raise_engine(entry));
    const auto value = changed.find(entry.key);
    if (value != changed.end()) entry.value = value->second;
  }
  return {};
}

}  // namespace cenote::cluster
