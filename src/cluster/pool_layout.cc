#include "cenote/cluster/pool_layout.h"

#include "cenote/base/checksum.h"
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
  layout->moving_ = map.is_moving();
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

Result<GroupKey> PoolLayout::key_of(const ObjectId& object, PlacementSeed seed, ByteView dkey) {
  TRY(const ClassParts parts, class_parts(object.object_class()));
  if (parts.redundancy == Redundancy::kErasureCoded)
    return failf(Code::kUnsupported, "object {} is of class {}: this version keeps no erasure codes",
                 object.to_string(), class_name(object.object_class()));
  GroupKey key{.object = object, .seed = seed, .group = group_of(object, parts, dkey)};
  if (parts.group_size() > 1) key.dkey_hash = hash64(dkey);
  return key;
}

Result<const Placement*> PoolLayout::placement_of(std::uint32_t group_size) const {
  if (group_size == 1) return &*single_;
  if (group_size > kMaxReplicas) return failf(Code::kUnsupported, "no class has {} replicas", group_size);
  Tables& tables = replicated_[group_size];
  std::call_once(tables.built, [&] { tables.placement.emplace(Placement::build(*map_, group_size)); });
  if (!*tables.placement) return fail(tables.placement->error());
  return &**tables.placement;
}

Result<GroupLayout> PoolLayout::group(const GroupKey& key) const {
  TRY(const ClassParts parts, class_parts(key.object.object_class()));
  if (!map_) {
    return failf(Code::kUnsupported,
                 "object {} is of class {}: a pool that was made before pools had maps keeps no "
                 "redundancy",
                 key.object.to_string(), class_name(key.object.object_class()));
  }
  TRY(const Placement* const placement, placement_of(parts.group_size()));
  return placement->group(ObjectPlace(key.object, key.seed), parts, key.group);
}

Result<TargetId> PoolLayout::leader(const GroupKey& key, const GroupLayout& group) const {
  for (std::uint32_t step = 0; step < group.size; ++step) {
    const TargetId member = group.complete[(key.dkey_hash + step) % group.size];
    if (member != kNoTarget) return member;
  }
  return fail(lost(*map_, fmt::format("object {}", key.object.to_string())));
}

Result<TargetId> PoolLayout::leader(const GroupKey& key) const {
  TRY(const GroupLayout found, group(key));
  return leader(key, found);
}

Result<TargetId> PoolLayout::home(const ObjectId& object, PlacementSeed seed, ByteView dkey) const {
  if (!map_) return TargetId(target_of(object, dkey, targets_));
  TRY(const GroupKey key, key_of(object, seed, dkey));
  return leader(key);
}

Result<SmallVector<TargetId, kMaxReplicas>> PoolLayout::readers(const ObjectId& object, PlacementSeed seed,
                                                                ByteView dkey) const {
  if (!map_) return SmallVector<TargetId, kMaxReplicas>{TargetId(target_of(object, dkey, targets_))};
  TRY(const GroupKey key, key_of(object, seed, dkey));
  return readers(key);
}

Result<SmallVector<TargetId, kMaxReplicas>> PoolLayout::readers(const GroupKey& key) const {
  TRY(const GroupLayout members, group(key));
  SmallVector<TargetId, kMaxReplicas> found;
  for (std::uint32_t step = 0; step < members.size; ++step) {
    const TargetId member = members.complete[(key.dkey_hash + step) % members.size];
    if (member != kNoTarget) found.push_back(member);
  }
  if (found.empty()) return fail(lost(*map_, fmt::format("object {}", key.object.to_string())));
  return found;
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

std::vector<TargetId> PoolLayout::all_complete() const {
  std::vector<TargetId> targets;
  for (std::uint32_t number = 0; number < targets_; ++number) {
    const TargetId id(number);
    if (!map_ || PoolMap::is_complete(map_->target(id))) targets.push_back(id);
  }
  return targets;
}

}  // namespace cenote::cluster
