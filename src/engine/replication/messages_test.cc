#include "messages.h"

#include <gtest/gtest.h>

#include "entry_note.h"
#include "message_check.h"

namespace cenote::engine {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);

object::UndecidedEntry entry() {
  return {.name = {130, Epoch(77)},
          .container = Uuid::from_random(1, 2),
          .request = {.session = 3, .sequence = 4, .expiry = WallTime(Duration(5)), .acknowledged = 2},
          .note = to_bytes(as_bytes("note"))};
}

PrepareMessage prepare() {
  PrepareMessage message{.name = {7, Epoch(9)},
                         .note = to_bytes(as_bytes("who takes part")),
                         .decided = {{{7, Epoch(5)}, EntryEvent::kCommit}, {{8, Epoch(3)}, EntryEvent::kForget}},
                         .request = {}};
  message.request.container = Uuid::from_random(1, 2);
  message.request.id = entry().request;
  PunchRequest& punch = message.request.punches.emplace_back();
  punch.container = message.request.container;
  punch.object = kObject;
  punch.level = PunchLevel::kDkey;
  punch.dkey = as_bytes("d");
  return message;
}

TEST(EntryMessages, ComeThroughWhole) {
  const PrepareMessage message = check(prepare(), decode_prepare_message);
  EXPECT_EQ(message.name, prepare().name);
  EXPECT_EQ(message.decided, prepare().decided);
  EXPECT_EQ(message.request.id.sequence, 4u);
  for (const object::Member member : {object::Member::kIncomplete, object::Member::kChecking}) {
    PrepareMessage other = prepare();
    other.member = member;
    EXPECT_EQ(check(other, decode_prepare_message).member, member);
  }
  const PrepareAnswer refused{
      .state = EntryState::kRefused, .reason = Code::kUndecided, .message = "why", .clock = Epoch(8), .other = entry()};
  EXPECT_EQ(check(refused, decode_prepare_answer).other->name, entry().name);
  check(PrepareAnswer{.state = EntryState::kPrepared, .reason = {}, .message = {}, .clock = Epoch(8), .other = {}},
        decode_prepare_answer);
  check(DecideMessage{.container = Uuid::from_random(5, 6), .decisions = prepare().decided}, decode_decide_message);
  check(DecideAnswer{.done = {{Code::kOk, EntryState::kNone}, {Code::kBusy, EntryState::kNone}}}, decode_decide_answer);
  EXPECT_EQ(check(SettleMessage{entry()}, decode_settle_message).entry.note, entry().note);
  check(SettleAnswer{EntryState::kCommitted}, decode_settle_answer);
  check(AskMessage{.container = Uuid::from_random(5, 6), .request = entry().request}, decode_ask_message);
  check(AskAnswer{.result = UpdateReply{Epoch(3)}, .attempt = {}}, decode_ask_answer);
  check(AskAnswer{.result = {}, .attempt = entry()}, decode_ask_answer);
}

TEST(EntryMessages, WhatCannotBeIsRefused) {
  Bytes bytes;
  encode(PrepareAnswer{.state = EntryState::kRefused, .reason = {}, .message = {}, .clock = {}, .other = {}}, bytes);
  EXPECT_FALSE(decode_prepare_answer(bytes).has_value()) << "a refusal without a reason would look like a success";
  bytes.clear();
  PrepareMessage unknown = prepare();
  unknown.member = static_cast<object::Member>(3);
  encode(unknown, bytes);
  EXPECT_FALSE(decode_prepare_message(bytes).has_value()) << "what is asked of the member is not known";
  bytes.clear();
  encode(SettleAnswer{EntryState::kPrepared}, bytes);
  EXPECT_FALSE(decode_settle_answer(bytes).has_value()) << "that is no outcome";
  bytes.clear();
  encode(DecideMessage{.container = {}, .decisions = {{{1, Epoch(1)}, EntryEvent::kLeave}}}, bytes);
  EXPECT_FALSE(decode_decide_message(bytes).has_value()) << "nobody is told that from outside";
}

EntryNote note() {
  return {.pool = Uuid::from_random(4, 4),
          .begun = cluster::MapVersion(4),
          .leader = {.object = kObject, .seed = cluster::PlacementSeed(9), .group = 3, .dkey_hash = 12345},
          .groups = {{cluster::TargetId(1), cluster::TargetId(5)}, {cluster::TargetId(5), cluster::TargetId(2)}}};
}

TEST(EntryNote, ComesThroughWhole) {
  const Bytes bytes = *encode(note());
  const auto decoded = decode_entry_note(bytes);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(*encode(*decoded), bytes);
  EXPECT_EQ(decoded->members(), (std::vector{cluster::TargetId(1), cluster::TargetId(2), cluster::TargetId(5)}));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_entry_note(ByteView(bytes).first(size)).has_value());
  Bytes newer = bytes;
  newer[0] = std::byte{2};
  EXPECT_EQ(decode_entry_note(newer).error(), Code::kNewerFormat);
}

TEST(EntryNote, OneThatCannotBeKeptIsRefused) {
  EntryNote wide = note();
  wide.groups.front().assign(object::kMaxEntryNoteBytes, cluster::TargetId(1));
  EXPECT_EQ(encode(wide).error(), Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote::engine
