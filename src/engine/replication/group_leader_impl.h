#pragma once

#include "group_leader.h"

namespace cenote::engine {

// Decisions wait a moment for company, and for an entry that they can travel with; that something may be forgotten can
// wait longer than that it was committed.
inline constexpr Duration kCommitDelay = std::chrono::milliseconds(1);
inline constexpr Duration kForgetDelay = std::chrono::milliseconds(20);
inline constexpr Duration kRetryPause = std::chrono::milliseconds(100);

/// An entry that is not decided yet, and somebody here decides on it.
struct GroupLeader::Running {
  explicit Running(Reactor& reactor) : ended(reactor) {}
  Event ended;
  std::optional<EntryState> outcome;  ///< none: whoever was at it has given up
  bool is_committed = false;          ///< and among those that are not done here yet
};

/// An entry whose outcome has to reach its members, and then be forgotten by them, by this one last.
struct GroupLeader::Decided {
  Uuid container;
  std::vector<TargetAddress> members;  ///< the others
  EntryEvent event = EntryEvent::kCommit;
  std::size_t left = 0;      ///< that have not confirmed the event
  bool told_itself = false;  ///< of the event
};

/// An entry that is committed, and not done here yet.
struct GroupLeader::Committed {
  object::EntryName name;
  Uuid container;
  std::vector<TargetAddress> members;
  std::shared_ptr<KeyLocks::Held> locks;  ///< whoever comes next is not to meet it
};

/// What one member is to be told with the next message.
struct GroupLeader::Outbox {
  std::vector<EntryDecision> waiting;
  bool flushing = false;
};

}  // namespace cenote::engine
