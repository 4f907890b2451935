#pragma once

#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/coordinator.h"

namespace cenote::engine {

/// Most bytes of a control copy; a control state that needs more is not copied.
inline constexpr std::size_t kMaxControlCopyBytes = 64u << 20;

/// What a copy is of. The bytes of docs/formats/control-copy.md.
struct ControlCopyHead {
  Uuid system;
  Uuid engine;                 ///< that keeps it
  cluster::Revision revision;  ///< it has all changes up to this one, and none after it
  WallTime written{};          ///< by the engine's clock
  friend bool operator==(const ControlCopyHead&, const ControlCopyHead&) = default;
};

/// A copy of the control state of a system, as an engine keeps it in its data directory.
struct ControlCopyFile {
  ControlCopyHead head;
  std::vector<cluster::KeyValue> entries;  ///< by key; none belongs to a lease
};

/// Entries are given one after the other, so that the state need not be there twice.
class ControlCopyEncoder {
 public:
  explicit ControlCopyEncoder(const ControlCopyHead& head);
  /// In the order of keys.
  void add(const cluster::KeyValue& entry);
  Bytes finish() &&;

 private:
  Bytes bytes_;
  std::uint32_t count_ = 0;
};

/// What an entry takes in the file, and what the file takes besides.
std::size_t control_copy_bytes(const cluster::KeyValue& entry);
std::size_t control_copy_bytes_at_least();

/// kCorrupt: cut, changed, or no control copy at all. kNewerFormat: only a later Cenote can read it. Any bytes are
/// safe.
Result<ControlCopyFile> decode_control_copy(ByteView bytes);

}  // namespace cenote::engine
