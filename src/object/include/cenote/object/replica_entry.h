#pragma once

#include <compare>
#include <cstdint>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/protocol/replica_entry.h"

namespace cenote::object {

/// Names an entry of a redundancy group, one attempt at executing one request (docs/protocols/replication.md): the
/// target that leads it, and its epoch, which that target never gives twice.
struct EntryName {
  std::uint32_t leader = 0;
  Epoch epoch;
  friend auto operator<=>(const EntryName&, const EntryName&) = default;
};

struct EntryNameHash {
  std::size_t operator()(const EntryName& name) const {
    // Epochs are times in nanoseconds: their low bits differ most.
    return (name.epoch.value() ^ name.leader) * 0x9e3779b97f4a7c15u;
  }
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

/// One of several decisions.
struct EntryChange {
  EntryName name;
  EntryEvent event = EntryEvent::kCommit;
  Result<EntryState> outcome = EntryState::kNone;  ///< what is held of the entry then, or why nothing was changed
};

/// An entry that is held, in whatever state.
struct HeldEntryInfo {
  EntryName name;
  EntryState state = EntryState::kNone;
  Uuid container;
  Bytes note;
};

/// How many entries a target holds, and how many of them are not decided.
struct EntryCounts {
  std::size_t held = 0, undecided = 0;
};

}  // namespace cenote::object
