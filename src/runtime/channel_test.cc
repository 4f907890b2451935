#include "cenote/runtime/channel.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;

Code code_of(const Result<>& result) { return result ? Code::kOk : result.error().code(); }

Task<> push_all(Channel<int>& channel, int first, int count) {
  for (int i = first; i < first + count; ++i) EXPECT_TRUE((co_await channel.push(i, Until::forever())).has_value());
}
Task<> push_one(Channel<int>& channel, int value, Until until, Code& code) {
  code = code_of(co_await channel.push(value, until));
}
Task<> pop_all(Channel<int>& channel, std::vector<int>& popped) {
  while (true) {
    Result<int> value = co_await channel.pop(Until::forever());
    if (!value) {
      EXPECT_EQ(value.error().code(), Code::kStopped);
      co_return;
    }
    popped.push_back(*value);
  }
}
Task<> pop_one(Channel<int>& channel, Until until, Result<int>& result) { result = co_await channel.pop(until); }

class ChannelTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  SimWorld world{GetParam()};
  SimReactor& node = world.add_node("node");
  Scope scope{node};
};

TEST_P(ChannelTest, TryPushFailsWhenFullAndKeepsTheValue) {
  Channel<std::unique_ptr<int>> channel(node, 2);
  EXPECT_TRUE(channel.try_push(std::make_unique<int>(1)).has_value());
  EXPECT_TRUE(channel.try_push(std::make_unique<int>(2)).has_value());
  auto third = std::make_unique<int>(3);
  EXPECT_EQ(code_of(channel.try_push(std::move(third))), Code::kResourceExhausted);
  EXPECT_NE(third, nullptr);
  EXPECT_EQ(**channel.try_pop(), 1);
  EXPECT_TRUE(channel.try_push(std::move(third)).has_value());
  channel.check_invariants();
  EXPECT_EQ(**channel.try_pop(), 2);
  EXPECT_EQ(**channel.try_pop(), 3);
  EXPECT_FALSE(channel.try_pop().has_value());
}

TEST_P(ChannelTest, ProducersWaitForRoomAndKeepTheirOrder) {
  Channel<int> channel(node, 3);
  std::vector<int> popped;
  scope.spawn(push_all(channel, 0, 100));
  scope.spawn(push_all(channel, 1000, 100));
  scope.spawn(pop_all(channel, popped));
  world.run_until([&] {
    channel.check_invariants();
    return popped.size() == 200;
  });
  channel.close();
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(scope.running(), 0u);
  int low = 0, high = 1000;
  for (const int value : popped) EXPECT_EQ(value, value < 1000 ? low++ : high++);
}

TEST_P(ChannelTest, CloseEndsProducersAndLetsTheConsumerFinish) {
  Channel<int> channel(node, 2);
  std::vector<int> popped;
  Code waiting = Code::kOk;
  Code later = Code::kOk;
  scope.spawn(push_all(channel, 1, 2));
  scope.spawn(push_one(channel, 3, Until::forever(), waiting));
  world.run_until_idle();
  channel.close();
  channel.close();
  scope.spawn(push_one(channel, 4, Until::forever(), later));
  scope.spawn(pop_all(channel, popped));
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(waiting, Code::kStopped);
  EXPECT_EQ(later, Code::kStopped);
  EXPECT_EQ(code_of(channel.try_push(5)), Code::kStopped);
  EXPECT_EQ(popped, (std::vector{1, 2}));
}

TEST_P(ChannelTest, CloseBetweenGrantAndResumeRefusesTheValue) {
  Channel<int> channel(node, 1);
  Code code = Code::kOk;
  EXPECT_TRUE(channel.try_push(1).has_value());
  scope.spawn(push_one(channel, 2, Until::forever(), code));
  world.run_until_idle();
  EXPECT_EQ(channel.try_pop(), 1);
  channel.close();
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(code, Code::kStopped);
  EXPECT_EQ(channel.size(), 0u);
}

TEST_P(ChannelTest, RoomGrantedToAWaitingProducerIsNotTakenByAnother) {
  Channel<int> channel(node, 1);
  Code code = Code::kOk;
  EXPECT_TRUE(channel.try_push(1).has_value());
  scope.spawn(push_one(channel, 2, Until::forever(), code));
  world.run_until_idle();
  EXPECT_EQ(channel.try_pop(), 1);
  EXPECT_EQ(code_of(channel.try_push(3)), Code::kResourceExhausted);
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(channel.try_pop(), 2);
}

TEST_P(ChannelTest, PopEndsAtItsDeadlineOrCancel) {
  Channel<int> channel(node, 1);
  CancelSource cancel;
  Result<int> result = 0;
  scope.spawn(pop_one(channel, Until::at(node.now() + 1s), result));
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded);
  scope.spawn(pop_one(channel, Until{kNoDeadline, &cancel}, result));
  world.run_until_idle();
  cancel.cancel();
  EXPECT_TRUE(world.run_until_idle());
  EXPECT_EQ(result.error().code(), Code::kCancelled);
}

TEST_P(ChannelTest, ValueThatComesWithTheDeadlineIsNeverLost) {
  Channel<int> channel(node, 1);
  Result<int> result = 0;
  scope.spawn(pop_one(channel, Until::at(node.now() + 1s), result));
  world.after(1s, [&] { EXPECT_TRUE(channel.try_push(7).has_value()); });
  EXPECT_TRUE(world.run_until_idle());
  if (result) {
    EXPECT_EQ(*result, 7);
    EXPECT_EQ(channel.size(), 0u);
  } else {
    EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded);
    EXPECT_EQ(channel.try_pop(), 7);
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChannelTest, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace cenote
