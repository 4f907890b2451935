#include "replica_check.h"

#include <fmt/format.h>

#include "cenote/protocol/opcodes.h"
#include "cenote/protocol/pool_requests.h"

namespace cenote::sim {
namespace {

constexpr Duration kPause = std::chrono::milliseconds(200);
constexpr int kRepairTries = 50;
/// Until what nobody sees any more is merged away everywhere: the newest epoch of a dkey, which answers tell, may be of
/// something that is gone at another replica.
constexpr Duration kMergePatience = std::chrono::seconds(10);

Uuid draw(SimReactor& node) {
  const std::uint64_t high = node.random();
  return Uuid::from_random(high, node.random());
}

}  // namespace

ReplicaCheck::ReplicaCheck(Run& run)
    : run_(run),
      node_(run.world().add_node("replica-check")),
      transport_(run.network().transport(node_)),
      session_(node_, {.identity = draw(node_), .name = "replica check"}) {}

Task<Result<>> ReplicaCheck::open(ContainerInfo container, Until until) {
  container_ = std::move(container);
  for (;;) {
    CO_TRY(const PoolView view, co_await view_pool(until));
    CO_CHECK_OK(take(view));
    if (!layout_->is_moving()) break;
    if (node_.now() + kPause >= until.deadline)
      co_return cenote::fail(Code::kDeadlineExceeded, "the data of the pool still moves, long after the last fault");
    co_await node_.sleep_for(kPause);
  }
  co_await node_.sleep_for(kMergePatience);
  co_return Result<>();
}

Task<Result<PoolView>> ReplicaCheck::view_pool(Until until) {
  rpc::PeerOptions any{.addresses = run_.addresses()};
  rpc::Peer system(node_, *transport_, session_, std::move(any));
  Bytes body;
  encode(PoolViewRequest{container_.pool}, body);
  rpc::CallOptions options;
  options.until = until;
  auto reply = co_await system.call(static_cast<rpc::Opcode>(Opcode::kPoolView), body, options);
  co_await system.stop();
  if (!reply) co_return cenote::fail(std::move(reply).error());
  co_return decode_pool_view(reply->body);
}

Result<> ReplicaCheck::take(const PoolView& view) {
  TRY(cluster::PoolMap map, cluster::decode_pool_map(view.map));
  TRY(layout_, cluster::PoolLayout::build(std::move(map)));
  for (const PoolEngine& engine : view.engines) {
    rpc::PeerOptions peer;
    for (const std::string& text : engine.addresses) {
      TRY(peer.addresses.emplace_back(), rpc::Address::parse(text));
    }
    auto& known = peers_[cluster::Rank(engine.rank)];
    if (known == nullptr && !peer.addresses.empty())
      known = std::make_unique<rpc::Peer>(node_, *transport_, session_, std::move(peer));
  }
  std::erase_if(peers_, [](const auto& peer) { return peer.second == nullptr; });
  return {};
}

Task<> ReplicaCheck::close() {
  for (auto& [rank, peer] : peers_) co_await peer->stop();
  peers_.clear();
}

Task<Result<Bytes>> ReplicaCheck::read(cluster::TargetPlace place, ByteView request, std::size_t room, Until until) {
  const auto peer = peers_.find(place.engine);
  if (peer == peers_.end()) co_return cenote::fail(Code::kUnreachable);
  Bytes payload(room);
  rpc::CallOptions options;
  options.until = until;
  options.target = place.index;
  options.map_version = static_cast<std::uint32_t>(layout_->version().value());
  CO_TRY(const rpc::Reply reply, co_await peer->second->call(static_cast<rpc::Opcode>(Opcode::kFetch), request, {},
                                                             rpc::BulkSink(MutableBytes(payload)), options));
  Bytes all = to_bytes(reply.body);
  all.insert(all.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(reply.bulk_bytes));
  co_return all;
}

Task<Result<>> ReplicaCheck::compare(FetchRequest request, std::size_t room, Until until) {
  request.container = container_.id;
  Bytes body;
  encode(request, body);
  CO_TRY(const auto readers,
         layout_->readers(request.object, cluster::PlacementSeed(container_.placement_seed), request.dkey));
  std::optional<Bytes> first;
  for (const cluster::TargetId reader : readers) {
    const cluster::TargetPlace place = layout_->place_of(reader);
    auto answer = co_await read(place, body, room, until);
    // What rots is repaired by who was read.
    for (int tries = 0; !answer && answer.error() == Code::kCorrupt && tries < kRepairTries; ++tries) {
      run_.count("repairs_waited_for");
      co_await node_.sleep_for(kPause);
      answer = co_await read(place, body, room, until);
    }
    if (!answer)
      co_return cenote::fail(answer.error().with_context(fmt::format("replica at engine {}", place.engine.value())));
    run_.count("replicas_read");
    if (first && *first != *answer) {
      co_return cenote::fail(Code::kCorrupt, fmt::format("the replicas of dkey '{}' of object {} differ",
                                                         as_text(request.dkey), request.object.to_string()));
    }
    first = std::move(*answer);
  }
  co_return Result<>();
}

}  // namespace cenote::sim
