#include "lease_table.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "cenote/runtime/sim_reactor.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

const Uuid kContainer = Uuid::from_random(1, 1);
const ObjectId kObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const ObjectId kOtherObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);

KeyBytes key(std::string_view text) { return KeyBytes(as_bytes(text)); }

UpdateRequest update_of(std::string_view dkey, const ObjectId& object = kObject) {
  UpdateRequest update;
  update.container = kContainer;
  update.object = object;
  update.dkey = key(dkey);
  return update;
}

/// What clients have been told, as they see it: when they ask, and what was asked back.
struct Clients {
  explicit Clients(SimReactor& reactor_in) : reactor(reactor_in) {}

  struct Held {
    Instant until;
    std::uint64_t generation = 0;
  };
  SimReactor& reactor;
  std::map<std::uint64_t, std::map<LeaseToken, Held>> held;
  std::map<std::uint64_t, bool> silent;
  std::uint64_t asked = 0;

  LeaseTable::Ask ask() {
    return [this](LeaseClient client, RecallRequest request, Until until) {
      return answer(*this, std::move(client), std::move(request), until);
    };
  }
  static Task<bool> answer(Clients& self, LeaseClient client, RecallRequest request, Until until) {
    ++self.asked;
    if (self.silent[client.session]) {
      co_await self.reactor.sleep_until(until.deadline);
      co_return false;
    }
    co_await self.reactor.sleep_until(self.reactor.now() + 1ms);
    for (const LeaseToken token : request.tokens) self.held[client.session].erase(token);
    co_return true;
  }
  bool goes_by(std::uint64_t session, LeaseToken token) {
    const auto found = held[session].find(token);
    return found != held[session].end() && reactor.now() < found->second.until;
  }
};

Task<> sleep(Reactor& reactor, Duration time) { co_await reactor.sleep_until(reactor.now() + time); }

class LeaseTableTest : public testing::Test {
 protected:
  ~LeaseTableTest() override {
    table_.check_invariants();
    world_.block_on(node_, table_.stop());
  }

  LeaseClient client(std::uint64_t session) { return {.session = session, .home = &node_, .way = {}}; }
  /// As a client does that asks at once.
  bool take(std::uint64_t session, const LeaseTopic& topic, LeaseToken token) {
    LeaseTable::Offer offer(table_, kContainer, topic, client(session), token);
    const LeaseGrant grant = offer.settle(kNoDeadline);
    if (grant.generation != 0) clients_.held[session][token] = {node_.now() + grant.valid, grant.generation};
    return grant.generation != 0;
  }
  Result<> change(UpdateRequest update, std::uint64_t session, Until until = Until::forever()) {
    return world_.block_on(node_, enter(table_, update, session, until));
  }
  static Task<Result<>> enter(LeaseTable& table, const UpdateRequest& update, std::uint64_t session, Until until) {
    LeaseTable::Change change(table, update);
    co_return co_await change.enter(session, until);
  }
  void wait(Duration time) { world_.block_on(node_, sleep(node_, time)); }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("target");
  Clients clients_{node_};
  LeaseTable table_{node_, clients_.ask()};
};

TEST_F(LeaseTableTest, NothingIsChangedBeforeLeasesOfAnEarlierLeaderAreOver) {
  const Instant begin = node_.now();
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_GE(node_.now() - begin, kLeaseTerm);
  const Instant then = node_.now();
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_EQ(node_.now(), then);
  table_.wait_out();
  EXPECT_EQ(change(update_of("a"), 1, Until::at(node_.now() + 10ms)).error(), Code::kDeadlineExceeded);
  table_.note_created(kContainer);
  EXPECT_TRUE(change(update_of("a"), 1, Until::at(node_.now() + 10ms))) << "nobody can have promised anything of it";
  table_.wait_out();
  EXPECT_EQ(change(update_of("a"), 1, Until::at(node_.now() + 10ms)).error(), Code::kDeadlineExceeded);
}

TEST_F(LeaseTableTest, OthersAreAskedBeforeAChangeAndTheClientItselfIsNot) {
  wait(2s);
  ASSERT_TRUE(take(1, {kObject, key("a")}, 1));
  ASSERT_TRUE(take(2, {kObject, key("a")}, 1));
  ASSERT_TRUE(take(2, {kObject, key("b")}, 2));
  ASSERT_TRUE(take(2, {kOtherObject}, 3));
  EXPECT_EQ(table_.size(), 4u);
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_EQ(clients_.asked, 1u);
  EXPECT_FALSE(clients_.goes_by(2, 1));
  EXPECT_TRUE(clients_.goes_by(2, 2)) << "another dkey";
  EXPECT_EQ(table_.size(), 2u) << "its own ends with the change";
  ASSERT_TRUE(change(update_of("x", kOtherObject), 1));
  EXPECT_FALSE(clients_.goes_by(2, 3)) << "of all of the object";
  PunchRequest punch;
  punch.container = kContainer;
  punch.object = kObject;
  LeaseTable::Change all(table_, punch);
  ASSERT_TRUE(world_.block_on(node_, all.enter(1, Until::forever())));
  EXPECT_FALSE(clients_.goes_by(2, 2)) << "all of the object goes";
  EXPECT_FALSE(take(2, {kObject, key("c")}, 9)) << "it is being changed";
  EXPECT_TRUE(take(2, {kOtherObject, key("c")}, 10));
}

TEST_F(LeaseTableTest, WhoDoesNotAnswerIsWaitedForUntilItsTimeIsOver) {
  wait(2s);
  ASSERT_TRUE(take(2, {kObject, key("a")}, 1));
  ASSERT_TRUE(take(2, {kObject, key("b")}, 2));
  clients_.silent[2] = true;
  const Instant begin = node_.now();
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_GE(node_.now() - begin, kLeaseTerm);
  EXPECT_LE(node_.now() - begin, kLeaseTerm + 100ms);
  EXPECT_FALSE(clients_.goes_by(2, 2));
  EXPECT_EQ(table_.size(), 0u) << "all of its leases have ended";
  EXPECT_EQ(
      table_.renew(client(2), {.generation = clients_.held[2][2].generation, .dropped = {}}, kNoDeadline).generation,
      0u);
  ASSERT_TRUE(change(update_of("b"), 1));
  EXPECT_EQ(clients_.asked, 1u);
}

TEST_F(LeaseTableTest, LeasesLastAsLongAsTheyAreRenewed) {
  wait(2s);
  ASSERT_TRUE(take(2, {kObject, key("a")}, 1));
  ASSERT_TRUE(take(2, {kObject, key("b")}, 2));
  const std::uint64_t generation = clients_.held[2][1].generation;
  for (int i = 0; i < 10; ++i) {
    wait(1s);
    const LeaseGrant grant = table_.renew(client(2), {.generation = generation, .dropped = {2}}, kNoDeadline);
    ASSERT_EQ(grant.generation, generation);
    clients_.held[2][1].until = node_.now() + grant.valid;
  }
  EXPECT_EQ(table_.size(), 1u) << "one was dropped";
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_EQ(clients_.asked, 1u);
  ASSERT_TRUE(take(2, {kObject, key("a")}, 3));
  wait(10s);
  const Instant begin = node_.now();
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_EQ(node_.now(), begin) << "its time is over, nobody is asked";
  EXPECT_EQ(clients_.asked, 1u);
}

TEST_F(LeaseTableTest, WhatIsReadWhileItIsChangedGetsNone) {
  wait(2s);
  LeaseTable::Offer offer(table_, kContainer, {kObject, key("a")}, client(2), 1);
  ASSERT_TRUE(change(update_of("a"), 1));
  EXPECT_EQ(offer.settle(kNoDeadline).generation, 0u);
}

TEST_F(LeaseTableTest, NoLongerThanItsOwnLease) {
  wait(2s);
  LeaseTable::Offer offer(table_, kContainer, {kObject, key("a")}, client(2), 1);
  EXPECT_EQ(offer.settle(node_.now() + 100ms).valid, 100ms);
  LeaseTable::Offer late(table_, kContainer, {kObject, key("b")}, client(2), 2);
  EXPECT_EQ(late.settle(node_.now()).generation, 0u);
}

/// Clients that take, renew, drop, keep silent, and change, in any order: no change is ever made while another client
/// goes by what it touches.
class LeaseModel {
 public:
  explicit LeaseModel(std::uint64_t seed) : world_(seed), table_(node_, clients_.ask()), scope_(node_) {}

  void run() {
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t session = 1 + world_.random_below(4);
      const std::string dkey(1, static_cast<char>('a' + world_.random_below(4)));
      switch (world_.random_below(8)) {
        case 0:
        case 1:
        case 2:
          scope_.spawn(take(*this, session, dkey, ++last_token_));
          break;
        case 3:
        case 4:
          scope_.spawn(change(*this, session, dkey));
          break;
        case 5:
          renew(session);
          break;
        case 6:
          clients_.silent[session] = world_.chance(1, 4);
          break;
        default:
          world_.block_on(node_, sleep(node_, Duration(static_cast<std::int64_t>(world_.random_below(400'000'000)))));
      }
      table_.check_invariants();
    }
    world_.block_on(node_, scope_.drain());
    world_.block_on(node_, table_.stop());
    EXPECT_GT(table_.counters().given, 100u);
    EXPECT_GT(table_.counters().recalled, 10u);
    EXPECT_GT(table_.counters().expired, 0u);
  }

 private:
  static Task<> take(LeaseModel& self, std::uint64_t session, std::string dkey, LeaseToken token) {
    const Instant asked = self.node_.now();
    LeaseTable::Offer offer(self.table_, kContainer, {kObject, key(dkey)}, self.client(session), token);
    co_await self.node_.sleep_until(self.node_.now() + 300us);
    const LeaseGrant grant = offer.settle(kNoDeadline);
    if (grant.generation == 0) co_return;
    self.of_[token] = dkey;
    auto& held = self.clients_.held[session];
    for (auto it = held.begin(); it != held.end();)  // an earlier generation is void, and a newer lease replaces
      it = it->second.generation != grant.generation || self.of_[it->first] == dkey ? held.erase(it) : std::next(it);
    held[token] = {asked + grant.valid, grant.generation};
  }
  static Task<> change(LeaseModel& self, std::uint64_t session, std::string dkey) {
    // What a client changes it goes by no more, which nobody tells it.
    std::erase_if(self.clients_.held[session], [&](const auto& held) { return self.of_[held.first] == dkey; });
    const UpdateRequest update = update_of(dkey);
    LeaseTable::Change change(self.table_, update);
    if (!co_await change.enter(session, Until::at(self.node_.now() + 5s))) co_return;
    for (int i = 0; i < 3; ++i) {
      for (auto& [other, held] : self.clients_.held)
        for (auto& [token, lease] : held)
          if (other != session && self.of_[token] == dkey) {
            EXPECT_FALSE(self.clients_.goes_by(other, token)) << "seed " << self.world_.seed();
          }
      co_await self.node_.sleep_until(self.node_.now() + 1ms);
    }
  }
  void renew(std::uint64_t session) {
    auto& held = clients_.held[session];
    if (held.empty()) return;
    const std::uint64_t generation = held.begin()->second.generation;
    const LeaseGrant grant = table_.renew(client(session), {.generation = generation, .dropped = {}}, kNoDeadline);
    if (grant.generation == 0) return held.clear();
    for (auto& [token, lease] : held)
      if (node_.now() < lease.until) lease.until = node_.now() + grant.valid;
  }
  LeaseClient client(std::uint64_t session) { return {.session = session, .home = &node_, .way = {}}; }

  SimWorld world_;
  SimReactor& node_ = world_.add_node("target");
  Clients clients_{node_};
  LeaseTable table_;
  Scope scope_;
  LeaseToken last_token_ = 0;
  std::map<LeaseToken, std::string> of_;
};

TEST(LeaseTableModel, NothingIsChangedWhileAnotherGoesByIt) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    LeaseModel(seed).run();
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace cenote::engine
