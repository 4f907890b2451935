#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote::engine {

/// Version of the identity file that this build writes, and the newest it can read.
/// (2: a store may have devices of its own for its wal and its data; 3: there may be no coordinator. Each is written
/// only where it is so.)
inline constexpr std::uint32_t kIdentityFormat = 3;

/// A device of a store that plays one role only.
struct DeviceIdentity {
  std::string path;  ///< as of StoreIdentity
  std::uint64_t bytes = 0;
  friend bool operator==(const DeviceIdentity&, const DeviceIdentity&) = default;
};

/// A store of the engine: one target's, or the coordinator's.
struct StoreIdentity {
  Uuid id;
  /// A file or a block device; relative to the data directory, or absolute for what lies elsewhere. Plays `meta`, and
  /// the roles below that have no device of their own.
  std::string path;
  std::uint64_t bytes = 0;
  std::uint64_t log_bytes = 0;
  std::optional<DeviceIdentity> wal = {};
  std::optional<DeviceIdentity> data = {};
  friend bool operator==(const StoreIdentity&, const StoreIdentity&) = default;
};

/// Which system: its id, and its name for people.
struct SystemIdentity {
  Uuid id;
  std::string name;
  friend bool operator==(const SystemIdentity&, const SystemIdentity&) = default;
};

/// Who an engine is and what belongs to it. Written once, at creation; every store names system and target again in its
/// superblock, so nothing of another system is ever taken for its own.
struct Identity {
  enum class State : std::uint8_t {
    kCreating,  ///< The stores may be missing, or half formatted; nothing in them was ever acknowledged.
    kReady,     ///< All stores are formatted; a missing or empty one is a loss.
  };

  State state = State::kCreating;
  Uuid system;
  Uuid engine;
  std::string name;  ///< of the system
  /// Holds the control state; none: an outside coordinator does, which several engines share.
  std::optional<StoreIdentity> coordinator = {};
  std::vector<StoreIdentity> targets;  ///< by target index
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// The text of the identity file (docs/formats/data-directory.md).
std::string encode_identity(const Identity& identity);
/// kCorrupt when the text is cut, changed or contradicts itself; kNewerFormat when only a newer version can read it.
/// Any text is safe.
Result<Identity> decode_identity(std::string_view text);

}  // namespace cenote::engine
