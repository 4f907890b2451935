#pragma once

#include <memory>
#include <string>

#include "cenote/base/codec.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/peer.h"
#include "cenote/runtime/reactor.h"

namespace cenote::engine {

/// Bare requests to an engine; for tests. What the client library adds (routing, retries of its own) is
/// left out on purpose, so that a test sees what the engine does.
class TestClient {
 public:
  TestClient(Reactor& reactor, std::unique_ptr<rpc::Transport> transport, rpc::Address engine, std::uint32_t targets)
      : reactor_(reactor),
        targets_(targets),
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
    options.target = static_cast<std::uint16_t>(target_of(object, as_bytes(dkey), targets_));
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
    options.target = static_cast<std::uint16_t>(target_of(object, as_bytes(dkey), targets_));
    Bytes value(kMaxSingleValueBytes);
    CO_TRY(const rpc::Reply reply,
           co_await peer_.call(number(Opcode::kFetch), request, {}, rpc::BulkSink(MutableBytes(value)), options));
    CO_TRY(const FetchReply fetched, decode_fetch_reply(reply.body));
    if (!fetched.akeys[0].exists) co_return fail(Code::kNotFound);
    value.resize(fetched.akeys[0].bytes);
    co_return value;
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

  static rpc::Opcode number(Opcode opcode) { return static_cast<rpc::Opcode>(opcode); }
  static rpc::PeerOptions options(rpc::Address engine) {
    rpc::PeerOptions options;
    options.addresses = {std::move(engine)};
    return options;
  }

  Reactor& reactor_;
  std::uint32_t targets_;
  std::unique_ptr<rpc::Transport> transport_;
  rpc::ClientSession session_;
  rpc::Peer peer_;
};

}  // namespace cenote::engine
