#include "cenote/cluster/engine_list.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/cluster/member.h"
#include "cenote/media/sim_device.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

class EngineListTest : public testing::Test {
 protected:
  void SetUp() override {
    const store::Devices devices = store::Devices::one(device_);
    ASSERT_TRUE(world_.block_on(node_, store::Store::format(node_, devices, {.log_bytes = 4u << 20})));
    auto store = world_.block_on(node_, store::Store::open(node_, devices, {.cache_bytes = store::kMinCacheBytes}));
    ASSERT_TRUE(store) << store.error().to_string();
    coordinator_ = *world_.block_on(node_, EmbeddedCoordinator::open(*std::move(store)));
  }
  void TearDown() override {
    static_cast<void>(world_.block_on(node_, coordinator_->close()));
    world_.block_on(node_, device_.close());
  }

  Result<EnginePlace> claim(std::uint64_t engine, std::uint32_t targets) {
    return world_.block_on(node_, claim_place(*coordinator_, map_examples::id(engine), targets));
  }
  std::vector<ListedEngine> list() { return world_.block_on(node_, list_engines(*coordinator_)).value(); }

  SimWorld world_{7};
  SimReactor& node_ = world_.add_node("node");
  media::SimMedium medium_{128ull << 20 >> 12};
  media::SimDevice device_{node_, "coordinator", medium_};
  std::unique_ptr<EmbeddedCoordinator> coordinator_;
};

TEST_F(EngineListTest, EveryEngineGetsARankAndKeepsIt) {
  EXPECT_TRUE(list().empty());
  EXPECT_EQ(claim(1, 4)->rank, Rank(0));
  EXPECT_EQ(claim(2, 2), (EnginePlace{Rank(1), map_examples::id(2), 4, 2}));
  EXPECT_EQ(claim(3, 1), (EnginePlace{Rank(2), map_examples::id(3), 6, 1}));
  EXPECT_EQ(claim(2, 2)->rank, Rank(1));
  EXPECT_EQ(claim(2, 3).error(), Code::kForeign);
  EXPECT_EQ(list().size(), 3u);
}

Task<> claim_in_background(Coordinator& coordinator, std::uint64_t engine, EnginePlace& place) {
  place = (co_await claim_place(coordinator, map_examples::id(engine), 2)).value();
}

TEST_F(EngineListTest, ThoseWhoComeTogetherGetDifferentOnes) {
  std::vector<EnginePlace> places(8);
  Scope scope(node_);
  for (std::uint64_t engine = 0; engine < places.size(); ++engine)
    scope.spawn(claim_in_background(*coordinator_, engine + 1, places[engine]));
  world_.block_on(node_, scope.drain());
  std::ranges::sort(places, {}, &EnginePlace::rank);
  for (std::uint32_t rank = 0; rank < places.size(); ++rank) {
    EXPECT_EQ(places[rank].rank, Rank(rank));
    EXPECT_EQ(places[rank].first_target, 2 * rank);
    EXPECT_EQ(list()[rank].place, places[rank]);
  }
}

class NoMaps final : public MapUser {
 public:
  Task<Result<Epoch>> switch_to(std::shared_ptr<const PoolMap>, std::uint32_t, Until) override { co_return kEpochZero; }
};

TEST_F(EngineListTest, WhoIsRegisteredIsUpAndSaysWhere) {
  ASSERT_TRUE(claim(1, 4).has_value());
  ASSERT_TRUE(claim(2, 4).has_value());
  NoMaps maps;
  int changes = 0;
  Member member(node_, *coordinator_, maps,
                {.rank = Rank(1),
                 .engine = map_examples::id(2),
                 .process = map_examples::id(9),
                 .addresses = {"10.0.0.2:7777"},
                 .control_address = "10.0.0.2:7778",
                 .fault_domain = "rack1/node2",
                 .on_lease = [&changes] { ++changes; }});
  EXPECT_EQ(member.lease(), kNoLease);
  member.start();
  ASSERT_TRUE(world_.run_until([&] { return member.may_serve(); }, std::chrono::seconds(10)));
  EXPECT_NE(member.lease(), kNoLease);
  EXPECT_GT(changes, 0);
  const auto engines = list();
  ASSERT_EQ(engines.size(), 2u);
  EXPECT_FALSE(engines[0].up);
  EXPECT_TRUE(engines[1].up);
  EXPECT_EQ(engines[1].addresses, std::vector<std::string>{"10.0.0.2:7777"});
  EXPECT_EQ(engines[1].control_address, "10.0.0.2:7778");
  EXPECT_EQ(engines[1].fault_domain, "rack1/node2");
  world_.block_on(node_, member.stop(Until::at(world_.now() + std::chrono::seconds(5))));
  EXPECT_EQ(member.lease(), kNoLease);
  EXPECT_FALSE(list()[1].up);
}

}  // namespace
}  // namespace cenote::cluster
