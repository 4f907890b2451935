#pragma once

#include <optional>
#include <string>

#include "cenote/base/secret_key.h"
#include "cenote/engine/engine_host.h"
#include "cenote/engine/identity.h"

namespace cenote::engine {

/// Gives the control state of a system of one engine, which is in the store that `identity` lists, to a coordinator
/// that others can share, and makes the store refuse to be opened from then on, naming `place`. Durable when it
/// returns; can be repeated after a failure or a crash, also when it had succeeded. Nobody uses the control state
/// meanwhile. On the control reactor.
///
/// Leases are not moved, as after a start: their holders were processes of the engine. kExists, kForeign: `to` holds
/// something else.
Task<Result<>> move_control_state(EngineHost& host, const Identity& identity, std::optional<SecretKey> key,
                                  cluster::Coordinator& to, std::string place);

}  // namespace cenote::engine
