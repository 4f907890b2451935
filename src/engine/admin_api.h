#pragma once

#include <string>
#include <string_view>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/protocol/system_stop.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

class ControlService;

/// Longest body of an admin request: 64 properties of the largest size, and room.
inline constexpr std::size_t kMaxAdminBodyBytes = 256u << 10;
inline constexpr std::size_t kMaxAdminPathBytes = 1024;

struct AdminRequest {
  AdminMethod method = AdminMethod::kGet;
  std::string path;  ///< with its query: "/v1/pools/p?force=true"
  std::string body;  ///< JSON, or empty
  /// Id of what a POST creates, the same in every retry, so that a retry finds what the first attempt made.
  Uuid new_id;
  bool forwarded = false;  ///< another engine has passed it on to this one, which it takes for the control leader
};

/// Whether a path is about the engine that is asked, not about what the control leader answers for.
bool is_about_engine(std::string_view path);

/// Whether a request needs all engines that are up, as those that are there make up a pool or get a part in one.
bool needs_all_engines(AdminMethod method, std::string_view path);

/// What an engine can tell about itself and do with itself.
class SystemView {
 public:
  virtual Task<SystemInfo> describe() = 0;
  /// Where the coordinator is; `share`: for an engine that wants to join (CoordinatorSharing).
  virtual Task<Result<CoordinatorInfo>> describe_coordinator(bool share) = 0;
  virtual Task<SystemScrub> describe_scrub() = 0;
  /// kNotFound, kUnsupported where scrubbing is off.
  virtual Task<Result<>> control_scrub(ControlScrub request) = 0;
  /// Durable when it returns. The first target that cannot ends it; those before have grown.
  virtual Task<Result<>> grow(GrowTargets request) = 0;
  /// Of an engine that is alone: the system was stopped, or goes on.
  virtual Task<Result<>> follow_stop() = 0;
  /// Of the same: it is stopped, and nothing runs that clients had asked for.
  virtual Task<bool> is_quiet() = 0;

 protected:
  ~SystemView() = default;
};

/// The control API (docs/protocols/admin.md): one function, whatever way a request came. Control reactor only.
class AdminApi {
 public:
  AdminApi(ControlService& control, SystemView& system) : control_(control), system_(system) {}

  /// The JSON of the answer. kNotFound for an unknown path, kUnsupported for a method that the path does not have,
  /// kMalformed for a body that is no such request; then what ControlService says. Any bytes are safe.
  Task<Result<std::string>> handle(AdminRequest request, Until until);

 private:
  struct Route;
  Task<Result<std::string>> coordinator(AdminRequest request);
  Task<Result<std::string>> grow(AdminRequest request);
  Task<Result<std::string>> scrub(AdminRequest request);
  Task<Result<std::string>> stop(AdminRequest request, Until until);
  Task<Result<std::string>> start(AdminRequest request, Until until);
  Task<Result<std::string>> stop_answer(Result<SystemStopInfo> info);
  Task<Result<std::string>> pools(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> pool(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> moves(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> change_engines(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> containers(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> container(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> check(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> clones(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> flatten(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> snapshots(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> snapshot(Route route, AdminRequest request, Until until);
  Task<Result<std::string>> rollback(Route route, AdminRequest request, Until until);

  ControlService& control_;
  SystemView& system_;
};

/// HTTP status of a failure.
int http_status(const Error& error);
/// {"error":{"code":"not_found","number":2,"message":"..."}}
std::string error_json(const Error& error);

}  // namespace cenote::engine
