#pragma once

#include <vector>

#include "cenote/protocol/scrub_info.h"
#include "output.h"

namespace cenote::cli {

/// Prints damage that a running system found: where, what, and what to do.
void show_damages(const Output& out, const std::vector<DamageInfo>& damages, std::uint64_t omitted);

}  // namespace cenote::cli
