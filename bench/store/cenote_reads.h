#pragma once

#include <memory>

#include "harness/comparison.h"
#include "store/records.h"

namespace cenote::bench {

/// Lookups per second of random records.
Result<std::unique_ptr<Side>> make_cenote_gets(const Setting& setting, ReadShape shape);
/// Pages read from the device per lookup of a random record.
Result<std::unique_ptr<Side>> make_cenote_get_reads(const Setting& setting, ReadShape shape);
/// Records per second in key order, in slices as the layer above takes them.
Result<std::unique_ptr<Side>> make_cenote_scan(const Setting& setting, ReadShape shape);
/// Milliseconds to open a store of so many records whose log was taken in by a checkpoint.
Result<std::unique_ptr<Side>> make_cenote_open(const Setting& setting, ReadShape shape);

}  // namespace cenote::bench
