#include "cenote/cluster/pool_map.h"

#include <gtest/gtest.h>

#include <random>

#include "map_examples.h"
#include "map_transitions.h"

namespace cenote::cluster {
namespace {

using State = ComponentState;
using map_examples::engine;
using map_examples::id;
using map_examples::map_of;
using map_examples::racks_of_engines;

PoolMap small() { return map_of(racks_of_engines(2, 2, 2)); }

Result<> apply(PoolMap& map, MapOperation operation, std::uint32_t target) {
  const TargetId targets[] = {TargetId(target)};
  auto result = map.apply(operation, targets);
  map.check_invariants();
  return result;
}

TEST(PoolMap, FirstEnginesAreComplete) {
  const PoolMap map = small();
  map.check_invariants();
  EXPECT_EQ(map.version(), MapVersion(1));
  EXPECT_EQ(map.targets().size(), 8u);
  EXPECT_EQ(map.domains().size(), 6u);
  for (const MapTarget& target : map.targets()) EXPECT_EQ(target.state, State::kUpIn);
  EXPECT_FALSE(map.is_moving());
}

TEST(PoolMap, PathsNameComponents) {
  const PoolMap map = small();
  EXPECT_EQ(map.path_of(map.engines()[3]), "rack1/node1");
  EXPECT_EQ(map.below("rack1")->size(), 4u);
  EXPECT_EQ(map.below("rack1/node1")->size(), 2u);
  EXPECT_EQ(map.below("rack1/node1/3")->size(), 2u);
  EXPECT_EQ(*map.below("rack1/node1/3/1"), std::vector{TargetId(7)});
  EXPECT_EQ(map.below("")->size(), 8u);
  for (const char* none : {"rack", "rack1/", "node1", "rack1/node1/4", "rack1/node1/3/2"})
    EXPECT_EQ(map.below(none).error().code(), Code::kNotFound) << none;
}

TEST(PoolMap, BadEnginesAreRefusedAndChangeNothing) {
  PoolMap map = small();
  const PoolMap before = map;
  const auto code = [&map](EngineSpec spec) {
    const EngineSpec specs[] = {engine("rack9/node9", 90, 1), std::move(spec)};
    return map.add(specs).error().code();
  };
  for (const char* path : {"", "node", "a/b/c", "a//b", "/a/b", "a/b/", "a/ b", "a/\xc3\xa4"})
    EXPECT_EQ(code(engine(path, 9, 1)), Code::kInvalidArgument) << path;
  EXPECT_EQ(code(engine("a/" + std::string(64, 'n'), 9, 1)), Code::kInvalidArgument);
  EXPECT_EQ(code(engine("a/b", 3, 1)), Code::kExists);
  EXPECT_EQ(code({.path = "a/b", .rank = Rank(9), .id = id(2), .target_bytes = {1}}), Code::kExists);
  EXPECT_EQ(code(engine("a/b", 9, 0)), Code::kInvalidArgument);
  EXPECT_EQ(code(engine("a/b", 9, 1, 0)), Code::kInvalidArgument);
  EXPECT_EQ(code(engine("a/b", 9, kMaxEngineTargets + 1)), Code::kOutOfRange);
  EXPECT_EQ(map, before);
  EXPECT_FALSE(PoolMap::create(id(1), {"rack", "rack"}, racks_of_engines(1, 1, 1)).has_value());
  EXPECT_FALSE(PoolMap::create(id(1), std::vector<std::string>(9, "x"), racks_of_engines(1, 1, 1)).has_value());
  EXPECT_FALSE(PoolMap::create(id(1), {"rack"}, {}).has_value());
}

TEST(PoolMap, LossAndReturn) {
  PoolMap map = small();
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 0).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kDown);
  EXPECT_TRUE(map.is_relied_on(map.targets()[0]));
  EXPECT_FALSE(map.is_wanted(map.targets()[0]));

  // Back before others have its data: its place is still its own, but it cannot be read.
  ASSERT_TRUE(apply(map, MapOperation::kReintegrate, 0).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kUp);
  EXPECT_TRUE(map.is_relied_on(map.targets()[0]));
  EXPECT_TRUE(map.is_wanted(map.targets()[0]));
  EXPECT_FALSE(PoolMap::is_complete(map.targets()[0]));
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 0).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kDown);

  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kDownOut);
  ASSERT_TRUE(apply(map, MapOperation::kReintegrate, 0).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kUp);
  EXPECT_FALSE(map.is_relied_on(map.targets()[0]));  // others have its data now
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(map.target(TargetId(0)).state, State::kUpIn);
  map.check_invariants();
}

TEST(PoolMap, ExtensionAndLossWhileFilling) {
  PoolMap map = small();
  const EngineSpec more[] = {engine("rack2/node0", 9, 2)};
  ASSERT_TRUE(map.add(more).has_value());
  EXPECT_FALSE(map.is_moving());
  const TargetId added[] = {TargetId(8), TargetId(9)};
  ASSERT_TRUE(map.apply(MapOperation::kActivate, added).has_value());
  EXPECT_EQ(map.target(TargetId(8)).joined, map.version());
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 9).has_value());
  EXPECT_EQ(map.target(TargetId(9)).state, State::kDownOut);
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(map.target(TargetId(8)).state, State::kUpIn);
  EXPECT_EQ(map.target(TargetId(9)).state, State::kDownOut);
  map.check_invariants();
}

// The place of the lost target goes to others, who need not be those that had the data before it came.
TEST(PoolMap, AnExtensionThatWasLostAsAWholeIsAMove) {
  PoolMap map = small();
  const EngineSpec more[] = {engine("rack2/node0", 9, 1)};
  ASSERT_TRUE(map.add(more).has_value());
  ASSERT_TRUE(apply(map, MapOperation::kActivate, 8).has_value());
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 8).has_value());
  EXPECT_TRUE(map.is_moving());
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_FALSE(map.is_moving());
  EXPECT_EQ(map.target(TargetId(8)).state, State::kDownOut);
  map.check_invariants();
}

TEST(PoolMap, DrainIsEndedOrTakenBack) {
  PoolMap map = small();
  ASSERT_TRUE(apply(map, MapOperation::kDrain, 1).has_value());
  EXPECT_TRUE(PoolMap::is_complete(map.targets()[1]));
  EXPECT_FALSE(map.is_wanted(map.targets()[1]));
  ASSERT_TRUE(apply(map, MapOperation::kReintegrate, 1).has_value());
  EXPECT_EQ(map.target(TargetId(1)).state, State::kUpIn);
  ASSERT_TRUE(apply(map, MapOperation::kDrain, 1).has_value());
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(map.target(TargetId(1)).state, State::kDownOut);
  map.check_invariants();
}

// A move that began before a change has not brought everything to where the changed map wants it.
TEST(PoolMap, AMoveEndsOnlyForTheLatestLayout) {
  PoolMap map = small();
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 0).has_value());
  const MapVersion first = map.version();
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 5).has_value());
  EXPECT_EQ(map.settle(first).error().code(), Code::kStaleMap);
  // New engines want nothing moved until they are activated.
  const MapVersion second = map.version();
  const EngineSpec more[] = {engine("rack2/node0", 9, 2)};
  ASSERT_TRUE(map.add(more).has_value());
  EXPECT_EQ(map.settle(MapVersion(map.version().value() + 1)).error().code(), Code::kInvalidArgument);
  EXPECT_TRUE(map.settle(second).has_value());
  EXPECT_EQ(map.settle(map.version()).error().code(), Code::kInvalidArgument);
}

TEST(PoolMap, TheTableHasOneRowForACase) {
  const auto rows = map_transitions();
  for (std::size_t a = 0; a < rows.size(); ++a) {
    for (std::size_t b = a + 1; b < rows.size(); ++b) {
      const bool same_case = rows[a].operation == rows[b].operation && rows[a].from == rows[b].from &&
                             (!rows[a].relied_on || rows[a].relied_on == rows[b].relied_on);
      EXPECT_FALSE(same_case) << rows[a].name << " / " << rows[b].name;
      EXPECT_NE(rows[a].name, rows[b].name);
    }
  }
}

TEST(PoolMap, WhatIsNotInTheTableIsRefused) {
  struct Case {
    MapOperation operation;
    State from;
  };
  const Case refused[] = {
      {MapOperation::kActivate, State::kUp},      {MapOperation::kActivate, State::kUpIn},
      {MapOperation::kActivate, State::kDownOut}, {MapOperation::kExclude, State::kNew},
      {MapOperation::kExclude, State::kDown},     {MapOperation::kExclude, State::kDownOut},
      {MapOperation::kDrain, State::kNew},        {MapOperation::kDrain, State::kUp},
      {MapOperation::kDrain, State::kDraining},   {MapOperation::kDrain, State::kDown},
      {MapOperation::kDrain, State::kDownOut},    {MapOperation::kReintegrate, State::kNew},
      {MapOperation::kReintegrate, State::kUp},   {MapOperation::kReintegrate, State::kUpIn},
  };
  for (const Case& c : refused) {
    for (const bool relied_on : {false, true}) EXPECT_EQ(find_transition(c.operation, c.from, relied_on), nullptr);
  }
  PoolMap map = small();
  const PoolMap before = map;
  const TargetId some_wrong[] = {TargetId(0), TargetId(0)};
  EXPECT_EQ(map.apply(MapOperation::kExclude, some_wrong).error().code(), Code::kInvalidArgument);
  const TargetId none[] = {TargetId(8)};
  EXPECT_EQ(map.apply(MapOperation::kExclude, none).error().code(), Code::kNotFound);
  EXPECT_EQ(map, before);
}

TEST(PoolMap, ComponentsAreAsTheirBestTarget) {
  PoolMap map = small();
  const auto node = *map.below("rack0/node0");
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 0).has_value());
  EXPECT_EQ(map.state_of(node), State::kUpIn);
  EXPECT_EQ(map.changed_of(node), MapVersion(2));
  ASSERT_TRUE(apply(map, MapOperation::kExclude, 1).has_value());
  EXPECT_EQ(map.state_of(node), State::kDown);
  EXPECT_EQ(map.changed_of(node), MapVersion(3));
}

// Any sequence of operations leaves a map that holds its invariants and comes back from its stored form.
TEST(PoolMap, RandomHistories) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = small();
    for (std::uint32_t step = 0; step < 60; ++step) {
      const std::uint64_t version = map.version().value();
      const auto kind = random() % 8;
      bool changed = false;
      if (kind == 0) {
        const EngineSpec more[] = {engine(fmt::format("rack{}/node{}", random() % 4, random() % 4), 100 + step, 2)};
        changed = map.add(more).has_value();
      } else if (kind == 1) {
        changed = map.settle(MapVersion(version - random() % 2)).has_value();
      } else {
        const TargetId targets[] = {TargetId(static_cast<std::uint32_t>(random() % map.targets().size()))};
        changed = map.apply(static_cast<MapOperation>(random() % 4), targets).has_value();
      }
      map.check_invariants();
      EXPECT_EQ(map.version().value(), version + (changed ? 1 : 0));
    }
    const auto again = decode_pool_map(encode_pool_map(map));
    ASSERT_TRUE(again.has_value()) << again.error().to_string();
    EXPECT_EQ(*again, map);
  }
}

}  // namespace
}  // namespace cenote::cluster
