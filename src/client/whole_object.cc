#include "whole_object.h"

#include <set>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::async {
namespace {

/// Those that are left have everything as long as no more engines are lost than each object keeps its data through.
Result<> check_lost(const cluster::PoolLayout& layout, std::uint32_t redundancy) {
  const cluster::PoolMap* const map = layout.map();
  if (map == nullptr) return {};
  std::set<std::uint32_t> engines;
  for (const cluster::MapTarget& target : map->targets()) {
    if (map->is_relied_on(target) && !cluster::PoolMap::is_complete(target)) engines.insert(target.engine);
  }
  if (engines.size() <= redundancy) return {};
  return failf(Code::kNotReady,
               "pool {} has lost targets of {} engines under map version {}, which is more than its objects keep all "
               "their data through",
               map->pool().to_string(), engines.size(), map->version().value());
}

}  // namespace

std::uint32_t redundancy_of(const ObjectId& object) {
  const auto parts = class_parts(object.object_class());
  return parts ? parts->redundancy_factor() : 0;
}

Result<std::vector<Destination>> whole_pool(PoolRoutes& pool, std::uint32_t redundancy) {
  const auto layout = pool.share_layout();
  std::vector<cluster::TargetId> targets;
  if (redundancy == 0) {
    TRY(targets, layout->all());
  } else {
    CHECK_OK(check_lost(*layout, redundancy));
    targets = layout->all_complete();
  }
  if (targets.empty()) return failf(Code::kNotReady, "pool {} has no target with data", pool.pool().to_string());
  std::vector<Destination> found;
  found.reserve(targets.size());
  for (const cluster::TargetId target : targets)
    found.push_back({.kind = Destination::Kind::kTarget,
                     .pool = &pool,
                     .target = target,
                     .plan = layout,
                     .read = true,
                     .replicated = redundancy > 0});
  return found;
}

Result<std::vector<Destination>> whole_object(PoolRoutes& pool, const ObjectId& object, cluster::PlacementSeed seed) {
  TRY(const ClassParts parts, class_parts(object.object_class()));
  const Destination one{.kind = Destination::Kind::kDkey,
                        .pool = &pool,
                        .object = &object,
                        .seed = seed,
                        .read = true,
                        .replicated = parts.redundancy_factor() > 0};
  if (parts.groups == 1) return std::vector{one};
  // More groups than targets: each target has some.
  const bool by_group =
      !parts.spreads_over_all() && pool.layout().map() != nullptr && parts.groups <= pool.layout().target_count();
  if (!by_group) return whole_pool(pool, parts.redundancy_factor());
  std::vector<Destination> found(parts.groups, one);
  for (std::uint32_t group = 0; group < parts.groups; ++group) {
    found[group].kind = Destination::Kind::kGroup;
    found[group].group = group;
  }
  return found;
}

}  // namespace cenote::async
