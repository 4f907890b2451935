#pragma once

#include <memory>

#include "harness/comparison.h"
#include "store/records.h"

namespace cenote::bench {

/// RocksDB with the same records, compacted into one level, and the same memory: block cache with indexes and filters
/// in it, direct reads where the file system has them.
Result<std::unique_ptr<Side>> make_rocksdb_gets(const Setting& setting, ReadShape shape);
Result<std::unique_ptr<Side>> make_rocksdb_scan(const Setting& setting, ReadShape shape);

}  // namespace cenote::bench
