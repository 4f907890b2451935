#pragma once

#include "harness/comparison.h"

namespace cenote::bench {

/// The object store of one target on one core, without client and network.
void add_object_rows(Suite& suite);

}  // namespace cenote::bench
