#pragma once

#include <string>

#include "cenote/base/error.h"

namespace cenote::cli {

/// Whether the wall clock of this machine is near enough to that of the engine at `system` for an engine to run here.
/// kClockOff says how far it is off. An engine that does not answer, or is too old to tell, proves nothing.
Result<> check_clock(const std::string& system);

}  // namespace cenote::cli
