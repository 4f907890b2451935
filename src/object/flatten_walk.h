#pragma once

#include <vector>

#include "core.h"

namespace cenote::object {

/// Something that a clone shows of its ancestors and that its own tree does not hold: a single value, or those records
/// of one version of an array that are to be seen. The entry points into a tree.
struct MissingPart {
  RecordRange records;  ///< of an array
  Epoch epoch;
  std::uint32_t extent_class = 0;  ///< of an array: that of the ancestor's entry
  std::uint64_t bytes = 0;
  bool whole = false;  ///< all of the entry
  Entry entry;
};

/// What one step of a walk came to: some of one akey.
struct FlattenStep {
  KeyPath path{ObjectId()};
  KeyBytes dkey, akey;
  ObjectId object;
  AkeyState state;
  std::vector<MissingPart> parts;

  bool misses_birth() const { return state.is == AkeyState::Is::kArray && state.inherited; }
  bool misses_anything() const { return misses_birth() || !parts.empty(); }
};

/// Where a walk is. Empty: at its beginning.
struct FlattenPlace {
  PathBytes position;        ///< between akeys: keys before it have been looked at
  PathBytes akey;            ///< in an akey: its prefix ...
  std::uint64_t record = 0;  ///< ... and the records before this one have been
};

/// Looks at the next few things in the trees of a clone's ancestors. `reader` is one of the clone's readers; what it
/// does not see of them is left out. False: there is nothing more. Plain, for use inside an attempt.
Result<bool> step_flatten(const Reader& reader, FlattenPlace& place, FlattenStep& step);

}  // namespace cenote::object
