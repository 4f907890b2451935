#pragma once

#include <optional>

#include "cenote/cluster/coordinator.h"
#include "cenote/engine/identity.h"

namespace cenote::engine {

/// The system that the coordinator belongs to, durably. Where it has none yet it becomes `proposal`, if there is one,
/// or that of whoever was faster; nullopt: it has none still. kNotReady: one is being brought there
/// (`import_control_state`).
Task<Result<std::optional<SystemIdentity>>> find_system(cluster::Coordinator& coordinator,
                                                        std::optional<SystemIdentity> proposal, Until until);

}  // namespace cenote::engine
