#pragma once

#include "core.h"

// The history of containers, read on one target and put on another; and the results of requests.
namespace cenote::object {

/// As of ObjectStore::read_history and so on.
Task<Result<HistoryPage>> read_history(Core& core, Uuid container, const Bytes& from, const HistoryFilter& wanted,
                                       Until until, HistoryDamage* damage, Epoch have, std::uint64_t reader,
                                       store::Lsn& seen);
Task<Result<std::uint64_t>> put_history(Core& core, Uuid container, const Bytes& page,
                                        const std::optional<HistoryCover>& cover, Until until, store::Lsn& seen);
Task<Result<Bytes>> discard_history(Core& core, Uuid container, const Bytes& from, const HistoryFilter& kept,
                                    Until until, store::Lsn& seen);
Task<Result<>> begin_history(Core& core, Uuid container, const Bytes& progress, store::Lsn& seen);
Task<Result<>> end_history(Core& core, Uuid container, store::Lsn& seen);
Task<Result<ResultsPage>> read_results(Core& core, const Bytes& from, Until until, store::Lsn& seen);
Task<Result<>> put_results(Core& core, const Bytes& results, Until until, store::Lsn& seen);

}  // namespace cenote::object
