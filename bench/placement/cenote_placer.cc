#include <fmt/format.h>

#include "cenote/cluster/placement.h"
#include "placer.h"

namespace cenote::bench {
namespace {

using namespace cenote::cluster;

constexpr double kTiB = 1024.0 * 1024 * 1024 * 1024;

/// One engine for each node.
std::vector<EngineSpec> engines_of(const SimulatedPool& pool, std::size_t begin, std::size_t end) {
  std::vector<EngineSpec> engines;
  for (std::size_t i = begin; i < end; ++i) {
    const SimulatedTarget& target = pool.targets[i];
    const std::string path = fmt::format("r{}/n{}", target.rack, target.node);
    if (engines.empty() || engines.back().path != path)
      engines.push_back(
          {.path = path, .rank = Rank(target.node), .id = Uuid::from_random(1, target.node + 1), .target_bytes = {}});
    engines.back().target_bytes.push_back(static_cast<std::uint64_t>(target.weight * kTiB));
  }
  return engines;
}

PoolMap map_of(const SimulatedPool& pool) {
  PoolMap map = PoolMap::create(Uuid(), {"rack"}, engines_of(pool, 0, pool.first_targets)).value();
  std::vector<TargetId> added;
  for (std::size_t i = pool.first_targets; i < pool.targets.size(); ++i)
    added.emplace_back(static_cast<std::uint32_t>(i));
  if (!added.empty()) {
    map.add(engines_of(pool, pool.first_targets, pool.targets.size())).value();
    map.apply(MapOperation::kActivate, added).value();
    map.settle(map.version()).value();
  }
  std::vector<TargetId> lost;
  for (std::uint32_t i = 0; i < pool.targets.size(); ++i) {
    if (pool.targets[i].is_lost) lost.emplace_back(i);
  }
  if (!lost.empty()) {
    map.apply(MapOperation::kExclude, lost).value();
    map.settle(map.version()).value();
  }
  return map;
}

class CenotePlacer final : public Placer {
 public:
  CenotePlacer(const SimulatedPool& pool, std::uint32_t group_size)
      : placement_(Placement::build(map_of(pool), group_size).value()) {
    parts_.copies = group_size - 1;
    if (group_size > 1) parts_.redundancy = Redundancy::kReplicated;
  }

  void place(std::uint64_t object, std::span<std::uint32_t> members) const override {
    const ObjectId id = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, object);
    const GroupLayout layout = placement_.group(ObjectPlace(id), parts_, 0);
    for (std::size_t i = 0; i < members.size(); ++i) members[i] = layout.wanted[i].value();
  }
  std::size_t memory_bytes() const override { return placement_.memory_bytes(); }

 private:
  Placement placement_;
  ClassParts parts_;
};

}  // namespace

std::unique_ptr<Placer> make_cenote(const SimulatedPool& pool, std::uint32_t group_size) {
  return std::make_unique<CenotePlacer>(pool, group_size);
}

}  // namespace cenote::bench
