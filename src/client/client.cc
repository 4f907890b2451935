#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"

namespace cenote::async {
namespace {

rpc::ClientSession::Options session_options(Reactor& reactor, const ConnectOptions& options) {
  const std::uint64_t high = reactor.random();
  return {.identity = Uuid::from_random(high, reactor.random()), .name = options.name, .incarnation = 1};
}

rpc::PeerOptions peer_options(std::vector<rpc::Address> addresses, const ConnectOptions& options,
                              rpc::Counters& counters, rpc::Service& callbacks) {
  rpc::PeerOptions peer;
  peer.addresses = std::move(addresses);
  peer.connect_timeout = options.timeout;
  peer.counters = &counters;
  peer.callbacks = &callbacks;
  return peer;
}

std::string pool_path(std::string_view pool) { return fmt::format("/v1/pools/{}", pool); }
std::string containers_path(std::string_view pool) { return fmt::format("/v1/pools/{}/containers", pool); }

}  // namespace

Result<> check_name(std::string_view what, std::string_view name) {
  if (Uuid::parse(name)) return {};
  return validate_label(what, name);
}

std::string container_path(std::string_view pool, std::string_view container) {
  return fmt::format("/v1/pools/{}/containers/{}", pool, container);
}

Client::Impl::Impl(Reactor& reactor_in, rpc::Transport& transport, std::vector<rpc::Address> addresses,
                   ConnectOptions options_in)
    : reactor(reactor_in),
      options(std::move(options_in)),
      session(reactor, session_options(reactor, options)),
      leases(reactor, scope),
      engines(reactor, transport, session, peer_options(std::move(addresses), options, rpc_counters, leases)),
      scope(reactor),
      watches(reactor),
      closing(reactor),
      gate(reactor) {}

Until Client::Impl::bounded(Until until) const {
  if (until.deadline == kNoDeadline) until.deadline = reactor.now() + options.call_timeout;
  return until;
}

Task<Result<rpc::Reply>> Client::Impl::call(Opcode opcode, ByteView body, rpc::BulkSource send, rpc::BulkSink receive,
                                            Destination destination, Until until) {
  if (!gate.enter()) co_return fail(Code::kStopped, "the client is closed");
  ++counters.calls;
  counters.sent_bytes += send.bytes();
  auto reply = co_await attempts(opcode, body, send, receive, std::move(destination), bounded(until));
  if (reply) counters.received_bytes += reply->bulk_bytes;
  gate.leave();
  co_return reply;
}

Task<Result<std::shared_ptr<PoolRoutes>>> Client::Impl::find_pool(Uuid pool, Until until) {
  auto& known = pools[pool];
  if (known == nullptr) known = std::make_shared<PoolRoutes>(reactor, engines, pool);
  auto routes = known;
  if (routes->generation() == 0) CO_CHECK_OK(co_await refresh(routes, 0, bounded(until)));
  co_return routes;
}

Task<Result<>> Client::Impl::refresh(std::shared_ptr<PoolRoutes> routes, std::uint64_t seen, Until until) {
  CO_CHECK_OK(co_await routes->refreshing.acquire(1, until));
  Result<> outcome;
  if (routes->generation() == seen) {
    Bytes body;
    encode(PoolViewRequest{routes->pool()}, body);
    const Destination asked{.kind = Destination::Kind::kView, .pool = routes.get(), .read = true, .replicated = true};
    auto reply = co_await attempts(Opcode::kPoolView, body, {}, {}, asked, until);
    Result<PoolView> view = reply ? decode_pool_view(reply->body) : fail(std::move(reply).error());
    outcome = view ? routes->take(*std::move(view)) : fail(std::move(view).error());
  }
  routes->refreshing.release();
  co_return outcome;
}

Task<Result<std::string>> Client::Impl::admin(AdminMethod method, std::string path, std::string body, Until until) {
  Bytes request;
  Encoder encoder(request);
  encoder.integer(static_cast<std::uint8_t>(method));
  encoder.text(path);
  encoder.text(body);
  CO_TRY(const rpc::Reply reply, co_await call(Opcode::kAdmin, request, {}, {}, {}, until));
  co_return to_text(reply.body);
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Task<Result<std::unique_ptr<Client>>> Client::connect(Reactor& reactor, rpc::Transport& transport,
                                                      std::vector<rpc::Address> addresses, ConnectOptions options) {
  const Until until = Until::at(reactor.now() + options.timeout);
  std::unique_ptr<Client> client(
      new Client(std::make_unique<Impl>(reactor, transport, std::move(addresses), std::move(options))));
  Engines& engines = client->impl_->engines;
  auto welcome = co_await engines.any().connect(until);
  // An engine that stops or starts may break what it has just accepted; that says nothing about the next attempt.
  while (!welcome && welcome.error() == Code::kConnectionLost) welcome = co_await engines.any().connect(until);
  if (welcome) engines.require_system(welcome->system);
  Result<SystemInfo> system = fail(Code::kInternal);
  if (welcome) system = co_await client->system(until);
  if (welcome && system && system->targets.empty()) {
    system = fail(Code::kNotReady, "the system has no targets yet: try again when its engine is ready");
  }
  if (!welcome || !system) {
    Error reason = !welcome ? std::move(welcome).error() : std::move(system).error();
    co_await client->close();
    co_return fail(std::move(reason));
  }
  client->impl_->system = *std::move(system);
  co_return client;
}

Task<> Client::close() {
  impl_->closing.set();
  co_await impl_->scope.stop();
  co_await impl_->engines.stop();
  co_await impl_->watches.stop();
  co_await impl_->gate.close();
}

Reactor& Client::reactor() const { return impl_->reactor; }

Client::Counters Client::counters() const {
  Counters counters = impl_->counters;
  counters.retries = impl_->rpc_counters.reconnects;
  return counters;
}

Task<Result<SystemInfo>> Client::system(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, "/v1/system", "", until));
  co_return system_info_from_json(json);
}

Task<Result<CoordinatorInfo>> Client::coordinator(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, "/v1/system/coordinator", "", until));
  co_return coordinator_info_from_json(json);
}

Task<Result<CoordinatorInfo>> Client::share_coordinator(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, "/v1/system/coordinator", "{}", until));
  co_return coordinator_info_from_json(json);
}

Task<Result<SystemInfo>> Client::grow_targets(GrowTargets request, Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, "/v1/system/grow", to_json(request), until));
  co_return system_info_from_json(json);
}

Task<Result<SystemStopInfo>> Client::stop_system(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, "/v1/system/stop", "{}", until));
  co_return system_stop_from_json(json);
}

Task<Result<SystemStopInfo>> Client::query_stop(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, "/v1/system/stop", "", until));
  co_return system_stop_from_json(json);
}

Task<Result<SystemStopInfo>> Client::start_system(StartSystem request, Until until) {
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, "/v1/system/start", to_json(request), until));
  co_return system_stop_from_json(json);
}

Task<Result<PoolInfo>> Client::create_pool(CreatePool request, Until until) {
  CO_CHECK_OK(validate_label("pool", request.label));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kPost, "/v1/pools", to_json(request), until));
  co_return pool_info_from_json(json);
}

Task<Result<std::vector<PoolInfo>>> Client::list_pools(Until until) {
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, "/v1/pools", "", until));
  co_return pools_from_json(json);
}

Task<Result<PoolInfo>> Client::query_pool(std::string pool, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, pool_path(pool), "", until));
  co_return pool_info_from_json(json);
}

Task<Result<>> Client::destroy_pool(std::string pool, bool force, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  std::string path = pool_path(pool);
  if (force) path += "?force=true";
  CO_CHECK_OK(co_await impl_->admin(AdminMethod::kDelete, std::move(path), "", until));
  co_return Result<>();
}

Task<Result<ContainerInfo>> Client::create_container(CreateContainer request, Until until) {
  CO_CHECK_OK(check_name("pool", request.pool));
  CO_CHECK_OK(validate_label("container", request.label));
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, containers_path(request.pool), to_json(request), until));
  co_return container_info_from_json(json);
}

Task<Result<ContainerInfo>> Client::clone_container(CloneContainer request, Until until) {
  CO_CHECK_OK(check_name("pool", request.pool));
  CO_CHECK_OK(check_name("container", request.source));
  CO_CHECK_OK(validate_label("container", request.label));
  if (!request.snapshot.empty()) CO_CHECK_OK(validate_label("snapshot", request.snapshot));
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, container_path(request.pool, request.source) + "/clones",
                               to_json(request), until));
  co_return container_info_from_json(json);
}

Task<Result<ContainerInfo>> Client::flatten_container(std::string pool, std::string container, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_CHECK_OK(check_name("container", container));
  CO_TRY(const std::string json,
         co_await impl_->admin(AdminMethod::kPost, container_path(pool, container) + "/flatten", "", until));
  co_return container_info_from_json(json);
}

Task<Result<std::vector<ContainerInfo>>> Client::list_containers(std::string pool, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, containers_path(pool), "", until));
  co_return containers_from_json(json);
}

Task<Result<>> Client::set_pool_property(std::string pool, std::string key, std::string value, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  std::string body = to_json(std::map<std::string, std::string>{{std::move(key), std::move(value)}});
  CO_CHECK_OK(co_await impl_->admin(AdminMethod::kPatch, pool_path(pool), std::move(body), until));
  co_return Result<>();
}

Task<Result<ContainerInfo>> Client::query_container(std::string pool, std::string container, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_CHECK_OK(check_name("container", container));
  CO_TRY(const std::string json, co_await impl_->admin(AdminMethod::kGet, container_path(pool, container), "", until));
  co_return container_info_from_json(json);
}

Task<Result<>> Client::destroy_container(std::string pool, std::string container, Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_CHECK_OK(check_name("container", container));
  CO_CHECK_OK(co_await impl_->admin(AdminMethod::kDelete, container_path(pool, container), "", until));
  co_return Result<>();
}

Task<Result<>> Client::set_property(std::string pool, std::string container, std::string key, std::string value,
                                    Until until) {
  CO_CHECK_OK(check_name("pool", pool));
  CO_CHECK_OK(check_name("container", container));
  std::string body = to_json(std::map<std::string, std::string>{{std::move(key), std::move(value)}});
  CO_CHECK_OK(co_await impl_->admin(AdminMethod::kPatch, container_path(pool, container), std::move(body), until));
  co_return Result<>();
}

Task<Result<Container>> Client::open_container(std::string pool, std::string container, Until until) {
  CO_TRY(ContainerInfo info, co_await query_container(std::move(pool), std::move(container), until));
  auto state = std::make_shared<Container::State>();
  state->client = this;
  state->impl = impl_.get();
  const auto checksum = info.properties.find("checksum");
  state->checksums = checksum == info.properties.end() || checksum->second != "off";
  CO_TRY(state->routes, co_await impl_->find_pool(info.pool, until));
  state->info = std::move(info);
  state->lease.emplace(impl_->reactor, 1);
  co_return Container(std::move(state));
}

}  // namespace cenote::async
