#include "leader_targets.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "gather.h"

namespace cenote::engine {
namespace {

/// To an engine that is not there.
class NoLink final : public EngineLink {
 public:
  Task<Result<TargetsReply>> call(TargetsRequest request, Until until) override {
    (void)request;
    (void)until;
    co_return fail(Code::kUnreachable, "it is not running");
  }
};

/// Passes on to what outlives it.
class OwnLink final : public EngineLink {
 public:
  explicit OwnLink(EngineLink& own) : own_(own) {}
  Task<Result<TargetsReply>> call(TargetsRequest request, Until until) override {
    return own_.call(std::move(request), until);
  }

 private:
  EngineLink& own_;
};

cluster::EngineSpec spec_of(const cluster::ListedEngine& engine) {
  const std::uint32_t rank = engine.place.rank.value();
  return {.path = engine.fault_domain.empty() ? fmt::format("node{}", rank) : engine.fault_domain,
          .rank = engine.place.rank,
          .id = engine.place.engine,
          .target_bytes = std::vector<std::uint64_t>(engine.place.targets)};
}

rpc::PeerOptions peer_options(const cluster::ListedEngine& engine, const Uuid& system) {
  rpc::PeerOptions options;
  for (const std::string& text : engine.addresses)
    if (auto address = rpc::Address::parse(text)) options.addresses.push_back(*std::move(address));
  options.system = system;
  options.keep_connected = false;
  return options;
}

}  // namespace

LeaderTargets::LeaderTargets(Reactor& reactor, rpc::Transport& transport, LeaderTerm& term, EngineLink& own,
                             std::vector<cluster::ListedEngine> engines, Options options)
    : reactor_(reactor), session_(reactor, {.identity = options.engine, .name = "control leader"}) {
  for (cluster::ListedEngine& listed : engines) {
    Engine& engine = engines_.emplace_back();
    engine.listed = std::move(listed);
    rpc::PeerOptions peer = peer_options(engine.listed, options.system);
    if (engine.listed.place.rank == options.own) {
      engine.link = std::make_unique<OwnLink>(own);
    } else if (engine.listed.up && !peer.addresses.empty()) {
      engine.peer = std::make_unique<rpc::Peer>(reactor, transport, session_, std::move(peer));
      engine.link = std::make_unique<RpcEngineLink>(*engine.peer);
    } else {
      engine.link = std::make_unique<NoLink>();
    }
    engine.targets = std::make_unique<EngineTargets>(
        reactor, term, *engine.link, std::to_string(engine.listed.place.rank.value()), spec_of(engine.listed));
  }
}

LeaderTargets::~LeaderTargets() = default;

Task<Result<>> LeaderTargets::describe(Engine& engine) {
  const auto described = co_await engine.targets->describe();
  if (!described && engine.listed.up) reached_all_ = false;
  co_return described;
}

std::vector<std::uint64_t> LeaderTargets::weights_in(const cluster::PoolMap& map) const {
  std::vector<std::uint64_t> weights(engines_.size());
  for (const cluster::MapTarget& target : map.targets()) {
    const cluster::Rank rank = map.engines()[target.engine].rank;
    if (rank.value() < weights.size()) weights[rank.value()] += target.bytes;
  }
  return weights;
}

Task<Result<AllTargets::PoolMembers>> LeaderTargets::members(cluster::Coordinator& coordinator, Until until) {
  AllTargets::PoolMembers members;
  CO_TRY(const auto pools, co_await cluster::list_stored_maps(coordinator, until));
  for (const Uuid& pool : pools) {
    CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator, pool, until));
    if (!stored) continue;  // it has gone meanwhile
    members.emplace(pool, weights_in(stored->map));
  }
  co_return members;
}

Task<Result<>> LeaderTargets::open(cluster::Coordinator& coordinator, Until until) {
  static_cast<void>(
      co_await gather(reactor_, engines_.size(), [this](std::size_t index) { return describe(engines_[index]); }));
  CO_TRY(auto members, co_await this->members(coordinator, until));
  std::vector<ContainerTargets*> targets;
  for (const Engine& engine : engines_) targets.push_back(engine.targets.get());
  all_ = std::make_unique<AllTargets>(reactor_, std::move(targets), std::move(members));
  co_return Result<>();
}

Task<> LeaderTargets::stop() {
  for (const Engine& engine : engines_)
    if (engine.peer) co_await engine.peer->stop();
}

}  // namespace cenote::engine
