#include "control_move.h"

#include <gtest/gtest.h>

#include <functional>

#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/media/sim_device.h"
#include "cenote/runtime/sim_reactor.h"
#include "control_records.h"
#include "memory_coordinator.h"

namespace cenote::engine {
namespace {

constexpr std::uint64_t kLogBytes = 4u << 20;
constexpr std::uint64_t kBlocks = 64ull << 20 >> 12;

/// One machine with one device.
class OneDevice final : public EngineHost {
 public:
  OneDevice(SimReactor& node, std::shared_ptr<media::SimMedium> medium) : node_(node), medium_(std::move(medium)) {}
  Reactor& control() override { return node_; }
  std::span<Reactor* const> data() override { return {}; }
  Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor&, const std::string&) override {
    return std::make_unique<media::SimDevice>(node_, "coordinator", *medium_);
  }
  Task<Result<>> enlarge(std::string, std::uint64_t) override { co_return fail(Code::kUnsupported); }
  Result<std::vector<Endpoint>> endpoints(std::size_t, rpc::Counters&) override { return std::vector<Endpoint>(); }
  Task<Result<>> replace_control_copy(Bytes, bool) override { co_return fail(Code::kUnsupported); }
  Task<Result<std::optional<Bytes>>> read_control_copy() override { co_return std::nullopt; }
  Result<> commit_creation() override { return {}; }

 private:
  SimReactor& node_;
  std::shared_ptr<media::SimMedium> medium_;
};

class ControlMoveTest : public testing::Test {
 protected:
  void SetUp() override {
    identity_.system = Uuid::from_random(1, 2);
    identity_.name = "lab";
    identity_.coordinator = StoreIdentity{Uuid::from_random(3, 4), "coordinator", kBlocks << 12, kLogBytes};
    media::SimDevice device(node_, "coordinator", *medium_);
    const store::FormatOptions format{
        .system = identity_.system, .target = identity_.coordinator->id, .log_bytes = kLogBytes};
    ASSERT_TRUE(world_.block_on(node_, store::Store::format(node_, store::Devices::one(device), format)));
    world_.block_on(node_, device.close());
    const auto filled = with_own([&](cluster::Coordinator& own) -> Task<> {
      for (int number = 0; number < 300; ++number) {
        const auto done =
            co_await own.commit(cluster::Transaction().put("pool/" + std::to_string(number), std::to_string(number)));
        EXPECT_TRUE(done);
      }
      const auto lease = co_await own.grant_lease(std::chrono::seconds(5));
      EXPECT_TRUE(lease && co_await own.commit(cluster::Transaction().put("held", "x", lease->id)));
    });
    ASSERT_TRUE(filled) << filled.error().to_string();
  }

  /// Opens what the engine has in itself.
  Result<> with_own(const std::function<Task<>(cluster::Coordinator&)>& work) {
    media::SimDevice device(node_, "coordinator", *medium_);
    const store::OpenOptions open{.system = identity_.system,
                                  .target = identity_.coordinator->id,
                                  .cache_bytes = store::kMinCacheBytes,
                                  .fenced = [](const Error&) {}};
    auto store = world_.block_on(node_, store::Store::open(node_, store::Devices::one(device), open));
    Result<> outcome;
    if (!store) {
      outcome = fail(store.error());
    } else if (auto own = world_.block_on(node_, cluster::EmbeddedCoordinator::open(*std::move(store))); !own) {
      outcome = fail(own.error());
    } else {
      world_.block_on(node_, work(**own));
      outcome = world_.block_on(node_, (*own)->close());
    }
    world_.block_on(node_, device.close());
    return outcome;
  }

  Result<> move(cluster::Coordinator& to) {
    return world_.block_on(node_, move_control_state(host_, identity_, std::nullopt, to, "there"));
  }
  std::size_t keys_in(cluster::Coordinator& coordinator, const char* prefix) {
    const auto all = world_.block_on(node_, cluster::range_all(coordinator, prefix));
    return all ? all->size() : 0;
  }
  Code own_opens() {
    const auto opened = with_own([](cluster::Coordinator&) -> Task<> { co_return; });
    return opened ? Code::kOk : opened.error().code();
  }

  SimWorld world_{7};
  SimReactor& node_ = world_.add_node("control");
  std::shared_ptr<media::SimMedium> medium_ = std::make_shared<media::SimMedium>(kBlocks);
  OneDevice host_{node_, medium_};
  Identity identity_;
  CoordinatorState state_;
  MemoryCoordinator to_{state_};
};

TEST_F(ControlMoveTest, EverythingIsThereAndTheOldCopyIsRefused) {
  const auto moved = move(to_);
  ASSERT_TRUE(moved) << moved.error().to_string();
  EXPECT_EQ(keys_in(to_, "pool/"), 300U);
  EXPECT_EQ(keys_in(to_, "held"), 0U) << "its holder was a process that has ended";
  EXPECT_EQ(keys_in(to_, kSystemKey), 1U);
  EXPECT_EQ(own_opens(), Code::kForeign);
}

TEST_F(ControlMoveTest, CanBeRepeatedAfterItsEnd) {
  ASSERT_TRUE(move(to_));
  const auto changed = world_.block_on(node_, to_.commit(cluster::Transaction().put("pool/0", "later")));
  ASSERT_TRUE(changed);
  const auto again = move(to_);
  ASSERT_TRUE(again) << again.error().to_string();
  const auto entry = world_.block_on(node_, to_.get("pool/0"));
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->value, "later");
}

TEST_F(ControlMoveTest, IsRepeatedAfterABreakAtEachCommit) {
  // Each attempt finds what the one before left, and gets one commit further.
  for (int survives = 0;; ++survives) {
    MemoryCoordinator to(state_);
    int commits = 0;
    bool broken = false;
    to.alive = [&] { return !(broken = commits++ == survives); };
    const auto moved = move(to);
    ASSERT_EQ(moved.has_value(), !broken) << survives;
    if (moved) break;
    EXPECT_EQ(own_opens(), Code::kOk) << "it counts as long as not everything is there";
    EXPECT_FALSE(state_.entries.contains(kSystemKey)) << survives;
    ASSERT_LT(survives, 100);
  }
  EXPECT_EQ(own_opens(), Code::kForeign);
  EXPECT_EQ(keys_in(to_, "pool/"), 300U);
}

TEST_F(ControlMoveTest, WhatWasMovedElsewhereIsNotMovedAgain) {
  ASSERT_TRUE(move(to_));
  CoordinatorState other;
  MemoryCoordinator elsewhere(other);
  const auto refused = move(elsewhere);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kForeign);
  EXPECT_EQ(keys_in(elsewhere, ""), 0U);
}

TEST_F(ControlMoveTest, ACoordinatorOfAnotherSystemIsLeftAlone) {
  const SystemIdentity other{Uuid::from_random(9, 9), "other"};
  ASSERT_TRUE(world_.block_on(node_, to_.commit(cluster::Transaction().put(kSystemKey, encode(other)))));
  EXPECT_FALSE(move(to_));
  EXPECT_EQ(own_opens(), Code::kOk);
  EXPECT_EQ(keys_in(to_, "pool/"), 0U);
}

}  // namespace
}  // namespace cenote::engine
