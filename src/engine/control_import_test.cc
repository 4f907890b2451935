#include "control_import.h"

#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/engine/sim_coordinator.h"
#include "cenote/runtime/sim_reactor.h"
#include "control_records.h"
#include "memory_coordinator.h"
#include "system_record.h"

namespace cenote::engine {
namespace {

using cluster::KeyValue;
using cluster::Revision;

const SystemIdentity kSystem{Uuid::from_random(1, 2), "precious"};
const SystemIdentity kOther{Uuid::from_random(3, 4), "other"};

/// More than one transaction takes.
std::vector<KeyValue> some_state(std::size_t count = 150, std::string_view name = "container/") {
  std::vector<KeyValue> state;
  for (std::size_t i = 0; i < count; ++i) {
    state.push_back({fmt::format("{}{:04}", name, i), fmt::format("value {}", i), Revision(7 * i + 3)});
  }
  return state;
}

using Contents = std::map<std::string, std::string>;

Contents expected(const std::vector<KeyValue>& state) {
  Contents all{{kSystemKey, encode(kSystem)}};
  for (const KeyValue& entry : state) all.emplace(entry.key, entry.value);
  return all;
}

class ControlImportTest : public testing::Test {
 protected:
  Result<> import(const std::vector<KeyValue>& from, const SystemIdentity& system = kSystem) {
    MemoryCoordinator coordinator(there_);
    coordinator.alive = before_commit_;
    return world_.block_on(node_, import_control_state(from, coordinator, system, Until::forever()));
  }
  Result<> check() {
    MemoryCoordinator coordinator(there_);
    return world_.block_on(node_, check_importable(coordinator, kSystem, Until::forever()));
  }
  Code code_of(const Result<>& outcome) { return outcome ? Code::kOk : outcome.error().code(); }
  Contents contents() const {
    Contents all;
    for (const auto& [key, entry] : there_.entries) all.emplace(key, entry.value);
    return all;
  }
  void put(const std::string& key, const std::string& value) {
    there_.entries.insert_or_assign(key, KeyValue{key, value, Revision(++there_.revision)});
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("node");
  CoordinatorState there_;
  std::function<bool()> before_commit_ = [] { return true; };
};

TEST_F(ControlImportTest, AllArrivesButWhatBelongsToALease) {
  auto state = some_state();
  state.push_back({"membership/member/0000000000", "leased", Revision(5), cluster::LeaseId(9)});
  ASSERT_TRUE(import(state).has_value());
  EXPECT_EQ(contents(), expected(some_state()));
}

TEST_F(ControlImportTest, TheSystemsRecordComesLastWhateverTheStateSays) {
  auto state = some_state();
  state.push_back({kSystemKey, encode(kSystem), Revision(1)});
  state.push_back({kImportKey, encode(kOther), Revision(2)});
  std::size_t commits = 0;
  before_commit_ = [&] {
    EXPECT_FALSE(there_.entries.contains(kSystemKey));
    EXPECT_EQ(there_.entries.contains(kImportKey), commits++ > 0);
    return true;
  };
  ASSERT_TRUE(import(state).has_value());
  EXPECT_EQ(commits, 5U) << "marker, 150 keys of 59 each, record";
  EXPECT_EQ(contents(), expected(some_state()));
}

TEST_F(ControlImportTest, AfterACrashAtAnyCommitItIsDoneAgain) {
  for (std::size_t fatal = 1;; ++fatal) {
    there_ = {};
    std::size_t commits = 0;
    before_commit_ = [&] { return ++commits < fatal; };
    // What was written then is not what is to be there now.
    const bool survived = import(some_state(130, "pool/")).has_value();
    if (survived) break;
    EXPECT_FALSE(there_.entries.contains(kSystemKey));
    EXPECT_TRUE(check().has_value());
    // And a second crash, while that is cleaned up.
    commits = 0;
    static_cast<void>(import(some_state()));
    before_commit_ = [] { return true; };
    const auto again = import(some_state());
    if (there_.entries.contains(kSystemKey) && !again) {
      EXPECT_EQ(again.error().code(), Code::kExists) << "the one before has come to its end";
    } else {
      EXPECT_TRUE(again.has_value());
    }
    EXPECT_EQ(contents(), expected(some_state())) << "died at " << fatal;
  }
}

TEST_F(ControlImportTest, WhatIsThereIsLeftAlone) {
  put("pool/x", "y");
  const auto before = contents();
  EXPECT_EQ(code_of(import(some_state())), Code::kExists);
  EXPECT_EQ(code_of(check()), Code::kExists);
  put(kSystemKey, encode(kOther));
  EXPECT_EQ(code_of(import(some_state())), Code::kExists);
  put(kSystemKey, encode(kSystem));
  EXPECT_EQ(code_of(import(some_state())), Code::kExists);
  there_.entries.erase(kSystemKey);
  EXPECT_EQ(contents(), before);
}

TEST_F(ControlImportTest, TheBeginningsOfAnotherSystemAreLeftAlone) {
  put(kImportKey, encode(kOther));
  put("pool/x", "y");
  const auto before = contents();
  EXPECT_EQ(code_of(import(some_state())), Code::kForeign);
  EXPECT_EQ(code_of(check()), Code::kForeign);
  EXPECT_EQ(contents(), before);
}

TEST_F(ControlImportTest, OfTwoAtOnceTheSecondGoesOn) {
  std::size_t commits = 0;
  std::vector<KeyValue> state = some_state();
  Result<> second = fail(Code::kInternal);
  before_commit_ = [&] {
    if (++commits != 3) return true;
    before_commit_ = [] { return true; };
    MemoryCoordinator coordinator(there_);
    SimWorld world(2);
    second =
        world.block_on(world.add_node("node"), import_control_state(state, coordinator, kSystem, Until::forever()));
    return true;
  };
  EXPECT_EQ(code_of(import(some_state(150, "pool/"))), Code::kBusy);
  EXPECT_TRUE(second.has_value());
  EXPECT_EQ(contents(), expected(state));
}

TEST_F(ControlImportTest, WhoWritesInBetweenIsNoticed) {
  std::size_t commits = 0;
  before_commit_ = [&] {
    if (++commits == 2) put("container/0007", "somebody else's");
    return true;
  };
  EXPECT_EQ(code_of(import(some_state())), Code::kBusy);
  EXPECT_FALSE(there_.entries.contains(kSystemKey));
}

TEST_F(ControlImportTest, NoEngineMakesASystemMeanwhile) {
  std::size_t commits = 0;
  before_commit_ = [&] { return ++commits < 3; };
  ASSERT_FALSE(import(some_state()).has_value());
  MemoryCoordinator coordinator(there_);
  const auto find = [&](std::optional<SystemIdentity> proposal) {
    return world_.block_on(node_, find_system(coordinator, std::move(proposal), Until::forever()));
  };
  EXPECT_EQ(find(kOther).error().code(), Code::kNotReady);
  EXPECT_EQ(find(std::nullopt).value(), std::nullopt);
  before_commit_ = [] { return true; };
  ASSERT_TRUE(import(some_state()).has_value());
  EXPECT_EQ(find(kOther).value(), kSystem);
}

TEST_F(ControlImportTest, AnEngineThatWasFasterKeepsItsSystem) {
  before_commit_ = [&] {
    put(kSystemKey, encode(kOther));
    return true;
  };
  EXPECT_EQ(code_of(import(some_state())), Code::kBusy);
  EXPECT_EQ(contents(), (Contents{{kSystemKey, encode(kOther)}}));
}

TEST_F(ControlImportTest, ARealCoordinatorTakesIt) {
  SimCoordinator coordinator(world_);
  const auto state = some_state();
  ASSERT_TRUE(world_
                  .block_on(coordinator.node(),
                            import_control_state(state, coordinator.coordinator(), kSystem, Until::forever()))
                  .has_value());
  const auto found = world_.block_on(coordinator.node(), cluster::range_all(coordinator.coordinator(), ""));
  ASSERT_TRUE(found.has_value());
  Contents all;
  for (const KeyValue& entry : *found) all.emplace(entry.key, entry.value);
  EXPECT_EQ(all, expected(state));
}

}  // namespace
}  // namespace cenote::engine
