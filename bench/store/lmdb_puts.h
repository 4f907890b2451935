#pragma once

#include <memory>

#include "harness/comparison.h"
#include "store/rocksdb_puts.h"

namespace cenote::bench {

/// LMDB with its default, durable synchronisation.
Result<std::unique_ptr<Side>> make_lmdb_puts(const Setting& setting, Concurrency concurrency);

}  // namespace cenote::bench
