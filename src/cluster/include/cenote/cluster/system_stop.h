#pragma once

#include <optional>
#include <set>

#include "cenote/base/error.h"
#include "cenote/base/time.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/pool_map.h"

// That an administrator has stopped the system as a whole (docs/formats/membership.md,
// docs/adr/0021-stop-and-start.md).
namespace cenote::cluster {

/// While there is one no engine is excluded, no version of a pool's map is published or becomes active, and engines
/// begin nothing that clients ask for, whoever of them runs.
struct SystemStop {
  WallTime since;     ///< by the clock of the engine that was asked: for people
  Revision revision;  ///< which stop it is
  friend bool operator==(const SystemStop&, const SystemStop&) = default;
};

/// nullopt: the system is not stopped.
Task<Result<std::optional<SystemStop>>> load_stop(Coordinator& coordinator, Until until = {});
/// kConditionFailed: it is stopped already; kOutcomeUnknown as of `commit`.
Task<Result<>> save_stop(Coordinator& coordinator, WallTime since, Until until = {});
/// kConditionFailed: it is not stopped any more, or anew.
Task<Result<>> erase_stop(Coordinator& coordinator, SystemStop stop, Until until = {});
/// Adds to a change that it takes effect only if the system is not stopped.
void require_running(Transaction& change);
/// What nobody does while the system is stopped: kNotReady.
Error stopped_error();

/// The engines that have said of this stop, under the registrations that they have, that nothing runs there any more
/// which clients had asked for.
Task<Result<std::set<Rank>>> list_quiet(Coordinator& coordinator, SystemStop stop, Until until = {});

}  // namespace cenote::cluster
