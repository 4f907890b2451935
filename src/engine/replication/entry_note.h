#pragma once

#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/cluster/pool_layout.h"

namespace cenote::engine {

/// What everybody who prepares an entry keeps with it: how its leader is found in any version of the map, and who took
/// part (docs/protocols/entries.md).
struct EntryNote {
  Uuid pool;
  cluster::MapVersion begun;
  cluster::GroupKey leader;
  std::vector<std::vector<cluster::TargetId>> groups;  ///< the targets that were up, of each group; none is empty

  /// Each target once.
  std::vector<cluster::TargetId> members() const;
};

/// kOutOfRange: more than is kept with an entry.
Result<Bytes> encode(const EntryNote& note);
/// kMalformed, kNewerFormat.
Result<EntryNote> decode_entry_note(ByteView bytes);

/// Whether a note that came from elsewhere can be of an entry of this pool. kInvalidArgument.
Result<> check_note(const EntryNote& note, const cluster::PoolLayout& layout);

/// Whose answers decide on the entry in this version of the map: of each group the participants that are up and have
/// not been excluded since it was begun.
std::vector<std::vector<cluster::TargetId>> voters_of(const EntryNote& note, const cluster::PoolMap& map);

}  // namespace cenote::engine
