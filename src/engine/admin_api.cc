#include "admin_api.h"

#include <string_view>
#include <vector>

#include "cenote/base/format.h"
#include "control_service.h"
#include "json_fields.h"

namespace cenote::engine {

/// A path taken apart: /v1/pools/{pool}/containers/{container}/snapshots/{snapshot}/rollback, of any depth.
struct AdminApi::Route {
  std::vector<std::string> segments;  ///< below /v1
  bool force = false;

  std::size_t depth() const { return segments.size(); }
};

namespace {

constexpr std::string_view kRoot = "/v1/";
constexpr std::string_view kForce = "force=";
constexpr std::string_view kStopPath = "/v1/system/stop";
constexpr std::string_view kStartPath = "/v1/system/start";

std::unexpected<Error> no_such_path(std::string_view path) {
  return failf(Code::kNotFound, "there is no '{}' in the control API: it has /v1/system and /v1/pools",
               printable(as_bytes(path)));
}

std::unexpected<Error> wrong_method(std::string_view path, std::string_view allowed) {
  return failf(Code::kUnsupported, "'{}' does not have this method: it has {}", printable(as_bytes(path)), allowed);
}

Result<bool> parse_force(std::string_view query) {
  if (query.empty() || query == "force=false") return false;
  if (query == "force=true") return true;
  return failf(Code::kInvalidArgument, "unknown query '{}': '{}true' or '{}false'", printable(as_bytes(query)), kForce,
               kForce);
}

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    segments.emplace_back(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
  }
  return segments;
}

template <typename T>
Result<std::string> answer(Result<T> outcome) {
  if (!outcome) return fail(std::move(outcome).error());
  if constexpr (std::is_void_v<T>) {
    return "{}";
  } else {
    return to_json(*outcome);
  }
}

}  // namespace

bool is_about_engine(std::string_view path) {
  constexpr std::string_view kSystem = "/v1/system";
  const std::string_view named = path.substr(0, path.find('?'));
  if (named == kStopPath || named == kStartPath) return false;
  return path.starts_with(kSystem) &&
         (path.size() == kSystem.size() || path[kSystem.size()] == '/' || path[kSystem.size()] == '?');
}

bool needs_all_engines(AdminMethod method, std::string_view path) {
  if (method != AdminMethod::kPost || !path.starts_with(kRoot)) return false;
  const auto segments = split_path(path.substr(kRoot.size()));
  if (segments[0] != "pools") return false;
  return segments.size() == 1 || (segments.size() == 3 && parse_operation(segments[2]));
}

Task<Result<std::string>> AdminApi::handle(AdminRequest request, Until until) {
  if (request.path.size() > kMaxAdminPathBytes || request.body.size() > kMaxAdminBodyBytes) {
    co_return failf(Code::kOutOfRange, "path or body is too long: at most {} and {} bytes", kMaxAdminPathBytes,
                    kMaxAdminBodyBytes);
  }
  const std::string_view whole = request.path;
  const std::string_view path = whole.substr(0, whole.find('?'));
  if (!path.starts_with(kRoot)) co_return no_such_path(path);
  Route route{split_path(path.substr(kRoot.size())), false};
  CO_TRY(route.force, parse_force(whole.size() > path.size() ? whole.substr(path.size() + 1) : ""));
  const auto& segments = route.segments;
  if (segments.size() == 1 && segments[0] == "system") {
    if (request.method != AdminMethod::kGet) co_return wrong_method(path, "GET");
    co_return to_json(co_await system_.describe());
  }
  if (segments.size() == 2 && segments[0] == "system" && segments[1] == "coordinator") {
    co_return co_await coordinator(std::move(request));
  }
  if (segments.size() == 2 && segments[0] == "system" && segments[1] == "grow") {
    co_return co_await grow(std::move(request));
  }
  if (segments.size() == 2 && segments[0] == "system" && segments[1] == "scrub") {
    co_return co_await scrub(std::move(request));
  }
  if (path == kStopPath) co_return co_await stop(std::move(request), until);
  if (path == kStartPath) co_return co_await start(std::move(request), until);
  const bool in_pools = !segments.empty() && segments[0] == "pools";
  if (in_pools && request.method != AdminMethod::kGet) CO_CHECK_OK(co_await control_.check_running());
  const bool in_containers = in_pools && route.depth() > 2 && segments[2] == "containers";
  if (in_pools && route.depth() == 1) co_return co_await pools(std::move(route), std::move(request), until);
  if (in_pools && route.depth() == 2) co_return co_await pool(std::move(route), std::move(request), until);
  if (in_pools && route.depth() == 3 && segments[2] == "moves")
    co_return co_await moves(std::move(route), std::move(request), until);
  if (in_pools && route.depth() == 3 && parse_operation(segments[2]))
    co_return co_await change_engines(std::move(route), std::move(request), until);
  if (in_containers && route.depth() == 3) co_return co_await containers(std::move(route), std::move(request), until);
  if (in_containers && route.depth() == 4) co_return co_await container(std::move(route), std::move(request), until);
  if (in_containers && route.depth() == 5 && segments[4] == "check")
    co_return co_await check(std::move(route), std::move(request), until);
  if (in_containers && route.depth() == 5 && segments[4] == "clones")
    co_return co_await clones(std::move(route), std::move(request), until);
  if (in_containers && route.depth() == 5 && segments[4] == "flatten")
    co_return co_await flatten(std::move(route), std::move(request), until);
  const bool in_snapshots = in_containers && route.depth() > 4 && segments[4] == "snapshots";
  if (in_snapshots && route.depth() == 5) co_return co_await snapshots(std::move(route), std::move(request), until);
  if (in_snapshots && route.depth() == 6) co_return co_await snapshot(std::move(route), std::move(request), until);
  if (in_snapshots && route.depth() == 7 && segments[6] == "rollback")
    co_return co_await rollback(std::move(route), std::move(request), until);
  co_return no_such_path(path);
}

Task<Result<std::string>> AdminApi::coordinator(AdminRequest request) {
  const bool share = request.method == AdminMethod::kPost;
  if (!share && request.method != AdminMethod::kGet) co_return wrong_method(request.path, "GET, POST");
  co_return answer(co_await system_.describe_coordinator(share));
}

Task<Result<std::string>> AdminApi::grow(AdminRequest request) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  CO_TRY(const GrowTargets wanted, grow_targets_from_json(request.body.empty() ? "{}" : request.body));
  CO_CHECK_OK(co_await system_.grow(wanted));
  co_return to_json(co_await system_.describe());
}

Task<Result<std::string>> AdminApi::scrub(AdminRequest request) {
  if (request.method == AdminMethod::kPost) {
    CO_TRY(const ControlScrub wanted, control_scrub_from_json(request.body));
    CO_CHECK_OK(co_await system_.control_scrub(wanted));
  } else if (request.method != AdminMethod::kGet) {
    co_return wrong_method(request.path, "GET and POST");
  }
  co_return to_json(co_await system_.describe_scrub());
}

Task<Result<std::string>> AdminApi::stop(AdminRequest request, Until until) {
  if (request.method == AdminMethod::kGet) co_return co_await stop_answer(co_await control_.query_stop());
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "GET and POST");
  auto stopped = co_await control_.stop_system(until);
  CO_CHECK_OK(co_await system_.follow_stop());
  co_return co_await stop_answer(std::move(stopped));
}

Task<Result<std::string>> AdminApi::start(AdminRequest request, Until until) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  CO_TRY(const StartSystem wanted, start_system_from_json(request.body.empty() ? "{}" : request.body));
  auto started = co_await control_.start_system(wanted, until);
  CO_CHECK_OK(co_await system_.follow_stop());
  co_return co_await stop_answer(std::move(started));
}

/// An engine that is alone has no place in a list.
Task<Result<std::string>> AdminApi::stop_answer(Result<SystemStopInfo> info) {
  if (!info) co_return fail(std::move(info).error());
  if (info->engines.empty()) {
    const bool quiet = co_await system_.is_quiet();
    info->engines.push_back({.rank = 0, .state = kEngineUp, .needed = true, .quiet = quiet});
  }
  co_return to_json(*info);
}

Task<Result<std::string>> AdminApi::pools(Route, AdminRequest request, Until until) {
  if (request.method == AdminMethod::kGet) co_return answer(co_await control_.list_pools());
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "GET and POST");
  CO_TRY(auto wanted, create_pool_from_json(request.body));
  co_return answer(co_await control_.create_pool(std::move(wanted), request.new_id, until));
}

Task<Result<std::string>> AdminApi::pool(Route route, AdminRequest request, Until until) {
  const std::string name = route.segments[1];
  switch (request.method) {
    case AdminMethod::kGet:
      co_return answer(co_await control_.query_pool(name));
    case AdminMethod::kDelete:
      co_return answer(co_await control_.destroy_pool(name, route.force, until));
    case AdminMethod::kPatch: {
      CO_TRY(auto properties, properties_from_json(request.body));
      co_return answer(co_await control_.set_pool_properties(name, std::move(properties), until));
    }
    case AdminMethod::kPost:
      break;
  }
  co_return wrong_method(request.path, "GET, PATCH and DELETE");
}

Task<Result<std::string>> AdminApi::moves(Route route, AdminRequest request, Until until) {
  const std::string pool = route.segments[1];
  if (request.method == AdminMethod::kGet) co_return answer(co_await control_.query_moves(pool));
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "GET and POST");
  CO_TRY(const bool paused, pause_request_from_json(request.body));
  co_return answer(co_await control_.pause_moves(pool, paused, until));
}

Task<Result<std::string>> AdminApi::change_engines(Route route, AdminRequest request, Until until) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  CO_TRY(ChangeEngines wanted, change_engines_from_json(request.body));
  wanted.operation = *parse_operation(route.segments[2]);
  co_return answer(co_await control_.change_engines(route.segments[1], std::move(wanted), until));
}

Task<Result<std::string>> AdminApi::containers(Route route, AdminRequest request, Until until) {
  if (request.method == AdminMethod::kGet) co_return answer(co_await control_.list_containers(route.segments[1]));
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "GET and POST");
  CO_TRY(auto wanted, create_container_from_json(request.body));
  wanted.pool = route.segments[1];
  co_return answer(co_await control_.create_container(std::move(wanted), request.new_id, until));
}

Task<Result<std::string>> AdminApi::container(Route route, AdminRequest request, Until until) {
  const std::string pool = route.segments[1];
  const std::string name = route.segments[3];
  switch (request.method) {
    case AdminMethod::kGet:
      co_return answer(co_await control_.query_container(pool, name));
    case AdminMethod::kDelete:
      co_return answer(co_await control_.destroy_container(pool, name, until));
    case AdminMethod::kPatch: {
      CO_TRY(auto properties, properties_from_json(request.body));
      co_return answer(co_await control_.set_properties(pool, name, std::move(properties), until));
    }
    case AdminMethod::kPost:
      break;
  }
  co_return wrong_method(request.path, "GET, PATCH and DELETE");
}

Task<Result<std::string>> AdminApi::check(Route route, AdminRequest request, Until until) {
  const std::string pool = route.segments[1];
  const std::string container = route.segments[3];
  switch (request.method) {
    case AdminMethod::kGet:
      co_return answer(co_await control_.query_check(pool, container));
    case AdminMethod::kPost: {
      CO_TRY(const BeginCheck wanted, begin_check_from_json(request.body.empty() ? "{}" : request.body));
      co_return answer(co_await control_.begin_check(pool, container, wanted, request.new_id));
    }
    case AdminMethod::kDelete:
      co_return answer(co_await control_.cancel_check(pool, container, until));
    case AdminMethod::kPatch:
      break;
  }
  co_return wrong_method(request.path, "GET, POST and DELETE");
}

Task<Result<std::string>> AdminApi::clones(Route route, AdminRequest request, Until until) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  CO_TRY(auto wanted, clone_container_from_json(request.body));
  wanted.pool = route.segments[1];
  wanted.source = route.segments[3];
  co_return answer(co_await control_.clone_container(std::move(wanted), request.new_id, until));
}

Task<Result<std::string>> AdminApi::flatten(Route route, AdminRequest request, Until until) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  co_return answer(co_await control_.flatten_container(route.segments[1], route.segments[3], until));
}

Task<Result<std::string>> AdminApi::snapshots(Route route, AdminRequest request, Until until) {
  const std::string pool = route.segments[1];
  const std::string container = route.segments[3];
  if (request.method == AdminMethod::kGet) co_return answer(co_await control_.list_snapshots(pool, container));
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "GET and POST");
  CO_TRY(auto name, snapshot_request_from_json(request.body));
  co_return answer(co_await control_.create_snapshot(pool, container, std::move(name), request.new_id, until));
}

Task<Result<std::string>> AdminApi::snapshot(Route route, AdminRequest request, Until until) {
  const std::string pool = route.segments[1];
  const std::string container = route.segments[3];
  const std::string name = route.segments[5];
  if (request.method == AdminMethod::kGet) co_return answer(co_await control_.query_snapshot(pool, container, name));
  if (request.method != AdminMethod::kDelete) co_return wrong_method(request.path, "GET and DELETE");
  co_return answer(co_await control_.destroy_snapshot(pool, container, name, until));
}

Task<Result<std::string>> AdminApi::rollback(Route route, AdminRequest request, Until until) {
  if (request.method != AdminMethod::kPost) co_return wrong_method(request.path, "POST");
  co_return answer(co_await control_.roll_back(route.segments[1], route.segments[3], route.segments[5], route.force,
                                               request.new_id, until));
}

int http_status(const Error& error) {
  switch (error.code()) {
    case Code::kInvalidArgument:
    case Code::kMalformed:
    case Code::kOutOfRange:
      return 400;
    case Code::kPermissionDenied:
      return 403;
    case Code::kNotFound:
    case Code::kPoolNotFound:
    case Code::kContainerNotFound:
      return 404;
    case Code::kUnsupported:
      return 405;
    case Code::kExists:
    case Code::kNotEmpty:
    case Code::kConditionFailed:
      return 409;
    case Code::kNotReady:
    case Code::kStopped:
    case Code::kCancelled:
    case Code::kBusy:
    case Code::kResourceExhausted:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kNoSpace:
    case Code::kQuotaExceeded:
      return 507;
    default:
      return 500;
  }
}

std::string error_json(const Error& error) {
  return json_text(Json{{"error",
                         {{"code", code_name(error.code())},
                          {"number", static_cast<std::uint16_t>(error.code())},
                          {"message", error.message()}}}});
}

}  // namespace cenote::engine
