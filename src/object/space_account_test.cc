#include "cenote/object/space_account.h"

#include <thread>
#include <vector>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

TEST(SpaceAccount, HoldsToItsLimitToTheByte) {
  SpaceAccount account("container 'a'");
  EXPECT_TRUE(account.charge(1u << 30)) << "without a limit everything fits";
  account.refund(1u << 30);
  account.set_limit(100);
  EXPECT_TRUE(account.charge(60));
  EXPECT_TRUE(account.check_room(40));
  const auto refused = account.charge(41);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("container 'a': 41 more bytes do not fit, 60 of 100"), std::string::npos);
  EXPECT_TRUE(account.charge(40));
  EXPECT_FALSE(account.check_room(1));
  account.refund(1);
  EXPECT_TRUE(account.charge(1));
  EXPECT_EQ(account.used(), 100u);
}

TEST(SpaceAccount, ChargesThePoolOrNothing) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  pool->set_limit(100);
  SpaceAccount first("container 'a'", pool);
  SpaceAccount second("container 'b'", pool);
  second.set_limit(50);
  EXPECT_TRUE(first.charge(80));
  const auto refused = second.charge(30);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("pool 'p'"), std::string::npos);
  EXPECT_EQ(second.used(), 0u) << "what the pool refused must not stay charged";
  EXPECT_TRUE(second.charge(20));
  EXPECT_EQ(pool->used(), 100u);
  first.refund(80);
  EXPECT_EQ(pool->used(), 20u);
}

TEST(SpaceAccount, TakesInWhatIsThereAndThenRefuses) {
  SpaceAccount account("pool 'p'");
  account.set_limit(10);
  account.add(25);
  EXPECT_FALSE(account.charge(1));
  EXPECT_TRUE(account.is_scarce());
  account.refund(20);
  EXPECT_TRUE(account.charge(5));
}

TEST(SpaceAccount, KnowsWhenSpaceIsScarceAndTheSoftLimit) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  SpaceAccount account("container 'a'", pool);
  pool->set_limit(800);
  account.set_soft_limit(100);
  account.add(100);
  EXPECT_FALSE(account.over_soft_limit());
  EXPECT_FALSE(account.is_scarce());
  account.add(601);
  EXPECT_TRUE(account.over_soft_limit());
  EXPECT_TRUE(account.is_scarce()) << "the pool's space counts";
}

TEST(SpaceAccount, ThreadsTogetherNeverPassTheLimit) {
  constexpr std::uint64_t kLimit = 10'000;
  constexpr unsigned kThreads = 4;
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  pool->set_limit(kLimit);
  std::vector<std::unique_ptr<SpaceAccount>> accounts;
  for (unsigned i = 0; i < kThreads; ++i) accounts.push_back(std::make_unique<SpaceAccount>("container", pool));
  std::vector<std::uint64_t> taken(kThreads);
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        while (accounts[i]->charge(3)) taken[i] += 3;
      });
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t bytes : taken) sum += bytes;
  EXPECT_EQ(sum, pool->used());
  EXPECT_EQ(sum, kLimit - kLimit % 3);
}

/// Far from the limit as a share, but too little for what somebody wants to write: whoever deletes because of that need
/// not wait for the whole retention.
TEST(SpaceAccount, ARefusedWriteMakesOldVersionsGoSoon) {
  TestTarget target(21);
  target.options.aggregation = true;
  target.create();
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  const auto account = std::make_shared<SpaceAccount>("container 'c'", pool);
  pool->set_limit(3'000'000);
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
  EXPECT_TRUE(target.world.run_until([&] { return account->used() == 0; }, std::chrono::seconds(20)));
  EXPECT_GT(target.node.now() - deleted, std::chrono::seconds(4));  // readers of old epochs have their time
  EXPECT_EQ(put("d"), Code::kOk);
}

}  // namespace
}  // namespace cenote::object
