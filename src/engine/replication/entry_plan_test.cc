#include "entry_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

using cluster::TargetId;

ObjectId object(std::string_view class_name, std::uint64_t number) {
  return ObjectId::make(*parse_class(class_name), KeyFlavour::kLexical, KeyFlavour::kLexical, 0, number);
}

cluster::PoolMap map_of(std::uint32_t engines, std::size_t targets) {
  std::vector<cluster::EngineSpec> specs;
  for (std::uint32_t rank = 0; rank < engines; ++rank) {
    specs.push_back({.path = fmt::format("node{}", rank),
                     .rank = cluster::Rank(rank),
                     .id = Uuid::from_random(3, rank),
                     .target_bytes = std::vector<std::uint64_t>(targets, 1u << 30)});
  }
  return *cluster::PoolMap::create(Uuid::from_random(1, 1), {}, specs);
}

std::shared_ptr<const cluster::PoolLayout> layout_of(const cluster::PoolMap& map) {
  return *cluster::PoolLayout::build(map);
}

CommitRequest change() {
  CommitRequest request;
  request.container = Uuid::from_random(8, 8);
  return request;
}

void add_update(CommitRequest& request, const ObjectId& object, std::string_view dkey) {
  UpdateRequest& update = request.updates.emplace_back();
  update.container = request.container;
  update.object = object;
  update.dkey = as_bytes(dkey);
}

void add_punch(CommitRequest& request, const ObjectId& object) {
  PunchRequest& punch = request.punches.emplace_back();
  punch.container = request.container;
  punch.object = object;
}

TEST(EntryPlan, OneGroupIsAskedAsAWhole) {
  const auto layout = layout_of(map_of(4, 2));
  CommitRequest request = change();
  add_update(request, object("RP_3GX", 1), "d");
  const EntryPlan plan = *plan_entry(request, *layout, {});
  ASSERT_EQ(plan.note.groups.size(), 1u);
  EXPECT_EQ(plan.members.size(), 3u);
  for (const EntryPlan::Member& member : plan.members) EXPECT_TRUE(member.whole);
  const auto readers = *layout->readers(object("RP_3GX", 1), {}, as_bytes("d"));
  EXPECT_EQ(*layout->leader(plan.note.leader), readers.front());
  EXPECT_EQ(std::set<TargetId>(plan.note.groups[0].begin(), plan.note.groups[0].end()),
            std::set<TargetId>(readers.begin(), readers.end()));
  EXPECT_TRUE(*needs_entry(request, *layout, {}));
}

TEST(EntryPlan, EachMemberGetsItsPart) {
  const auto layout = layout_of(map_of(6, 1));
  CommitRequest request = change();
  // Until two of them lie apart.
  for (int dkey = 0; dkey < 8; ++dkey) add_update(request, object("RP_2GX", 1), fmt::format("d{}", dkey));
  add_punch(request, object("S1", 2));
  const EntryPlan plan = *plan_entry(request, *layout, {});
  ASSERT_GT(plan.note.groups.size(), 2u);
  std::vector<int> times(request.updates.size());
  for (const EntryPlan::Member& member : plan.members) {
    ASSERT_FALSE(member.whole);
    ASSERT_EQ(member.part.updates.size(), member.updates.size());
    for (std::size_t i = 0; i < member.updates.size(); ++i) {
      const UpdateRequest& update = request.updates[member.updates[i]];
      EXPECT_TRUE(equal(member.part.updates[i].dkey, update.dkey));
      const auto holders = *layout->readers(update.object, {}, update.dkey);
      EXPECT_NE(std::ranges::find(holders, member.target), holders.end());
      ++times[member.updates[i]];
    }
    const bool has_punch = *layout->home(object("S1", 2), {}, {}) == member.target;
    EXPECT_EQ(member.part.punches.size(), has_punch ? 1u : 0u);
  }
  for (const int count : times) EXPECT_EQ(count, 2) << "each update at both of its holders";
}

std::set<TargetId> checking(const EntryPlan& plan) {
  std::set<TargetId> targets;
  for (const EntryPlan::Member& member : plan.members)
    if (member.checks) targets.insert(member.target);
  return targets;
}

std::set<TargetId> holders_of(const cluster::PoolLayout& layout, const UpdateRequest& update) {
  const auto readers = *layout.readers(update.object, {}, update.dkey);
  return {readers.begin(), readers.end()};
}

TEST(EntryPlan, ConditionsAreCheckedByWhoHasWhatTheyAreAbout) {
  const auto layout = layout_of(map_of(6, 1));
  CommitRequest request = change();
  add_update(request, object("RP_2G1", 1), "d");
  request.updates[0].dkey_condition = Precondition::kAbsent;
  add_update(request, object("RP_2G1", 1), "e");
  EntryPlan plan = *plan_entry(request, *layout, {});
  EXPECT_EQ(checking(plan), std::set{*layout->leader(plan.note.leader)}) << "of one group its leader";
  // Another group, whose members are others.
  std::uint64_t number = 2;
  const auto first = holders_of(*layout, request.updates[0]);
  const auto is_apart = [&](const UpdateRequest& update) {
    return std::ranges::none_of(holders_of(*layout, update), [&](TargetId target) { return first.contains(target); });
  };
  do {
    request.updates.resize(2);
    add_update(request, object("RP_2G1", number++), "d");
  } while (!is_apart(request.updates[2]));
  plan = *plan_entry(request, *layout, {});
  EXPECT_EQ(checking(plan).size(), 2u) << "nothing is to be checked in the second group";
  request.updates[2].dkey_condition = Precondition::kAbsent;
  plan = *plan_entry(request, *layout, {});
  EXPECT_EQ(checking(plan).size(), 4u);
  EXPECT_FALSE(plan.unchecked);
  request.updates[0].dkey_condition = Precondition::kNone;
  plan = *plan_entry(request, *layout, {});
  for (const TargetId target : holders_of(*layout, request.updates[2])) EXPECT_TRUE(checking(plan).contains(target));
  request.updates[2].dkey_condition = Precondition::kNone;
  EXPECT_TRUE(checking(*plan_entry(request, *layout, {})).empty());
}

TEST(EntryPlan, WhatNobodyCanCheckIsNotBegun) {
  const auto layout = layout_of(map_of(6, 1));
  CommitRequest request = change();
  add_punch(request, object("RP_2GX", 1));
  request.punches[0].condition = Precondition::kPresent;
  EXPECT_FALSE(plan_entry(request, *layout, {})->unchecked) << "alone it is the leader's";
  add_update(request, object("S1", 2), "d");
  EXPECT_EQ(plan_entry(request, *layout, {})->unchecked, Code::kUnsupported) << "any of its parts would do";
  request.punches[0].condition = Precondition::kNone;
  EXPECT_FALSE(plan_entry(request, *layout, {})->unchecked);
}

TEST(EntryPlan, ConditionsWhileDataMoves) {
  cluster::PoolMap map = map_of(6, 1);
  const std::vector lost{TargetId(1)};
  ASSERT_TRUE(map.apply(cluster::MapOperation::kExclude, lost).has_value());
  const auto layout = layout_of(map);
  ASSERT_TRUE(layout->is_moving());
  CommitRequest request = change();
  std::uint32_t refused = 0, begun = 0;
  for (std::uint64_t number = 1; number < 200; ++number) {
    request.updates.clear();
    add_update(request, object("RP_2G1", number), "d");
    add_update(request, object("RP_2G1", number + 1000), "d");
    for (UpdateRequest& update : request.updates) update.dkey_condition = Precondition::kAbsent;
    const EntryPlan plan = *plan_entry(request, *layout, {});
    const TargetId leader = *layout->leader(plan.note.leader);
    ++(plan.unchecked ? refused : begun);
    if (plan.unchecked) continue;
    EXPECT_TRUE(checking(plan).contains(leader));
    for (const EntryPlan::Member& member : plan.members) EXPECT_FALSE(member.checks && member.incomplete);
    for (const UpdateRequest& update : request.updates) {
      const auto holders = holders_of(*layout, update);
      EXPECT_TRUE(std::ranges::any_of(checking(plan), [&](TargetId target) { return holders.contains(target); }));
    }
  }
  EXPECT_GT(begun, 100u);
  EXPECT_GT(refused, 0u);
}

TEST(EntryPlan, AWholeObjectIsAllOfItsGroups) {
  const auto layout = layout_of(map_of(6, 1));
  CommitRequest request = change();
  add_punch(request, object("RP_2GX", 1));
  EXPECT_EQ(plan_entry(request, *layout, {})->members.size(), 6u);
  request.punches.clear();
  add_punch(request, object("RP_2G1", 1));
  EXPECT_EQ(plan_entry(request, *layout, {})->members.size(), 2u);
}

TEST(EntryPlan, OneTargetWithoutReplicasNeedsNoEntry) {
  const auto layout = layout_of(map_of(3, 1));
  CommitRequest request = change();
  add_update(request, object("S1", 1), "a");
  add_update(request, object("S1", 1), "b");
  EXPECT_FALSE(*needs_entry(request, *layout, {}));
  for (int dkey = 0; dkey < 8; ++dkey) add_update(request, object("SX", 1), fmt::format("d{}", dkey));
  EXPECT_TRUE(*needs_entry(request, *layout, {}));
  EXPECT_FALSE(*needs_entry(request, *cluster::PoolLayout::without_map(3), {}));
}

TEST(EntryNote, OneThatCannotBeOfThePoolIsRefused) {
  const auto layout = layout_of(map_of(3, 1));
  CommitRequest request = change();
  add_update(request, object("RP_3G1", 1), "d");
  const EntryNote note = plan_entry(request, *layout, {})->note;
  EXPECT_TRUE(check_note(note, *layout).has_value());
  EntryNote wrong = note;
  wrong.pool = Uuid::from_random(5, 5);
  EXPECT_EQ(check_note(wrong, *layout).error(), Code::kInvalidArgument);
  wrong = note;
  wrong.groups.front().emplace_back(3);
  EXPECT_EQ(check_note(wrong, *layout).error(), Code::kInvalidArgument);
  wrong = note;
  wrong.leader.group = 1;
  EXPECT_EQ(check_note(wrong, *layout).error(), Code::kInvalidArgument);
  wrong = note;
  wrong.leader.object = object("EC_2P1G1", 1);
  EXPECT_EQ(check_note(wrong, *layout).error(), Code::kInvalidArgument);
  EXPECT_EQ(check_note(note, *cluster::PoolLayout::without_map(3)).error(), Code::kInvalidArgument);
}

TEST(EntryNote, WhoWasExcludedSinceHasNoVote) {
  cluster::PoolMap map = map_of(3, 1);
  CommitRequest request = change();
  add_update(request, object("RP_3G1", 1), "d");
  const EntryNote note = plan_entry(request, *layout_of(map), {})->note;
  EXPECT_EQ(voters_of(note, map).front().size(), 3u);
  const std::vector lost{TargetId(1)};
  ASSERT_TRUE(map.apply(cluster::MapOperation::kExclude, lost).has_value());
  EXPECT_EQ(voters_of(note, map).front(), (std::vector{TargetId(0), TargetId(2)}));
  ASSERT_TRUE(map.apply(cluster::MapOperation::kReintegrate, lost).has_value());
  EXPECT_EQ(voters_of(note, map).front(), (std::vector{TargetId(0), TargetId(2)})) << "it is back, and was away";
  ASSERT_TRUE(map.settle(map.version()).has_value());
  EXPECT_EQ(voters_of(note, map).front(), (std::vector{TargetId(0), TargetId(2)}));
  const EntryNote later = plan_entry(request, *layout_of(map), {})->note;
  EXPECT_EQ(voters_of(later, map).front().size(), 3u);
}

}  // namespace
}  // namespace cenote::engine
