#include "targets_service.h"

#include <gtest/gtest.h>

#include "cenote/runtime/sim_reactor.h"
#include "memory_targets.h"
#include "target_examples.h"

namespace cenote::engine {
namespace {

using target_examples::kContainer;
using target_examples::kPool;

class TargetsServiceTest : public testing::Test {
 protected:
  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  TargetsRequest request(TargetsOp op, std::uint64_t token = 5) {
    TargetsRequest request{.token = token, .number = ++number_, .op = op, .container = kContainer};
    request.account = target_examples::terms(kContainer, "container 'p/c'");
    request.pool_account = target_examples::terms(kPool, "pool 'p'");
    return request;
  }
  Result<TargetsReply> call(TargetsRequest request) {
    return wait(service_.call(std::move(request), Until::at(world_.now() + std::chrono::seconds(10))));
  }
  Result<TargetsReply> call(TargetsOp op, std::uint64_t token = 5) { return call(request(op, token)); }
  void TearDown() override { wait(service_.stop()); }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("engine");
  MemoryTargets targets_{2};
  TargetsService service_{node_, targets_};
  std::uint64_t number_ = 0;
};

TEST_F(TargetsServiceTest, AnEarlierLeaderIsRefusedWhateverItAsks) {
  ASSERT_TRUE(call(TargetsOp::kCreate).has_value());
  ASSERT_TRUE(call(TargetsOp::kDescribe, 6).has_value()) << "a question is enough to be heard of";
  for (const TargetsRequest& example : target_examples::requests()) {
    TargetsRequest late = example;
    late.token = 5;
    const auto refused = call(late);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), Code::kLeaseExpired);
  }
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.contains(kContainer));
  EXPECT_TRUE(call(TargetsOp::kDestroy, 6).has_value());
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.empty());
}

TEST_F(TargetsServiceTest, AChangeThatALaterOneOvertookIsNotMade) {
  const TargetsRequest early = request(TargetsOp::kDestroy);
  ASSERT_TRUE(call(TargetsOp::kCreate).has_value());
  const auto refused = call(early);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(), Code::kRequestExpired);
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.contains(kContainer));
  // A leader counts by itself.
  TargetsRequest first = request(TargetsOp::kDestroy, 6);
  first.number = 1;
  EXPECT_TRUE(call(first).has_value());
}

TEST_F(TargetsServiceTest, ChangesAreMadeOneAtATimeAndNoneOfALeaderWhoseTimeIsOver) {
  ASSERT_TRUE(call(TargetsOp::kCreate).has_value());
  Event may_destroy(node_);
  targets_.may_destroy = &may_destroy;
  Scope scope(node_);
  const auto one = [](TargetsService* service, TargetsRequest wanted, Until until, Code* into) -> Task<> {
    const auto outcome = co_await service->call(std::move(wanted), until);
    *into = outcome ? Code::kOk : outcome.error().code();
  };
  const auto within = [&](std::int64_t seconds) { return Until::at(world_.now() + std::chrono::seconds(seconds)); };
  Code destroyed{}, impatient{}, deposed{}, later{};
  scope.spawn(one(&service_, request(TargetsOp::kDestroy), within(20), &destroyed));
  scope.spawn(one(&service_, request(TargetsOp::kCreate), within(1), &impatient));
  scope.spawn(one(&service_, request(TargetsOp::kCreate), within(20), &deposed));
  world_.run_until([] { return false; }, std::chrono::seconds(2));
  EXPECT_EQ(impatient, Code::kDeadlineExceeded);
  EXPECT_TRUE(call(TargetsOp::kUsed, 6).has_value()) << "questions do not wait, and a later leader is heard of";
  scope.spawn(one(&service_, request(TargetsOp::kCharge, 6), within(20), &later));
  may_destroy.set();
  wait(scope.drain());
  EXPECT_EQ(destroyed, Code::kOk) << "it had begun";
  EXPECT_EQ(deposed, Code::kLeaseExpired);
  EXPECT_EQ(later, Code::kOk);
  for (const auto& target : targets_.containers) EXPECT_TRUE(target.empty());
}

TEST_F(TargetsServiceTest, CallsReachTheTargets) {
  ASSERT_TRUE(call(TargetsOp::kCreate).has_value());
  EXPECT_TRUE(call(TargetsOp::kCreate).has_value()) << "again";
  targets_.holds = {7, 2};
  EXPECT_EQ(call(TargetsOp::kUsed)->usage, (object::Usage{7, 2}));
  EXPECT_EQ(call(TargetsOp::kDescribe)->about, (TargetsAbout{false, 1000, {1u << 30, 1u << 30}}));
  const TargetsRequest hold = request(TargetsOp::kHoldAnswers);
  ASSERT_TRUE(call(hold).has_value());
  EXPECT_TRUE(targets_.held);
  TargetsRequest add = request(TargetsOp::kAddSnapshot);
  add.epoch = Epoch(5001);
  EXPECT_TRUE(call(add).has_value());
  EXPECT_EQ(call(TargetsOp::kNewestEpoch)->epoch, Epoch(5001));
  TargetsRequest clone = request(TargetsOp::kCreate);
  clone.container = clone.account.id = Uuid::from_random(3, 3);
  clone.source = object::CloneSource{kContainer, Epoch(5001)};
  EXPECT_TRUE(call(clone).has_value());
  TargetsRequest roll_back = request(TargetsOp::kRollBack);
  roll_back.epoch = Epoch(5001);
  roll_back.id = Uuid::from_random(4, 4);
  EXPECT_TRUE(call(roll_back).has_value());
  for (const auto& target : targets_.rollbacks) EXPECT_EQ(target.at(kContainer).size(), 1u);
  TargetsRequest release = request(TargetsOp::kReleaseAnswers);
  release.hold_number = hold.number;
  EXPECT_TRUE(call(release).has_value());
  EXPECT_FALSE(targets_.held);
  TargetsRequest flattening = request(TargetsOp::kFlattening);
  flattening.container = clone.container;
  EXPECT_TRUE(call(flattening)->flattening.has_value());
  flattening = request(TargetsOp::kStartFlattening);
  flattening.container = clone.container;
  EXPECT_TRUE(call(flattening).has_value());
  EXPECT_TRUE(targets_.clones[0].empty());
}

TEST_F(TargetsServiceTest, AReleaseOfAHoldThatIsLostIsTold) {
  TargetsRequest release = request(TargetsOp::kReleaseAnswers);
  release.hold_number = 1;  // of before a restart
  EXPECT_EQ(call(release).error(), Code::kBusy);
  const TargetsRequest hold = request(TargetsOp::kHoldAnswers);
  ASSERT_TRUE(call(hold).has_value());
  ASSERT_TRUE(call(TargetsOp::kHoldAnswers).has_value()) << "of somebody else";
  release = request(TargetsOp::kReleaseAnswers);
  release.hold_number = hold.number;
  EXPECT_EQ(call(release).error(), Code::kBusy);
  EXPECT_FALSE(targets_.held) << "nobody is left holding";
}

TEST_F(TargetsServiceTest, AccountsHaveTheLimitsThatWereToldLast) {
  ASSERT_TRUE(call(TargetsOp::kCreate).has_value());
  const auto account = targets_.accounts.at(kContainer);
  EXPECT_EQ(account->charge({1001, 0}).error(), Code::kQuotaExceeded);
  TargetsRequest limits = request(TargetsOp::kLimits);
  limits.account.limit = {5000, 10};
  EXPECT_TRUE(call(limits).has_value());
  EXPECT_EQ(account->charge({1001, 0}).error(), Code::kQuotaExceeded) << "the pool's";
  limits = request(TargetsOp::kLimits);
  limits.account = limits.pool_account;
  limits.account.limit = {3000, 10};
  EXPECT_TRUE(call(limits).has_value());
  EXPECT_TRUE(account->charge({1001, 0}).has_value());
  EXPECT_TRUE(call(TargetsOp::kCharge).has_value());
  EXPECT_EQ(targets_.accounts.at(kContainer), account) << "a known container keeps its account";
  EXPECT_EQ(account->check_room({.bytes = 1, .objects = 0}).error(), Code::kQuotaExceeded)
      << "and has the limits that came with it";
  targets_.flattening_adds = {500, 1};
  EXPECT_EQ(call(TargetsOp::kMeasureFlattening).error(), Code::kQuotaExceeded);
  account->refund({1001, 0});
  EXPECT_EQ(call(TargetsOp::kMeasureFlattening)->usage, targets_.flattening_adds);
  EXPECT_TRUE(service_.knows(kContainer));
  EXPECT_TRUE(call(TargetsOp::kDestroy).has_value());
  EXPECT_FALSE(service_.knows(kContainer));
}

TEST_F(TargetsServiceTest, AScrubIsFollowedAndForgottenWhenNobodyAsks) {
  Event go(node_);
  targets_.scrubbed = &go;
  targets_.scrub_finds.resize(2);
  targets_.scrub_finds[1].found = 2;
  targets_.scrub_finds[1].findings = {target_examples::finding(), target_examples::finding()};
  TargetsRequest begin = request(TargetsOp::kBeginScrub);
  begin.id = Uuid::from_random(8, 8);
  ASSERT_TRUE(call(begin).has_value());
  ASSERT_TRUE(call(begin).has_value()) << "again";
  EXPECT_LE(targets_.scrubs, 1u);
  TargetsRequest progress = request(TargetsOp::kScrubProgress);
  progress.id = begin.id;
  EXPECT_FALSE(call(progress)->scrub.ended);
  go.set();
  world_.run_until([] { return false; }, std::chrono::milliseconds(1));
  const auto ended = call(progress);
  ASSERT_TRUE(ended->scrub.ended);
  ASSERT_EQ(ended->scrub.targets.size(), 2u);
  EXPECT_EQ(ended->scrub.targets[1].findings.size(), 2u);
  progress.findings_known = {0, 1};
  EXPECT_EQ(call(progress)->scrub.targets[1].findings.size(), 1u);
  world_.run_until([] { return false; }, TargetsService::kScrubPatience + std::chrono::seconds(1));
  EXPECT_EQ(call(progress).error(), Code::kNotFound);
  EXPECT_EQ(targets_.scrubs, 1u);
}

TEST_F(TargetsServiceTest, ScrubsAreBoundedAndEndWithTheService) {
  Event never(node_);
  targets_.scrubbed = &never;
  TargetsRequest begin = request(TargetsOp::kBeginScrub);
  for (std::uint64_t i = 0; i < TargetsService::kMaxScrubs; ++i) {
    begin.id = Uuid::from_random(8, i);
    ASSERT_TRUE(call(begin).has_value());
  }
  begin.id = Uuid::from_random(9, 9);
  EXPECT_EQ(call(begin).error(), Code::kBusy);
  TargetsRequest end = request(TargetsOp::kEndScrub);
  end.id = Uuid::from_random(8, 0);
  EXPECT_TRUE(call(end).has_value());
  EXPECT_TRUE(call(end).has_value()) << "again";
  EXPECT_TRUE(call(begin).has_value());
  wait(service_.stop());
}

}  // namespace
}  // namespace cenote::engine
