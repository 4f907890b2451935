#include "version_fence.h"

#include <gtest/gtest.h>

#include <optional>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;
using cluster::MapVersion;

const Uuid kPool = Uuid::from_random(1, 1);
const Uuid kOther = Uuid::from_random(2, 2);

Task<> advance(VersionFence& fence, MapVersion version, std::optional<Result<>>& outcome, Until until) {
  outcome = co_await fence.advance(kPool, version, until);
}

class VersionFenceTest : public testing::Test {
 protected:
  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("node");
  VersionFence fence_{node_};
};

TEST_F(VersionFenceTest, OnlyThePresentVersionEnters) {
  EXPECT_EQ(fence_.enter(kPool, MapVersion(1)).error(), Code::kStaleMap) << "nobody has heard of it";
  ASSERT_TRUE(world_.block_on(node_, fence_.advance(kPool, MapVersion(3), Until::forever())));
  EXPECT_TRUE(fence_.enter(kPool, MapVersion(3)));
  EXPECT_EQ(fence_.enter(kPool, MapVersion(2)).error(), Code::kStaleMap);
  EXPECT_EQ(fence_.enter(kPool, MapVersion(4)).error(), Code::kStaleMap);
  EXPECT_EQ(fence_.enter(kOther, MapVersion(3)).error(), Code::kStaleMap);
}

TEST_F(VersionFenceTest, AdvanceWaitsForAllThatEnteredBefore) {
  ASSERT_TRUE(world_.block_on(node_, fence_.advance(kPool, MapVersion(1), Until::forever())));
  auto first = fence_.enter(kPool, MapVersion(1));
  auto second = fence_.enter(kPool, MapVersion(1));
  ASSERT_TRUE(first && second);
  std::optional<VersionFence::Pass> one(*std::move(first)), two(*std::move(second));
  std::optional<Result<>> outcome;
  Scope scope(node_);
  scope.spawn(advance(fence_, MapVersion(2), outcome, Until::forever()));
  world_.run_until([] { return false; }, 1s);
  EXPECT_FALSE(outcome.has_value());
  EXPECT_EQ(fence_.enter(kPool, MapVersion(1)).error(), Code::kStaleMap) << "nothing of it begins any more";
  one.reset();
  world_.run_until([] { return false; }, 1s);
  EXPECT_FALSE(outcome.has_value());
  two.reset();
  EXPECT_TRUE(world_.run_until([&] { return outcome.has_value(); }, 1s));
  EXPECT_TRUE(outcome->has_value());
  world_.block_on(node_, scope.stop());
}

TEST_F(VersionFenceTest, AdvanceEndsWithItsDeadline) {
  ASSERT_TRUE(world_.block_on(node_, fence_.advance(kPool, MapVersion(1), Until::forever())));
  const auto pass = fence_.enter(kPool, MapVersion(1));
  EXPECT_EQ(world_.block_on(node_, fence_.advance(kPool, MapVersion(2), Until::at(node_.now() + 1s))).error(),
            Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace cenote::engine
