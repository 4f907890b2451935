#include "cenote/cluster/pool_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "cenote/base/format.h"
#include "cenote/protocol/object_requests.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

using map_examples::map_of;
using map_examples::racks_of_engines;

ObjectId object(ObjectClass object_class, std::uint64_t number) {
  return ObjectId::make(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, number);
}

std::shared_ptr<const PoolLayout> layout_of(PoolMap map) {
  auto layout = PoolLayout::build(std::move(map));
  EXPECT_TRUE(layout.has_value()) << layout.error().to_string();
  return *std::move(layout);
}

TEST(PoolLayout, WithoutAMapItIsTheHashOfEarlierVersions) {
  const auto layout = PoolLayout::without_map(7);
  EXPECT_EQ(layout->version(), MapVersion(1));
  for (std::uint64_t number = 0; number < 100; ++number) {
    const ObjectId id = object(ObjectClass::kSX, number);
    EXPECT_EQ(layout->home(id, PlacementSeed(number), as_bytes("key"))->value(), target_of(id, as_bytes("key"), 7));
  }
  EXPECT_EQ(layout->place_of(TargetId(6)), (TargetPlace{Rank(0), 6}));
  EXPECT_EQ(layout->all()->size(), 7u);
}

TEST(PoolLayout, DkeysOfNarrowObjectsStayTogetherAndOthersSpread) {
  const auto layout = layout_of(map_of(racks_of_engines(2, 2, 3)));
  std::set<TargetId> used;
  for (std::uint64_t number = 0; number < 200; ++number) {
    const ObjectId narrow = object(ObjectClass::kS1, number);
    const TargetId home = *layout->home(narrow, PlacementSeed(9), {});
    const ObjectId wide = object(ObjectClass::kSX, number);
    for (const char* dkey : {"a", "b", "c"}) {
      EXPECT_EQ(layout->home(narrow, PlacementSeed(9), as_bytes(dkey)), home);
      used.insert(*layout->home(wide, PlacementSeed(9), as_bytes(dkey)));
    }
  }
  EXPECT_EQ(used.size(), layout->target_count()) << "dkeys of wide objects use every target";
  EXPECT_EQ(layout->place_of(TargetId(4)), (TargetPlace{Rank(1), 1}));
}

TEST(PoolLayout, SeedsKeepContainersApart) {
  const auto layout = layout_of(map_of(racks_of_engines(2, 2, 3)));
  std::set<TargetId> homes;
  for (std::uint64_t seed = 0; seed < 100; ++seed)
    homes.insert(*layout->home(object(ObjectClass::kS1, 0), PlacementSeed(seed), {}));
  EXPECT_GT(homes.size(), 9u) << "the roots of a hundred containers lie all over the pool";
}

TEST(PoolLayout, WhatIsLostIsNamedAndNotLookedForElsewhere) {
  PoolMap map = map_of(racks_of_engines(2, 2, 2));
  const auto before = layout_of(map);
  const TargetId lost(3);
  ASSERT_TRUE(map.apply(MapOperation::kExclude, std::vector{lost}).has_value());
  const auto after = layout_of(map);
  EXPECT_EQ(after->version(), MapVersion(2));
  std::uint32_t refused = 0;
  for (std::uint64_t number = 0; number < 400; ++number) {
    const ObjectId id = object(ObjectClass::kS1, number);
    const TargetId was = *before->home(id, {}, {});
    const auto is = after->home(id, {}, {});
    if (was == lost) {
      ASSERT_FALSE(is.has_value());
      EXPECT_EQ(is.error(), Code::kNotReady);
      ++refused;
    } else {
      EXPECT_EQ(*is, was);
    }
  }
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(after->all().error(), Code::kNotReady) << "a listing that misses a target is none";
}

TEST(PoolLayout, LeadersSpreadOverTheMembersOfAGroup) {
  const auto layout = layout_of(map_of(racks_of_engines(1, 5, 2)));
  const ObjectId id = object(*parse_class("RP_3G1"), 1);
  const GroupLayout members = *layout->group(*PoolLayout::key_of(id, PlacementSeed(5), as_bytes("any")));
  std::map<TargetId, int> led;
  for (int dkey = 0; dkey < 3000; ++dkey) {
    const std::string name = fmt::format("dkey{}", dkey);
    const auto readers = layout->readers(id, PlacementSeed(5), as_bytes(name));
    ASSERT_EQ(readers->size(), 3u);
    EXPECT_EQ(readers->front(), *layout->home(id, PlacementSeed(5), as_bytes(name))) << "the leader comes first";
    EXPECT_EQ(std::set<TargetId>(readers->begin(), readers->end()).size(), 3u);
    ++led[readers->front()];
  }
  ASSERT_EQ(led.size(), 3u);
  for (std::uint32_t i = 0; i < members.size; ++i) EXPECT_NEAR(led[members.complete[i]], 1000, 150);
}

TEST(PoolLayout, AnotherMemberLeadsWhenTheLeaderIsLost) {
  PoolMap map = map_of(racks_of_engines(1, 3, 1));
  const auto before = layout_of(map);
  const TargetId lost(1);
  ASSERT_TRUE(map.apply(MapOperation::kExclude, std::vector{lost}).has_value());
  const auto after = layout_of(map);
  const ObjectId id = object(*parse_class("RP_2GX"), 7);
  int moved = 0, kept = 0;
  for (int dkey = 0; dkey < 300; ++dkey) {
    const std::string name = fmt::format("dkey{}", dkey);
    const auto old_readers = *before->readers(id, {}, as_bytes(name));
    const auto new_readers = *after->readers(id, {}, as_bytes(name));
    for (const TargetId reader : new_readers) {
      EXPECT_NE(reader, lost);
      EXPECT_NE(std::ranges::find(old_readers, reader), old_readers.end()) << "only who had the data is read from";
    }
    (old_readers.front() == lost ? moved : kept) += 1;
    if (old_readers.front() != lost) EXPECT_EQ(new_readers.front(), old_readers.front());
  }
  EXPECT_GT(moved, 0);
  EXPECT_GT(kept, 0);
  EXPECT_EQ(after->all_complete(), (std::vector{TargetId(0), TargetId(2)}));
}

TEST(PoolLayout, WhatCannotBeKeptIsRefused) {
  const auto layout = layout_of(map_of(racks_of_engines(1, 2, 1)));
  EXPECT_EQ(layout->home(object(*parse_class("RP_3G1"), 1), {}, {}).error(), Code::kResourceExhausted);
  EXPECT_EQ(layout->home(object(*parse_class("EC_2P1G1"), 1), {}, {}).error(), Code::kUnsupported);
  const ObjectId id = object(*parse_class("RP_2G1"), 1);
  EXPECT_EQ(PoolLayout::without_map(4)->group(*PoolLayout::key_of(id, {}, {})).error(), Code::kUnsupported);
}

}  // namespace
}  // namespace cenote::cluster
