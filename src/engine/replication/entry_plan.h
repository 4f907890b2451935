#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cenote/protocol/transaction_requests.h"
#include "entry_note.h"

namespace cenote::engine {

/// Who has to prepare a change, and which part of it.
struct EntryPlan {
  struct Member {
    cluster::TargetId target;
    /// All of the request; else `part` and the payload of `updates` are for this member.
    bool whole = true;
    /// It lacks what was there before of some of its groups.
    bool incomplete = false;
    /// It checks the conditions of its part.
    bool checks = false;
    CommitRequest part;
    std::vector<std::uint32_t> updates;  ///< indices of the request's updates, ascending
  };

  EntryNote note;
  std::vector<Member> members;  ///< each target once
  /// Why its conditions cannot be checked, so that it cannot be begun.
  std::optional<Error> unchecked = std::nullopt;
};

/// The group of the dkey that a change is led by: of its first update, or of its first punch, else of the first that
/// was read; of what is about a whole object, the group of the empty dkey. kInvalidArgument: it is about nothing.
Result<cluster::GroupKey> leading_group(const CommitRequest& request, cluster::PlacementSeed seed);

/// By the layouts of one version of the map. kOutOfRange: too many members. kNotReady: a group has lost all of its own.
Result<EntryPlan> plan_entry(const CommitRequest& request, const cluster::PoolLayout& layout,
                             cluster::PlacementSeed seed);

/// Whether the change needs entries: it touches what has replicas, or more than one target. A pool without a map keeps
/// neither.
/// The same of an update or punch of one dkey, or of a whole object (no dkey): where that is spread over targets and
/// nothing moves, each part is punched on its own.
Result<bool> needs_entry(const ObjectId& object, std::optional<ByteView> dkey, const cluster::PoolLayout& layout,
                         cluster::PlacementSeed seed);
Result<bool> needs_entry(const CommitRequest& request, const cluster::PoolLayout& layout, cluster::PlacementSeed seed);

}  // namespace cenote::engine
