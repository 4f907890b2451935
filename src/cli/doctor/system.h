#pragma once

#include "cenote/cenote.hpp"
#include "finding.h"
#include "settings.h"

namespace cenote::cli {

/// Looks at the system that client.server names, if one answers there, and at the ports an engine would listen on. A
/// system that was asked for and does not answer is a failure; that none runs at the default address yet is not.
Findings check_system(const Settings& settings, Duration patience);

// The judgements, for the tests.
Findings judge_system(const SystemInfo& info, std::string_view own_version);
enum class PortState : std::uint8_t { kFree, kOurs, kTaken };
Finding judge_port(std::string_view setting, const std::string& address, PortState state);

}  // namespace cenote::cli
