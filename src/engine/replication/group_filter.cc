#include "group_filter.h"

#include <functional>

namespace cenote::engine {
namespace {

/// Whether a group counts. Its leader for the key that it was found by is not asked: of a group all dkeys belong to the
/// same targets.
using OfGroup = std::function<bool(const cluster::GroupKey& key, const cluster::GroupLayout& group)>;

/// What cannot be placed belongs to nobody: no such class, or too few targets.
object::HistoryFilter by_group(PoolLayoutPtr layout, cluster::PlacementSeed seed, OfGroup wanted) {
  return [layout = std::move(layout), seed, wanted = std::move(wanted)](
             const ObjectId& object, const std::optional<ByteView>& dkey) -> object::Part {
    const auto parts = class_parts(object.object_class());
    if (!parts) return object::Part::kNone;
    if (!dkey && parts->groups != 1) return object::Part::kSome;
    const auto key = cluster::PoolLayout::key_of(object, seed, dkey.value_or(ByteView()));
    if (!key) return object::Part::kNone;
    const auto group = layout->group(*key);
    return group && wanted(*key, *group) ? object::Part::kAll : object::Part::kNone;
  };
}

bool lacks(const cluster::GroupLayout& group, cluster::TargetId target) {
  if (group.is_complete(target)) return false;
  for (std::uint32_t position = 0; position < group.size; ++position)
    if (group.wanted[position] == target) return true;
  return false;
}

}  // namespace

object::HistoryFilter lacked_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId asker,
                                cluster::TargetId source) {
  const cluster::PoolLayout* const by = layout.get();
  return by_group(std::move(layout), seed, [=](cluster::GroupKey key, const cluster::GroupLayout& group) {
    if (!lacks(group, asker)) return false;
    // One source for each group: the hash spreads those of many groups, and is the same for all dkeys of one.
    key.dkey_hash = key.object.low() + key.group;
    const auto leader = by->leader(key, group);
    return leader && *leader == source;
  });
}

object::HistoryFilter held_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId target) {
  return by_group(std::move(layout), seed, [=](const cluster::GroupKey&, const cluster::GroupLayout& group) {
    for (const cluster::Holder& holder : group.writers())
      if (holder.target == target) return true;
    return false;
  });
}

object::HistoryFilter shown_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId target) {
  return by_group(std::move(layout), seed, [=](const cluster::GroupKey&, const cluster::GroupLayout& group) {
    return group.is_complete(target);
  });
}

}  // namespace cenote::engine
