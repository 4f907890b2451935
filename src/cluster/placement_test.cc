#include "cenote/cluster/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

using map_examples::engine;
using map_examples::map_of;
using map_examples::racks_of_engines;

constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;

ClassParts replicated(std::uint32_t members, std::uint32_t groups = 1) {
  if (members == 1) return {.groups = groups};
  return {.redundancy = Redundancy::kReplicated, .copies = members - 1, .groups = groups};
}

ObjectPlace object(std::uint64_t number) {
  return ObjectPlace(ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, number));
}

Placement build(const PoolMap& map, std::uint32_t group_size, const Placement* before = nullptr) {
  auto placement = Placement::build(map, group_size, before);
  EXPECT_TRUE(placement.has_value()) << placement.error().to_string();
  return *std::move(placement);
}

void change(PoolMap& map, MapOperation operation, std::vector<TargetId> targets) {
  const auto result = map.apply(operation, targets);
  ASSERT_TRUE(result.has_value()) << result.error().to_string();
}

std::vector<TargetId> add_active(PoolMap& map, const std::vector<EngineSpec>& engines) {
  std::vector<TargetId> added;
  const std::size_t before = map.targets().size();
  EXPECT_TRUE(map.add(engines).has_value());
  for (std::size_t i = before; i < map.targets().size(); ++i) added.emplace_back(static_cast<std::uint32_t>(i));
  change(map, MapOperation::kActivate, added);
  return added;
}

/// The name of the domain of a target at a level, 0 the highest; the target itself at the last.
std::string domain_at(const PoolMap& map, TargetId id, std::size_t level) {
  const MapEngine& engine = map.engines()[map.target(id).engine];
  std::string path = fmt::format("{}/{}/{}/", map.path_of(engine), engine.rank.value(), map.target(id).index);
  std::size_t end = 0;
  for (std::size_t i = 0; i <= level; ++i) end = path.find('/', end) + 1;
  return path.substr(0, end);
}

std::vector<TargetId> wanted_targets(const PoolMap& map) {
  std::vector<TargetId> wanted;
  for (std::uint32_t i = 0; i < map.targets().size(); ++i) {
    if (map.is_wanted(map.targets()[i])) wanted.emplace_back(i);
  }
  return wanted;
}

/// The highest level with enough domains for a group.
std::size_t separation(const PoolMap& map, std::uint32_t group_size) {
  const std::vector<TargetId> wanted = wanted_targets(map);
  for (std::size_t level = 0; level < map.levels().size() + 2; ++level) {
    std::set<std::string> domains;
    for (const TargetId target : wanted) domains.insert(domain_at(map, target, level));
    if (domains.size() >= group_size) return level;
  }
  return map.levels().size() + 2;
}

/// Shares of a group, computed another way than by the library: by raising a common factor until they add up.
std::vector<double> ideal_shares(const PoolMap& map, std::uint32_t group_size) {
  const std::size_t level = separation(map, group_size);
  std::map<std::string, double> weights;
  for (const TargetId target : wanted_targets(map))
    weights[domain_at(map, target, level)] += static_cast<double>(map.target(target).bytes);
  const auto sum = [&weights](double factor) {
    double all = 0;
    for (const auto& [name, weight] : weights) all += std::min(1.0, factor * weight);
    return all;
  };
  double low = 0;
  double high = 1;
  for (int i = 0; i < 200; ++i) (sum((low + high) / 2) < group_size - 1e-9 ? low : high) = (low + high) / 2;
  std::vector<double> shares(map.targets().size());
  for (const TargetId target : wanted_targets(map)) {
    const double domain = weights[domain_at(map, target, level)];
    shares[target.value()] = std::min(1.0, high * domain) * static_cast<double>(map.target(target).bytes) / domain;
  }
  return shares;
}

struct MapShape {
  std::uint32_t racks;
  std::uint32_t nodes;
  std::uint32_t targets_max;
  std::uint32_t sizes;  ///< targets are of 1 to so many TiB
};

PoolMap random_map(std::mt19937& random, const MapShape& shape) {
  std::vector<EngineSpec> engines;
  for (std::uint32_t rack = 0; rack < shape.racks; ++rack) {
    for (std::uint32_t node = 0; node < shape.nodes; ++node) {
      const auto rank = static_cast<std::uint32_t>(engines.size());
      EngineSpec spec = engine(fmt::format("r{}/n{}", rack, node), rank, 1 + random() % shape.targets_max);
      for (std::uint64_t& bytes : spec.target_bytes) bytes = kTiB * (1 + random() % shape.sizes);
      engines.push_back(std::move(spec));
    }
  }
  return map_of(engines);
}

/// A few losses and additions.
void disturb(PoolMap& map, std::mt19937& random) {
  for (std::uint32_t step = 0; step < 6; ++step) {
    const TargetId targets[] = {TargetId(static_cast<std::uint32_t>(random() % map.targets().size()))};
    if (random() % 3 == 0) {
      add_active(map, {engine(fmt::format("r{}/x{}", random() % 5, step),
                              static_cast<std::uint32_t>(1000 + map.engines().size()), 1 + random() % 4)});
    } else {
      (void)map.apply(static_cast<MapOperation>(random() % 4), targets);
    }
    if (random() % 2 == 0) (void)map.settle(map.version());
  }
}

void expect_apart(const PoolMap& map, const GroupLayout& layout, std::size_t level) {
  std::set<std::string> domains;
  for (std::uint32_t i = 0; i < layout.size; ++i) {
    ASSERT_NE(layout.wanted[i], kNoTarget);
    EXPECT_TRUE(map.is_wanted(map.target(layout.wanted[i])));
    domains.insert(domain_at(map, layout.wanted[i], level));
  }
  EXPECT_EQ(domains.size(), layout.size);
}

TEST(Placement, MembersLieInDifferentDomains) {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = random_map(random, {1 + seed % 4, 1 + seed % 5, 4, seed % 2 == 0 ? 1u : 4u});
    if (seed > 6) disturb(map, random);
    const std::size_t wanted = wanted_targets(map).size();
    for (const std::uint32_t group_size : {1u, 2u, 3u, 6u, 10u, 19u}) {
      if (group_size > wanted) continue;
      const Placement placement = build(map, group_size);
      const std::size_t level = separation(map, group_size);
      for (std::uint64_t number = 0; number < 100; ++number) {
        for (std::uint32_t group = 0; group < 4; ++group)
          expect_apart(map, placement.group(object(number), replicated(group_size, 0), group), level);
      }
    }
  }
}

TEST(Placement, AnObjectUsesNoTargetTwice) {
  for (std::uint32_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = random_map(random, {4, 4, 4, seed % 2 == 0 ? 1u : 3u});
    if (seed > 4) disturb(map, random);
    const std::size_t wanted = wanted_targets(map).size();
    const Placement placement = build(map, 1);
    for (std::uint32_t groups = 1; groups <= wanted; groups *= 2) {
      for (std::uint64_t number = 0; number < 40; ++number) {
        std::set<TargetId> used;
        const auto layouts = placement.groups(object(number), replicated(1, groups));
        for (const GroupLayout& layout : layouts) used.insert(layout.wanted[0]);
        EXPECT_EQ(used.size(), groups);
        // One group alone is the same as among all.
        EXPECT_EQ(placement.group(object(number), replicated(1, groups), groups / 2).wanted,
                  layouts[groups / 2].wanted);
      }
    }
  }
}

// The same for groups of several members, up to three quarters of the targets: a group needs what is left to lie apart.
TEST(Placement, AnObjectUsesNoTargetTwiceInGroups) {
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = map_of(racks_of_engines(4, 4, 2 + seed));
    if (seed > 2) disturb(map, random);
    const std::size_t wanted = wanted_targets(map).size();
    for (const std::uint32_t group_size : {2u, 3u}) {
      const Placement placement = build(map, group_size);
      for (std::uint32_t groups = 1; groups * group_size <= wanted * 3 / 4; groups *= 2) {
        for (std::uint64_t number = 0; number < 40; ++number) {
          std::set<TargetId> used;
          for (const GroupLayout& layout : placement.groups(object(number), replicated(group_size, groups)))
            used.insert(layout.wanted.begin(), layout.wanted.begin() + group_size);
          EXPECT_EQ(used.size(), groups * group_size) << groups;
        }
      }
    }
  }
}

/// Members of groups on each target, over objects of one group.
std::vector<double> loads_of(const PoolMap& map, const Placement& placement, std::uint64_t objects, bool random_ids) {
  std::vector<double> loads(map.targets().size());
  const ClassParts parts = replicated(placement.group_size());
  std::mt19937_64 random(7);
  for (std::uint64_t number = 0; number < objects; ++number) {
    const GroupLayout layout = placement.group(object(random_ids ? random() : number), parts, 0);
    for (std::uint32_t i = 0; i < layout.size; ++i) {
      if (layout.wanted[i] != kNoTarget) loads[layout.wanted[i].value()] += 1;
    }
  }
  return loads;
}

void expect_balance(const PoolMap& map, std::uint32_t group_size, bool random_ids) {
  const Placement placement = build(map, group_size);
  const std::vector<double> ideal = ideal_shares(map, group_size);
  double least = 1;
  for (const TargetId target : wanted_targets(map)) least = std::min(least, ideal[target.value()]);
  // So many that the target with the smallest share is in a thousand groups.
  const auto objects = static_cast<std::uint64_t>(std::ceil(1000 / least));
  const std::vector<double> loads = loads_of(map, placement, objects, random_ids);
  for (const TargetId target : wanted_targets(map)) {
    const double relative = loads[target.value()] / (ideal[target.value()] * static_cast<double>(objects));
    EXPECT_NEAR(relative, 1, 0.1) << "target " << target.value() << ", groups of " << group_size;
  }
}

TEST(Placement, LoadIsWithinTenPercentOfEven) {
  for (const bool random_ids : {false, true}) {
    const PoolMap even = map_of(racks_of_engines(4, 3, 4));
    for (const std::uint32_t group_size : {1u, 3u, 6u}) expect_balance(even, group_size, random_ids);
  }
}

TEST(Placement, LoadFollowsUnevenSizesAndDomains) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    const PoolMap map = random_map(random, {2 + seed % 3, 3, 4, 3});
    for (const std::uint32_t group_size : {1u, 2u, 3u, 4u}) expect_balance(map, group_size, false);
  }
}

// Drawing a group's members one after the other gives a large domain too little, here 1/4 less than it can hold.
TEST(Placement, ALargeDomainGetsAllThatSeparationPermits) {
  std::vector<EngineSpec> engines;
  for (std::uint32_t rack = 0; rack < 5; ++rack)
    engines.push_back(engine(fmt::format("r{}/n", rack), rack, rack == 0 ? 8 : 3));
  const PoolMap map = map_of(engines);
  for (const std::uint32_t group_size : {2u, 3u, 4u, 5u}) expect_balance(map, group_size, false);
}

TEST(Placement, LoadStaysEvenThroughLossesAndExtensions) {
  PoolMap map = map_of(racks_of_engines(4, 4, 4));
  change(map, MapOperation::kExclude, *map.below("rack1/node2"));
  ASSERT_TRUE(map.settle(map.version()).has_value());
  for (const std::uint32_t group_size : {1u, 3u}) expect_balance(map, group_size, false);
  add_active(map, racks_of_engines(2, 4, 4, 10));
  for (const std::uint32_t group_size : {1u, 3u}) expect_balance(map, group_size, false);
  change(map, MapOperation::kDrain, *map.below("rack0"));
  for (const std::uint32_t group_size : {1u, 3u}) expect_balance(map, group_size, false);
}

/// Groups that are looked at.
constexpr std::uint32_t kMovementGroups = 6000;

struct Movement {
  double moved = 0;   ///< members that change their target
  double gained = 0;  ///< members on `targets` afterwards
  double lost = 0;    ///< members on `targets` before
};

Movement movement(const Placement& before, const Placement& after, const std::vector<TargetId>& targets,
                  std::uint32_t groups) {
  const std::set<TargetId> chosen(targets.begin(), targets.end());
  Movement movement;
  const ClassParts parts = replicated(before.group_size(), groups);
  for (std::uint64_t number = 0; number < kMovementGroups / groups; ++number) {
    const auto old_layouts = before.groups(object(number), parts);
    const auto new_layouts = after.groups(object(number), parts);
    for (std::size_t g = 0; g < old_layouts.size(); ++g) {
      for (std::uint32_t i = 0; i < before.group_size(); ++i) {
        movement.moved += old_layouts[g].wanted[i] != new_layouts[g].wanted[i] ? 1 : 0;
        movement.lost += chosen.contains(old_layouts[g].wanted[i]) ? 1 : 0;
        movement.gained += chosen.contains(new_layouts[g].wanted[i]) ? 1 : 0;
      }
    }
  }
  return movement;
}

/// Most that may move for each member that must. Groups of an object that is walked hang on those before them.
double movement_max(const Placement& before, const Placement& after, std::uint32_t groups) {
  const ClassParts parts = replicated(before.group_size(), groups);
  return before.is_walked(parts) || after.is_walked(parts) ? 1.4 : 1.2;
}

TEST(Placement, ALossMovesWhatWasLost) {
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    for (const std::uint32_t group_size : {1u, 2u, 3u}) {
      PoolMap map = random_map(random, {4, 4, 4, seed});
      // Also where others are lost already.
      for (std::uint32_t loss = 0; loss < 3; ++loss) {
        const std::vector<TargetId> lost = {wanted_targets(map)[random() % wanted_targets(map).size()]};
        const Placement before = build(map, group_size);
        change(map, MapOperation::kExclude, lost);
        const Placement after = build(map, group_size);
        for (const std::uint32_t groups : {1u, 4u}) {
          const Movement moved = movement(before, after, lost, groups);
          EXPECT_LE(moved.moved, movement_max(before, after, groups) * moved.lost)
              << group_size << " x " << groups << ", loss " << loss;
          EXPECT_EQ(moved.gained, 0);
        }
        // Its return is the same the other way round.
        PoolMap returned = map;
        change(returned, MapOperation::kReintegrate, lost);
        EXPECT_EQ(movement(before, build(returned, group_size), lost, 1).moved, 0);
      }
    }
  }
}

TEST(Placement, AnAdditionMovesOnlyToWhatWasAdded) {
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    for (const std::uint32_t group_size : {1u, 2u, 3u}) {
      PoolMap map = random_map(random, {4, 4, 4, seed});
      if (seed == 3) change(map, MapOperation::kExclude, {TargetId(3)});
      // One target, an engine, another rack; the rounds of the tables double on the way.
      for (std::uint32_t addition = 0; addition < 4; ++addition) {
        const Placement before = build(map, group_size);
        const std::uint32_t racks[] = {0, 1, 20};
        const auto added = add_active(
            map, {engine(fmt::format("r{}/x{}", racks[addition % 3], addition), 500 + addition, 1 + addition * 4)});
        const Placement after = build(map, group_size);
        const std::vector<double> ideal = ideal_shares(map, group_size);
        double share = 0;
        for (const TargetId target : added) share += ideal[target.value()];
        for (const std::uint32_t groups : {1u, 4u}) {
          const Movement moved = movement(before, after, added, groups);
          EXPECT_LE(moved.moved, movement_max(before, after, groups) * moved.gained)
              << group_size << " x " << groups << ", addition " << addition;
          const std::uint32_t all = kMovementGroups / groups * groups;
          EXPECT_NEAR(moved.gained / (share * all), 1, 0.15) << group_size << " x " << groups;
        }
      }
    }
  }
}

TEST(Placement, ANewLevelOfDomainsTakesGroupsApart) {
  PoolMap map = map_of(racks_of_engines(2, 4, 4));
  EXPECT_EQ(separation(map, 3), 1u);
  add_active(map, racks_of_engines(1, 4, 4, 2));
  EXPECT_EQ(separation(map, 3), 0u);
  const Placement placement = build(map, 3);
  for (std::uint64_t number = 0; number < 500; ++number)
    expect_apart(map, placement.group(object(number), replicated(3), 0), 0);
  expect_balance(map, 3, false);
}

// Racks that are too few for a group of ten hold two or three of its members each, never more, and nodes one.
TEST(Placement, MembersSpreadEvenlyOverTooFewDomains) {
  const PoolMap map = map_of(racks_of_engines(4, 4, 3));
  ASSERT_EQ(separation(map, 10), 1u);
  const Placement placement = build(map, 10);
  for (std::uint64_t number = 0; number < 200; ++number) {
    const GroupLayout layout = placement.group(object(number), replicated(10), 0);
    expect_apart(map, layout, 1);
    std::map<std::string, std::uint32_t> members;
    for (std::uint32_t i = 0; i < 10; ++i) ++members[domain_at(map, layout.wanted[i], 0)];
    EXPECT_EQ(members.size(), 4u);
    for (const auto& [rack, count] : members) EXPECT_LE(count, 3u) << rack;
  }
}

TEST(Placement, AnyNumberOfLevels) {
  for (std::size_t levels = 0; levels <= kMaxMapLevels; levels += 2) {
    std::vector<EngineSpec> engines;
    for (std::uint32_t rank = 0; rank < 12; ++rank) {
      std::string path;
      for (std::size_t level = 0; level < levels; ++level) path += fmt::format("d{}/", rank % (level + 1));
      engines.push_back(engine(path + fmt::format("n{}", rank / 2), rank, 2));
    }
    std::vector<std::string> names;
    for (std::size_t level = 0; level < levels; ++level) names.push_back(fmt::format("level{}", level));
    const PoolMap map = *PoolMap::create(map_examples::id(0), names, engines);
    for (const std::uint32_t group_size : {1u, 2u, 4u, 8u}) {
      const Placement placement = build(map, group_size);
      for (std::uint64_t number = 0; number < 50; ++number) {
        expect_apart(map, placement.group(object(number), replicated(group_size), 0), separation(map, group_size));
      }
    }
  }
}

TEST(Placement, NewEnginesChangeNothing) {
  PoolMap map = map_of(racks_of_engines(3, 3, 3));
  change(map, MapOperation::kExclude, {TargetId(5)});
  const Placement before = build(map, 3);
  ASSERT_TRUE(map.add(racks_of_engines(2, 3, 3, 7)).has_value());
  const Placement after = build(map, 3);
  for (std::uint64_t number = 0; number < 300; ++number) {
    const GroupLayout old_layout = before.group(object(number), replicated(3), 0);
    const GroupLayout new_layout = after.group(object(number), replicated(3), 0);
    EXPECT_EQ(old_layout.complete, new_layout.complete);
    EXPECT_EQ(old_layout.wanted, new_layout.wanted);
  }
}

TEST(Placement, WhatWasBuiltBeforeGivesTheSame) {
  std::mt19937 random(3);
  PoolMap map = map_of(racks_of_engines(3, 3, 2));
  Placement placement = build(map, 2);
  for (std::uint32_t step = 0; step < 6; ++step) {
    disturb(map, random);
    placement = build(map, 2, &placement);
    const Placement anew = build(map, 2);
    for (std::uint64_t number = 0; number < 100; ++number) {
      const GroupLayout layout = placement.group(object(number), replicated(2), 0);
      EXPECT_EQ(layout.complete, anew.group(object(number), replicated(2), 0).complete);
      EXPECT_EQ(layout.wanted, anew.group(object(number), replicated(2), 0).wanted);
    }
  }
}

// I10. A change of these numbers moves the data of every pool: it needs a feature bit of the map, and both ways of
// placing.
TEST(Placement, LayoutsNeverChange) {
  PoolMap map = map_of(racks_of_engines(4, 3, 4));
  change(map, MapOperation::kExclude, {TargetId(5)});
  add_active(map, {engine("rack1/more", 77, 3, 3 * kTiB)});
  Bytes bytes;
  Encoder encoder(bytes);
  for (const std::uint32_t group_size : {1u, 3u, 10u}) {
    const Placement placement = build(map, group_size);
    for (std::uint64_t number = 0; number < 200; ++number) {
      for (const std::uint32_t groups : {0u, 1u, 4u, 16u}) {
        const GroupLayout layout = placement.group(object(number), replicated(group_size, groups), groups / 2);
        for (std::uint32_t i = 0; i < group_size; ++i) {
          encoder.integer(layout.complete[i].value());
          encoder.integer(layout.wanted[i].value());
        }
      }
    }
  }
  EXPECT_EQ(crc32c(bytes), 418444536u);
}

TEST(Placement, ContainersWithTheSameIdsAreApart) {
  const PoolMap map = map_of(racks_of_engines(4, 4, 4));
  const Placement placement = build(map, 1);
  const ObjectId root = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 0);
  std::set<TargetId> used;
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    used.insert(placement.group(ObjectPlace(root, PlacementSeed(seed)), replicated(1), 0).wanted[0]);
  EXPECT_GT(used.size(), 50u);
}

TEST(Placement, DkeysFindTheirGroups) {
  const ObjectId file = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 1);
  Bytes key(8);
  store_le(key.data(), std::uint64_t{37});
  EXPECT_EQ(group_of(file, replicated(1, 0), key), 37u);
  EXPECT_EQ(group_of(file, replicated(1, 8), key), 5u);
  const ObjectId map = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);
  EXPECT_EQ(group_of(map, replicated(3, 8), as_bytes("name")), hash64(as_bytes("name")) % 8);
  EXPECT_EQ(group_of(map, replicated(3, 1), as_bytes("name")), 0u);
}

// A file's chunks go round all targets before one is used again.
TEST(Placement, ConsecutiveDkeysOfAFileLieOnDifferentTargets) {
  const PoolMap map = map_of(racks_of_engines(4, 4, 4));
  const Placement placement = build(map, 1);
  for (std::uint64_t number = 0; number < 20; ++number) {
    std::set<TargetId> used;
    for (std::uint32_t chunk = 0; chunk < 64; ++chunk)
      used.insert(placement.group(object(number), replicated(1, 0), chunk).wanted[0]);
    EXPECT_EQ(used.size(), 64u);
  }
}

TEST(Placement, TooFewTargets) {
  PoolMap map = map_of(racks_of_engines(1, 2, 1));
  EXPECT_EQ(Placement::build(map, 3).error().code(), Code::kResourceExhausted);
  EXPECT_EQ(Placement::build(map, 0).error().code(), Code::kOutOfRange);
  EXPECT_EQ(Placement::build(map, 20).error().code(), Code::kOutOfRange);
  // A group goes on with those that are left.
  change(map, MapOperation::kExclude, {TargetId(0)});
  const GroupLayout layout = build(map, 2).group(object(1), replicated(2), 0);
  EXPECT_EQ(layout.readers().size(), 1u);
  EXPECT_EQ(layout.writers().size(), 1u);
  EXPECT_EQ(layout.writers()[0].target, TargetId(1));
}

/// What targets hold of one group, against the layouts: who is read must have every write.
class GroupModel {
 public:
  GroupModel(std::uint64_t number, std::uint32_t group_size) : number_(number), parts_(replicated(group_size)) {}

  void write(const Placement& placement) {
    ++writes_;
    for (const Holder& holder : layout(placement).writers()) held_[holder.target].insert(writes_);
  }
  bool check_readers(const Placement& placement) const {
    const Holders readers = layout(placement).readers();
    for (const Holder& reader : readers) EXPECT_EQ(held(reader.target), writes_) << "target " << reader.target.value();
    EXPECT_GE(readers.size() + placement.incomplete_domains(), parts_.group_size());
    return !readers.empty();
  }
  /// A rebuild that has come to its end.
  void move(const Placement& placement) {
    const GroupLayout group = layout(placement);
    if (group.readers().empty()) return;
    for (std::uint32_t i = 0; i < group.size; ++i) {
      for (std::uint32_t write = 1; group.wanted[i] != kNoTarget && write <= writes_; ++write)
        held_[group.wanted[i]].insert(write);
    }
  }

 private:
  GroupLayout layout(const Placement& placement) const { return placement.group(object(number_), parts_, 0); }
  std::uint32_t held(TargetId target) const {
    const auto found = held_.find(target);
    return found == held_.end() ? 0 : static_cast<std::uint32_t>(found->second.size());
  }

  std::uint64_t number_;
  ClassParts parts_;
  std::uint32_t writes_ = 0;
  std::map<TargetId, std::set<std::uint32_t>> held_;
};

/// One random change of the map that leaves every group a reader.
PoolMap next_map(PoolMap map, std::mt19937& random, std::uint32_t step) {
  const TargetId targets[] = {TargetId(static_cast<std::uint32_t>(random() % map.targets().size()))};
  const auto kind = random() % 8;
  if (kind == 0) {
    const EngineSpec more[] = {engine(fmt::format("rack{}/x{}", random() % 4, step), 1000 + step, 1 + random() % 2)};
    (void)map.add(more);
  } else if (kind == 1) {
    (void)map.settle(map.version());
  } else {
    (void)map.apply(static_cast<MapOperation>(random() % 4), targets);
  }
  return map;
}

// Reads see complete holders only, whatever order losses, returns, drains, extensions and ends of moves come in.
TEST(Placement, ReadersHaveEveryWrite) {
  constexpr std::uint32_t kGroupSize = 3;
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = map_of(racks_of_engines(2, 3, 2));
    std::vector<GroupModel> groups;
    for (std::uint64_t number = 0; number < 12; ++number) groups.emplace_back(number, kGroupSize);
    Placement placement = build(map, kGroupSize);
    std::uint32_t settled = 0;
    for (std::uint32_t step = 0; step < 60; ++step) {
      for (GroupModel& group : groups) group.write(placement);
      const PoolMap next = next_map(map, random, step);
      if (next.version() == map.version()) continue;
      const Placement changed = build(next, kGroupSize, &placement);
      if (next.settled() != map.settled()) {
        for (GroupModel& group : groups) group.move(placement);
        ++settled;
      }
      bool all_readable = true;
      for (const GroupModel& group : groups) all_readable = group.check_readers(changed) && all_readable;
      if (!all_readable) continue;  // more losses at once than the groups bear
      map = next;
      placement = changed;
    }
    EXPECT_GT(settled, 0u);
  }
}

TEST(Placement, AnEndedMoveLeavesTheLayoutItMovedTo) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    PoolMap map = random_map(random, {3, 3, 3, 2});
    disturb(map, random);
    if (!map.is_moving()) change(map, MapOperation::kDrain, {wanted_targets(map)[0]});
    const Placement before = build(map, 2);
    PoolMap moved = map;
    ASSERT_TRUE(moved.settle(map.version()).has_value());
    const Placement after = build(moved, 2);
    const Placement reused = build(moved, 2, &before);
    for (std::uint64_t number = 0; number < 300; ++number) {
      const GroupLayout wanted = before.group(object(number), replicated(2), 0);
      const GroupLayout held = after.group(object(number), replicated(2), 0);
      EXPECT_EQ(held.complete, wanted.wanted);
      EXPECT_EQ(held.wanted, wanted.wanted);
      EXPECT_EQ(reused.group(object(number), replicated(2), 0).complete, held.complete);
    }
  }
}

}  // namespace
}  // namespace cenote::cluster
