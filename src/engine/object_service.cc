#include "object_service.h"

#include "cenote/base/format.h"
#include "cenote/cluster/system_stop.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/runtime/cross_core.h"
#include "replication/group_filter.h"

namespace cenote::engine {
namespace {

// Somebody has to look at this machine; everything else is between the client and its request.
bool is_engine_trouble(Code code) {
  switch (code) {
    case Code::kIoError:
    case Code::kDeviceDead:
    case Code::kDeviceFull:
    case Code::kCorrupt:
    case Code::kInternal:
      return true;
    default:
      return false;
  }
}

/// What a client wants with data, and nothing that engines ask each other.
bool is_for_data(Opcode opcode) {
  switch (opcode) {
    case Opcode::kUpdate:
    case Opcode::kFetch:
    case Opcode::kPunch:
    case Opcode::kList:
    case Opcode::kQuery:
    case Opcode::kBegin:
    case Opcode::kCommit:
    case Opcode::kOidRange:
    case Opcode::kLeasedFetch:
    case Opcode::kLeasedQuery:
    case Opcode::kRenewLeases:
      return true;
    default:
      return false;
  }
}

}  // namespace

ObjectService::ObjectService(Reactor& reactor, EngineServices& services, ServedTargets targets,
                             ContainerCache& containers, ClientGate& clients, OpMetrics& metrics, Logger logger)
    : reactor_(reactor),
      services_(services),
      lease_(services.serving_lease()),
      targets_(targets.targets),
      groups_(targets.groups),
      metrics_(metrics),
      logger_(std::move(logger)),
      containers_(containers),
      clients_(clients) {}

Task<rpc::Response> ObjectService::handle(rpc::Request& request) {
  if (clients_.held() && is_for_data(static_cast<Opcode>(request.opcode()))) return refuse_stopped();
  return lease_ == nullptr ? dispatch(request) : serve_under_lease(request);
}

Task<rpc::Response> ObjectService::refuse_stopped() { co_return rpc::Response(cluster::stopped_error()); }

// A request that took effect and gets no answer is not kept as failed: the client's next attempt finds it by its id.
Task<rpc::Response> ObjectService::serve_under_lease(rpc::Request& request) {
  auto allowed = lease_->check(reactor_.now());
  if (allowed) {
    rpc::Response response = co_await dispatch(request);
    allowed = lease_->check(reactor_.now());
    if (allowed) allowed = check_unbroken(request);
    if (allowed) co_return response;
    // A change that is not answered for may have taken effect; only what nothing was done about may be said to be
    // refused.
    if (!is_read(request.opcode())) allowed = fail(Code::kUndecided, allowed.error().message());
  }
  rpc::Response refused(std::move(allowed).error());
  co_return refused;
}

// Also after a lapse of the lease: what was served before has ended then, and whoever was excluded meanwhile knows it.
Result<> ObjectService::check_unbroken(const rpc::Request& request) {
  const PoolServing* const serving = serving_of(request);
  if (serving == nullptr || serving->active()) return {};
  return failf(Code::kNotReady,
               "version {} of the map of pool {} has ended while the engine worked on the request: try again",
               serving->version().value(), serving->pool().to_string());
}

Task<Result<const RoutedContainer*>> ObjectService::look_up(rpc::Request& request, Uuid container) {
  const Until until = Until::at(deadline(request));
  for (;;) {
    CO_TRY(const RoutedContainer* const found, co_await containers_.look_up(container, request.map_version(), until));
    if (found->is_served()) co_return found;
  }
}

Task<rpc::Response> ObjectService::dispatch(rpc::Request& request) {
  switch (static_cast<Opcode>(request.opcode())) {
    case Opcode::kUpdate:
      return update(request);
    case Opcode::kFetch:
      return fetch(request);
    case Opcode::kPunch:
      return punch(request);
    case Opcode::kList:
      return list(request);
    case Opcode::kQuery:
      return query(request);
    case Opcode::kBegin:
      return begin(request);
    case Opcode::kCommit:
      return commit(request);
    case Opcode::kLeasedFetch:
      return leased_fetch(request);
    case Opcode::kLeasedQuery:
      return leased_query(request);
    case Opcode::kRenewLeases:
      return renew_leases(request);
    case Opcode::kRecallLeases:
      break;  // for clients
    case Opcode::kAdmin:
      return admin(request);
    case Opcode::kOidRange:
      return oid_range(request);
    case Opcode::kPoolView:
      return pool_view(request);
    case Opcode::kTargets:
    case Opcode::kTargetsQuery:
      return targets(request);
    case Opcode::kPrepareEntry:
    case Opcode::kDecideEntries:
    case Opcode::kSettleEntry:
    case Opcode::kAskRequest:
      return entries(request);
    case Opcode::kReadHistory:
    case Opcode::kReadResults:
    case Opcode::kAwaitSettled:
    case Opcode::kReadEntry:
      return rebuild(request);
  }
  return unknown(request);
}

bool ObjectService::is_read(rpc::Opcode opcode) const {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kFetch:
    case Opcode::kList:
    case Opcode::kQuery:
    case Opcode::kBegin:
    case Opcode::kLeasedFetch:
    case Opcode::kLeasedQuery:
    case Opcode::kRenewLeases:
    case Opcode::kPoolView:
    case Opcode::kTargetsQuery:
    case Opcode::kPrepareEntry:
    case Opcode::kDecideEntries:
    case Opcode::kSettleEntry:
    case Opcode::kAskRequest:
    case Opcode::kReadHistory:
    case Opcode::kReadResults:
    case Opcode::kAwaitSettled:
    case Opcode::kReadEntry:
      return true;
    default:
      return false;
  }
}

Task<rpc::Response> ObjectService::unknown(rpc::Request& request) {
  OpTimer timer(metrics_, OpKind::kUnknown, reactor_);
  co_return failed(request, timer,
                   Error(Code::kUnknownOpcode, fmt::format("this engine has no request {}", request.opcode())));
}

Result<Target*> ObjectService::steer(const rpc::Request& request) const {
  if (request.target() >= targets_.size()) {
    return failf(Code::kInvalidArgument, "there is no target {}: the engine has {}", request.target(), targets_.size());
  }
  return targets_[request.target()];
}

// Requests without a version come from tests and tools that send by hand; what they name is checked all the same.
Result<> ObjectService::check_version(rpc::Request& request, const RoutedContainer& container) {
  if (container.serving != nullptr) request.keep(container.serving);
  const std::uint64_t version = container.layout->version().value();
  if (request.map_version() == 0 || request.map_version() == version) return {};
  return failf(Code::kStaleMap, "the request was made for version {} of the pool's map; the engine has {}",
               request.map_version(), version);
}

bool ObjectService::is(const Target& target, const cluster::PoolLayout& layout, cluster::TargetId id) const {
  const cluster::TargetPlace place = layout.place_of(id);
  return place.engine == services_.rank() && place.index == target.index();
}

Result<> ObjectService::check_home(const Target& target, const RoutedContainer& container, const ObjectId& object,
                                   ByteView dkey) const {
  TRY(const cluster::TargetId home, container.layout->home(object, container.seed, dkey));
  if (is(target, *container.layout, home)) return {};
  const cluster::TargetPlace place = container.layout->place_of(home);
  return failf(Code::kInvalidArgument,
               "the dkey belongs to target {} of engine {}, the request came to target {} of engine {}", place.index,
               place.engine.value(), target.index(), services_.rank().value());
}

Result<> ObjectService::check_reader(const Target& target, const RoutedContainer& container, const ObjectId& object,
                                     ByteView dkey) const {
  if (!has_replicas(object)) return check_home(target, container, object, dkey);
  TRY(const auto readers, container.layout->readers(object, container.seed, dkey));
  for (const cluster::TargetId reader : readers)
    if (is(target, *container.layout, reader)) return {};
  return failf(Code::kInvalidArgument, "target {} of engine {} has no copy of the dkey", target.index(),
               services_.rank().value());
}

object::HistoryFilter ObjectService::shown_at(const Target& target, const RoutedContainer& container) const {
  const cluster::PoolMap* const map = container.layout->map();
  if (map == nullptr || (!map->is_moving() && map->settled() <= cluster::MapVersion(1))) return {};
  const auto self = groups_of(target).member.number_in(*container.layout);
  if (!self) return [](const ObjectId&, const std::optional<ByteView>&) { return object::Part::kNone; };
  return shown_by(container.layout, container.seed, *self);
}

Task<Result<RoutedContainer>> ObjectService::route(rpc::Request& request, Uuid container) {
  const RoutedContainer* found = containers_.find(container, request.map_version());
  if (found == nullptr) {
    CO_TRY(found, co_await look_up(request, container));
  }
  CO_CHECK_OK(check_version(request, *found));
  if (request.map_version() == 0) co_return fail(Code::kStaleMap, "a message between members without a version");
  co_return *found;
}

Instant ObjectService::deadline(const rpc::Request& request) const {
  return reactor_.now() + (request.expiry() - reactor_.wall_now());
}

RequestId ObjectService::request_id(const rpc::Request& request) {
  RequestId id;
  id.session = request.session_id().value();
  id.sequence = request.sequence().value();
  id.expiry = request.expiry();
  if (request.session() != nullptr) id.acknowledged = request.session()->acknowledged().value();
  return id;
}

rpc::Response ObjectService::failed(const rpc::Request& request, OpTimer& timer, Error error) const {
  timer.failed();
  if (is_engine_trouble(error.code())) {
    logger_.error("request failed", {{"op", request.opcode()},
                                     {"target", request.target()},
                                     {"session", request.session_id()},
                                     {"sequence", request.sequence()},
                                     {"error", error}});
  }
  return rpc::Response(std::move(error));
}

rpc::Response ObjectService::succeeded(ByteView body) { return rpc::Response(body); }

}  // namespace cenote::engine
