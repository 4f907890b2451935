#include "system_record.h"

#include <gtest/gtest.h>

#include "cenote/runtime/sim_reactor.h"
#include "control_records.h"
#include "memory_coordinator.h"

namespace cenote::engine {
namespace {

TEST(SystemRecord, TheFirstOneMakesItAndTheOthersReadIt) {
  SimWorld world(1);
  SimReactor& node = world.add_node("node");
  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  const auto find = [&](std::optional<SystemIdentity> proposal) {
    return world.block_on(node, find_system(coordinator, std::move(proposal), Until::forever())).value();
  };
  const SystemIdentity first{Uuid::from_random(1, 2), "first"};
  EXPECT_EQ(find(std::nullopt), std::nullopt);
  EXPECT_EQ(find(first), first);
  EXPECT_EQ(find(SystemIdentity{Uuid::from_random(3, 4), "second"}), first);
  EXPECT_EQ(find(std::nullopt), first);
}

TEST(SystemRecord, WhoComesSecondInTheSameMomentTakesTheFirstOnes) {
  SimWorld world(1);
  SimReactor& node = world.add_node("node");
  CoordinatorState state;
  MemoryCoordinator coordinator(state);
  const SystemIdentity first{Uuid::from_random(1, 2), "first"};
  // Between the question and the transaction of the second one.
  coordinator.alive = [&] {
    const cluster::Revision revision(++state.revision);
    state.entries.try_emplace(kSystemKey, cluster::KeyValue{kSystemKey, encode(first), revision});
    return true;
  };
  const SystemIdentity second{Uuid::from_random(3, 4), "second"};
  EXPECT_EQ(world.block_on(node, find_system(coordinator, second, Until::forever())), first);
}

}  // namespace
}  // namespace cenote::engine
