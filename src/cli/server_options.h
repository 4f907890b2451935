#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/engine/engine_options.h"
#include "settings.h"

namespace cenote::cli {

/// The engine's options from the settings of section [server], checked. Errors name the setting and where it comes
/// from.
/// Reads the key of encrypted stores, or runs the command that prints it.
Result<engine::EngineOptions> engine_options(const Settings& settings);

/// The parts of a setting that is a list, between commas, each of which is `what`; none of an empty one.
Result<std::vector<std::string>> list_in(const Settings& settings, const char* key, std::string_view what);

/// Where the control port listens, or "none": what `server.control` says, else the host of `server.listen`, so that
/// whoever reaches the engine reaches it, too.
std::string control_address(const Settings& settings);

/// Where the logs of a server go.
Result<LogOptions> log_options(const Settings& settings);

/// An error about a field of the engine's options, told in terms of the setting that it came from; any other as it is.
Error in_terms_of_settings(const Settings& settings, const Error& error);

}  // namespace cenote::cli
