#include "entries.h"

#include <gtest/gtest.h>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

/// A target, and a leader that is only a number.
class EntriesTest : public testing::Test {
 protected:
  EntriesTest() : target_(5) { target_.create(); }

  CommitRequest put_of(std::string_view dkey, ByteView value, std::uint64_t sequence = 0) {
    CommitRequest request;
    request.container = target_.container;
    request.updates.push_back(target_.single(kObject, key_of(dkey), key_of("a"), value));
    if (sequence != 0) request.id = id_of(sequence);
    return request;
  }
  RequestId id_of(std::uint64_t sequence) {
    return {.session = 7,
            .sequence = sequence,
            .expiry = target_.node.wall_now() + std::chrono::seconds(60),
            .acknowledged = 0};
  }
  Epoch draw() { return *target_.block_on(target_.objects->draw_epoch(Until::forever())); }
  EntryName name() { return {.leader = 3, .epoch = draw()}; }
  Result<EntryState> prepare(const CommitRequest& request, EntryName name, ByteView payload) {
    return target_.block_on(target_.objects->prepare(request, name, as_bytes("note"), target_.buffer_of(payload),
                                                     payload.size(), Until::forever()));
  }
  Result<EntryState> change(EntryName name, EntryEvent event) {
    return target_.block_on(target_.objects->change_entry(name, event));
  }
  EntryState state(EntryName name) { return *target_.block_on(target_.objects->entry_state(name)); }
  Result<Bytes> get(std::string_view dkey, Epoch epoch = kEpochLatest) {
    TRY(const Fetched fetched, target_.fetch(target_.fetch_single(kObject, key_of(dkey), key_of("a"), epoch)));
    if (!fetched.reply.akeys[0].exists) return fail(Code::kNotFound);
    return joined(fetched);
  }
  Result<UpdateReply> update(std::string_view dkey, ByteView value) {
    return target_.update(target_.single(kObject, key_of(dkey), key_of("a"), value), value);
  }

  TestTarget target_;
};

TEST_F(EntriesTest, WhatIsPreparedIsSeenWhenItIsCommitted) {
  for (const std::size_t bytes : {std::size_t{100}, std::size_t{20'000}}) {
    const Bytes before = pattern(1, bytes), after = pattern(2, bytes);
    ASSERT_TRUE(update("d", before));
    const Epoch earlier = target_.objects->now();
    const EntryName entry = name();
    EXPECT_EQ(prepare(put_of("d", after), entry, after), EntryState::kPrepared);
    EXPECT_EQ(get("d").error(), Code::kUndecided);
    EXPECT_EQ(get("d", earlier), before) << "who reads the past does not wait";
    EXPECT_EQ(get("other").error(), Code::kNotFound);
    EXPECT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted);
    EXPECT_EQ(get("d"), after);
    EXPECT_EQ(get("d", earlier), before);
    EXPECT_EQ(get("d", entry.epoch), after);
    target_.check();
    EXPECT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted) << "again is nothing new";
    EXPECT_EQ(change(entry, EntryEvent::kForget), EntryState::kNone);
    EXPECT_EQ(get("d"), after);
  }
}

TEST_F(EntriesTest, WhatIsAbortedWasNeverThere) {
  const Bytes value = pattern(1, 20'000);
  const EntryName entry = name();
  ASSERT_EQ(prepare(put_of("d", value), entry, value), EntryState::kPrepared);
  target_.check();
  EXPECT_EQ(change(entry, EntryEvent::kAbort), EntryState::kRefused);
  EXPECT_EQ(get("d").error(), Code::kNotFound);
  EXPECT_EQ(prepare(put_of("d", value), entry, value), EntryState::kRefused) << "a late prepare finds the refusal";
  EXPECT_EQ(target_.entries(), 0u);
  target_.check();
}

TEST_F(EntriesTest, TheTableOfTheProtocolIsKept) {
  const Bytes value = pattern(1, 10);
  EntryName entry = name();
  EXPECT_EQ(change(entry, EntryEvent::kCommit), EntryState::kNone) << "late, at a target that has forgotten";
  EXPECT_EQ(change(entry, EntryEvent::kAsk), EntryState::kRefused) << "who is asked for nothing refuses it";
  EXPECT_EQ(change(entry, EntryEvent::kDecline), EntryState::kRefused);
  EXPECT_EQ(change(entry, EntryEvent::kAbort), EntryState::kRefused);
  EXPECT_EQ(change(entry, EntryEvent::kCommit).error(), Code::kInternal);
  EXPECT_EQ(change(entry, EntryEvent::kLeave), EntryState::kNone);
  entry = name();
  ASSERT_EQ(prepare(put_of("d", value), entry, value), EntryState::kPrepared);
  EXPECT_EQ(prepare(put_of("d", value), entry, value), EntryState::kPrepared);
  EXPECT_EQ(change(entry, EntryEvent::kAsk), EntryState::kPrepared) << "who is asked says what is";
  EXPECT_EQ(change(entry, EntryEvent::kForget).error(), Code::kInternal);
  EXPECT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(change(entry, EntryEvent::kAsk), EntryState::kCommitted);
  EXPECT_EQ(change(entry, EntryEvent::kAbort).error(), Code::kInternal);
  EXPECT_EQ(change(entry, EntryEvent::kLeave), EntryState::kCommitted);
  EXPECT_EQ(change(entry, EntryEvent::kForget), EntryState::kNone);
  EXPECT_EQ(change(entry, EntryEvent::kForget), EntryState::kNone);
  entry = name();
  ASSERT_EQ(prepare(put_of("d", value), entry, value), EntryState::kPrepared);
  EXPECT_EQ(change(entry, EntryEvent::kLeave), EntryState::kNone);
  EXPECT_EQ(state(entry), EntryState::kNone);
  target_.check();
}

TEST_F(EntriesTest, ManyAreDecidedTogether) {
  constexpr std::size_t kMany = 200;  // more than go in one turn, or in one batch
  const Bytes small = pattern(1, 50), large = pattern(2, 3000);
  std::vector<EntryChange> changes;
  for (std::size_t i = 0; i < kMany; ++i) {
    const EntryName entry = name();
    const Bytes& value = i % 2 == 0 ? small : large;
    ASSERT_EQ(prepare(put_of("d" + std::to_string(i), value), entry, value), EntryState::kPrepared);
    changes.push_back({.name = entry, .event = i % 8 == 0 ? EntryEvent::kAbort : EntryEvent::kCommit});
  }
  const EntryName late = name();
  changes.push_back({.name = late, .event = EntryEvent::kAsk});
  changes.push_back({.name = changes[1].name, .event = EntryEvent::kForget});  // what is forgotten comes last
  changes.push_back({.name = changes[1].name, .event = EntryEvent::kForget});
  const auto applied = target_.block_on(target_.objects->apply_changes(changes));
  ASSERT_TRUE(applied);
  EXPECT_TRUE(target_.block_on(target_.objects->durable(*applied)));
  for (std::size_t i = 0; i < kMany; ++i) {
    EXPECT_EQ(changes[i].outcome, i % 8 == 0 ? EntryState::kRefused : EntryState::kCommitted);
    const auto value = get("d" + std::to_string(i));
    if (i % 8 == 0) {
      EXPECT_EQ(value.error(), Code::kNotFound);
    } else {
      EXPECT_EQ(value, i % 2 == 0 ? small : large);
    }
  }
  EXPECT_EQ(changes[kMany].outcome, EntryState::kRefused);
  EXPECT_EQ(changes[kMany + 1].outcome, EntryState::kNone);
  EXPECT_EQ(target_.objects->held_state(changes[1].name), EntryState::kNone);
  target_.check();
  // What cannot be forgotten says so on its own.
  changes.resize(kMany);
  for (EntryChange& change : changes) change.event = EntryEvent::kForget;
  const EntryName prepared = name();
  ASSERT_EQ(prepare(put_of("p", small), prepared, small), EntryState::kPrepared);
  changes.push_back({.name = prepared, .event = EntryEvent::kForget});
  ASSERT_TRUE(target_.block_on(target_.objects->apply_changes(changes)));
  for (std::size_t i = 0; i < kMany; ++i) EXPECT_EQ(changes[i].outcome, EntryState::kNone);
  EXPECT_EQ(changes[kMany].outcome.error(), Code::kInternal);
  EXPECT_EQ(target_.objects->entry_counts().held, 2u) << "what was asked for and refused, and what is prepared";
  target_.reopen();
  EXPECT_EQ(target_.objects->entry_counts().held, 2u);
  EXPECT_EQ(change(prepared, EntryEvent::kCommit), EntryState::kCommitted) << "with what the tree has of it";
  EXPECT_EQ(get("p"), small);
  target_.check();
}

TEST_F(EntriesTest, NothingElseTouchesWhatIsUndecided) {
  const Bytes value = pattern(1, 3000);
  const EntryName first = name(), second = name();
  ASSERT_EQ(prepare(put_of("d", value), first, value), EntryState::kPrepared);
  EXPECT_EQ(prepare(put_of("d", value), second, value).error(), Code::kUndecided);
  EXPECT_EQ(update("d", value).error(), Code::kUndecided);
  PunchRequest punch{
      .container = target_.container, .object = kObject, .level = PunchLevel::kDkey, .dkey = key_of("d")};
  EXPECT_EQ(target_.punch(punch).error(), Code::kUndecided);
  punch.level = PunchLevel::kObject;
  punch.dkey = {};
  EXPECT_EQ(target_.punch(punch).error(), Code::kUndecided);
  EXPECT_EQ(target_.list({.container = target_.container, .level = ListLevel::kDkeys, .object = kObject}).error(),
            Code::kUndecided);
  EXPECT_EQ(target_.list({.container = target_.container, .level = ListLevel::kObjects}).error(), Code::kUndecided);
  const Epoch now = target_.objects->now();
  EXPECT_EQ(target_.block_on(target_.objects->add_snapshot(target_.container, now)).error(), Code::kUndecided);
  EXPECT_TRUE(update("other", value)) << "neighbours go on";
  EXPECT_EQ(prepare(put_of("third", value), second, value), EntryState::kPrepared);
  EXPECT_EQ(change(second, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(change(first, EntryEvent::kCommit), EntryState::kCommitted) << "in whatever order";
  EXPECT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, target_.objects->now())));
  target_.check();
}

TEST_F(EntriesTest, ARequestTakesEffectOnce) {
  const Bytes value = pattern(1, 50);
  const EntryName first = name(), second = name();
  ASSERT_EQ(prepare(put_of("d", value, 1), first, value), EntryState::kPrepared);
  EXPECT_EQ(prepare(put_of("e", value, 1), second, value).error(), Code::kUndecided) << "a twin waits for the first";
  ASSERT_EQ(change(first, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(prepare(put_of("e", value, 1), second, value).error(), Code::kExists);
  UpdateRequest again = target_.single(kObject, key_of("d"), key_of("a"), value);
  again.id = id_of(1);
  const auto reply = target_.update(again, value);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->epoch, first.epoch) << "a retry is answered with the kept result";
}

TEST_F(EntriesTest, WhatWasReadStaysAsItWasRead) {
  const Bytes value = pattern(1, 50);
  ASSERT_TRUE(update("d", value));
  const EntryName early = name();
  const Epoch read_at = draw();
  EXPECT_EQ(get("d", read_at), value);
  EXPECT_EQ(prepare(put_of("d", value), early, value).error(), Code::kEpochTooOld);
  const EntryName late = name();
  EXPECT_GT(late.epoch, read_at);
  ASSERT_TRUE(update("d", value));
  EXPECT_EQ(prepare(put_of("d", value), late, value).error(), Code::kEpochTooOld) << "it would not be the newest";
  EXPECT_EQ(prepare(put_of("e", value), late, value), EntryState::kPrepared);
  EXPECT_EQ(change(late, EntryEvent::kAbort), EntryState::kRefused);
}

TEST_F(EntriesTest, ARestartForgetsNothing) {
  const Bytes small = pattern(1, 50), large = pattern(2, 30'000);
  const EntryName prepared = name(), committed = name(), refused = name();
  ASSERT_EQ(prepare(put_of("p", large, 1), prepared, large), EntryState::kPrepared);
  ASSERT_EQ(prepare(put_of("c", small, 2), committed, small), EntryState::kPrepared);
  ASSERT_EQ(change(committed, EntryEvent::kCommit), EntryState::kCommitted);
  ASSERT_EQ(change(refused, EntryEvent::kDecline), EntryState::kRefused);
  target_.reopen();
  EXPECT_EQ(state(prepared), EntryState::kPrepared);
  EXPECT_EQ(state(committed), EntryState::kCommitted);
  EXPECT_EQ(state(refused), EntryState::kRefused);
  const auto undecided = *target_.block_on(target_.objects->undecided_entries());
  ASSERT_EQ(undecided.size(), 1u);
  EXPECT_EQ(undecided[0].name, prepared);
  EXPECT_EQ(undecided[0].container, target_.container);
  EXPECT_EQ(undecided[0].request.sequence, 1u);
  EXPECT_EQ(undecided[0].note, to_bytes(as_bytes("note")));
  EXPECT_EQ(get("p").error(), Code::kUndecided);
  EXPECT_EQ(get("c"), small);
  target_.check();
  EXPECT_EQ(change(prepared, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(get("p"), large);
  target_.reopen();
  EXPECT_EQ(get("p"), large);
  target_.check();
}

TEST_F(EntriesTest, ALargeTransactionIsOne) {
  CommitRequest request;
  request.container = target_.container;
  Bytes payload;
  for (std::uint64_t i = 0; i < kMaxTransactionEntries / 2; ++i) {
    const Bytes value = pattern(i, 1500);
    request.updates.push_back(target_.single(kObject, key_of("d" + std::to_string(i)), key_of("a"), value));
    payload.insert(payload.end(), value.begin(), value.end());
  }
  const EntryName first = name();
  ASSERT_EQ(prepare(request, first, payload), EntryState::kPrepared);
  target_.reopen();
  EXPECT_EQ(change(first, EntryEvent::kCommit), EntryState::kCommitted);
  for (std::uint64_t i = 0; i < request.updates.size(); ++i) EXPECT_EQ(get("d" + std::to_string(i)), pattern(i, 1500));
  target_.check();
  EXPECT_EQ(change(first, EntryEvent::kForget), EntryState::kNone);
  const EntryName second = name();
  ASSERT_EQ(prepare(request, second, payload), EntryState::kPrepared);
  EXPECT_EQ(change(second, EntryEvent::kLeave), EntryState::kNone);
  EXPECT_EQ(state(second), EntryState::kNone);
  target_.check();
}

TEST_F(EntriesTest, ArraysAndPunches) {
  const Bytes old = pattern(1, 8192), fresh = pattern(2, 4096);
  const auto array = [&](RecordRange range, ByteView data) {
    return target_.array(kObject, key_of("d"), key_of("array"), 1, {range}, data);
  };
  ASSERT_TRUE(target_.update(array({0, 8192}, old), old));
  CommitRequest request;
  request.container = target_.container;
  request.updates.push_back(array({100, 4096}, fresh));
  request.punches.push_back(
      {.container = target_.container, .object = kObject, .level = PunchLevel::kDkey, .dkey = key_of("gone")});
  ASSERT_TRUE(update("gone", fresh));
  const EntryName entry = name();
  ASSERT_EQ(prepare(request, entry, fresh), EntryState::kPrepared);
  // What others tell of the array meanwhile must not be lost: merging cuts extents into other classes.
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  ASSERT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted);
  Bytes expected = old;
  std::ranges::copy(fresh, expected.begin() + 100);
  const auto fetched = target_.fetch(target_.fetch_array(kObject, key_of("d"), key_of("array"), {{0, 8192}}));
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_EQ(joined(*fetched), expected);
  EXPECT_EQ(get("gone").error(), Code::kNotFound);
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  target_.check();
}

/// Writes to one array.
class ArrayEntriesTest : public EntriesTest {
 protected:
  CommitRequest write_of(std::uint64_t first, ByteView data, std::string_view akey = "array") {
    CommitRequest request;
    request.container = target_.container;
    request.updates.push_back(target_.array(kObject, key_of("d"), key_of(akey), 1, {{first, data.size()}}, data));
    return request;
  }
  Result<Bytes> read(std::uint64_t first, std::uint64_t records) {
    TRY(const Fetched fetched,
        target_.fetch(target_.fetch_array(kObject, key_of("d"), key_of("array"), {{first, records}})));
    return joined(fetched);
  }
};

TEST_F(ArrayEntriesTest, RecordsThatAreApartGoSideBySide) {
  const Bytes old = pattern(1, 30'000), large = pattern(2, 9000), small = pattern(3, 50);
  ASSERT_TRUE(target_.update(target_.array(kObject, key_of("d"), key_of("array"), 1, {{0, 30'000}}, old), old));
  const EntryName first = name(), second = name(), third = name(), other = name();
  ASSERT_EQ(prepare(write_of(1000, large), first, large), EntryState::kPrepared);
  ASSERT_EQ(prepare(write_of(10'000, small), second, small), EntryState::kPrepared);
  EXPECT_EQ(prepare(write_of(9999, small), third, small).error(), Code::kUndecided);
  EXPECT_EQ(prepare(write_of(100'000, small), third, small), EntryState::kPrepared);
  EXPECT_EQ(prepare(put_of("d", small), other, small), EntryState::kPrepared) << "another akey of the dkey";
  EXPECT_EQ(read(20'000, 10'000), Bytes(old.begin() + 20'000, old.end())) << "a reader elsewhere does not wait";
  EXPECT_EQ(read(10'049, 10).error(), Code::kUndecided);
  EXPECT_EQ(
      target_.list({.container = target_.container, .level = ListLevel::kAkeys, .object = kObject, .dkey = key_of("d")})
          .error(),
      Code::kUndecided);
  target_.reopen();
  EXPECT_EQ(read(10'049, 10).error(), Code::kUndecided);
  EXPECT_EQ(read(20'000, 10'000), Bytes(old.begin() + 20'000, old.end()));
  for (const EntryName& entry : {third, first, other, second})
    ASSERT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted);
  Bytes expected = old;
  std::ranges::copy(large, expected.begin() + 1000);
  std::ranges::copy(small, expected.begin() + 10'000);
  EXPECT_EQ(read(0, 30'000), expected);
  EXPECT_EQ(read(100'000, 50), small);
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  EXPECT_EQ(read(0, 30'000), expected);
  target_.check();
}

TEST_F(ArrayEntriesTest, ABirthIsAboutAllOfTheArray) {
  const Bytes data = pattern(2, 9000);
  EXPECT_FALSE(target_.objects->knows_arrays(write_of(0, data)));
  const EntryName first = name(), second = name();
  ASSERT_EQ(prepare(write_of(50'000, data), first, data), EntryState::kPrepared);
  EXPECT_EQ(prepare(write_of(0, data), second, data).error(), Code::kUndecided);
  EXPECT_EQ(read(0, 10).error(), Code::kUndecided) << "the array is not there, or is empty";
  ASSERT_EQ(change(first, EntryEvent::kAbort), EntryState::kRefused);
  ASSERT_EQ(prepare(write_of(0, data), second, data), EntryState::kPrepared);
  ASSERT_EQ(change(second, EntryEvent::kCommit), EntryState::kCommitted);
  const EntryName early = name(), late = name();
  ASSERT_EQ(prepare(write_of(50'000, data), late, data), EntryState::kPrepared) << "now it is there";
  EXPECT_TRUE(target_.objects->knows_arrays(write_of(0, data)));
  ASSERT_EQ(prepare(write_of(100'000, data), early, data), EntryState::kPrepared);
  PunchRequest punch{.container = target_.container,
                     .object = kObject,
                     .level = PunchLevel::kAkey,
                     .dkey = key_of("d"),
                     .akeys = {key_of("array")}};
  EXPECT_EQ(target_.punch(punch).error(), Code::kUndecided);
  for (const EntryName& entry : {late, early}) ASSERT_EQ(change(entry, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(read(50'000, 9000), data);
  EXPECT_EQ(read(100'000, 9000), data);
  ASSERT_TRUE(target_.punch(punch));
  EXPECT_FALSE(target_.objects->knows_arrays(write_of(0, data)));
  target_.check();
}

TEST_F(ArrayEntriesTest, ConditionsCountAlsoWhereTheyAreNotChecked) {
  const Bytes data = pattern(2, 100);
  CommitRequest request = put_of("d", data);
  request.updates[0].dkey_condition = Precondition::kAbsent;
  ASSERT_TRUE(update("d", data));
  const EntryName first = name(), second = name();
  const auto at_member = [&](const CommitRequest& what, EntryName entry) {
    return target_.block_on(target_.objects->prepare(what, entry, as_bytes("note"), target_.buffer_of(data),
                                                     data.size(), Until::forever(), Member::kComplete));
  };
  EXPECT_EQ(prepare(request, first, data).error(), Code::kConditionFailed);
  ASSERT_EQ(at_member(request, first), EntryState::kPrepared) << "the leader knows better";
  EXPECT_EQ(at_member(write_of(0, data, "b"), second).error(), Code::kUndecided);
  EXPECT_EQ(change(first, EntryEvent::kAbort), EntryState::kRefused);
}

TEST_F(EntriesTest, WhatAConditionIsAboutIsOlderToo) {
  const Bytes value = pattern(2, 100);
  const EntryName early = name();
  ASSERT_TRUE(target_.update(target_.single(kObject, key_of("d"), key_of("b"), value), value));
  CommitRequest request = put_of("d", value);
  request.updates[0].dkey_condition = Precondition::kPresent;
  EXPECT_EQ(prepare(request, early, value).error(), Code::kEpochTooOld)
      << "at that moment there was nothing in the dkey";
  EXPECT_EQ(change(early, EntryEvent::kDecline), EntryState::kRefused);
  const EntryName late = name();
  ASSERT_EQ(prepare(request, late, value), EntryState::kPrepared);
  EXPECT_EQ(change(late, EntryEvent::kCommit), EntryState::kCommitted);
}

TEST_F(EntriesTest, SpaceIsChargedFromThePreparationOn) {
  const auto account = std::make_shared<SpaceAccount>("container 'c'");
  account->set_limit({.bytes = 10'000, .objects = SpaceAccount::kNoLimit});
  target_.objects->charge_to(target_.container, account);
  const Bytes value = pattern(1, 6000);
  const EntryName first = name(), second = name();
  ASSERT_EQ(prepare(put_of("d", value), first, value), EntryState::kPrepared);
  EXPECT_EQ(account->used().bytes, 6000u);
  EXPECT_EQ(prepare(put_of("e", value), second, value).error(), Code::kQuotaExceeded);
  EXPECT_EQ(change(first, EntryEvent::kAbort), EntryState::kRefused);
  EXPECT_EQ(account->used(), Usage());
  ASSERT_EQ(prepare(put_of("e", value), second, value), EntryState::kPrepared);
  target_.reopen();
  target_.objects->charge_to(target_.container, account);
  EXPECT_EQ(account->used().bytes, 6000u + 6000u) << "the account outlived the target, so it has both";
  EXPECT_EQ(change(second, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(account->used().bytes, 12'000u);
  EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->bytes, 6000u);
}

TEST_F(EntriesTest, AContainerMayGoWhileItsChangesAreUndecided) {
  const Bytes value = pattern(1, 20'000);
  const EntryName first = name(), second = name();
  ASSERT_EQ(prepare(put_of("d", value), first, value), EntryState::kPrepared);
  ASSERT_EQ(prepare(put_of("e", value), second, value), EntryState::kPrepared);
  ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
  EXPECT_EQ(change(first, EntryEvent::kCommit), EntryState::kCommitted);
  EXPECT_EQ(change(second, EntryEvent::kAbort), EntryState::kRefused);
  auto owned = target_.block_on(target_.objects->owned_extents());
  ASSERT_TRUE(owned);
  EXPECT_TRUE(owned->empty());
}

TEST_F(EntriesTest, ConditionsAreThoseOfTheMomentOfThePreparation) {
  const Bytes value = pattern(1, 50);
  CommitRequest insert = put_of("d", value);
  insert.updates[0].akeys[0].condition = Precondition::kAbsent;
  const EntryName first = name();
  EXPECT_EQ(prepare(insert, first, value), EntryState::kPrepared);
  EXPECT_EQ(prepare(insert, name(), value).error(), Code::kUndecided) << "it may come to be there";
  ASSERT_TRUE(change(first, EntryEvent::kCommit));
  EXPECT_EQ(prepare(insert, name(), value).error(), Code::kConditionFailed);
}

TEST_F(EntriesTest, APunchIsRefusedOnlyForWhatItWouldHide) {
  const Bytes value = pattern(1, 50);
  ASSERT_TRUE(update("d", value));
  const EntryName early = name();
  ASSERT_TRUE(update("other", value));
  CommitRequest punch;
  punch.container = target_.container;
  PunchRequest& change_of = punch.punches.emplace_back();
  change_of.container = target_.container;
  change_of.object = kObject;
  change_of.level = PunchLevel::kDkey;
  change_of.dkey = key_of("d");
  EXPECT_EQ(prepare(punch, early, {}), EntryState::kPrepared) << "what is newer is another dkey";
  ASSERT_TRUE(change(early, EntryEvent::kAbort));
  const EntryName late = name();
  ASSERT_TRUE(update("d", value));
  EXPECT_EQ(prepare(punch, late, {}).error(), Code::kEpochTooOld);
  change_of.level = PunchLevel::kObject;
  change_of.dkey.clear();
  EXPECT_EQ(prepare(punch, late, {}).error(), Code::kEpochTooOld);
  const EntryName newest = name();
  EXPECT_EQ(prepare(punch, newest, {}), EntryState::kPrepared);
  ASSERT_TRUE(change(newest, EntryEvent::kCommit));
  EXPECT_EQ(get("other").error(), Code::kNotFound);
}

TEST_F(EntriesTest, WhoMeetsAnEntryCanTellWhichOneItIs) {
  const Bytes value = pattern(1, 50);
  const CommitRequest request = put_of("d", value, 1);
  EXPECT_FALSE(target_.objects->undecided_before(request));
  const EntryName held = name();
  ASSERT_TRUE(prepare(request, held, value));
  ASSERT_TRUE(target_.objects->undecided_before(put_of("d", value, 2)));
  EXPECT_EQ(target_.objects->undecided_before(put_of("d", value, 2))->name, held);
  EXPECT_EQ(target_.objects->undecided_before(put_of("e", value, 1))->name, held) << "another attempt of the request";
  EXPECT_FALSE(target_.objects->undecided_before(put_of("e", value, 2)));
  ListRequest dkeys{.container = target_.container, .level = ListLevel::kDkeys, .object = kObject};
  EXPECT_EQ(target_.objects->undecided_before(dkeys)->name, held);
  dkeys.epoch = Epoch(held.epoch.value() - 1);
  EXPECT_FALSE(target_.objects->undecided_before(dkeys));
  EXPECT_EQ(target_.objects->undecided_in(target_.container, kEpochLatest)->note, to_bytes(as_bytes("note")));
  EXPECT_TRUE(target_.objects->undecided_before(target_.fetch_single(kObject, key_of("d"), key_of("a"))));
  EXPECT_FALSE(target_.objects->undecided_before(target_.fetch_single(kObject, key_of("d"), key_of("b"))));
  EXPECT_EQ(target_.objects->undecided_of(id_of(1))->name, held);
  EXPECT_EQ(*target_.block_on(target_.objects->kept_result(id_of(1))), std::nullopt);
  ASSERT_TRUE(change(held, EntryEvent::kCommit));
  EXPECT_EQ((*target_.block_on(target_.objects->kept_result(id_of(1))))->epoch, held.epoch);
  EXPECT_EQ(target_.objects->held_entries().at(0).state, EntryState::kCommitted);
}

}  // namespace
}  // namespace cenote::object
