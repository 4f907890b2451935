#pragma once

#include <vector>

#include "cenote/protocol/scrub_info.h"
#include "output.h"

namespace cenote::cli {

/// "2026-01-31 12:00:00", of seconds since 1970; 0: "never".
std::string local_time_text(std::uint64_t seconds);

/// Prints damage that a running system found: where, what, and what to do.
void show_damages(const Output& out, const std::vector<DamageInfo>& damages, std::uint64_t omitted);

}  // namespace cenote::cli
