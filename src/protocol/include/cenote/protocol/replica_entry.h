#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cenote {

/// What a replica holds of one entry, an attempt at executing one request: docs/protocols/replication.md.
enum class EntryState : std::uint8_t {
#define ENTRY_STATE(name) k##name,
#include "cenote/protocol/replica_entry.def"
};

/// What can happen to an entry at a replica.
enum class EntryEvent : std::uint8_t {
#define ENTRY_EVENT(name) k##name,
#include "cenote/protocol/replica_entry.def"
};

inline constexpr std::array kEntryStateNames = {
#define ENTRY_STATE(name) std::string_view(#name),
#include "cenote/protocol/replica_entry.def"
};

inline constexpr std::array kEntryEventNames = {
#define ENTRY_EVENT(name) std::string_view(#name),
#include "cenote/protocol/replica_entry.def"
};

/// One row of the table of states.
struct EntryChange {
  EntryEvent event;
  EntryState state;
  EntryState next;
};

inline constexpr std::array kEntryChanges = {
#define ENTRY_CHANGE(event, state, next) EntryChange{EntryEvent::k##event, EntryState::k##state, EntryState::k##next},
#include "cenote/protocol/replica_entry.def"
};

namespace replica_entry_detail {

using Row = std::array<std::optional<EntryState>, kEntryStateNames.size()>;

inline constexpr auto kTable = [] {
  std::array<Row, kEntryEventNames.size()> table;
  for (const EntryChange& change : kEntryChanges)
    table[static_cast<std::size_t>(change.event)][static_cast<std::size_t>(change.state)] = change.next;
  return table;
}();

}  // namespace replica_entry_detail

/// The state that `event` leads to. Nothing: it can never happen in this state; who sees it must not go on with the
/// group.
constexpr std::optional<EntryState> next_state(EntryState state, EntryEvent event) {
  return replica_entry_detail::kTable[static_cast<std::size_t>(event)][static_cast<std::size_t>(state)];
}

/// Whether the outcome is open as far as this replica knows: readers of what it touches have to ask the leader.
constexpr bool is_undecided(EntryState state) { return state == EntryState::kPrepared; }

}  // namespace cenote
