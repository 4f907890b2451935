#include "key_locks.h"

#include <gtest/gtest.h>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);

CommitRequest update_of(std::string_view dkey, std::string_view akey = "a") {
  CommitRequest request;
  UpdateRequest& update = request.updates.emplace_back();
  update.object = kObject;
  update.dkey = as_bytes(dkey);
  update.akeys.emplace_back().akey = as_bytes(akey);
  return request;
}

CommitRequest write_of(RecordRanges ranges) {
  CommitRequest request = update_of("d");
  request.updates[0].akeys[0].kind = ValueKind::kArray;
  request.updates[0].akeys[0].ranges = std::move(ranges);
  return request;
}

CommitRequest punch_of_dkey() {
  CommitRequest request;
  PunchRequest& punch = request.punches.emplace_back();
  punch.object = kObject;
  punch.level = PunchLevel::kDkey;
  punch.dkey = as_bytes("d");
  return request;
}

CommitRequest punch_of_object() {
  CommitRequest request;
  request.punches.emplace_back().object = kObject;
  return request;
}

class KeyLocksTest : public testing::Test {
 protected:
  static Task<> work(KeyLocksTest& self, CommitRequest request, std::string name, KeyLocks::Arrays arrays) {
    KeyLocks::Held held(self.locks_, KeyLocks::wanted_by(request, arrays));
    const auto acquired = co_await held.acquire(Until::at(self.node_.now() + 1s));
    if (!acquired) {
      self.log_ += name + "? ";
      co_return;
    }
    self.log_ += name + "( ";
    co_await self.node_.sleep_for(100ms);
    self.log_ += name + ") ";
  }
  void start(CommitRequest request, std::string name, KeyLocks::Arrays arrays = KeyLocks::Arrays::kExist) {
    scope_.spawn(work(*this, std::move(request), std::move(name), arrays));
  }
  std::string finish() {
    world_.block_on(node_, scope_.drain());
    return log_;
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("node");
  KeyLocks locks_{node_};
  Scope scope_{node_};
  std::string log_;
};

TEST_F(KeyLocksTest, TheSameDkeyOneAfterTheOtherAndOthersBeside) {
  start(update_of("d"), "a");
  start(update_of("d"), "b");
  start(update_of("e"), "c");
  EXPECT_EQ(finish(), "a( c( a) c) b( b) ");
}

TEST_F(KeyLocksTest, AWholeObjectWaitsForItsDkeysAndKeepsLaterOnesWaiting) {
  start(update_of("d"), "a");
  start(punch_of_object(), "p");
  start(update_of("e"), "b");
  EXPECT_EQ(finish(), "a( a) p( p) b( b) ");
}

TEST_F(KeyLocksTest, RecordsThatAreApartSideBySide) {
  start(write_of({{0, 10}}), "a");
  start(write_of({{10, 10}}), "b");
  start(write_of({{5, 1}, {100, 1}}), "c");  // what lies between counts, too
  start(write_of({{50, 1}}), "d");           // behind c
  start(write_of({{200, 1}}), "e");
  start(update_of("d", "other"), "f");
  EXPECT_EQ(finish(), "a( b( e( f( a) b) c( e) f) c) d( d) ");
}

TEST_F(KeyLocksTest, WhatMayBeBornHasTheArrayToItself) {
  start(write_of({{0, 10}}), "a", KeyLocks::Arrays::kMayBeBorn);
  start(write_of({{10, 10}}), "b");
  start(write_of({{20, 10}}), "c");
  EXPECT_EQ(finish(), "a( a) b( c( b) c) ");
}

TEST_F(KeyLocksTest, AWholeDkeyWaitsForWhatIsInItAndKeepsLaterOnesWaiting) {
  start(write_of({{0, 10}}), "a");
  start(punch_of_dkey(), "p");
  start(write_of({{10, 10}}), "b");
  start(update_of("e"), "c");
  EXPECT_EQ(finish(), "a( c( a) c) p( p) b( b) ");
}

TEST_F(KeyLocksTest, WhoGivesUpLetsOthersThrough) {
  for (int i = 0; i < 12; ++i) start(update_of("d"), std::to_string(i));
  const std::string log = finish();
  EXPECT_NE(log.find("8( 8) "), std::string::npos) << log;
  EXPECT_NE(log.find("11? "), std::string::npos) << log;
}

}  // namespace
}  // namespace cenote::engine
