#pragma once

#include <memory>
#include <optional>

#include "cenote/cluster/pool_layout.h"
#include "cenote/object/history.h"

// Which parts of a container belong where, in one version of its pool's map. All of them are for one reactor, and keep
// the layout alive.
namespace cenote::engine {

using PoolLayoutPtr = std::shared_ptr<const cluster::PoolLayout>;

/// What `asker` is to have and does not yet, of the groups that `source` answers for: each group has one target that
/// does.
object::HistoryFilter lacked_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId asker,
                                cluster::TargetId source);
/// What the target is a member of, complete or not.
object::HistoryFilter held_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId target);
/// What the target has all of, so that readers may be shown it.
object::HistoryFilter shown_by(PoolLayoutPtr layout, cluster::PlacementSeed seed, cluster::TargetId target);

}  // namespace cenote::engine
