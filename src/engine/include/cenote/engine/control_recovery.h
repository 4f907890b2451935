#pragma once

#include <span>
#include <string>
#include <vector>

#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/membership_recovery.h"
#include "cenote/engine/control_copy_file.h"
#include "cenote/engine/identity.h"

namespace cenote::engine {

/// A control copy, and where it comes from.
struct GivenCopy {
  std::string source;  ///< for messages: a path
  ControlCopyFile file;
};

/// How a coordinator that was lost for good is made anew of the copies that engines have of it.
struct RecoveryPlan {
  struct Engine {
    cluster::CopiedEngine engine;
    bool given = false;  ///< a copy of it is among those that were given, of this coordinator or a later one
  };
  SystemIdentity system;
  std::size_t newest = 0;        ///< of the copies: what is recovered
  std::uint64_t recoveries = 0;  ///< how often the coordinator has been lost before
  std::vector<Engine> engines;   ///< by rank, all of the system
  std::size_t pools = 0, containers = 0, snapshots = 0;
  std::vector<cluster::KeyValue> state;  ///< what the new coordinator is to hold, besides the record of the system

  /// The engines without which it is not certain that nothing is missing: they have a part in a pool, and may have
  /// acted on what only their copies tell.
  std::vector<cluster::Rank> missing() const;
};

/// Takes the newest copy, and raises in it what must never come twice: incarnations, starts, versions of maps, object
/// numbers. kInvalidArgument: no copies; kForeign: of two systems; kCorrupt, kMalformed, kNewerFormat: the newest one
/// cannot be used, naming it.
Result<RecoveryPlan> plan_recovery(std::span<const GivenCopy> copies);
/// Writes it into an empty coordinator, as of `import_control_state`.
Task<Result<>> carry_out(const RecoveryPlan& plan, cluster::Coordinator& to, Until until);
/// Whether that would be refused; nothing is changed.
Task<Result<>> check_recovery(const RecoveryPlan& plan, cluster::Coordinator& to, Until until);

/// Whether an engine may go on with a coordinator that was recovered: kConditionFailed when `copy`, the file that it
/// kept, has more than the one that was taken, until the operator has ended the recovery. What it has served since
/// others must not forget.
Task<Result<>> check_not_newer(cluster::Coordinator& coordinator, const Uuid& system, ByteView copy, Until until);

/// After a recovery: what targets hold and no record knows is destroyed again where an engine gets a part in a pool,
/// as before. kNotFound: the coordinator was never recovered.
Task<Result<>> end_recovery(cluster::Coordinator& coordinator, Until until);

}  // namespace cenote::engine
