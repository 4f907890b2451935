#include "routes.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::async {

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
  rpc::PeerOptions options = options_;
  options.addresses = std::move(parsed);
  auto peer = std::make_unique<rpc::Peer>(reactor_, transport_, session_, std::move(options));
  return others_.emplace(addresses, std::move(peer)).first->second.get();
}

Task<> Engines::stop() {
  stopped_ = true;
  co_await any_->stop();
  for (auto& [addresses, peer] : others_) co_await peer->stop();
}

Result<PoolRoutes::Place> PoolRoutes::place(cluster::TargetId target) {
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

Result<PoolRoutes::Place> Destination::resolve() const {
  if (object == nullptr) return pool->place(target);
  TRY(const cluster::TargetId home, pool->layout().home(*object, seed, dkey));
  return pool->place(home);
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
