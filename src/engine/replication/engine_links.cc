#include "engine_links.h"

#include "cenote/base/format.h"
#include "cenote/runtime/cross_core.h"

namespace cenote::engine {
namespace {

/// An engine that does not answer may have moved: it is looked for again at most this often.
constexpr Duration kLookAgain = std::chrono::milliseconds(500);

Uuid draw_identity(Reactor& reactor) {
  const std::uint64_t high = reactor.random();
  return Uuid::from_random(high, reactor.random());
}

}  // namespace

struct EngineLinks::Link {
  std::vector<std::string> addresses;
  std::unique_ptr<rpc::Peer> peer;
  Instant looked_at{};
  bool doubtful = false;  ///< a call has failed since it was looked for
};

EngineLinks::EngineLinks(Reactor& reactor, EngineServices& services, std::unique_ptr<rpc::Transport> transport,
                         Uuid system)
    : reactor_(reactor),
      services_(services),
      transport_(std::move(transport)),
      system_(system),
      session_(reactor, {.identity = draw_identity(reactor), .name = "member of redundancy groups"}),
      scope_(reactor) {}

EngineLinks::~EngineLinks() { ASSERT(links_.empty()); }

Task<> EngineLinks::retire(std::shared_ptr<Link> link) { co_await link->peer->stop(); }

Task<Result<std::shared_ptr<EngineLinks::Link>>> EngineLinks::find(cluster::Rank engine) {
  if (scope_.stopping()) co_return fail(Code::kStopped, "the engine is stopping");
  if (const auto known = links_.find(engine); known != links_.end()) {
    if (!known->second->doubtful || reactor_.now() < known->second->looked_at + kLookAgain) co_return known->second;
  }
  CO_TRY(auto addresses, co_await call_on(reactor_, services_.control_reactor(),
                                          [this, engine] { return services_.engine_addresses(engine); }));
  if (scope_.stopping()) co_return fail(Code::kStopped, "the engine is stopping");
  if (addresses.empty()) co_return failf(Code::kUnreachable, "engine {} is not running", engine.value());
  if (const auto known = links_.find(engine); known != links_.end() && known->second->addresses == addresses) {
    known->second->looked_at = reactor_.now();
    known->second->doubtful = false;
    co_return known->second;
  }
  rpc::PeerOptions options;
  options.system = system_;
  options.keep_connected = false;
  for (const std::string& text : addresses) {
    CO_TRY(options.addresses.emplace_back(), rpc::Address::parse(text));
  }
  auto fresh = std::make_shared<Link>();
  fresh->addresses = std::move(addresses);
  fresh->looked_at = reactor_.now();
  fresh->peer = std::make_unique<rpc::Peer>(reactor_, *transport_, session_, std::move(options));
  auto& link = links_[engine];
  if (link != nullptr) scope_.spawn(retire(std::move(link)));
  link = fresh;
  co_return fresh;
}

Task<Result<rpc::Reply>> EngineLinks::call(cluster::Rank engine, Message message, Until until) {
  if (transport_ == nullptr) co_return fail(Code::kUnsupported, "this engine has no others beside it");
  std::shared_ptr<Link> link;
  if (const auto known = links_.find(engine); known != links_.end() && !known->second->doubtful && !scope_.stopping()) {
    link = known->second;
  } else {
    CO_TRY(link, co_await find(engine));
  }
  rpc::CallOptions options;
  options.until = until.no_later_than(reactor_.now() + message.patience);
  options.target = message.target;
  options.map_version = static_cast<std::uint32_t>(message.version.value());
  rpc::ReplyInfo info;
  options.info = &info;
  auto reply = co_await link->peer->call(static_cast<rpc::Opcode>(message.opcode), message.body, message.payload,
                                         message.into, options);
  if (!reply && !info.received) link->doubtful = true;
  co_return reply;
}

Task<> EngineLinks::stop() {
  scope_.cancel_source().cancel();
  auto links = std::move(links_);
  links_.clear();
  for (auto& [engine, link] : links) co_await link->peer->stop();
  co_await scope_.stop();
}

}  // namespace cenote::engine
