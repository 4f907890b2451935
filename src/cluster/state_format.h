#pragma once

#include "cenote/base/bytes.h"
#include "cenote/cluster/coordinator.h"

// What the coordinator's tree holds: docs/formats/control-state.md, "In the store".
namespace cenote::cluster {

/// The value of a key: the revision of its last write, then its bytes.
Bytes encode_value(Revision modified, std::string_view value);
/// kCorrupt, naming the key, for what is too short to be one.
Result<KeyValue> decode_value(std::string key, ByteView stored);

/// The revision of the last transaction.
Bytes encode_revision(Revision revision);
/// kCorrupt for what is none.
Result<Revision> decode_revision(ByteView stored);

}  // namespace cenote::cluster
