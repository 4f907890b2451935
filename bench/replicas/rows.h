#pragma once

#include <string>

#include "harness/comparison.h"

namespace cenote::bench {

/// What three replicas cost beside none: three engines of one target each over etcd, a client, by the `cenote` program
/// at `binary`; all on the same cores, so a third of the rate is what could be had.
void add_replica_rows(Suite& suite, const std::string& binary);

}  // namespace cenote::bench
