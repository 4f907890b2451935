#pragma once

// A system of engines that keep nothing, for tests of where the client sends its requests: they write down what they
// are asked, and answer as they are told to.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/client/async.h"
#include "cenote/cluster/pool_layout.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/server.h"
#include "cenote/rpc/sim_network.h"
#include "cenote/runtime/scope.h"

namespace cenote::async::fake {

using namespace std::chrono_literals;

struct Asked {
  std::uint32_t rank = 0;
  Opcode opcode{};
  std::uint16_t target = 0;
  std::uint32_t map_version = 0;
  std::uint64_t sequence = 0;
};

/// What all engines know.
struct Knowledge {
  SystemInfo system{.system = Uuid::from_random(1, 1), .name = "fake", .version = "0", .targets = {TargetInfo{}}};
  ContainerInfo container{.id = Uuid::from_random(2, 2),
                          .pool = Uuid::from_random(3, 3),
                          .label = "c",
                          .type = "",
                          .properties = {},
                          .placement_seed = 7,
                          .redundancy = 2};
  std::optional<cluster::PoolMap> map;
  std::set<std::uint32_t> away;  // engines that the view has no address of
  std::vector<Asked> asked;
};

class Engine final : public rpc::Service {
 public:
  Engine(Knowledge& knowledge, SimReactor& node, rpc::SimNetwork& network, std::uint32_t rank)
      : node_(node), knowledge_(knowledge), rank_(rank), transport_(network.transport(node)), released(node) {}

  void start(Uuid system) {
    server_ = std::make_unique<rpc::Server>(node_, pool_, *this, rpc::ServerOptions{.system = system});
    ASSERT(server_->listen(*transport_, {node_.name(), 7777}));
  }
  Task<> stop() {
    if (server_) co_await server_->stop(Until::at(node_.now()));
    server_.reset();
  }
  SimReactor& node() { return node_; }
  rpc::Transport& transport() { return *transport_; }

 private:
  SimReactor& node_;
  Knowledge& knowledge_;
  std::uint32_t rank_;
  std::unique_ptr<rpc::Transport> transport_;
  media::BufferPool pool_{node_, {.budget_bytes = 64u << 20}};
  std::unique_ptr<rpc::Server> server_;

 public:
  /// Requests about objects wait for it while `silent`, and answer with the failure then, if there is one.
  Event released;
  bool silent = false;
  Code failure = Code::kOk;
  /// Conditions of a commit: kUnsupported otherwise.
  bool checks_conditions = true;
  /// What each of its targets lists, up to the limit that is asked for.
  std::map<std::uint16_t, std::set<std::string>> keys;

  Task<rpc::Response> handle(rpc::Request& request) override {
    const auto opcode = static_cast<Opcode>(request.opcode());
    if (opcode == Opcode::kAdmin) co_return admin(request);
    if (opcode == Opcode::kPoolView) co_return view();
    knowledge_.asked.push_back({rank_, opcode, request.target(), request.map_version(), request.sequence().value()});
    if (silent) {
      static_cast<void>(co_await released.wait(Until{kNoDeadline, &request.cancel_source()}));
      if (failure != Code::kOk) co_return rpc::Response(Error(failure, "held back until now"));
    }
    if (request.map_version() != knowledge_.map->version().value())
      co_return rpc::Response(Error(Code::kStaleMap, "another version"));
    if (failure != Code::kOk) co_return rpc::Response(Error(failure, "as it was told to"));
    if (opcode == Opcode::kCommit && !checks_conditions) {
      const auto commit = decode_commit_request(request.body());
      if (commit && is_conditional(*commit)) co_return rpc::Response(Error(Code::kUnsupported, "nobody can check it"));
    }
    co_return answer(request, opcode);
  }
  bool is_read(rpc::Opcode opcode) const override {
    const auto known = static_cast<Opcode>(opcode);
    return known != Opcode::kUpdate && known != Opcode::kPunch && known != Opcode::kCommit;
  }

 private:
  template <typename Reply>
  static rpc::Response encoded(const Reply& reply) {
    Bytes body;
    encode(reply, body);
    return rpc::Response(body);
  }

  rpc::Response admin(rpc::Request& request) {
    Decoder decoder(request.body());
    decoder.integer<std::uint8_t>();
    const bool system = decoder.text(4096) == "/v1/system";
    return rpc::Response(as_bytes(system ? to_json(knowledge_.system) : to_json(knowledge_.container)));
  }

  rpc::Response view() {
    PoolView view;
    view.map = cluster::encode_pool_map(*knowledge_.map);
    for (const cluster::MapEngine& engine : knowledge_.map->engines()) {
      const std::uint32_t rank = engine.rank.value();
      PoolEngine& known = view.engines.emplace_back(PoolEngine{.rank = rank, .addresses = {}});
      if (!knowledge_.away.contains(rank)) known.addresses = {fmt::format("engine{}:7777", rank)};
    }
    return encoded(view);
  }

  rpc::Response answer(rpc::Request& request, Opcode opcode) {
    switch (opcode) {
      case Opcode::kFetch: {
        FetchReply reply;
        reply.akeys.emplace_back();
        return encoded(reply);
      }
      case Opcode::kList:
        return encoded(list(request));
      case Opcode::kQuery:
        return encoded(QueryReply{});
      case Opcode::kBegin:
        return encoded(BeginReply{Epoch(5)});
      default:
        return encoded(UpdateReply{Epoch(9)});
    }
  }

  ListReply list(rpc::Request& request) {
    const auto asked = decode_list_request(request.body());
    ASSERT(asked);
    ListReply page;
    for (const std::string& key : keys[request.target()]) {
      if (!asked->anchor.empty() && compare(as_bytes(key), asked->anchor) <= 0) continue;
      if (page.keys.size() == asked->limit) {
        page.anchor = page.keys.back().key;
        break;
      }
      page.keys.push_back({.key = to_bytes(as_bytes(key))});
    }
    return page;
  }
};

/// Engines of one target each, on nodes "engine0" and so on, and a client of them, whose pool they make.
class System {
 public:
  System(std::uint64_t seed, std::uint32_t engine_count) : world(seed), network(world) {
    std::vector<cluster::EngineSpec> specs;
    for (std::uint32_t rank = 0; rank < engine_count; ++rank) {
      engines.push_back(
          std::make_unique<Engine>(knowledge, world.add_node(fmt::format("engine{}", rank)), network, rank));
      specs.push_back({.path = fmt::format("node{}", rank),
                       .rank = cluster::Rank(rank),
                       .id = Uuid::from_random(4, rank),
                       .target_bytes = {1ull << 40}});
    }
    knowledge.map = *cluster::PoolMap::create(knowledge.container.pool, {}, specs);
  }
  ~System() {
    world.block_on(client_node, stop(*this));
    for (auto& engine : engines) world.block_on(engine->node(), engine->stop());
  }

  void start() {
    for (auto& engine : engines) engine->start(knowledge.system.system);
  }
  /// Knows the addresses of the engines in `through`.
  Result<> connect(const std::vector<std::uint32_t>& through, Duration timeout = 5s) {
    std::vector<rpc::Address> addresses;
    for (const std::uint32_t rank : through) addresses.push_back({fmt::format("engine{}", rank), 7777});
    TRY(client, world.block_on(client_node, Client::connect(client_node, *transport, addresses, {.timeout = timeout})));
    TRY(container, world.block_on(client_node, client->open_container("p", "c")));
    return {};
  }
  template <typename T>
  T wait(Task<T> task) {
    return world.block_on(client_node, std::move(task));
  }
  Until in(Duration time) { return Until::at(client_node.now() + time); }

  std::shared_ptr<const cluster::PoolLayout> layout() const { return *cluster::PoolLayout::build(*knowledge.map); }
  /// The engine that leads a dkey, by the present map.
  std::uint32_t leader(const ObjectId& object, ByteView dkey) const {
    const auto layout = this->layout();
    return layout->place_of(*layout->home(object, seed(), dkey)).engine.value();
  }
  cluster::PlacementSeed seed() const { return cluster::PlacementSeed(knowledge.container.placement_seed); }
  /// Makes the next version of the map.
  void change_map(cluster::MapOperation operation, std::uint32_t engine) {
    const cluster::TargetId target(engine);
    ASSERT(knowledge.map->apply(operation, {&target, 1}));
  }
  std::vector<std::uint32_t> asked_ranks() const {
    std::vector<std::uint32_t> ranks;
    for (const Asked& asked : knowledge.asked) ranks.push_back(asked.rank);
    return ranks;
  }

  SimWorld world;
  rpc::SimNetwork network;
  SimReactor& client_node = world.add_node("client");
  std::unique_ptr<rpc::Transport> transport = network.transport(client_node);
  Knowledge knowledge;
  std::vector<std::unique_ptr<Engine>> engines;
  std::unique_ptr<Client> client;
  std::optional<Container> container;

 private:
  static Task<> stop(System& system) {
    if (system.client) co_await system.client->close();
    system.container.reset();
    system.client.reset();
  }
};

}  // namespace cenote::async::fake
