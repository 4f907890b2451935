#include "routes.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::async {
namespace {

// A silent engine costs one read so often the time that it takes to turn to another one.
constexpr Duration kSuspicion = std::chrono::seconds(1);
// Of those of a large pool more are not down at the same time, or it is no use to go on.
constexpr std::size_t kEnginesToAsk = 8;

}  // namespace

Engines::Engines(Reactor& reactor, rpc::Transport& transport, rpc::ClientSession& session, rpc::PeerOptions options)
    : reactor_(reactor),
      transport_(transport),
      session_(session),
      options_(std::move(options)),
      any_(std::make_unique<rpc::Peer>(reactor, transport, session, options_)) {
  // What follows is for engines that may be gone for good: nobody keeps trying to reach them.
  options_.keep_connected = false;
}

Engines::~Engines() = default;

Result<rpc::Peer*> Engines::at(const std::vector<std::string>& addresses) {
  if (stopped_) return fail(Code::kStopped, "the client is closed");
  if (addresses.empty()) return any_.get();
  if (const auto found = others_.find(addresses); found != others_.end()) return found->second.get();
  std::vector<rpc::Address> parsed;
  for (const std::string& text : addresses) {
    TRY(parsed.emplace_back(), rpc::Address::parse(text));
  }
  // The engine that the system is reached through needs no second connection.
  if (options_.addresses.size() == 1 && std::ranges::find(parsed, options_.addresses.front()) != parsed.end())
    return any_.get();
  // It may lead to the same engine, under another name or as one of several. A server keeps one connection of a
  // session: they would take it from each other for ever.
  any_->connect_for_calls_only();
  rpc::PeerOptions options = options_;
  options.addresses = std::move(parsed);
  auto peer = std::make_unique<rpc::Peer>(reactor_, transport_, session_, std::move(options));
  return others_.emplace(addresses, std::move(peer)).first->second.get();
}

void Engines::require_system(Uuid system) {
  options_.system = system;
  any_->require_system(system);
  for (auto& [addresses, peer] : others_) peer->require_system(system);
}

void Engines::suspect(const rpc::Peer& peer) { suspects_[&peer] = reactor_.now() + kSuspicion; }

void Engines::clear(const rpc::Peer& peer) {
  if (!suspects_.empty()) suspects_.erase(&peer);
}

bool Engines::is_suspect(const rpc::Peer& peer) const {
  if (suspects_.empty()) return false;
  const auto found = suspects_.find(&peer);
  return found != suspects_.end() && reactor_.now() < found->second;
}

Task<> Engines::stop() {
  stopped_ = true;
  co_await any_->stop();
  for (auto& [addresses, peer] : others_) co_await peer->stop();
}

Result<PoolRoutes::Place> PoolRoutes::place(cluster::TargetId target) const {
  const cluster::TargetPlace place = layout_->place_of(target);
  Place found{.peer = &engines_.any(),
              .target = place.index,
              .map_version = static_cast<std::uint32_t>(layout_->version().value())};
  const auto engine = addresses_.find(place.engine);
  if (engine == addresses_.end()) {
    if (!has_several_engines_) return found;
    return failf(Code::kNotReady, "engine {} of pool {} is not running", place.engine.value(), pool_.to_string());
  }
  TRY(found.peer, engines_.at(engine->second));
  return found;
}

Result<PoolRoutes::Places> PoolRoutes::places(std::span<const cluster::TargetId> targets) const {
  Places found;
  std::optional<Error> none;
  for (const cluster::TargetId target : targets) {
    auto one = place(target);
    if (one) {
      found.push_back(*one);
    } else if (!none) {
      none = std::move(one).error();
    }
  }
  if (found.empty()) return fail(std::move(none).value_or(Error(Code::kNotReady)));
  put_suspects_last(found);
  return found;
}

void PoolRoutes::put_suspects_last(Places& places) const {
  if (!engines_.has_suspects()) return;
  Places ordered;
  for (const bool suspects : {false, true}) {
    for (const Place& place : places)
      if (engines_.is_suspect(*place.peer) == suspects) ordered.push_back(place);
  }
  places = std::move(ordered);
}

PoolRoutes::Places PoolRoutes::engines_to_ask() const {
  Places found;
  found.push_back({.peer = &engines_.any()});
  // Not always the same of them, if there are many.
  auto next = addresses_.begin();
  if (!addresses_.empty()) std::advance(next, generation_ % addresses_.size());
  for (std::size_t left = std::min(addresses_.size(), kEnginesToAsk); left > 0; --left) {
    const auto peer = engines_.at(next->second);
    if (peer && *peer != found.front().peer) found.push_back({.peer = *peer});
    if (++next == addresses_.end()) next = addresses_.begin();
  }
  put_suspects_last(found);
  return found;
}

std::size_t Destination::copies() const {
  if (!read || (kind != Kind::kDkey && kind != Kind::kGroup)) return 1;
  const auto readers = kind == Kind::kDkey ? pool->layout().readers(*object, seed, dkey)
                                           : pool->layout().readers({.object = *object, .seed = seed, .group = group});
  return readers ? readers->size() : 1;
}

Result<PoolRoutes::Places> Destination::resolve() const {
  switch (kind) {
    case Kind::kAnyEngine:
      break;
    case Kind::kView:
      return pool->engines_to_ask();
    case Kind::kDkey: {
      if (read) {
        TRY(const auto readers, pool->layout().readers(*object, seed, dkey));
        return pool->places(readers.view());
      }
      TRY(const cluster::TargetId home, pool->layout().home(*object, seed, dkey));
      return pool->places({&home, 1});
    }
    case Kind::kGroup: {
      TRY(const auto readers, pool->layout().readers({.object = *object, .seed = seed, .group = group}));
      return pool->places(readers.view());
    }
    case Kind::kTarget:
      return pool->places({&target, 1});
  }
  return fail(Code::kInternal, "no pool to ask");
}

Result<> PoolRoutes::take(PoolView view) {
  std::shared_ptr<const cluster::PoolLayout> layout;
  if (view.map.empty()) {
    layout = cluster::PoolLayout::without_map(view.targets);
  } else {
    TRY(cluster::PoolMap map, cluster::decode_pool_map(view.map));
    if (map.pool() != pool_)
      return failf(Code::kMalformed, "the map of pool {} was asked for, and that of {} came", pool_.to_string(),
                   map.pool().to_string());
    // An engine that has not heard of the newest version yet may have answered.
    if (layout_ == nullptr || map.version() > layout_->version()) {
      TRY(layout, cluster::PoolLayout::build(std::move(map)));
    }
  }
  if (layout != nullptr) layout_ = std::move(layout);
  has_several_engines_ = !view.engines.empty();
  addresses_.clear();
  for (PoolEngine& engine : view.engines) {
    if (!engine.addresses.empty()) addresses_.emplace(cluster::Rank(engine.rank), std::move(engine.addresses));
  }
  ++generation_;
  return {};
}

}  // namespace cenote::async
