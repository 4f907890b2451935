#pragma once

#include <compare>
#include <cstdint>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::object {

/// Names an entry of a redundancy group, one attempt at executing one request (docs/protocols/replication.md): the
/// target that leads it, and its epoch, which that target never gives twice.
struct EntryName {
  std::uint32_t leader = 0;
  Epoch epoch;
  friend auto operator<=>(const EntryName&, const EntryName&) = default;
};

/// What a target holds of an entry. Numbers are stored.
enum class EntryState : std::uint8_t {
  kNone = 0,      ///< nothing
  kPrepared = 1,  ///< its changes, which nobody sees; whether they take effect is not known here
  kCommitted = 2,
  kRefused = 3,  ///< it never took effect here and never will
};

/// What can become of an entry that is held, or not.
enum class EntryEvent : std::uint8_t {
  kDecline,  ///< it cannot be carried out, or is asked for and not there: from now on it never is
  kCommit,
  kAbort,
  kLeave,   ///< this target left the group: it has no say in it any more
  kForget,  ///< nobody asks for it any more
};

/// Bytes that whoever prepares an entry may keep with it: who takes part in it, and since when.
inline constexpr std::size_t kMaxEntryNoteBytes = 1024;
/// Entries that one target holds at a time, and of those undecided ones.
inline constexpr std::size_t kMaxHeldEntries = 1u << 20;
inline constexpr std::size_t kMaxUndecidedEntries = 4096;

/// An entry that is prepared and not decided.
struct UndecidedEntry {
  EntryName name;
  Uuid container;
  RequestId request;
  Bytes note;
};

}  // namespace cenote::object
