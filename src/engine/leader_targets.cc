#include "leader_targets.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/cluster/pool_redundancy.h"
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
    : reactor_(reactor),
      options_(std::move(options)),
      background_(reactor),
      session_(reactor, {.identity = options_.engine, .name = "control leader"}) {
  for (cluster::ListedEngine& listed : engines) {
    Engine& engine = engines_.emplace_back();
    engine.listed = std::move(listed);
    rpc::PeerOptions peer = peer_options(engine.listed, options_.system);
    if (engine.listed.place.rank == options_.own) {
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
  if (!described && engine.listed.up) {
    engine.missed = true;
    options_.on_suspicion(engine.listed.place.rank, described.error().message());
  }
  co_return described;
}

/// What is known of the engines stays as it is: whoever hears that there are more makes all of this anew.
Task<> LeaderTargets::try_missed(LeaderTargets& self) {
  while (!self.reached_more_) {
    if (!co_await sleep_for(self.reactor_, kMissedPause, self.background_.cancel_source())) co_return;
    static_cast<void>(co_await gather(self.reactor_, self.engines_.size(),
                                      [&self](std::size_t index) { return self.try_engine(self.engines_[index]); }));
  }
}

Task<Result<>> LeaderTargets::try_engine(Engine& engine) {
  if (!engine.missed) co_return Result<>();
  if (co_await engine.targets->answers()) reached_more_ = true;
  co_return Result<>();
}

void LeaderTargets::take_map(const cluster::StoredMap& stored) {
  const cluster::PoolMap& map = stored.map;
  std::set<std::size_t> excluded;
  for (const cluster::MappedEngine& engine : cluster::mapped_engines(map))
    if (!engine.is_used) excluded.insert(engine.rank.value());
  std::set<std::size_t>& before = excluded_[map.pool()];
  if (!std::ranges::includes(before, excluded)) ++exclusions_;
  before = std::move(excluded);
  losses_.erase(map.pool());
  if (!stored.losses.empty()) losses_.emplace(map.pool(), PoolLosses::of(stored));
  left_.erase(map.pool());
  if (auto left = cluster::engines_that_left(stored); !left.empty())
    left_.emplace(map.pool(), Left{map.version(), std::move(left)});
  all_->take_map(map);
}

Task<Result<>> LeaderTargets::open(cluster::Coordinator& coordinator, Until until) {
  static_cast<void>(
      co_await gather(reactor_, engines_.size(), [this](std::size_t index) { return describe(engines_[index]); }));
  CO_TRY(const cluster::Revision from, co_await coordinator.revision(until));
  std::vector<cluster::StoredMap> maps;
  CO_TRY(const auto pools, co_await cluster::list_stored_maps(coordinator, until));
  for (const Uuid& pool : pools) {
    CO_TRY(auto stored, co_await cluster::load_stored_map(coordinator, pool, until));
    if (!stored) continue;  // it has gone meanwhile
    maps.push_back(*std::move(stored));
  }
  std::vector<ContainerTargets*> targets;
  for (const Engine& engine : engines_) targets.push_back(engine.targets.get());
  all_ = std::make_unique<AllTargets>(reactor_, std::move(targets));
  for (const cluster::StoredMap& stored : maps) take_map(stored);
  background_.spawn(follow_maps(*this, coordinator, from));
  if (std::ranges::any_of(engines_, &Engine::missed)) background_.spawn(try_missed(*this));
  co_return Result<>();
}

Task<> LeaderTargets::follow_maps(LeaderTargets& self, cluster::Coordinator& coordinator, cluster::Revision from) {
  CancelSource& stopping = self.background_.cancel_source();
  while (!stopping.cancelled()) {
    static_cast<void>(co_await self.follow_from(coordinator, from));
    if (!co_await sleep_for(self.reactor_, kRetryPause, stopping)) co_return;
    // What was missed is read below, with what happens from here on.
    const auto now = co_await coordinator.revision(Until::at(self.reactor_.now() + EngineTargets::kPatience));
    if (now) from = *now;
    const auto pools = co_await cluster::list_stored_maps(coordinator, {kNoDeadline, &stopping});
    if (!now || !pools) continue;
    for (const Uuid& pool : *pools) {
      const auto stored = co_await cluster::load_stored_map(coordinator, pool, {kNoDeadline, &stopping});
      if (stored && *stored) self.take_map(**stored);
    }
  }
}

Task<Result<>> LeaderTargets::follow_from(cluster::Coordinator& coordinator, cluster::Revision from) {
  const Until stopping{kNoDeadline, &background_.cancel_source()};
  CO_TRY(cluster::StoredMapWatch watch, cluster::StoredMapWatch::open(coordinator, from));
  for (;;) {
    CO_TRY(const auto changed, co_await watch.next(stopping));
    for (const Uuid& pool : changed) {
      CO_TRY(const auto stored, co_await cluster::load_stored_map(coordinator, pool, stopping));
      if (stored) {
        take_map(*stored);
      } else {
        losses_.erase(pool);
        left_.erase(pool);
      }
    }
  }
}

Task<> LeaderTargets::keep_copies() {
  static_cast<void>(
      co_await gather(reactor_, engines_.size(), [this](std::size_t index) { return keep_copy(engines_[index]); }));
}

Task<Result<>> LeaderTargets::keep_copy(Engine& engine) {
  if (engine.listed.up) co_await engine.targets->keep_copy();
  co_return Result<>();
}

Task<> LeaderTargets::stop() {
  background_.cancel_source().cancel();
  // With it end calls that the background waits for.
  for (const Engine& engine : engines_)
    if (engine.peer) co_await engine.peer->stop();
  co_await background_.stop();
}

}  // namespace cenote::engine
