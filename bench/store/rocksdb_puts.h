#pragma once

#include <memory>

#include "harness/comparison.h"

namespace cenote::bench {

/// How many puts are under way at once, and how they get into one durable write.
struct Concurrency {
  unsigned writers = 1;         ///< Threads, each waiting for its own put.
  unsigned puts_per_write = 1;  ///< Puts that one thread collects into one write of its own.
};

/// RocksDB, durable: sync writes into a recycled, preallocated log.
Result<std::unique_ptr<Side>> make_rocksdb_puts(const Setting& setting, Concurrency concurrency);

}  // namespace cenote::bench
