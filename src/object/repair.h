#pragma once

#include <vector>

#include "core.h"

// Data that a target holds damaged, made good from a copy of the same entry that another target has whole.
namespace cenote::object {

/// As of ObjectStore::find_damaged and so on.
Task<Result<std::vector<DamagedEntry>>> find_damaged(Core& core, Uuid container, const ObjectId& object,
                                                     const Bytes& dkey, Until until, store::Lsn& seen);
Task<Result<Bytes>> read_entry(Core& core, Uuid container, const Bytes& key, Until until, store::Lsn& seen);
Task<Result<bool>> replace_damaged(Core& core, Uuid container, const Bytes& copy, Until until, store::Lsn& seen);

}  // namespace cenote::object
