#include "sessions.h"

#include <gtest/gtest.h>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }
const store::TreeId kTree(7);

RequestId request(std::uint64_t sequence, std::int64_t expiry, std::uint64_t acknowledged = 0) {
  return {.session = 5, .sequence = sequence, .expiry = at(expiry), .acknowledged = acknowledged};
}

Code code_of(const Sessions& sessions, const RequestId& id, WallTime now) {
  const auto checked = sessions.check(id, now);
  return checked ? Code::kOk : checked.error().code();
}

/// Runs a request: its result goes to the batch and to memory.
std::uint32_t run(Sessions& sessions, const RequestId& id, std::uint64_t epoch) {
  store::Batch batch;
  sessions.record(id, Epoch(epoch), kTree, batch);
  sessions.applied(id, Epoch(epoch), store::Lsn(epoch));
  sessions.check_invariants();
  return batch.operations();
}

TEST(Sessions, ARepeatedRequestGetsItsResult) {
  Sessions sessions({.clock_offset = std::chrono::seconds(1)});
  EXPECT_FALSE(sessions.check(request(1, 100), at(50))->has_value());
  run(sessions, request(1, 100), 77);
  const auto known = sessions.check(request(1, 100), at(50));
  ASSERT_TRUE(known && known->has_value());
  EXPECT_EQ((*known)->epoch, Epoch(77));
  EXPECT_EQ((*known)->lsn, store::Lsn(77));
  // Late, but the answer is still there.
  EXPECT_TRUE(sessions.check(request(1, 100), at(101))->has_value());
  // Another session's request is another request.
  RequestId other = request(1, 100);
  other.session = 6;
  EXPECT_FALSE(sessions.check(other, at(50))->has_value());
}

TEST(Sessions, WhatIsAcknowledgedOrExpiredIsRefused) {
  Sessions sessions({.clock_offset = std::chrono::seconds(1)});
  EXPECT_EQ(code_of(sessions, request(1, 100), at(100)), Code::kRequestExpired);
  EXPECT_EQ(code_of(sessions, request(1, 100'000), at(50)), Code::kRequestExpired) << "a clock has jumped";
  EXPECT_EQ(code_of(sessions, request(3, 100, 3), at(50)), Code::kInvalidArgument);
  for (std::uint64_t i = 1; i <= 20; ++i) run(sessions, request(i, 100), i);
  // One put and some removals, never more than the batch has room for.
  EXPECT_EQ(run(sessions, request(21, 100, 15), 21), Sessions::kBatchEntries);
  EXPECT_EQ(code_of(sessions, request(15, 100), at(50)), Code::kRequestExpired);
  EXPECT_EQ(code_of(sessions, request(2, 100), at(50)), Code::kRequestExpired);
  EXPECT_TRUE(sessions.check(request(16, 100), at(50))->has_value());
  EXPECT_EQ(sessions.result_count(), 21u - Sessions::kErasedPerRequest);
  run(sessions, request(22, 100, 15), 22);
  EXPECT_EQ(sessions.result_count(), 7u);
}

TEST(Sessions, TooManyUnacknowledgedAreRefused) {
  Sessions sessions({.unacknowledged = 3, .clock_offset = {}});
  for (std::uint64_t i = 1; i <= 3; ++i) run(sessions, request(i, 100), i);
  EXPECT_EQ(code_of(sessions, request(4, 100), at(50)), Code::kResourceExhausted);
  EXPECT_EQ(code_of(sessions, request(3, 100), at(50)), Code::kOk);
}

TEST(Sessions, ReclaimKeepsTheLastUntilNoRequestCanRun) {
  Sessions sessions({.clock_offset = std::chrono::seconds(5)});
  run(sessions, request(1, 100), 1);
  run(sessions, request(2, 300), 2);
  run(sessions, request(3, 200), 3);
  store::Batch batch;
  const auto reclaim = [&](std::int64_t now) {
    batch.clear();
    const auto keys = sessions.reclaim(at(now), 100, kTree, batch);
    sessions.reclaimed(keys);
    if (sessions.session_count() > 0) sessions.check_invariants();
    return keys.size();
  };
  EXPECT_EQ(reclaim(104), 0u);
  EXPECT_EQ(reclaim(106), 1u);
  EXPECT_EQ(reclaim(250), 0u);  // expired, but put last: it carries what the session acknowledged
  EXPECT_EQ(reclaim(306), 1u);
  EXPECT_EQ(reclaim(306), 1u);
  EXPECT_EQ(sessions.session_count(), 0u);
  EXPECT_EQ(sessions.result_count(), 0u);
}

TEST(Sessions, TheTreeRestoresAll) {
  Sessions before({.clock_offset = {}});
  std::map<std::uint64_t, RequestRecord> tree;
  RequestRecord latest;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    const RequestId id = request(i, i == 2 ? 900 : 100, i / 2);
    run(before, id, i);
    latest.acknowledged = std::max(latest.acknowledged, id.acknowledged);
    latest.keep_until = std::max(latest.keep_until, id.expiry);
    tree[i] = {Epoch(i), id.expiry, latest.keep_until, latest.acknowledged};
    std::erase_if(tree, [&](const auto& entry) { return entry.first <= id.acknowledged; });
  }
  Sessions after({.clock_offset = {}});
  for (const auto& [sequence, record] : tree) after.load({5, sequence}, record);
  after.check_invariants();
  EXPECT_EQ(after.result_count(), before.result_count());
  EXPECT_EQ(code_of(after, request(3, 100), at(50)), Code::kRequestExpired);
  EXPECT_EQ((*after.check(request(5, 100), at(50)))->epoch, Epoch(5));
  // Request 2 is gone, but its late expiry still keeps the session.
  store::Batch batch;
  after.reclaimed(after.reclaim(at(500), 100, kTree, batch));
  EXPECT_EQ(after.session_count(), 1u);
  EXPECT_EQ(code_of(after, request(2, 900), at(600)), Code::kRequestExpired);
}

TEST(Retries, TakeEffectOnceAlsoAfterARestart) {
  TestTarget target(31);
  target.create();
  const ObjectId object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
  const Bytes value = pattern(1, 10'000);
  UpdateRequest update = target.single(object, key_of("d"), key_of("a"), value);
  update.akeys[0].condition = Precondition::kAbsent;
  const WallTime expiry = target.node.wall_now() + std::chrono::seconds(30);
  update.id = {.session = 9, .sequence = 1, .expiry = expiry};
  const auto first = target.update(update, value);
  ASSERT_TRUE(first);
  PunchRequest punch{.container = target.container,
                     .object = object,
                     .level = PunchLevel::kDkey,
                     .condition = Precondition::kPresent,
                     .dkey = key_of("d"),
                     .akeys = {},
                     .ranges = {},
                     .id = {.session = 9, .sequence = 2, .expiry = expiry}};
  const auto punched = target.punch(punch);
  ASSERT_TRUE(punched);
  for (int round = 0; round < 2; ++round) {
    // Neither condition holds any more, yet both get the answer of their first run, and nothing happens.
    const auto again = target.update(update, value);
    ASSERT_TRUE(again) << again.error().to_string();
    EXPECT_EQ(again->epoch, first->epoch);
    EXPECT_EQ(target.punch(punch)->epoch, punched->epoch);
    EXPECT_EQ(target.objects->counters().repeated, 2u);
    const auto fetched = target.fetch(target.fetch_single(object, key_of("d"), key_of("a")));
    ASSERT_TRUE(fetched);
    EXPECT_FALSE(fetched->reply.akeys[0].exists);
    target.check();
    target.reopen();
  }
  // A failure is no result: the same request may succeed later.
  update.id.sequence = 3;
  update.akeys[0].condition = Precondition::kPresent;
  EXPECT_TRUE(target.update(update, value).error() == Code::kConditionFailed);
  update.akeys[0].condition = Precondition::kNone;
  update.id.acknowledged = 2;
  ASSERT_TRUE(target.update(update, value));
  EXPECT_TRUE(target.punch(punch).error() == Code::kRequestExpired);
}

TEST(Retries, ExpiredResultsAreForgotten) {
  TestTarget target(32);
  target.create();
  const ObjectId object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
  const Bytes value = pattern(1, 10);
  UpdateRequest update = target.single(object, key_of("d"), key_of("a"), value);
  for (std::uint64_t i = 1; i <= 500; ++i) {
    update.id = {.session = i % 3 + 1, .sequence = i, .expiry = target.node.wall_now() + std::chrono::seconds(30)};
    ASSERT_TRUE(target.update(update, value));
  }
  target.node.set_clock_skew(std::chrono::minutes(1));
  EXPECT_TRUE(target.update(update, value));  // still known
  ASSERT_TRUE(target.block_on(target.objects->aggregate(kEpochZero)));
  EXPECT_TRUE(target.update(update, value).error() == Code::kRequestExpired);
  target.check();
}

}  // namespace
}  // namespace cenote::object
