#include "object_service.h"

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"

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

}  // namespace

ObjectService::ObjectService(Reactor& reactor, EngineServices& services, std::span<Target* const> targets,
                             OpMetrics& metrics, Logger logger)
    : reactor_(reactor),
      services_(services),
      lease_(services.serving_lease()),
      targets_(targets),
      metrics_(metrics),
      logger_(std::move(logger)),
      containers_(reactor, services) {}

Task<rpc::Response> ObjectService::handle(rpc::Request& request) {
  return lease_ == nullptr ? dispatch(request) : serve_under_lease(request);
}

// A request that took effect and gets no answer is not kept as failed: the client's next attempt finds it by its id.
Task<rpc::Response> ObjectService::serve_under_lease(rpc::Request& request) {
  auto allowed = lease_->check(reactor_.now());
  if (allowed) {
    rpc::Response response = co_await dispatch(request);
    allowed = lease_->check(reactor_.now());
    if (allowed) co_return response;
  }
  rpc::Response refused(std::move(allowed).error());
  refused.map_version = kMapVersion;
  co_return refused;
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
    case Opcode::kAdmin:
      return admin(request);
    case Opcode::kOidRange:
      return oid_range(request);
  }
  return unknown(request);
}

bool ObjectService::is_read(rpc::Opcode opcode) const {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kFetch:
    case Opcode::kList:
    case Opcode::kQuery:
    case Opcode::kBegin:
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
  if (request.map_version() != 0 && request.map_version() != kMapVersion) {
    return failf(Code::kStaleMap, "the request was made for map version {}; the engine has {}", request.map_version(),
                 kMapVersion);
  }
  if (request.target() >= targets_.size()) {
    return failf(Code::kInvalidArgument, "there is no target {}: the engine has {}", request.target(), targets_.size());
  }
  return targets_[request.target()];
}

Result<> ObjectService::check_home(const Target& target, const ObjectId& object, ByteView dkey) const {
  const std::uint32_t home = target_of(object, dkey, static_cast<std::uint32_t>(targets_.size()));
  if (home == target.index()) return {};
  return failf(Code::kInvalidArgument, "the dkey belongs to target {}, the request came to target {}", home,
               target.index());
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
  rpc::Response response(std::move(error));
  response.map_version = kMapVersion;
  return response;
}

rpc::Response ObjectService::succeeded(ByteView body) {
  rpc::Response response(body);
  response.map_version = kMapVersion;
  return response;
}

}  // namespace cenote::engine
