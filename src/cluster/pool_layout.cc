#include "cenote/cluster/pool_layout.h"

#include "cenote/base/format.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::cluster {
namespace {

Error lost(const PoolMap& map, std::string_view what) {
  return {Code::kNotReady,
          fmt::format("{} of pool {} has no target that is complete under map version {}: it is there again when the "
                      "engine that was lost is",
                      what, map.pool().to_string(), map.version().value())};
}

}  // namespace

Result<std::shared_ptr<const PoolLayout>> PoolLayout::build(PoolMap map) {
  std::shared_ptr<PoolLayout> layout(new PoolLayout());
  TRY(layout->single_, Placement::build(map, 1));
  layout->targets_ = static_cast<std::uint32_t>(map.targets().size());
  layout->map_.emplace(std::move(map));
  return layout;
}

std::shared_ptr<const PoolLayout> PoolLayout::without_map(std::uint32_t targets) {
  ASSERT(targets > 0);
  std::shared_ptr<PoolLayout> layout(new PoolLayout());
  layout->targets_ = targets;
  return layout;
}

MapVersion PoolLayout::version() const { return map_ ? map_->version() : MapVersion(1); }
std::uint32_t PoolLayout::target_count() const { return targets_; }

TargetPlace PoolLayout::place_of(TargetId target) const {
  ASSERT(target.value() < targets_);
  if (!map_) return {Rank(0), static_cast<std::uint16_t>(target.value())};
  const MapTarget& found = map_->target(target);
  return {map_->engines()[found.engine].rank, found.index};
}

Result<TargetId> PoolLayout::home(const ObjectId& object, PlacementSeed seed, ByteView dkey) const {
  if (!map_) return TargetId(target_of(object, dkey, targets_));
  TRY(const ClassParts parts, class_parts(object.object_class()));
  if (parts.group_size() != 1) {
    return failf(Code::kUnsupported, "object {} is of class {}: this version keeps no redundancy", object.to_string(),
                 class_name(object.object_class()));
  }
  const GroupLayout group = single_->group(ObjectPlace(object, seed), parts, group_of(object, parts, dkey));
  if (group.complete[0] == kNoTarget) return fail(lost(*map_, fmt::format("object {}", object.to_string())));
  return group.complete[0];
}

Result<std::vector<TargetId>> PoolLayout::all() const {
  std::vector<TargetId> targets;
  for (std::uint32_t number = 0; number < targets_; ++number) {
    const TargetId id(number);
    if (map_ && !map_->is_relied_on(map_->target(id))) continue;
    if (map_ && !PoolMap::is_complete(map_->target(id))) return fail(lost(*map_, "a part"));
    targets.push_back(id);
  }
  return targets;
}

}  // namespace cenote::cluster
