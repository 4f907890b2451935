#pragma once

#include <vector>

#include "cenote/cluster/pool_map_store.h"

// Engines that the supervisor has excluded from a pool, and that come back to it by themselves
// (docs/formats/membership.md, docs/adr/0018-engines-come-back.md). Only the supervisor adds one; whoever decides about
// an engine at an operator's wish forgets its losses.
namespace cenote::cluster {

/// One more loss of this engine. As they are where kMaxLosses engines are remembered: it is not awaited then.
std::vector<Loss> with_loss(std::vector<Loss> losses, Rank rank);
std::vector<Loss> without_losses(std::vector<Loss> losses, const std::vector<Rank>& ranks);

/// The losses of engines that have no part in the pool: nobody but the supervisor has decided about them, so they get
/// it again when they are back.
std::vector<Loss> awaited_engines(const StoredMap& stored);

/// Engines that have left the pool at an operator's wish and hold nothing of it that anybody needs: its wanted version
/// is active, nothing moves, and no group lacks a copy.
std::vector<Rank> engines_that_left(const StoredMap& stored);

/// Adds to `change`, which requires that the wanted version is still that of `from`, that the losses are these from now
/// on. Nothing if they are.
void put_losses(Transaction& change, const StoredMap& from, const std::vector<Loss>& losses);
/// The same without a new version. kConditionFailed: something changed; else as of `commit`.
Task<Result<>> save_losses(Coordinator& coordinator, StoredMap from, std::vector<Loss> losses, Until until = {});

}  // namespace cenote::cluster
