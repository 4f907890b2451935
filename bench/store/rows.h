#pragma once

#include "harness/comparison.h"

namespace cenote::bench {

/// Durable small puts against RocksDB, LMDB and the raw device; log blocks per group; recovery.
void add_store_rows(Suite& suite);

}  // namespace cenote::bench
