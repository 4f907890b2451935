#pragma once

#include <span>

#include "cenote/cluster/coordinator.h"
#include "cenote/engine/identity.h"

namespace cenote::engine {

/// Makes an empty coordinator that of a system: writes all keys of `state` but those that belong to a lease, and last
/// the record of the system, without which no engine joins. Durable when it returns; `state` and `to` outlive it.
///
/// It takes many transactions. Until the last one a marker says what is being done, and keeps engines from making a
/// system of their own there; who comes after an import that was broken off erases what it left and begins anew. Of
/// two at once at most one succeeds.
///
/// kExists: the coordinator holds something else. kForeign: the beginnings of another system. kBusy: another import
/// took over. After every failure the same call may be made again; after kOutcomeUnknown it may have succeeded.
Task<Result<>> import_control_state(std::span<const cluster::KeyValue> state, cluster::Coordinator& to,
                                    const SystemIdentity& system, Until until);
/// Whether `to` would be taken: it is empty, or holds what such an import of the same system has left. As above.
Task<Result<>> check_importable(cluster::Coordinator& to, const SystemIdentity& system, Until until);

}  // namespace cenote::engine
