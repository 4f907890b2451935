#include "cenote/cluster/embedded_coordinator.h"

#include <gtest/gtest.h>

#include <map>

#include "cenote/base/format.h"
#include "cenote/media/sim_device.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::cluster {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBlocks = 128ull << 20 >> 12;

class EmbeddedCoordinatorTest : public testing::Test {
 protected:
  void start() {
    device_ = std::make_unique<media::SimDevice>(node_, "coordinator", *medium_);
    auto store = world_.block_on(node_, store::Store::open(node_, store::Devices::one(*device_), open_options()));
    ASSERT_TRUE(store) << store.error().to_string();
    auto opened = world_.block_on(node_, EmbeddedCoordinator::open(*std::move(store)));
    ASSERT_TRUE(opened) << opened.error().to_string();
    coordinator_ = *std::move(opened);
  }

  void SetUp() override {
    media::SimDevice device(node_, "new", *medium_);
    const auto done =
        world_.block_on(node_, store::Store::format(node_, store::Devices::one(device), {.log_bytes = 4u << 20}));
    ASSERT_TRUE(done) << done.error().to_string();
    world_.block_on(node_, device.close());
    start();
  }

  void TearDown() override { EXPECT_TRUE(stop()); }

  Result<> stop() {
    if (!coordinator_) return {};
    coordinator_->check_invariants();
    auto closed = world_.block_on(node_, coordinator_->close());
    coordinator_.reset();
    world_.block_on(node_, device_->close());
    device_.reset();
    return closed;
  }

  /// Power loss: what was not durable is kept, lost or torn at random.
  void crash() {
    device_->crash({});
    [[maybe_unused]] const Result<> cut_off = stop();
    start();
  }

  Result<Revision> commit(Transaction transaction) {
    return world_.block_on(node_, coordinator_->commit(std::move(transaction)));
  }
  std::optional<KeyValue> get(std::string key) {
    auto found = world_.block_on(node_, coordinator_->get(std::move(key)));
    EXPECT_TRUE(found) << found.error().to_string();
    return found.value_or(std::nullopt);
  }

  Lease grant(Duration ttl) {
    auto lease = world_.block_on(node_, coordinator_->grant_lease(ttl));
    EXPECT_TRUE(lease) << lease.error().to_string();
    return lease.value_or(Lease{});
  }
  Result<std::vector<WatchEvent>> next(Watch& watch, Duration within = 1s) {
    return world_.block_on(node_, watch.next(Until::at(node_.now() + within)));
  }
  void let_pass(Duration time) {
    world_.run_until([until = world_.now() + time, this] { return world_.now() >= until; }, time);
  }

  static Task<> write(Coordinator& coordinator, std::string key) {
    static_cast<void>(co_await coordinator.commit(Transaction().put(std::move(key), "v")));
  }

  static store::OpenOptions open_options() {
    store::OpenOptions options;
    options.cache_bytes = store::kMinCacheBytes;
    return options;
  }

  SimWorld world_{11};
  SimReactor& node_ = world_.add_node("control");
  std::unique_ptr<media::SimMedium> medium_ = std::make_unique<media::SimMedium>(kBlocks);
  std::unique_ptr<media::SimDevice> device_;
  std::unique_ptr<EmbeddedCoordinator> coordinator_;
};

TEST_F(EmbeddedCoordinatorTest, KeepsWhatWasCommittedAcrossACleanRestart) {
  const auto revision = commit(Transaction().put("a", "1").put("b", "2"));
  ASSERT_TRUE(revision);
  ASSERT_TRUE(stop());
  start();
  const auto found = get("a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->value, "1");
  EXPECT_EQ(found->modified, *revision);
  EXPECT_FALSE(get("c"));
}

TEST_F(EmbeddedCoordinatorTest, AComparisonThatDoesNotHoldChangesNothing) {
  const auto first = commit(Transaction().require("a", Revision(0)).put("a", "1"));
  ASSERT_TRUE(first);
  const auto again = commit(Transaction().require("a", Revision(0)).put("a", "2").put("b", "2"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kConditionFailed);
  EXPECT_EQ(get("a")->value, "1");
  EXPECT_FALSE(get("b"));
  const auto second = commit(Transaction().require("a", *first).put("a", "3"));
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
  EXPECT_EQ(get("a")->value, "3");
}

TEST_F(EmbeddedCoordinatorTest, RangesArePagedByPrefixInKeyOrder) {
  Transaction transaction;
  for (int i = 0; i < 9; ++i) transaction.put(fmt::format("p/{}", i), "x");
  transaction.put("o", "x").put("q", "x").put("p", "x");
  ASSERT_TRUE(commit(std::move(transaction)));
  auto page = world_.block_on(node_, coordinator_->range("p/", "", 4));
  ASSERT_TRUE(page);
  ASSERT_EQ(page->size(), 4u);
  EXPECT_EQ(page->back().key, "p/3");
  page = world_.block_on(node_, coordinator_->range("p/", "p/3", 100));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->size(), 5u);
  const auto all = world_.block_on(node_, range_all(*coordinator_, "p/"));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 9u);
}

TEST_F(EmbeddedCoordinatorTest, WhatIsOverALimitIsRefusedByName) {
  const auto key = commit(Transaction().put(std::string(kMaxStateKeyBytes + 1, 'k'), ""));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code(), Code::kOutOfRange);
  const auto value = commit(Transaction().put("k", std::string(kMaxStateValueBytes + 1, 'v')));
  ASSERT_FALSE(value);
  EXPECT_NE(value.error().message().find("'k'"), std::string::npos);
  EXPECT_TRUE(commit(Transaction().put(std::string(kMaxStateKeyBytes, 'k'), std::string(kMaxStateValueBytes, 'v'))));
}

TEST_F(EmbeddedCoordinatorTest, EveryAcknowledgedTransactionSurvivesPowerLoss) {
  std::map<std::string, std::string> expected;
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::uint64_t i = 0; i < 5; ++i) {
      const std::string key = fmt::format("k{}", world_.random_below(10));
      const std::string value = fmt::format("{}-{}", round, i);
      ASSERT_TRUE(commit(Transaction().put(key, value).put("last", value)));
      expected[key] = expected["last"] = value;
    }
    crash();
    for (const auto& [key, value] : expected) {
      const auto found = get(key);
      ASSERT_TRUE(found) << "seed " << world_.seed() << " round " << round << ": '" << key << "' is gone";
      EXPECT_EQ(found->value, value) << "seed " << world_.seed() << " round " << round;
    }
  }
}

TEST_F(EmbeddedCoordinatorTest, TheKeysOfALeaseGoWhenItsTimeIsOver) {
  const Lease lease = grant(5s);
  EXPECT_EQ(lease.valid_until, node_.now() + 5s);
  ASSERT_TRUE(commit(Transaction().put("a", "1", lease.id).put("b", "2", lease.id).put("c", "3")));
  EXPECT_EQ(get("a")->lease, lease.id);
  ASSERT_TRUE(commit(Transaction().put("b", "4")));
  let_pass(4s);
  const auto renewed = world_.block_on(node_, coordinator_->keep_alive(lease.id));
  ASSERT_TRUE(renewed);
  EXPECT_EQ(renewed->valid_until, node_.now() + 5s);
  let_pass(renewed->valid_until - node_.now() - 1ms);
  EXPECT_TRUE(get("a"));
  let_pass(100ms);
  EXPECT_FALSE(get("a"));
  EXPECT_EQ(get("b")->value, "4");
  EXPECT_TRUE(get("c"));
  EXPECT_EQ(world_.block_on(node_, coordinator_->keep_alive(lease.id)).error().code(), Code::kLeaseExpired);
  EXPECT_EQ(commit(Transaction().put("a", "5", lease.id)).error().code(), Code::kLeaseExpired);
}

TEST_F(EmbeddedCoordinatorTest, ALeaseWithManyKeysEndsInFull) {
  const Lease lease = grant(5s);
  for (std::size_t i = 0; i < 3 * kMaxTransactionOperations; ++i) {
    ASSERT_TRUE(commit(Transaction().put(fmt::format("p/{}", i), "", lease.id)));
  }
  ASSERT_TRUE(world_.block_on(node_, coordinator_->revoke_lease(lease.id)));
  EXPECT_EQ(world_.block_on(node_, range_all(*coordinator_, "p/"))->size(), 0u);
}

TEST_F(EmbeddedCoordinatorTest, ARestartEndsAllLeases) {
  const Lease lease = grant(1h);
  for (std::size_t i = 0; i < kMaxTransactionOperations + 5; ++i) {
    ASSERT_TRUE(commit(Transaction().put(fmt::format("p/{}", i), "", lease.id)));
  }
  ASSERT_TRUE(commit(Transaction().put("p/0", "kept").put("q", "kept").erase("p/1")));
  const auto before = world_.block_on(node_, coordinator_->revision());
  for (const bool clean : {false, true}) {
    if (clean) {
      ASSERT_TRUE(stop());
      start();
    } else {
      crash();
    }
    const auto left = world_.block_on(node_, range_all(*coordinator_, ""));
    ASSERT_TRUE(left);
    ASSERT_EQ(left->size(), 2u);
    EXPECT_EQ(left->front().key, "p/0");
    EXPECT_EQ(world_.block_on(node_, coordinator_->keep_alive(lease.id)).error().code(), Code::kLeaseExpired);
  }
  ASSERT_TRUE(before);
  EXPECT_GT(*world_.block_on(node_, coordinator_->revision()), *before);
}

TEST_F(EmbeddedCoordinatorTest, AWatchShowsNothingThatACrashTakesBack) {
  for (std::uint64_t round = 0; round < 10; ++round) {
    auto watch = coordinator_->watch("k", *world_.block_on(node_, coordinator_->revision()));
    ASSERT_TRUE(watch);
    Scope writers(node_);
    for (int i = 0; i < 20; ++i) writers.spawn(write(*coordinator_, fmt::format("k{}", i)));
    std::vector<WatchEvent> shown;
    const std::uint64_t wanted = 1 + world_.random_below(15);
    while (shown.size() < wanted) {
      auto events = next(**watch);
      ASSERT_TRUE(events) << "seed " << world_.seed();
      shown.insert(shown.end(), events->begin(), events->end());
    }
    device_->crash({});
    world_.block_on(node_, writers.stop());
    watch->reset();
    crash();
    for (const WatchEvent& event : shown) {
      const auto found = get(event.key);
      ASSERT_TRUE(found && found->modified >= event.revision) << "seed " << world_.seed() << " round " << round;
    }
  }
}

TEST_F(EmbeddedCoordinatorTest, AWatchEndsWithTheCoordinator) {
  auto watch = coordinator_->watch("", Revision(0));
  ASSERT_TRUE(watch);
  ASSERT_TRUE(world_.block_on(node_, coordinator_->close()));
  EXPECT_EQ(next(**watch).error().code(), Code::kStopped);
  watch->reset();
  coordinator_.reset();
  world_.block_on(node_, device_->close());
  device_.reset();
}

}  // namespace
}  // namespace cenote::cluster
