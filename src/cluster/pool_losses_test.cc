#include "cenote/cluster/pool_losses.h"

#include <gtest/gtest.h>

#include "cenote/cluster/pool_redundancy.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

TEST(PoolLosses, AreCountedByEngine) {
  auto losses = with_loss({}, Rank(3));
  losses = with_loss(losses, Rank(1));
  losses = with_loss(losses, Rank(3));
  EXPECT_EQ(losses, (std::vector<Loss>{{.rank = Rank(1), .times = 1}, {.rank = Rank(3), .times = 2}}));
  EXPECT_EQ(without_losses(losses, {Rank(3), Rank(7)}), (std::vector<Loss>{{.rank = Rank(1), .times = 1}}));
  EXPECT_EQ(with_loss({{.rank = Rank(1), .times = UINT32_MAX}}, Rank(1)).front().times, UINT32_MAX);
}

TEST(PoolLosses, AreRememberedOfSoManyEngines) {
  std::vector<Loss> losses;
  for (std::uint32_t rank = 0; rank <= kMaxLosses; ++rank) losses = with_loss(losses, Rank(rank));
  EXPECT_EQ(losses.size(), kMaxLosses);
  EXPECT_EQ(losses.back().rank, Rank(kMaxLosses - 1));
  EXPECT_EQ(with_loss(losses, Rank(0)).front().times, 2u);
}

TEST(PoolLosses, WhoHasNoPartIsAwaited) {
  const PoolMap whole = map_examples::map_of({map_examples::engine("a/n", 0, 2), map_examples::engine("b/n", 1, 2)});
  StoredMap stored{.map = whole, .losses = {{.rank = Rank(0), .times = 1}, {.rank = Rank(1), .times = 2}}};
  EXPECT_TRUE(awaited_engines(stored).empty());
  ASSERT_TRUE(stored.map.apply(MapOperation::kExclude, used_targets(whole, Rank(1))));
  EXPECT_EQ(awaited_engines(stored), (std::vector<Loss>{{.rank = Rank(1), .times = 2}}));
}

}  // namespace
}  // namespace cenote::cluster
