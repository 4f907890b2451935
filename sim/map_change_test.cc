// A client whose pool's map changes under it.

#include <gtest/gtest.h>

#include "cenote/client/kv.h"
#include "client_node.h"
#include "faults.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kKeys = 12;

std::string key(std::uint32_t number) { return "k" + std::to_string(number); }

/// Stores under every key, on all engines, while `meanwhile` changes what there is; everything within one deadline.
Task<Result<>> put_all(ClientNode& client, std::uint8_t value, Duration patience) {
  CO_TRY(const async::Container container, co_await client.client().open_container("pool", "data"));
  async::Kv kv(container, async::Kv::default_object(0));
  const Until until = Until::at(client.node().now() + patience);
  for (std::uint32_t number = 0; number < kKeys; ++number) {
    const Bytes bytes(10, std::byte{value});
    CO_CHECK_OK(co_await kv.put(key(number), bytes, Precondition::kNone, until));
  }
  co_return Result<>();
}

Task<Result<>> expect_all(ClientNode& client, std::uint8_t value, Duration patience) {
  CO_TRY(const async::Container container, co_await client.client().open_container("pool", "data"));
  async::Kv kv(container, async::Kv::default_object(0));
  const Until until = Until::at(client.node().now() + patience);
  for (std::uint32_t number = 0; number < kKeys; ++number) {
    CO_TRY(const auto found, co_await kv.get(key(number), until));
    EXPECT_EQ(found, Bytes(10, std::byte{value})) << key(number);
  }
  co_return Result<>();
}

Task<Result<>> set_up(ClientNode& client) {
  CO_CHECK_OK(co_await client.connect(Until::at(client.node().now() + 10s)));
  CO_CHECK_OK(co_await open_test_container(client, "", Until::at(client.node().now() + 10s)));
  co_return co_await put_all(client, 1, 10s);
}

Task<> body(Run& run) {
  if (!co_await start_engines(run)) co_return;
  ClientNode client(run, "client");
  const auto expect_ok = [&run](const char* what, const Result<>& outcome) {
    if (!outcome) run.fail(std::string(what) + ": " + outcome.error().to_string());
  };
  expect_ok("set up", co_await on_node(run, client.node(), [&] { return set_up(client); }));
  // All engines are there: a moment.
  EXPECT_TRUE(co_await change_map(run, 1));
  expect_ok("after a change", co_await on_node(run, client.node(), [&] { return put_all(client, 2, 2s); }));
  EXPECT_TRUE(co_await change_map(run, 1));
  expect_ok("after another", co_await on_node(run, client.node(), [&] { return expect_all(client, 2, 2s); }));
  // One serves the old version until its lease ends, and then nothing until it has heard.
  run.engine(2).set_coordinator_reachable(false);
  EXPECT_TRUE(co_await change_map(run, 0));
  const auto heal = [&run] { run.engine(2).set_coordinator_reachable(true); };
  run.world().after(12s, heal);
  expect_ok("while one is cut off", co_await on_node(run, client.node(), [&] { return put_all(client, 3, 30s); }));
  expect_ok("in the end", co_await on_node(run, client.node(), [&] { return expect_all(client, 3, 2s); }));
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engines(run);
}

/// Of a client that knows the addresses of all engines.
Task<> keep_connections(Run& run) {
  if (!co_await start_engines(run)) co_return;
  ClientNode client(run, "client");
  const auto set = co_await on_node(run, client.node(), [&] { return set_up(client); });
  if (!set) run.fail("set up: " + set.error().to_string());
  const std::uint64_t before = client.client().counters().retries;
  for (int i = 0; i < 5; ++i) {
    const auto put = co_await on_node(run, client.node(), [&] { return put_all(client, 2, 10s); });
    if (!put) run.fail("put: " + put.error().to_string());
  }
  // Each opening of the container asks whichever engine it meets first, and may find one that is connected already.
  EXPECT_LE(client.client().counters().retries, before + 2 * 5);
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engines(run);
}

TEST(MapChange, ConnectionsOfOneClientDoNotTakeEachOthersPlace) {
  sim::Run run(1, {}, shape_engine(1), 3);
  EXPECT_EQ(run.drive(keep_connections(run), 1h).failure, "");
}

std::string failure_of(std::uint64_t seed) {
  Run run(seed, {}, shape_engine(seed), 3);
  return run.drive(body(run), 1h).failure;
}

TEST(MapChange, AClientFollowsWithinItsDeadline) {
  for (const std::uint64_t seed : {1, 2}) EXPECT_EQ(failure_of(seed), "") << "seed " << seed;
}

}  // namespace
}  // namespace cenote::sim
