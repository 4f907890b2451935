#include <gtest/gtest.h>

#include <array>
#include <set>

#include "cenote/base/format.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

constexpr ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 0, 7);
constexpr int kWriters = 6;
constexpr int kInsertsPerWriter = 25;

/// Writers insert keys that nobody else inserts, each under the condition that it is absent, while connections break,
/// the network stalls and the engine crashes. A request that took effect twice would meet its own effect.
class SimFaults : public testing::TestWithParam<std::uint64_t> {
 protected:
  SimFaults() : world_(GetParam()), network_(world_) {
    options_.reactors = GetParam() % 3 == 0 ? 0 : 2;
    options_.device.prefers_durable_writes = GetParam() % 2 == 0;
    options_.own_devices = GetParam() % 4 >= 2;
    engine_ = std::make_unique<SimEngine>(world_, network_, options_);
  }

  static Bytes value_of(const std::string& key, std::size_t bytes) {
    Bytes value(bytes);
    std::uint64_t state = std::hash<std::string>()(key);
    for (std::byte& byte : value) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      byte = static_cast<std::byte>(state >> 56);
    }
    return value;
  }
  std::size_t size_of(const std::string& key) { return std::hash<std::string>()(key) % 5 == 0 ? 70000 : 900; }

  static Task<> write(SimFaults* test, TestClient* client, int writer) {
    for (int number = 0; number < kInsertsPerWriter; ++number) {
      const std::string key = fmt::format("{}/{}", writer, number);
      co_await insert(test, client, key);
      co_await client->reactor().sleep_for(Duration(test->world_.random_below(20'000'000)));
    }
    --test->writing_;
  }

  static Task<> insert(SimFaults* test, TestClient* client, std::string key) {
    for (;;) {
      const auto put = co_await client->put(test->container_, kObject, key, value_of(key, test->size_of(key)),
                                            Precondition::kAbsent);
      if (put) {
        test->acknowledged_.insert(key);
        co_return;
      }
      const Code code = put.error().code();
      // Never sent, or refused by a server that stops: it may be made anew. The rest of these leaves open what has
      // happened, and time is up.
      if (code == Code::kUnreachable || code == Code::kNotReady) {
        co_await client->reactor().sleep_for(10ms);
        continue;
      }
      if (code == Code::kDeadlineExceeded || code == Code::kConnectionLost || code == Code::kCancelled) co_return;
      ADD_FAILURE() << key << ": " << put.error().to_string();
      co_return;
    }
  }

  static Task<> harm(SimFaults* test, SimReactor* node) {
    while (test->writing_ > 0) {
      co_await node->sleep_for(Duration(5'000'000 + test->world_.random_below(120'000'000)));
      switch (test->world_.random_below(5)) {
        case 0:
          test->network_.reset_connections("client0", "engine");
          break;
        case 1:
          test->network_.cut_one_way(test->world_.chance(1, 2) ? "engine" : "client1", "client1");
          co_await node->sleep_for(Duration(test->world_.random_below(500'000'000)));
          test->network_.heal_all();
          break;
        case 2:
          if (auto* device = test->engine_->device(0)) device->set_slowdown(test->world_.chance(1, 2) ? 20 : 1);
          break;
        case 3:
          co_await restart(test, node, true);
          break;
        default:
          co_await restart(test, node, test->world_.chance(1, 2));
          break;
      }
    }
  }

  static Task<> restart(SimFaults* test, SimReactor* node, bool by_crash) {
    SimEngine& engine = *test->engine_;
    if (by_crash) {
      engine.crash();
      co_await node->sleep_for(Duration(test->world_.random_below(100'000'000)));
    }
    co_await call_on(*node, engine.control(), [&] { return start_again(engine, by_crash); });
    ++test->restarts_;
  }

  // On the engine's control reactor.
  static Task<> start_again(SimEngine& engine, bool by_crash) {
    if (by_crash) {
      co_await engine.clear();
    } else {
      const auto stopped = co_await engine.stop();
      EXPECT_TRUE(stopped.has_value()) << stopped.error().to_string();
    }
    const auto started = co_await engine.start();
    EXPECT_TRUE(started.has_value()) << started.error().to_string();
  }

  SimWorld world_;
  rpc::SimNetwork network_;
  SimEngineOptions options_;
  std::unique_ptr<SimEngine> engine_;
  Uuid container_;
  std::set<std::string> acknowledged_;
  int writing_ = 0;
  int restarts_ = 0;
};

TEST_P(SimFaults, AcknowledgedInsertsAreThereAndNoneTookEffectTwice) {
  SCOPED_TRACE(fmt::format("seed {}", GetParam()));
  SimReactor& nemesis = world_.add_node("nemesis");
  ASSERT_TRUE(world_.block_on(engine_->control(), engine_->start()).has_value());
  std::array<SimReactor*, 2> nodes{&world_.add_node("client0"), &world_.add_node("client1")};
  std::vector<std::unique_ptr<TestClient>> clients;
  for (SimReactor* node : nodes) {
    clients.push_back(std::make_unique<TestClient>(*node, network_.transport(*node), engine_->address()));
  }
  const auto container = world_.block_on(*nodes[0], clients[0]->set_up());
  ASSERT_TRUE(container.has_value()) << container.error().to_string();
  container_ = *container;

  rpc::SimLinkRules rules;
  rules.stall_ppm = 5000;
  rules.stall_max = 300ms;
  rules.reset_ppm = 3000;
  network_.set_default_rules(rules);
  writing_ = kWriters;
  Scope first(*nodes[0]), second(*nodes[1]), faults(nemesis);
  for (int writer = 0; writer < kWriters; ++writer) {
    const bool even = writer % 2 == 0;
    (even ? first : second).spawn(write(this, clients[even ? 0 : 1].get(), writer));
  }
  faults.spawn(harm(this, &nemesis));
  world_.block_on(*nodes[0], first.drain());
  world_.block_on(*nodes[1], second.drain());
  world_.block_on(nemesis, faults.drain());
  network_.heal_all();
  network_.set_default_rules({});
  world_.block_on(nemesis, restart(this, &nemesis, true));

  EXPECT_GT(acknowledged_.size(), kWriters * kInsertsPerWriter * 3 / 4);
  for (const std::string& key : acknowledged_) {
    const auto value = world_.block_on(*nodes[0], clients[0]->get(container_, kObject, key));
    ASSERT_TRUE(value.has_value()) << key << ": " << value.error().to_string();
    EXPECT_EQ(*value, value_of(key, size_of(key))) << key;
  }
  for (std::size_t number = 0; number < nodes.size(); ++number) {
    world_.block_on(*nodes[number], clients[number]->stop());
  }
  EXPECT_TRUE(world_.block_on(engine_->control(), engine_->stop()).has_value());
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimFaults, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace cenote::engine
