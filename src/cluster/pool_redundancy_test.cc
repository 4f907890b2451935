#include "cenote/cluster/pool_redundancy.h"

#include <gtest/gtest.h>

#include "cenote/protocol/object_class.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

using map_examples::engine;
using map_examples::map_of;

ObjectId object_of(std::string_view class_name) {
  return ObjectId::make(*parse_class(class_name), KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 1);
}

TEST(PoolRedundancy, NeedsOneMoreNodeThanMayBeLost) {
  // Two engines of one node fail together.
  const PoolMap map = map_of({engine("a/n1", 0, 2), engine("a/n2", 1, 2), engine("b/n1", 2, 2), engine("b/n1", 3, 2)});
  for (std::uint32_t redundancy = 0; redundancy <= 2; ++redundancy)
    EXPECT_TRUE(check_redundancy(map, redundancy).has_value()) << redundancy;
  const auto refused = check_redundancy(map, 4);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kInvalidArgument);
  EXPECT_NE(refused.error().message().find("5 fault domains, and there are 3: 2 missing"), std::string::npos)
      << refused.error().message();
  EXPECT_EQ(check_redundancy(map, 6).error(), Code::kOutOfRange);
}

TEST(PoolRedundancy, AClassSurvivesWhatItsPoolDoes) {
  EXPECT_TRUE(check_class(object_of("SX"), 0).has_value());
  EXPECT_TRUE(check_class(object_of("RP_3G1"), 0).has_value());
  EXPECT_TRUE(check_class(object_of("RP_2G1"), 1).has_value());
  EXPECT_TRUE(check_class(object_of("RP_3GX"), 1).has_value());
  EXPECT_TRUE(check_class(object_of("EC_4P2G1"), 2).has_value());
  EXPECT_EQ(check_class(object_of("SX"), 1).error(), Code::kInvalidArgument);
  const auto refused = check_class(object_of("RP_2GX"), 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("RP_2GX"), std::string::npos) << refused.error().message();
}

TEST(PoolRedundancy, SaysHowAPoolIs) {
  PoolMap map = map_of({engine("a/n1", 0, 2), engine("a/n2", 1, 2), engine("b/n1", 2, 2)});
  EXPECT_EQ(pool_state(map, MapVersion(1), 1, {}), "up");
  EXPECT_EQ(pool_state(map, MapVersion(1), 0, {Rank(1), Rank(2)}),
            "degraded: suspended: engines 1 and 2 are gone, and no more can be excluded than 0");
  ASSERT_TRUE(map.apply(MapOperation::kExclude, used_targets(map, Rank(1))).has_value());
  EXPECT_TRUE(used_targets(map, Rank(1)).empty());
  EXPECT_TRUE(used_targets(map, Rank(7)).empty());
  EXPECT_EQ(used_targets(map, Rank(2)).size(), 2u);
  EXPECT_EQ(pool_state(map, MapVersion(2), 1, {}), "degraded: engine 1 is excluded");
  EXPECT_EQ(pool_state(map, MapVersion(2), 1, {Rank(2)}),
            "degraded: suspended: engine 2 is gone, and no more can be excluded than 1; engine 1 is excluded");
  const auto engines = mapped_engines(map);
  ASSERT_EQ(engines.size(), 3u);
  EXPECT_EQ(engines[0],
            (MappedEngine{.rank = Rank(0), .state = ComponentState::kUpIn, .since = MapVersion(1), .is_used = true}));
  EXPECT_EQ(engines[1],
            (MappedEngine{.rank = Rank(1), .state = ComponentState::kDown, .since = MapVersion(2), .is_used = false}));
  PoolMap draining = map_of({engine("a/n1", 0, 1), engine("a/n2", 1, 1)});
  ASSERT_TRUE(draining.apply(MapOperation::kDrain, used_targets(draining, Rank(1))).has_value());
  EXPECT_EQ(pool_state(draining, MapVersion(1), 0, {}), "changing: engines switch from map version 1 to 2");
  EXPECT_EQ(pool_state(draining, MapVersion(2), 0, {}), "moving: engine 1 is drained");
  ASSERT_TRUE(draining.settle(MapVersion(2)).has_value());
  EXPECT_EQ(pool_state(draining, MapVersion(3), 0, {}), "up");
  ASSERT_TRUE(draining.apply(MapOperation::kReintegrate, std::vector{TargetId(1)}).has_value());
  EXPECT_EQ(pool_state(draining, MapVersion(4), 0, {}), "moving: engine 1 gets data");
}

TEST(PoolRedundancy, WhatIsLeftForTheDataMustBeEnough) {
  PoolMap map = map_of({engine("a/n1", 0, 1), engine("a/n2", 1, 1), engine("b/n1", 2, 1)});
  EXPECT_TRUE(check_wanted(map, 2).has_value());
  ASSERT_TRUE(map.apply(MapOperation::kDrain, used_targets(map, Rank(1))).has_value());
  EXPECT_TRUE(check_wanted(map, 1).has_value());
  const auto refused = check_wanted(map, 2);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kInvalidArgument);
  EXPECT_EQ(refused.error().message(),
            "the pool keeps its data in 3 fault domains, and 2 would be left for it: 1 missing");
  EXPECT_EQ(copies_lacking(map, 1), 0u) << "who is drained has all";
  ASSERT_TRUE(map.apply(MapOperation::kExclude, used_targets(map, Rank(1))).has_value());
  EXPECT_EQ(copies_lacking(map, 1), 1u);
  ASSERT_TRUE(map.apply(MapOperation::kExclude, used_targets(map, Rank(2))).has_value());
  EXPECT_EQ(copies_lacking(map, 1), 2u);
}

TEST(PoolRedundancy, APoolOfTooFewFaultDomainsStaysDegraded) {
  PoolMap map = map_of({engine("a/n1", 0, 1), engine("a/n2", 1, 1)});
  ASSERT_TRUE(map.apply(MapOperation::kExclude, used_targets(map, Rank(1))).has_value());
  EXPECT_EQ(pool_state(map, map.version(), 1, {}), "degraded: engine 1 is excluded");
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(pool_state(map, map.version(), 1, {}),
            "degraded: 1 of 2 copies missing, as there are too few fault domains");
  EXPECT_EQ(copies_lacking(map, 1), 1u);
}

TEST(PoolRedundancy, TheShareThatMovesIsWhatOthersGetMore) {
  PoolMap map = map_of({engine("a/n1", 0, 1), engine("a/n2", 1, 1), engine("b/n1", 2, 1), engine("b/n2", 3, 1)});
  EXPECT_EQ(moving_share(map), 0);
  ASSERT_TRUE(map.apply(MapOperation::kDrain, used_targets(map, Rank(3))).has_value());
  EXPECT_NEAR(moving_share(map), 0.25, 1e-9);
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(moving_share(map), 0);
  ASSERT_TRUE(map.apply(MapOperation::kReintegrate, std::vector{TargetId(3)}).has_value());
  EXPECT_NEAR(moving_share(map), 0.25, 1e-9);
}

}  // namespace
}  // namespace cenote::cluster
