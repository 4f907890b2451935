#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "cenote/base/codec.h"
#include "cenote/cluster/pool_layout.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/peer.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// Bare requests to an engine; for tests. What the client library adds (routing, retries of its own) is
/// left out on purpose, so that a test sees what the engine does.
class TestClient {
 public:
  TestClient(Reactor& reactor, std::unique_ptr<rpc::Transport> transport, rpc::Address engine)
      : reactor_(reactor),
        transport_(std::move(transport)),
        session_(reactor, {.identity = Uuid::from_random(reactor.random(), reactor.random()), .name = "test"}),
        peer_(reactor, *transport_, session_, options(std::move(engine))) {}

  Reactor& reactor() { return reactor_; }
  rpc::Peer& peer() { return peer_; }
  rpc::ClientSession& session() { return session_; }
  Task<> stop() { return peer_.stop(); }

  Task<Result<std::string>> admin(AdminMethod method, std::string path, std::string body = "") {
    Bytes request;
    Encoder encoder(request);
    encoder.integer(static_cast<std::uint8_t>(method));
    encoder.text(path);
    encoder.text(body);
    CO_TRY(const rpc::Reply reply, co_await peer_.call(number(Opcode::kAdmin), request, within(kPatience)));
    co_return to_text(reply.body);
  }

  /// Creates pool and container and returns the container.
  Task<Result<Uuid>> set_up() {
    CO_CHECK_OK(co_await admin(AdminMethod::kPost, "/v1/pools", R"({"label":"p"})"));
    CO_TRY(const std::string json, co_await admin(AdminMethod::kPost, "/v1/pools/p/containers", R"({"label":"c"})"));
    CO_TRY(const ContainerInfo info, container_info_from_json(json));
    co_return info.id;
  }

  /// One single value under (object, dkey, "v").
  Task<Result<UpdateReply>> put(Uuid container, ObjectId object, std::string dkey, Bytes value,
                                Precondition condition = Precondition::kNone, rpc::RequestTicket* ticket = nullptr) {
    UpdateRequest update;
    update.container = container;
    update.object = object;
    update.dkey = as_bytes(dkey);
    update.dkey_condition = condition;
    AkeyUpdate& akey = update.akeys.emplace_back();
    akey.akey = as_bytes(kAkey);
    akey.bytes = value.size();
    append_checksums(akey, value, akey.checksums);
    Bytes request;
    encode(update, request);
    rpc::CallOptions options = within(kPatience);
    CO_TRY(options.target, co_await home(container, object, dkey));
    options.ticket = ticket;
    CO_TRY(const rpc::Reply reply,
           co_await peer_.call(number(Opcode::kUpdate), request, rpc::BulkSource(ByteView(value)), {}, options));
    co_return decode_update_reply(reply.body);
  }

  /// The value of `put`; kNotFound when there is none.
  Task<Result<Bytes>> get(Uuid container, ObjectId object, std::string dkey, Epoch epoch = kEpochLatest) {
    FetchRequest fetch;
    fetch.epoch = epoch;
    fetch.container = container;
    fetch.object = object;
    fetch.dkey = as_bytes(dkey);
    AkeyFetch& akey = fetch.akeys.emplace_back();
    akey.akey = as_bytes(kAkey);
    akey.max_bytes = kMaxSingleValueBytes;
    Bytes request;
    encode(fetch, request);
    rpc::CallOptions options = within(kPatience);
    CO_TRY(options.target, co_await home(container, object, dkey));
    Bytes value(kMaxSingleValueBytes);
    CO_TRY(const rpc::Reply reply,
           co_await peer_.call(number(Opcode::kFetch), request, {}, rpc::BulkSink(MutableBytes(value)), options));
    CO_TRY(const FetchReply fetched, decode_fetch_reply(reply.body));
    if (!fetched.akeys[0].exists) co_return fail(Code::kNotFound);
    value.resize(fetched.akeys[0].bytes);
    co_return value;
  }

  /// The target of the engine that has the dkey; 0 for a container that nobody knows.
  Task<Result<std::uint16_t>> home(Uuid container, ObjectId object, std::string dkey) {
    if (!routes_.contains(container)) CO_CHECK_OK(co_await find_route(container));
    const Route& route = routes_.at(container);
    if (route.layout == nullptr) co_return 0;
    CO_TRY(const cluster::TargetId target, route.layout->home(object, route.seed, as_bytes(dkey)));
    co_return route.layout->place_of(target).index;
  }

  /// A request made by hand.
  Task<Result<rpc::Reply>> raw(Opcode opcode, Bytes body, Bytes payload, std::uint16_t target) {
    rpc::CallOptions options = within(kPatience);
    options.target = target;
    co_return co_await peer_.call(number(opcode), body, rpc::BulkSource(ByteView(payload)), {}, options);
  }

  rpc::CallOptions within(Duration patience) {
    rpc::CallOptions options;
    options.until = Until::at(reactor_.now() + patience);
    return options;
  }

  static constexpr Duration kPatience = std::chrono::seconds(60);

 private:
  static constexpr std::string_view kAkey = "v";

  struct Route {
    cluster::PlacementSeed seed;
    std::shared_ptr<const cluster::PoolLayout> layout;
  };

  Task<Result<>> find_route(Uuid container) {
    CO_TRY(const std::string pools_json, co_await admin(AdminMethod::kGet, "/v1/pools"));
    CO_TRY(const auto pools, pools_from_json(pools_json));
    for (const PoolInfo& pool : pools) {
      CO_TRY(const std::string json, co_await admin(AdminMethod::kGet, "/v1/pools/" + pool.label + "/containers"));
      CO_TRY(const auto containers, containers_from_json(json));
      const auto found = std::ranges::find(containers, container, &ContainerInfo::id);
      if (found == containers.end()) continue;
      Bytes request;
      encode(PoolViewRequest{pool.id}, request);
      CO_TRY(const rpc::Reply reply, co_await peer_.call(number(Opcode::kPoolView), request, within(kPatience)));
      CO_TRY(const PoolView view, decode_pool_view(reply.body));
      CO_TRY(cluster::PoolMap map, cluster::decode_pool_map(view.map));
      CO_TRY(auto layout, cluster::PoolLayout::build(std::move(map)));
      routes_[container] = {cluster::PlacementSeed(found->placement_seed), std::move(layout)};
      co_return Result<>();
    }
    routes_[container] = {};
    co_return Result<>();
  }

  static rpc::Opcode number(Opcode opcode) { return static_cast<rpc::Opcode>(opcode); }
  static rpc::PeerOptions options(rpc::Address engine) {
    rpc::PeerOptions options;
    options.addresses = {std::move(engine)};
    return options;
  }

  Reactor& reactor_;
  std::unique_ptr<rpc::Transport> transport_;
  rpc::ClientSession session_;
  rpc::Peer peer_;
  std::map<Uuid, Route> routes_;
};

}  // namespace cenote::engine
