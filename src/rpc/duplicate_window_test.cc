#include "duplicate_window.h"

#include <gtest/gtest.h>

#include <unordered_map>

#include "cenote/base/format.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/random.h"
#include "cenote/runtime/sim_reactor.h"
#include "dispatcher.h"

namespace cenote::rpc {
namespace {

class DuplicateWindowTest : public ::testing::Test {
 protected:
  void run_and_answer(std::uint64_t sequence, std::uint64_t expiry = 100) {
    window.begin(sequence, expiry, request);
    window.answer(sequence, {.status = 0, .map_version = 1, .body = Bytes(10), .had_payload = false}, false);
    window.check_invariants();
  }
  CancelSource cancel;
  IncomingRequest request{cancel};
  DuplicateWindow window{{.kept_max = 3, .kept_bytes_max = 1000}};
};

TEST_F(DuplicateWindowTest, KeepsAnAnswerUntilItIsAcknowledged) {
  run_and_answer(5);
  ASSERT_NE(window.find(5), nullptr);
  EXPECT_EQ(window.find(5)->running, nullptr);
  window.acknowledge(4, {});
  EXPECT_NE(window.find(5), nullptr);
  window.acknowledge(5, {});
  EXPECT_EQ(window.find(5), nullptr);
  EXPECT_EQ(window.acknowledged(), 5u);
}

TEST_F(DuplicateWindowTest, ForgetsAloneWhatEndedOutOfOrder) {
  run_and_answer(5);
  run_and_answer(6);
  const std::uint64_t ended[] = {6, 99};
  window.acknowledge(0, ended);
  EXPECT_NE(window.find(5), nullptr);
  EXPECT_EQ(window.find(6), nullptr);
}

TEST_F(DuplicateWindowTest, ARunningRequestIsForgottenWhenItEnds) {
  window.begin(5, 100, request);
  window.acknowledge(7, {});
  ASSERT_NE(window.find(5), nullptr);
  window.answer(5, {}, false);
  EXPECT_EQ(window.find(5), nullptr);
}

TEST_F(DuplicateWindowTest, AFullWindowRefusesUntilSomethingExpired) {
  run_and_answer(1, 50);
  run_and_answer(2, 100);
  run_and_answer(3, 100);
  const Result<> room = window.check_room(10);
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error().code(), Code::kBusy);
  EXPECT_TRUE(window.check_room(2'000'000'000));
  EXPECT_EQ(window.kept(), 0u);
}

TEST_F(DuplicateWindowTest, BytesAreBoundedToo) {
  window.begin(1, 100, request);
  window.answer(1, {.status = 0, .map_version = 0, .body = Bytes(1000), .had_payload = false}, false);
  EXPECT_FALSE(window.check_room(10));
}

TEST(SequenceMapTest, BehavesAsAMapUnderRandomUse) {
  constexpr std::uint64_t kSeed = 4;
  SCOPED_TRACE(fmt::format("seed {}", kSeed));
  Random random(kSeed);
  SequenceMap<int> map;
  std::unordered_map<std::uint64_t, int> model;
  for (int step = 0; step < 50'000; ++step) {
    const std::uint64_t key = 1 + random.below(200);
    if (random.below(2) == 0) {
      if (!model.contains(key)) map.insert(key, model.emplace(key, step).first->second);
    } else {
      EXPECT_EQ(map.erase(key), model.erase(key) == 1);
    }
    const int* found = map.find(key);
    ASSERT_EQ(found != nullptr, model.contains(key));
    if (found != nullptr) ASSERT_EQ(*found, model[key]);
    ASSERT_EQ(map.size(), model.size());
  }
  map.erase_if([](std::uint64_t key, int&) { return key % 2 == 0; });
  for (const auto& [key, value] : model) EXPECT_EQ(map.find(key) != nullptr, key % 2 == 1);
}

TEST(ClientSessionTest, AcknowledgesUpToTheOldestOpenRequest) {
  SimWorld world(1);
  SimReactor& node = world.add_node("client");
  ClientSession session(node, {.name = "x"});
  EXPECT_EQ(session.acknowledged().value(), 0u);
  auto first = std::make_unique<RequestTicket>(session, std::chrono::seconds(1));
  auto second = std::make_unique<RequestTicket>(session, std::chrono::hours(1));
  auto third = std::make_unique<RequestTicket>(session, std::chrono::seconds(1));
  EXPECT_EQ(second->expiry(), node.wall_now() + kRequestLifetimeMax);
  second.reset();
  EXPECT_EQ(session.acknowledged().value(), 0u);
  std::uint64_t cursor = 0;
  std::vector<std::uint64_t> ended;
  session.collect_ended(cursor, 10, ended);
  EXPECT_EQ(ended, (std::vector<std::uint64_t>{2}));
  session.collect_ended(cursor, 10, ended);
  EXPECT_EQ(ended.size(), 1u);
  first.reset();
  EXPECT_EQ(session.acknowledged().value(), 2u);
  third.reset();
  EXPECT_EQ(session.acknowledged().value(), 3u);
}

}  // namespace
}  // namespace cenote::rpc
