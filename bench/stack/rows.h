#pragma once

#include "harness/comparison.h"

namespace cenote::bench {

/// Updates and fetches through the whole stack over TCP loopback, against what echo and raw device together allow.
void add_stack_rows(Suite& suite);

}  // namespace cenote::bench
