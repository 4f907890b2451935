#include "cenote/protocol/replica_entry.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

namespace cenote {
namespace {

using State = EntryState;
using Event = EntryEvent;

static_assert(next_state(State::kNone, Event::kPrepare) == State::kPrepared);
static_assert(next_state(State::kPrepared, Event::kCommit) == State::kCommitted);
static_assert(!next_state(State::kCommitted, Event::kAbort), "what was committed is never aborted");

std::vector<State> all_states() {
  std::vector<State> states;
  for (std::size_t index = 0; index < kEntryStateNames.size(); ++index) states.push_back(static_cast<State>(index));
  return states;
}

std::vector<Event> all_events() {
  std::vector<Event> events;
  for (std::size_t index = 0; index < kEntryEventNames.size(); ++index) events.push_back(static_cast<Event>(index));
  return events;
}

std::string_view name_of(Event event) { return kEntryEventNames[static_cast<std::size_t>(event)]; }

TEST(ReplicaEntry, EveryRowIsListedOnceAndIsTheAnswer) {
  std::set<std::pair<Event, State>> seen;
  for (const EntryChange& change : kEntryChanges) {
    EXPECT_TRUE(seen.insert({change.event, change.state}).second) << name_of(change.event) << " is listed twice";
    EXPECT_EQ(next_state(change.state, change.event), change.next);
  }
  std::size_t defined = 0;
  for (const State state : all_states())
    for (const Event event : all_events()) defined += next_state(state, event).has_value() ? 1 : 0;
  EXPECT_EQ(defined, kEntryChanges.size());
}

// Messages are repeated: the second time changes nothing, and is never an error where the first was none.
TEST(ReplicaEntry, TheSameEventTwiceIsAsOnce) {
  for (const State state : all_states()) {
    for (const Event event : all_events()) {
      const auto once = next_state(state, event);
      if (once) {
        EXPECT_EQ(next_state(*once, event), once) << name_of(event);
      }
    }
  }
}

// A record ends by being forgotten, a refusal also by leaving the group; until then the outcome stands.
TEST(ReplicaEntry, AnOutcomeDoesNotTurn) {
  for (const Event event : all_events()) {
    if (event == Event::kForget) continue;
    EXPECT_EQ(next_state(State::kCommitted, event).value_or(State::kCommitted), State::kCommitted) << name_of(event);
    if (event == Event::kLeave) continue;
    EXPECT_EQ(next_state(State::kRefused, event).value_or(State::kRefused), State::kRefused) << name_of(event);
  }
}

TEST(ReplicaEntry, WhoIsAskedIsDecidedAfterwardsOrHasPrepared) {
  for (const State state : all_states()) EXPECT_NE(next_state(state, Event::kAsk), State::kNone);
}

TEST(ReplicaEntry, WhoLeavesHasNoOpinion) {
  for (const State state : all_states()) {
    const auto next = next_state(state, Event::kLeave);
    EXPECT_TRUE(next == State::kNone || next == State::kCommitted);
  }
}

TEST(ReplicaEntry, WhatIsUndecidedIsNotForgotten) {
  for (const State state : all_states()) {
    if (is_undecided(state)) {
      EXPECT_EQ(next_state(state, Event::kForget), std::nullopt);
    }
  }
}

}  // namespace
}  // namespace cenote
