#pragma once

#include <functional>

#include "cenote/base/histogram.h"
#include "harness/comparison.h"
#include "store/workload.h"

namespace cenote::bench {

/// One durable write of one or several puts drawn from the stream.
using PutOnce = std::function<Result<>(PutStream&)>;

/// Calls `put` from `threads` threads at once for `window`, each call worth `puts_per_call` puts; the value is puts per
/// second. Thread n draws the stream of seed n.
Result<Measured> run_threads(unsigned threads, unsigned puts_per_call, Duration window, const PutOnce& put);

}  // namespace cenote::bench
