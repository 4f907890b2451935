#include "key_locks.h"

#include <gtest/gtest.h>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);

CommitRequest update_of(std::string_view dkey) {
  CommitRequest request;
  UpdateRequest& update = request.updates.emplace_back();
  update.object = kObject;
  update.dkey = as_bytes(dkey);
  return request;
}

CommitRequest punch_of_object() {
  CommitRequest request;
  request.punches.emplace_back().object = kObject;
  return request;
}

class KeyLocksTest : public testing::Test {
 protected:
  static Task<> work(KeyLocksTest& self, CommitRequest request, std::string name) {
    KeyLocks::Held held(self.locks_, KeyLocks::wanted_by(request));
    const auto acquired = co_await held.acquire(Until::at(self.node_.now() + 1s));
    if (!acquired) {
      self.log_ += name + "? ";
      co_return;
    }
    self.log_ += name + "( ";
    co_await self.node_.sleep_for(100ms);
    self.log_ += name + ") ";
  }
  void start(CommitRequest request, std::string name) {
    scope_.spawn(work(*this, std::move(request), std::move(name)));
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

TEST_F(KeyLocksTest, WhoGivesUpLetsOthersThrough) {
  for (int i = 0; i < 12; ++i) start(update_of("d"), std::to_string(i));
  const std::string log = finish();
  EXPECT_NE(log.find("8( 8) "), std::string::npos) << log;
  EXPECT_NE(log.find("11? "), std::string::npos) << log;
}

}  // namespace
}  // namespace cenote::engine
