#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

/// Destroys a container on two targets and cuts the power at device write number `write` of target 0. Returns whether
/// it came to that.
bool destroy_and_crash(std::uint64_t write, std::uint64_t seed) {
  SimWorld world(seed);
  rpc::SimNetwork network(world);
  SimEngine engine(world, network, {.reactors = 2});
  EXPECT_TRUE(world.block_on(engine.control(), engine.start()).has_value());
  SimReactor& node = world.add_node("client");
  TestClient client(node, network.transport(node), engine.address());
  EXPECT_TRUE(world.block_on(node, client.set_up()).has_value());

  bool crashed = false;
  engine.device(0)->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
    if (--write != 0) return;
    crashed = true;
    world.after(Duration(0), [&engine] { engine.crash(); });
  });
  const auto destroy = [&]() -> Task<Result<std::string>> {
    return client.admin(AdminMethod::kDelete, "/v1/pools/p/containers/c");
  };
  Result<std::string> destroyed = fail(Code::kInternal);
  Scope scope(node);
  const auto run = [](Task<Result<std::string>> task, Result<std::string>* into) -> Task<> {
    *into = co_await std::move(task);
  };
  scope.spawn(run(destroy(), &destroyed));
  world.run_until([&] { return crashed || scope.running() == 0; }, 10s);
  if (!crashed) engine.device(0)->set_write_hook({});
  world.run_until([] { return false; }, 10ms);
  if (crashed) {
    world.block_on(engine.control(), engine.clear());
    const auto started = world.block_on(engine.control(), engine.start());
    EXPECT_TRUE(started.has_value()) << started.error().to_string();
  }
  world.block_on(node, scope.drain());
  const auto listed = world.block_on(node, client.admin(AdminMethod::kGet, "/v1/pools/p/containers"));
  EXPECT_TRUE(listed.has_value()) << listed.error().to_string();
  // Whether or not its answer was lost: begun or not, the destruction was sent again.
  if (listed) EXPECT_EQ(containers_from_json(*listed).value().size(), 0U);
  world.block_on(node, client.stop());
  EXPECT_TRUE(world.block_on(engine.control(), engine.stop()).has_value());
  return crashed;
}

TEST(SimDestroyCrash, TheEngineStartsAfterACrashAtAnyWrite) {
  std::uint64_t write = 1;
  for (; write <= 20; ++write) {
    SCOPED_TRACE(fmt::format("write {}", write));
    if (!destroy_and_crash(write, write)) break;
  }
  EXPECT_GT(write, 1U) << "a destruction writes something";
}

}  // namespace
}  // namespace cenote::engine
