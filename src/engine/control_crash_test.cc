#include <gtest/gtest.h>

#include <set>

#include "cenote/base/format.h"
#include "cenote/runtime/sim_reactor.h"
#include "control_service.h"
#include "memory_coordinator.h"
#include "memory_targets.h"

namespace cenote::engine {
namespace {

/// What a client was told before the process died.
struct Seen {
  bool pool_a = false, container_x = false, container_y_gone = false, pool_b_gone = false;
  bool snapshot_s = false, snapshot_t_gone = false, rolled_back = false;
  bool clone_m = false, clone_k_gone = false, m_begun = false, m_flat = false;
};

Uuid id(std::uint64_t number) { return Uuid::from_random(3, number); }

Task<Result<>> history(Reactor& reactor, ControlService& control, Seen& seen) {
  const Until until = Until::forever();
  CO_CHECK_OK(co_await control.create_pool({"a", 300}, id(1), until));
  seen.pool_a = true;
  CO_CHECK_OK(co_await control.create_pool({"b", 300}, id(2), until));
  CO_CHECK_OK(co_await control.create_container({"a", "x", "", {{"user.n", "1"}}}, id(3), until));
  seen.container_x = true;
  CO_CHECK_OK(co_await control.create_snapshot("a", "x", "t", id(7), until));
  CO_CHECK_OK(co_await control.create_snapshot("a", "x", "s", id(8), until));
  seen.snapshot_s = true;
  CO_CHECK_OK(co_await control.destroy_snapshot("a", "x", "t", until));
  seen.snapshot_t_gone = true;
  CO_CHECK_OK(co_await control.create_snapshot("a", "x", "newer", id(10), until));
  CO_CHECK_OK(co_await control.roll_back("a", "x", "s", true, id(11), until));
  seen.rolled_back = true;
  CO_CHECK_OK(co_await control.create_container({"a", "y", "", {}}, id(4), until));
  CO_CHECK_OK(co_await control.create_snapshot("a", "y", "u", id(9), until));
  CO_CHECK_OK(co_await control.create_container({"b", "z", "", {}}, id(5), until));
  CO_CHECK_OK(co_await control.lease_oids(id(4), until));
  CO_CHECK_OK(co_await control.destroy_container("a", "y", until));
  seen.container_y_gone = true;
  CO_CHECK_OK(co_await control.create_container({"b", "w", "", {}}, id(6), until));
  CO_CHECK_OK(co_await control.destroy_pool("b", true, until));
  seen.pool_b_gone = true;
  CO_CHECK_OK(co_await control.clone_container({"a", "x", "", "k"}, id(12), until));
  CO_CHECK_OK(co_await control.clone_container({"a", "k", "", "m"}, id(13), until));
  seen.clone_m = true;
  CO_CHECK_OK(co_await control.clone_container({"a", "x", "s", "n"}, id(14), until));
  CO_CHECK_OK(co_await control.destroy_container("a", "k", until));
  seen.clone_k_gone = true;
  seen.m_begun = true;
  CO_TRY(auto flat, co_await control.flatten_container("a", "m", until));
  while (flat.clone_of) {
    co_await reactor.sleep_until(reactor.now() + std::chrono::seconds(1));
    CO_TRY(flat, co_await control.query_container("a", "m"));
  }
  seen.m_flat = true;
  CO_CHECK_OK(co_await control.destroy_container("a", "n", until));
  co_return Result<>();
}

/// Dies at step `fatal`, counted over commits and messages to targets alike.
struct Fate {
  std::uint64_t fatal = 0;
  std::uint64_t step = 0;
  bool survives() { return ++step < fatal; }
};

class ControlCrashTest : public testing::Test {
 protected:
  // One life of the process, which begins with recovery; returns whether it came to the end of its work.
  bool live(std::uint64_t fatal, Seen& seen, bool recovery_only) {
    SimWorld world(fatal);
    SimReactor& node = world.add_node("control");
    MemoryCoordinator coordinator(state_);
    Fate fate{fatal};
    coordinator.alive = [&] { return fate.survives(); };
    targets_.before = [&]() -> Result<> {
      if (fate.survives()) return {};
      return fail(Code::kDeviceDead, "the process died");
    };
    ControlService control(node, coordinator, targets_);
    const bool resumed = world.block_on(node, control.resume()).has_value();
    const bool ended = resumed && !recovery_only && world.block_on(node, history(node, control, seen));
    world.block_on(node, control.stop());
    // A target that cannot go on flattening keeps nobody from starting.
    if (!resumed || !recovery_only || fate.step >= fatal) return ended;
    const auto checked = world.block_on(node, control.check());
    EXPECT_TRUE(checked.has_value()) << checked.error().to_string();
    expect_known(world, node, control, seen);
    return true;
  }

  void expect_known(SimWorld& world, SimReactor& node, ControlService& control, const Seen& seen) {
    if (seen.pool_a) {
      EXPECT_TRUE(world.block_on(node, control.query_pool("a")).has_value());
    }
    if (seen.container_x) {
      EXPECT_EQ(world.block_on(node, control.query_container("a", "x"))->properties.at("user.n"), "1");
    }
    if (seen.container_y_gone) {
      EXPECT_FALSE(world.block_on(node, control.query_container("a", "y")).has_value());
    }
    if (seen.pool_b_gone) {
      EXPECT_FALSE(world.block_on(node, control.query_pool("b")).has_value());
    }
    if (seen.snapshot_s) {
      EXPECT_TRUE(world.block_on(node, control.query_snapshot("a", "x", "s")).has_value());
    }
    if (seen.snapshot_t_gone) {
      EXPECT_FALSE(world.block_on(node, control.query_snapshot("a", "x", "t")).has_value());
    }
    if (seen.clone_m) {
      const auto m = world.block_on(node, control.query_container("a", "m"));
      EXPECT_TRUE(m->clone_of ? m->clone_of->container == id(12) : seen.m_begun);
      EXPECT_FALSE(m->clone_of && seen.m_flat) << "it is a clone again";
    }
    if (seen.clone_k_gone) {
      EXPECT_FALSE(world.block_on(node, control.query_container("a", "k")).has_value());
    }
    // The targets know exactly the clones that a list shows, and of what they are clones.
    const auto containers_of_a = world.block_on(node, control.list_containers("a"));
    std::map<Uuid, object::CloneSource> clones;
    if (containers_of_a) {
      for (const ContainerInfo& container : *containers_of_a)
        if (container.clone_of) clones[container.id] = {container.clone_of->container, container.clone_of->epoch};
    }
    for (std::size_t target = 0; target < targets_.clones.size(); ++target) {
      auto links = targets_.clones[target];
      // Of those that are gone only what their clones need is kept.
      std::erase_if(links, [&](const auto& link) { return !targets_.containers[target].contains(link.first); });
      EXPECT_EQ(links, clones);
    }
    // Every target rolled back once, or none did; and what that was to cost it did cost.
    const auto& rolled_back = targets_.rollbacks;
    const auto times = [&](std::size_t target) {
      const auto found = rolled_back[target].find(id(3));
      return found == rolled_back[target].end() ? 0u : found->second.size();
    };
    EXPECT_EQ(times(0), times(1));
    EXPECT_LE(times(0), 1u);
    if (seen.rolled_back) {
      EXPECT_EQ(times(0), 1u);
    }
    if (times(0) == 1) {
      EXPECT_FALSE(world.block_on(node, control.query_snapshot("a", "x", "newer")).has_value());
    }
    // The targets keep exactly the snapshots that a list shows.
    for (std::size_t target = 0; target < targets_.snapshots.size(); ++target) {
      std::set<Epoch> kept;
      for (const auto& [container, epochs] : targets_.snapshots[target]) kept.insert(epochs.begin(), epochs.end());
      std::set<Epoch> listed;
      for (const char* container : {"x", "y"}) {
        const auto snapshots = world.block_on(node, control.list_snapshots("a", container));
        if (!snapshots) continue;
        for (const SnapshotInfo& snapshot : *snapshots) listed.insert(snapshot.epoch);
      }
      EXPECT_EQ(kept, listed) << "target " << target;
    }
    // The targets know exactly the containers that exist.
    std::size_t containers = 0;
    for (const auto& entry : state_.entries) containers += entry.first.starts_with("container/") ? 1 : 0;
    for (const auto& target : targets_.containers) {
      EXPECT_EQ(target.size(), containers);
      for (const auto& [id, properties] : target) EXPECT_TRUE(state_.entries.contains("container/" + id.to_string()));
    }
  }

  CoordinatorState state_;
  MemoryTargets targets_{2};
};

TEST_F(ControlCrashTest, EveryCrashPointRecovers) {
  std::uint64_t points = 0;
  for (std::uint64_t fatal = 1;; ++fatal) {
    SCOPED_TRACE(fmt::format("crash at step {}", fatal));
    state_ = {};
    targets_ = MemoryTargets(2);
    Seen seen;
    const bool finished = live(fatal, seen, false);
    EXPECT_TRUE(live(UINT64_MAX, seen, true));
    if (finished) break;
    ++points;
  }
  EXPECT_GT(points, 55U);
}

TEST_F(ControlCrashTest, EveryCrashPointOfARecoveryRecovers) {
  for (const std::uint64_t first : {9,  10, 11, 13, 14, 19, 20, 21, 24, 26, 27,  28,  29,  30,  31,  32,  37, 44, 46,
                                    53, 55, 64, 66, 67, 68, 69, 70, 71, 72, 73,  74,  75,  76,  77,  78,  79, 80, 82,
                                    84, 86, 88, 90, 92, 94, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106}) {
    for (std::uint64_t fatal = 1;; ++fatal) {
      SCOPED_TRACE(fmt::format("crash at step {}, then at step {} of the recovery", first, fatal));
      state_ = {};
      targets_ = MemoryTargets(2);
      Seen seen;
      live(first, seen, false);
      const bool recovered = live(fatal, seen, true);
      EXPECT_TRUE(live(UINT64_MAX, seen, true));
      if (recovered) break;
    }
  }
}

}  // namespace
}  // namespace cenote::engine
