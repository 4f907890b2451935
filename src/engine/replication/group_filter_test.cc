#include "group_filter.h"

#include <gtest/gtest.h>

#include <array>

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::engine {
namespace {

using cluster::MapOperation;
using cluster::PoolLayout;
using cluster::PoolMap;
using cluster::TargetId;
using object::Part;

constexpr cluster::PlacementSeed kSeed{5};

/// A pool of four engines with two targets each.
PoolMap four_engines() {
  std::vector<cluster::EngineSpec> engines;
  for (std::uint32_t rank = 0; rank < 4; ++rank)
    engines.push_back({.path = fmt::format("node{}", rank),
                       .rank = cluster::Rank(rank),
                       .id = Uuid::from_random(7, rank + 1),
                       .target_bytes = {1u << 30, 1u << 30}});
  return *PoolMap::create(Uuid::from_random(1, 1), {}, engines);
}
PoolLayoutPtr without_engine_0() {
  PoolMap map = four_engines();
  EXPECT_TRUE(map.apply(MapOperation::kExclude, std::array{TargetId(0), TargetId(1)}));
  return *PoolLayout::build(std::move(map));
}
ObjectId object(std::string_view name, std::uint64_t number) {
  return ObjectId::make(*parse_class(name), KeyFlavour::kLexical, KeyFlavour::kLexical, 0, number);
}
Bytes dkey(std::uint32_t number) { return to_bytes(as_bytes(std::to_string(number))); }

Part ask(const object::HistoryFilter& filter, const ObjectId& id, const Bytes& key) {
  const Part part = filter(id, std::nullopt);
  return part == Part::kSome ? filter(id, ByteView(key)) : part;
}

TEST(GroupFilter, EachPartThatIsLackedHasOneSourceThatHasIt) {
  const PoolLayoutPtr layout = without_engine_0();
  std::uint32_t lacked = 0;
  for (const std::string_view name : {"RP_2G1", "RP_2GX", "RP_3G1", "RP_3GX"}) {
    for (std::uint32_t number = 0; number < 60; ++number) {
      const ObjectId id = object(name, 9000 + number);
      const auto key = PoolLayout::key_of(id, kSeed, dkey(number));
      const cluster::GroupLayout group = *layout->group(*key);
      for (std::uint32_t asker = 2; asker < 8; ++asker) {
        std::uint32_t sources = 0;
        for (std::uint32_t source = 2; source < 8; ++source) {
          if (source == asker) continue;
          if (ask(lacked_by(layout, kSeed, TargetId(asker), TargetId(source)), id, dkey(number)) != Part::kAll)
            continue;
          ++sources;
          EXPECT_TRUE(group.is_complete(TargetId(source)));
        }
        const bool holds = ask(held_by(layout, kSeed, TargetId(asker)), id, dkey(number)) == Part::kAll;
        const bool shows = ask(shown_by(layout, kSeed, TargetId(asker)), id, dkey(number)) == Part::kAll;
        EXPECT_EQ(sources, holds && !shows ? 1u : 0u) << name << " target " << asker;
        lacked += sources;
      }
    }
  }
  EXPECT_GT(lacked, 60u) << "somebody takes the place of what was lost";
}

TEST(GroupFilter, WhereNothingMovesNothingIsLacked) {
  const PoolLayoutPtr layout = *PoolLayout::build(four_engines());
  for (std::uint32_t number = 0; number < 40; ++number) {
    const ObjectId id = object(number % 2 == 0 ? "SX" : "RP_2GX", 9000 + number);
    std::uint32_t shown = 0;
    for (std::uint32_t target = 0; target < 8; ++target) {
      for (std::uint32_t source = 0; source < 8; ++source)
        EXPECT_EQ(ask(lacked_by(layout, kSeed, TargetId(target), TargetId(source)), id, dkey(1)), Part::kNone);
      if (ask(shown_by(layout, kSeed, TargetId(target)), id, dkey(1)) == Part::kAll) ++shown;
    }
    EXPECT_EQ(shown, number % 2 == 0 ? 1u : 2u);
  }
}

}  // namespace
}  // namespace cenote::engine
