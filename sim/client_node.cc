#include "client_node.h"

namespace cenote::sim {

ClientNode::ClientNode(Run& run, std::string name)
    : run_(run), node_(run.world().add_node(std::move(name))), transport_(run.network().transport(node_)) {}

Task<Result<>> ClientNode::connect(Until until) {
  for (;;) {
    auto connected = co_await async::Client::connect(node_, *transport_, run_.addresses(),
                                                     {.timeout = std::chrono::seconds(2), .name = node_.name()});
    if (connected) {
      client_ = *std::move(connected);
      co_return Result<>();
    }
    if (node_.now() >= until.deadline) co_return fail(std::move(connected).error());
    co_await node_.sleep_for(std::chrono::milliseconds(50));
  }
}

Task<> ClientNode::close() {
  if (client_) co_await client_->close();
  client_.reset();
}

Task<Result<async::Container>> open_test_container(ClientNode& client, std::string type, Until until,
                                                   std::uint32_t redundancy) {
  auto pool = co_await client.client().create_pool({.label = "pool", .redundancy = redundancy}, until);
  if (!pool && pool.error() != Code::kExists) co_return fail(std::move(pool).error());
  auto made =
      co_await client.client().create_container({.pool = "pool", .label = "data", .type = std::move(type)}, until);
  if (!made && made.error() != Code::kExists) co_return fail(std::move(made).error());
  // Whoever creates it at this moment may be another client, and the engines may take their time.
  for (;;) {
    auto opened = co_await client.client().open_container("pool", "data", until);
    if (opened || !(opened.error() == Code::kContainerNotFound) || client.node().now() >= until.deadline)
      co_return opened;
    co_await client.node().sleep_for(std::chrono::milliseconds(100));
  }
}

namespace {

Task<Result<>> connect_and_make(ClientNode& client, std::string type, std::uint32_t redundancy) {
  const Until until = Until::at(client.node().now() + std::chrono::seconds(60));
  CO_CHECK_OK(co_await client.connect(until));
  CO_CHECK_OK(co_await open_test_container(client, std::move(type), until, redundancy));
  co_return Result<>();
}

}  // namespace

Task<> make_test_container(Run& run, std::string type, std::uint32_t redundancy) {
  ClientNode client(run, "maker");
  const auto made = co_await on_node(run, client.node(), [&] { return connect_and_make(client, type, redundancy); });
  if (!made) run.fail("making pool and container: " + made.error().to_string());
  co_await on_node(run, client.node(), [&client] { return client.close(); });
}

}  // namespace cenote::sim
