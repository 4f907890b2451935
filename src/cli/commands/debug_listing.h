#pragma once

#include "context.h"

namespace cenote::cli {

/// `debug tree`, `log`, `space` and `object`.
void add_debug_listings(CLI::App& debug, Context& context);

}  // namespace cenote::cli
