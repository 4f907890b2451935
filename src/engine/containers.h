#pragma once

#include <map>
#include <string>
#include <vector>

#include "cenote/cluster/placement.h"
#include "cenote/protocol/control_requests.h"
#include "container_targets.h"
#include "control_store.h"
#include "space_accounts.h"

namespace cenote::engine {

/// Object numbers handed out by one lease; a client that ends early leaves a gap, of which there is room for plenty.
inline constexpr std::uint64_t kOidLeaseCount = 1u << 16;

/// A range of object numbers that nobody else gets: [first, first + count).
struct OidLease {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// What the data path needs to know of a container.
struct OpenContainer {
  Uuid pool;
  cluster::PlacementSeed seed;
  /// Its clients may have leases of what they read: it is of a type whose clients ask for them.
  bool leased = false;
};

/// Containers: creation, destruction, properties, object numbers. Every answer is durable. Control reactor only; calls
/// that change something are to be made one at a time (ControlService does).
///
/// Invariants, at rest: a ready container is known to every target; a container that is not in the control state is
/// known to none; the labels of the containers of a pool differ; `containers` of a pool counts its containers that are
/// no tombstones. A crash leaves records that are `creating` or `destroying`, which `resume` completes.
class Containers {
 public:
  Containers(ControlStore& store, ContainerTargets& targets, SpaceAccounts& accounts)
      : store_(store), targets_(targets), accounts_(accounts) {}

  /// Creates container `id`. One that exists under this id with the same label is the answer to a repeated request.
  /// kExists for another with this label, kPoolNotFound, kInvalidArgument.
  Task<Result<ContainerInfo>> create(CreateContainer request, Uuid id);
  /// The same for a clone of what snapshot readers of a ready container of the pool see at `of.epoch`, with its type
  /// and properties, but for quotas, and object numbers that it never had.
  /// What the same request `id` made before, if it did.
  Task<Result<std::optional<ContainerInfo>>> find_clone(CloneContainer request, Uuid id);
  Task<Result<ContainerInfo>> clone(CloneContainer request, CloneOf of, Uuid id);
  Task<Result<std::vector<ContainerInfo>>> list(std::string pool);
  Task<Result<ContainerInfo>> query(std::string pool, std::string container);
  Task<Result<>> destroy(std::string pool, std::string container);
  /// The ids of those that are ready for use.
  Task<Result<std::vector<Uuid>>> ids(Uuid pool);
  /// Sets the given properties and leaves the others. Those that decide how data is stored are fixed at creation.
  Task<Result<ContainerInfo>> set_properties(std::string pool, std::string container,
                                             std::map<std::string, std::string> properties);

  /// Whether what flattening a clone would copy, as far as that can soon be told, fits the limits of container and pool
  /// at this moment. kQuotaExceeded.
  Task<Result<>> check_flattening(Uuid container);
  /// The container is to be flattened, whatever comes between; the targets begin if they can. One that is no clone is
  /// no error, nor one that is being flattened.
  Task<Result<>> begin_flattening(Uuid container);
  /// It is a clone at no target any more. One that is gone is no error.
  Task<Result<>> end_flattening(Uuid container);

  /// kContainerNotFound unless the container is ready.
  Task<Result<OpenContainer>> open(Uuid container);
  Task<Result<OidLease>> lease_oids(Uuid container);

  /// What targets are told of a container when it is made there.
  struct Terms {
    object::ContainerProperties properties;
    std::optional<object::CloneSource> source;
    SpaceAccounts::Account account;
  };
  Task<Result<Terms>> terms(ContainerRecord record);
  /// Destroys a container of any state; the pool's, too, may be a tombstone.
  Task<Result<>> destroy_record(Uuid container);
  /// Completes what a crash interrupted, and charges what every container holds.
  Task<Result<>> resume();

 private:
  Task<Result<ContainerInfo>> create(CreateContainer request, std::optional<CloneOf> of, Uuid id);
  Task<Result<>> settle_destruction(Uuid container);
  Task<Result<Versioned<ContainerRecord>>> begin_create(CreateContainer request, std::optional<CloneOf> of, Uuid id);
  Task<Result<>> finish_create(Versioned<ContainerRecord> container);
  Task<Result<>> resume(ContainerRecord record);
  Task<Result<>> begin_destroy(Uuid container);
  Task<Result<>> finish_destroy(Uuid container);
  Task<Result<>> put_properties(std::string pool, std::string container, std::map<std::string, std::string> properties);
  Task<Result<>> put_flattening(Uuid container, bool begin);
  Task<Result<OidLease>> try_lease(Uuid container);
  Task<Result<std::map<std::string, std::string>>> properties(Uuid container);
  Task<Result<ContainerInfo>> info(ContainerRecord record);
  /// The container's account, with the limits that its properties have now.
  Task<Result<SpaceAccounts::Account>> account(ContainerRecord record);

  ControlStore& store_;
  ContainerTargets& targets_;
  SpaceAccounts& accounts_;
};

/// The rules of type and properties at creation: kInvalidArgument or kOutOfRange names the offender.
Result<> validate_container(const CreateContainer& request);

}  // namespace cenote::engine
