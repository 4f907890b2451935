#pragma once

#include <memory>
#include <string>
#include <vector>

#include "admin_api.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/pool_layout.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"
#include "containers.h"
#include "pool_serving.h"
#include "serving_lease.h"
#include "target_messages.h"

namespace cenote::engine {

/// A container that is ready for use, and where its data is.
struct RoutedContainer {
  cluster::PlacementSeed seed;
  std::shared_ptr<const cluster::PoolLayout> layout;
  /// Whether that layout may be served; nullptr: always, as no other engine has a part in the pool.
  std::shared_ptr<const PoolServing> serving = nullptr;
  /// Clients may have leases of its data (LeaseTable).
  bool leased = false;

  /// Of the pool: its objects have to be of a class that survives as much (cluster::check_class).
  std::uint32_t redundancy() const { return serving == nullptr ? 0 : serving->redundancy(); }
  bool is_served() const { return serving == nullptr || serving->active(); }
};

/// What the request handlers need of the engine's control side. Where nothing else is said, called on its reactor.
class EngineServices {
 public:
  /// Any reactor.
  virtual Reactor& control_reactor() = 0;
  /// Of this engine within its system. Never changes while requests are served, so any reactor may ask.
  virtual cluster::Rank rank() const = 0;
  /// For a request of this version of the pool's map, or 0. kContainerNotFound unless it is ready for use; waits, and
  /// fails, as ServedPools::of.
  virtual Task<Result<RoutedContainer>> find_container(Uuid container, std::uint64_t version, Until until) = 0;
  /// kPoolNotFound.
  virtual Task<Result<PoolView>> view_pool(Uuid pool, Until until) = 0;
  virtual Task<Result<std::string>> admin(AdminRequest request, Until until) = 0;
  virtual Task<Result<OidLease>> lease_oids(Uuid container, Until until) = 0;
  /// Where another engine of the system listens now; empty: it is not running.
  virtual Task<Result<std::vector<std::string>>> engine_addresses(cluster::Rank engine) = 0;
  /// All containers of a pool that clients know.
  virtual Task<Result<std::vector<Uuid>>> containers_of(Uuid pool) = 0;
  /// A target has all that it should under this version of the pool's map; says so to whoever ends the move.
  virtual Task<Result<>> report_moved(Uuid pool, cluster::MapVersion version, cluster::TargetId target) = 0;
  /// See TargetsService.
  virtual Task<Result<TargetsReply>> ask_targets(TargetsRequest request, Until until) = 0;
  /// Without which nothing is served; nullptr: this engine needs none. Any reactor.
  virtual const ServingLease* serving_lease() const = 0;

 protected:
  ~EngineServices() = default;
};

}  // namespace cenote::engine
