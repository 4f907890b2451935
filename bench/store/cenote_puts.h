#pragma once

#include <memory>

#include "harness/comparison.h"

namespace cenote::bench {

/// Cenote's store, one put per batch, `concurrent` coroutines on one reactor.
Result<std::unique_ptr<Side>> make_cenote_puts(const Setting& setting, unsigned concurrent);
/// The same in a store that is encrypted.
Result<std::unique_ptr<Side>> make_sealed_puts(const Setting& setting, unsigned concurrent);
/// Counts the log blocks that 64 concurrent puts take.
Result<std::unique_ptr<Side>> make_cenote_log_blocks(const Setting& setting);
/// The 99th percentile of the latency of 16 concurrent puts while checkpoints follow each other without a pause,
/// divided by the one without any: the median over pairs of short runs in turn.
Result<std::unique_ptr<Side>> make_cenote_checkpoint_tail(const Setting& setting);
/// Log records redone per second when a store is opened after a crash.
Result<std::unique_ptr<Side>> make_cenote_recovery(const Setting& setting);

}  // namespace cenote::bench
