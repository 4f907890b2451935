#include "cenote/object/space_account.h"

#include <thread>
#include <vector>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kNoLimit = SpaceAccount::kNoLimit;

TEST(SpaceAccount, HoldsToItsLimitToTheByte) {
  SpaceAccount account("container 'a'");
  EXPECT_TRUE(account.charge({1u << 30, 0})) << "without a limit everything fits";
  account.refund({1u << 30, 0});
  account.set_limit({100, kNoLimit});
  EXPECT_TRUE(account.charge({60, 0}));
  EXPECT_TRUE(account.check_room({40, 0}));
  const auto refused = account.charge({41, 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("container 'a': 41 more bytes do not fit, 60 of 100"), std::string::npos);
  EXPECT_TRUE(account.charge({40, 0}));
  EXPECT_FALSE(account.check_room({1, 0}));
  account.refund({1, 0});
  EXPECT_TRUE(account.charge({1, 0}));
  EXPECT_EQ(account.used().bytes, 100u);
}

TEST(SpaceAccount, ChargesThePoolOrNothing) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  pool->set_limit({100, kNoLimit});
  SpaceAccount first("container 'a'", pool);
  SpaceAccount second("container 'b'", pool);
  second.set_limit({50, kNoLimit});
  EXPECT_TRUE(first.charge({80, 0}));
  const auto refused = second.charge({30, 0});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("pool 'p'"), std::string::npos);
  EXPECT_EQ(second.used().bytes, 0u) << "what the pool refused must not stay charged";
  EXPECT_TRUE(second.charge({20, 0}));
  EXPECT_EQ(pool->used().bytes, 100u);
  first.refund({80, 0});
  EXPECT_EQ(pool->used().bytes, 20u);
}

TEST(SpaceAccount, WhatOneKindRefusesTheOtherIsNotChargedFor) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  SpaceAccount account("container 'a'", pool);
  pool->set_limit({1000, 2});
  EXPECT_TRUE(account.charge({10, 2}));
  const auto refused = account.charge({10, 1});
  ASSERT_EQ(refused.error().code(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("pool 'p': 1 more objects do not fit, 2 of 2"), std::string::npos);
  EXPECT_EQ(account.used(), (Usage{10, 2}));
  EXPECT_EQ(pool->used(), (Usage{10, 2}));
  EXPECT_TRUE(account.charge({10, 0})) << "what brings no object is not held to their number";
  account.add({5, 3});
  EXPECT_EQ(pool->used(), (Usage{25, 5}));
  EXPECT_TRUE(account.charge({1, 0})) << "not even above the limit";
  account.set_soft_limit({kNoLimit, 4});
  EXPECT_TRUE(account.over_soft_limit());
  account.refund({0, 1});
  EXPECT_FALSE(account.over_soft_limit());
}

TEST(SpaceAccount, TakesInWhatIsThereAndThenRefuses) {
  SpaceAccount account("pool 'p'");
  account.set_limit({10, kNoLimit});
  account.add({25, 0});
  EXPECT_FALSE(account.charge({1, 0}));
  EXPECT_TRUE(account.is_scarce());
  account.refund({20, 0});
  EXPECT_TRUE(account.charge({5, 0}));
}

TEST(SpaceAccount, KnowsWhenSpaceIsScarceAndTheSoftLimit) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  SpaceAccount account("container 'a'", pool);
  pool->set_limit({800, kNoLimit});
  account.set_soft_limit({100, kNoLimit});
  account.add({100, 0});
  EXPECT_FALSE(account.over_soft_limit());
  EXPECT_FALSE(account.is_scarce());
  account.add({601, 0});
  EXPECT_TRUE(account.over_soft_limit());
  EXPECT_TRUE(account.is_scarce()) << "the pool's space counts";
}

TEST(SpaceAccount, ThreadsTogetherNeverPassTheLimit) {
  constexpr std::uint64_t kLimit = 10'000;
  constexpr unsigned kThreads = 4;
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  pool->set_limit({kLimit, kNoLimit});
  std::vector<std::unique_ptr<SpaceAccount>> accounts;
  for (unsigned i = 0; i < kThreads; ++i) accounts.push_back(std::make_unique<SpaceAccount>("container", pool));
  std::vector<std::uint64_t> taken(kThreads);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        while (accounts[i]->charge({3, 0})) taken[i] += 3;
      });
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t bytes : taken) sum += bytes;
  EXPECT_EQ(sum, pool->used().bytes);
  EXPECT_EQ(sum, kLimit - kLimit % 3);
}

TEST(SpaceAccount, WhoAsksForRoomTakesNothingFromOthers) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  SpaceAccount account("container 'a'", pool);
  pool->set_limit({100, 2});
  EXPECT_EQ(code_of(account.check_room({101, 0})), Code::kQuotaExceeded);
  EXPECT_EQ(code_of(account.check_room({100, 3})), Code::kQuotaExceeded);
  const std::jthread asks([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) static_cast<void>(account.check_room({100, 2}));
  });
  SpaceAccount writer("container 'b'", pool);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(writer.charge({100, 2})) << i;
    writer.refund({100, 2});
  }
}

/// Far from the limit as a share, but too little for what somebody wants to write: whoever deletes because of that need
/// not wait for the whole retention.
TEST(SpaceAccount, ARefusedWriteMakesOldVersionsGoSoon) {
  TestTarget target(21);
  target.options.aggregation = true;
  target.create();
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  const auto account = std::make_shared<SpaceAccount>("container 'c'", pool);
  pool->set_limit({3'000'000, kNoLimit});
  target.objects->charge_to(target.container, account);
  const ObjectId object = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
  const Bytes value = pattern(1, 800'000);
  const auto put = [&](std::string_view dkey) {
    return code_of(target.update(target.single(object, key_of(dkey), key_of("a"), value), value));
  };
  for (const std::string_view dkey : {"a", "b", "c"}) ASSERT_EQ(put(dkey), Code::kOk);
  ASSERT_EQ(put("d"), Code::kQuotaExceeded);
  ASSERT_FALSE(account->is_scarce());
  ASSERT_TRUE(
      target.punch({.container = target.container, .object = object, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  ASSERT_EQ(put("d"), Code::kQuotaExceeded);
  const Instant deleted = target.node.now();
  EXPECT_TRUE(target.world.run_until([&] { return account->used().bytes == 0; }, std::chrono::seconds(20)));
  EXPECT_GT(target.node.now() - deleted, std::chrono::seconds(4));  // readers of old epochs have their time
  EXPECT_EQ(put("d"), Code::kOk);
}

}  // namespace
}  // namespace cenote::object
