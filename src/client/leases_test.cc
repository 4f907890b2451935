#include "leases.h"

#include <gtest/gtest.h>

#include "cenote/runtime/sim_reactor.h"

namespace cenote::async {
namespace {

using namespace std::chrono_literals;

const Uuid kContainer = Uuid::from_random(1, 1);
const ObjectId kObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const Leases::Place kPlace{.peer = nullptr, .target = 1};

KeyBytes key(std::string_view text) { return KeyBytes(as_bytes(text)); }
LeaseKey dkey(std::string_view name) { return {.container = kContainer, .object = kObject, .dkey = key(name)}; }
LeaseKey whole() { return {.container = kContainer, .object = kObject}; }

UpdateRequest update_of(std::string_view name) {
  UpdateRequest update;
  update.container = kContainer;
  update.object = kObject;
  update.dkey = key(name);
  return update;
}

/// Without an engine: nothing is renewed, as every test ends before.
class LeasesTest : public testing::Test {
 protected:
  ~LeasesTest() override { world_.block_on(node_, scope_.stop()); }

  std::optional<Lease> take(LeaseKey what, std::uint64_t generation = 1, Duration valid = 300ms) {
    Leases::Asking asking(leases_, std::move(what));
    return asking.take(kPlace, {.generation = generation, .valid = valid});
  }
  static Task<> sleep(Reactor& reactor, Duration time) { co_await reactor.sleep_until(reactor.now() + time); }
  void wait(Duration time) { world_.block_on(node_, sleep(node_, time)); }
  static Result<rpc::Reply> failure(Code code) { return fail(code); }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("client");
  Scope scope_{node_};
  Leases leases_{node_, scope_};
};

TEST_F(LeasesTest, ALeaseHoldsForItsTime) {
  const auto lease = take(dkey("a"));
  ASSERT_TRUE(lease);
  EXPECT_TRUE(lease->holds());
  wait(290ms);
  EXPECT_TRUE(lease->holds());
  wait(10ms);
  EXPECT_FALSE(lease->holds());
  EXPECT_FALSE(take(dkey("a"), 0)) << "none was given";
}

TEST_F(LeasesTest, AnotherGenerationEndsThoseBefore) {
  const auto before = take(dkey("a"));
  const auto after = take(dkey("b"), 2);
  ASSERT_TRUE(before && after);
  EXPECT_FALSE(before->holds());
  EXPECT_TRUE(after->holds());
}

TEST_F(LeasesTest, WhatIsChangedHereEndsThem) {
  const auto one = take(dkey("a")), all = take(whole()), other = take(dkey("b"));
  ASSERT_TRUE(one && all && other);
  const UpdateRequest update = update_of("a");
  {
    Leases::Changing changing(leases_, update);
    EXPECT_FALSE(one->holds());
    EXPECT_FALSE(all->holds());
    EXPECT_TRUE(other->holds());
    EXPECT_FALSE(take(dkey("a"))) << "it is being changed";
    changing.ended(rpc::Reply{}, Until::at(node_.now() + 1s));
  }
  EXPECT_TRUE(take(dkey("a")));
  PunchRequest punch;
  punch.container = kContainer;
  punch.object = kObject;
  const Leases::Changing punching(leases_, punch);
  EXPECT_FALSE(other->holds()) << "all of the object goes";
}

TEST_F(LeasesTest, WhatWasAskedBeforeAChangeAndAnsweredAfterItGivesNone) {
  Leases::Asking asking(leases_, dkey("a"));
  const UpdateRequest update = update_of("a");
  {
    Leases::Changing changing(leases_, update);
    changing.ended(rpc::Reply{}, Until::at(node_.now() + 1s));
  }
  EXPECT_FALSE(asking.take(kPlace, {.generation = 1, .valid = 300ms}));
}

TEST_F(LeasesTest, AChangeThatMayTakeEffectYetKeepsThemAway) {
  const UpdateRequest update = update_of("a");
  const Instant deadline = node_.now() + 100ms;
  {
    Leases::Changing refused(leases_, update);
    refused.ended(failure(Code::kConditionFailed), Until::at(deadline));
  }
  EXPECT_TRUE(take(dkey("a"))) << "it was refused";
  {
    Leases::Changing doubtful(leases_, update);
    doubtful.ended(failure(Code::kDeadlineExceeded), Until::at(deadline));
  }
  EXPECT_FALSE(take(dkey("a")));
  EXPECT_FALSE(take(whole()));
  EXPECT_TRUE(take(dkey("b")));
  wait(deadline + 2 * rpc::kClockOffsetMax - node_.now() + 1ms);
  // Time for renewals has passed meanwhile, without leases that need them.
  EXPECT_TRUE(take(dkey("a")));
}

}  // namespace
}  // namespace cenote::async
