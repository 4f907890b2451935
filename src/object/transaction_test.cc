#include "cenote/object/space_account.h"
#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const ObjectId kOther = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);
const ObjectId kThird = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 3);

/// A transaction in the making, against a target.
class Transaction {
 public:
  explicit Transaction(TestTarget& target) : target_(target) { request_.container = target.container; }

  /// From here on `reads...` are of this moment.
  Transaction& begin() {
    const auto begun = target_.block_on(target_.objects->begin({target_.container}, Until::forever()));
    EXPECT_TRUE(begun) << begun.error().to_string();
    request_.snapshot = begun->snapshot;
    return *this;
  }
  Transaction& read(const ObjectId& object, std::string_view dkey, std::string_view akey, RecordRanges ranges = {}) {
    request_.reads.push_back({object, key_of(dkey), key_of(akey), std::move(ranges)});
    return *this;
  }
  Transaction& list(ListRequest list) {
    list.container = target_.container;
    list.epoch = request_.snapshot;
    const auto listed = target_.list(list);
    EXPECT_TRUE(listed) << listed.error().to_string();
    list.epoch = kEpochLatest;
    request_.lists.push_back({list, digest_of(*listed)});
    return *this;
  }
  Transaction& query(const ObjectId& object, std::string_view dkey, std::string_view akey) {
    QueryRequest query{.container = target_.container,
                       .object = object,
                       .epoch = request_.snapshot,
                       .dkey = key_of(dkey),
                       .akey = key_of(akey)};
    const auto answer = target_.query(query);
    EXPECT_TRUE(answer) << answer.error().to_string();
    query.epoch = kEpochLatest;
    request_.queries.push_back({query, *answer});
    return *this;
  }
  Transaction& put(const ObjectId& object, std::string_view dkey, std::string_view akey, ByteView value) {
    return update(target_.single(object, key_of(dkey), key_of(akey), value), value);
  }
  Transaction& write(const ObjectId& object, std::string_view dkey, std::string_view akey, std::uint64_t first,
                     ByteView data) {
    return update(target_.array(object, key_of(dkey), key_of(akey), 1, {{first, data.size()}}, data), data);
  }
  Transaction& update(UpdateRequest update, ByteView data) {
    request_.updates.push_back(std::move(update));
    payload_.insert(payload_.end(), data.begin(), data.end());
    return *this;
  }
  Transaction& punch(PunchLevel level, const ObjectId& object, std::string_view dkey = {}, std::string_view akey = {},
                     RecordRanges ranges = {}) {
    PunchRequest& punch = request_.punches.emplace_back();
    punch.container = target_.container;
    punch.level = level;
    punch.object = object;
    if (level != PunchLevel::kObject) punch.dkey = key_of(dkey);
    if (level >= PunchLevel::kAkey) punch.akeys.push_back(key_of(akey));
    punch.ranges = std::move(ranges);
    return *this;
  }
  // Of the last change.
  Transaction& if_dkey(Precondition condition) {
    request_.updates.back().dkey_condition = condition;
    return *this;
  }
  Transaction& if_akey(Precondition condition) {
    request_.updates.back().akeys[0].condition = condition;
    return *this;
  }
  Transaction& if_there() {
    request_.punches.back().condition = Precondition::kPresent;
    return *this;
  }
  CommitRequest& request() { return request_; }

  Task<Result<UpdateReply>> commit_async() {
    return target_.objects->commit(request_, target_.buffer_of(payload_), payload_.size(), Until::forever());
  }
  Result<UpdateReply> commit() { return target_.block_on(commit_async()); }
  Code code() { return code_of(commit()); }

 private:
  TestTarget& target_;
  CommitRequest request_;
  Bytes payload_;
};

class TransactionTest : public testing::Test {
 protected:
  TransactionTest() { target_.create(); }
  ~TransactionTest() override { target_.check(); }

  Transaction begun() {
    Transaction transaction(target_);
    transaction.begin();
    return transaction;
  }
  void put(const ObjectId& object, std::string_view dkey, std::string_view akey, ByteView value) {
    ASSERT_TRUE(target_.update(target_.single(object, key_of(dkey), key_of(akey), value), value));
  }
  void write(std::string_view dkey, std::string_view akey, std::uint64_t first, ByteView data) {
    ASSERT_TRUE(
        target_.update(target_.array(kObject, key_of(dkey), key_of(akey), 1, {{first, data.size()}}, data), data));
  }
  void punch(PunchLevel level, const ObjectId& object, std::string_view dkey = {}, std::string_view akey = {},
             RecordRanges ranges = {}) {
    PunchRequest punch{.container = target_.container,
                       .object = object,
                       .level = level,
                       .dkey = {},
                       .akeys = {},
                       .ranges = {},
                       .id = {}};
    if (level != PunchLevel::kObject) punch.dkey = key_of(dkey);
    if (level >= PunchLevel::kAkey) punch.akeys.push_back(key_of(akey));
    punch.ranges = std::move(ranges);
    ASSERT_TRUE(target_.punch(punch));
  }
  /// nullopt: absent.
  std::optional<Bytes> value(const ObjectId& object, std::string_view dkey, std::string_view akey,
                             Epoch epoch = kEpochLatest) {
    const auto fetched = target_.fetch(target_.fetch_single(object, key_of(dkey), key_of(akey), epoch));
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    if (!fetched || !fetched->reply.akeys[0].exists) return std::nullopt;
    return joined(*fetched);
  }
  Bytes records(std::string_view dkey, std::string_view akey, RecordRange range, Epoch epoch = kEpochLatest) {
    FetchRequest request = target_.fetch_array(kObject, key_of(dkey), key_of(akey), {range}, epoch);
    request.akeys[0].max_bytes = range.count;
    const auto fetched = target_.fetch(request);
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    Bytes bytes = joined(*fetched);
    bytes.resize(range.count);
    return bytes;
  }

  TestTarget target_{7};
  const Bytes small_ = pattern(1, 100), large_ = pattern(2, 9000), other_ = pattern(3, 5000);
};

TEST_F(TransactionTest, AppliesAllAtOneMoment) {
  const Epoch before = target_.objects->now();
  const auto reply = Transaction(target_)
                         .put(kObject, "d", "small", small_)
                         .put(kObject, "e", "large", large_)
                         .write(kOther, "d", "array", 5000, other_)
                         .commit();
  ASSERT_TRUE(reply) << reply.error().to_string();
  for (const bool reopened : {false, true}) {
    if (reopened) target_.reopen();
    EXPECT_EQ(value(kObject, "d", "small"), small_);
    EXPECT_EQ(value(kObject, "e", "large"), large_);
    EXPECT_EQ(value(kObject, "d", "small", reply->epoch), small_);
    EXPECT_EQ(value(kObject, "e", "large", reply->epoch), large_);
    EXPECT_EQ(value(kObject, "d", "small", before), std::nullopt);
    EXPECT_EQ(value(kObject, "e", "large", before), std::nullopt);
  }
}

TEST_F(TransactionTest, WhatItWritesOutlivesWhatItPunches) {
  put(kObject, "d", "gone", small_);
  put(kObject, "d", "replaced", large_);
  write("d", "array", 0, large_);
  put(kOther, "x", "gone", large_);
  const Epoch before = target_.objects->now();
  const auto reply = Transaction(target_)
                         .punch(PunchLevel::kDkey, kObject, "d")
                         .update(target_.array(kObject, key_of("d"), key_of("array"), 1, {{2000, 100}}, small_), small_)
                         .punch(PunchLevel::kObject, kOther)
                         .put(kOther, "x", "new", small_)
                         .commit();
  ASSERT_TRUE(reply) << reply.error().to_string();
  // The epoch before the one it answered with is of the same moment.
  for (const Epoch epoch : {kEpochLatest, reply->epoch, Epoch(reply->epoch.value() - 1)}) {
    EXPECT_EQ(value(kObject, "d", "gone", epoch), std::nullopt);
    EXPECT_EQ(value(kObject, "d", "replaced", epoch), std::nullopt);
    EXPECT_EQ(value(kOther, "x", "gone", epoch), std::nullopt);
    EXPECT_EQ(value(kOther, "x", "new", epoch), small_);
    Bytes expected(9000);
    std::copy(small_.begin(), small_.end(), expected.begin() + 2000);
    EXPECT_EQ(records("d", "array", {0, 9000}, epoch), expected);
  }
  EXPECT_EQ(value(kObject, "d", "replaced", before), large_);
  EXPECT_EQ(records("d", "array", {0, 9000}, before), large_);
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  EXPECT_EQ(value(kOther, "x", "new"), small_);
  EXPECT_EQ(target_.block_on(target_.objects->container_usage(target_.container))->bytes, 200u);
}

TEST_F(TransactionTest, AnotherTypeAfterAPunch) {
  put(kObject, "d", "a", large_);
  EXPECT_EQ(Transaction(target_).write(kObject, "d", "a", 0, small_).code(), Code::kTypeMismatch);
  ASSERT_TRUE(
      Transaction(target_).punch(PunchLevel::kAkey, kObject, "d", "a").write(kObject, "d", "a", 0, small_).commit());
  EXPECT_EQ(records("d", "a", {0, 100}), small_);
  ASSERT_TRUE(Transaction(target_).punch(PunchLevel::kAkey, kObject, "d", "a").put(kObject, "d", "a", other_).commit());
  EXPECT_EQ(value(kObject, "d", "a"), other_);
  // What the cache of akeys was told of it.
  put(kObject, "d", "a", small_);
  EXPECT_EQ(value(kObject, "d", "a"), small_);
}

TEST_F(TransactionTest, PunchesAndWritesRangesOfOneArray) {
  write("d", "a", 0, large_);
  write("d", "a", 5ull << 20, large_);
  const std::uint64_t wide = 10ull << 20;
  ASSERT_TRUE(Transaction(target_)
                  .punch(PunchLevel::kRange, kObject, "d", "a", {{100, 100}, {1000, wide}})
                  .write(kObject, "d", "a", 400, small_)
                  .commit());
  Bytes expected(large_.begin(), large_.begin() + 1000);
  std::fill_n(expected.begin() + 100, 100, std::byte{0});
  std::copy(small_.begin(), small_.end(), expected.begin() + 400);
  expected.resize(9000);
  EXPECT_EQ(records("d", "a", {0, 9000}), expected);
  EXPECT_EQ(records("d", "a", {5ull << 20, 9000}), Bytes(9000));
}

TEST_F(TransactionTest, ReadsThatChangedMakeItStartAgain) {
  put(kObject, "d", "a", small_);
  write("d", "array", 0, large_);
  struct Case {
    std::string_view name;
    std::function<void(Transaction&)> read;
    std::function<void()> change;
    bool conflict;
  };
  const auto read_value = [](Transaction& t) { t.read(kObject, "d", "a"); };
  const auto read_records = [](Transaction& t) { t.read(kObject, "d", "array", {{1000, 10}, {2000, 10}}); };
  const auto read_absent = [](Transaction& t) { t.read(kObject, "d", "absent"); };
  const auto list_of = [](ListLevel level) {
    return [level](Transaction& t) {
      ListRequest list{.level = level, .object = kObject, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}};
      if (level == ListLevel::kObjects) list.object = {};
      if (level >= ListLevel::kAkeys) list.dkey = key_of("d");
      if (level == ListLevel::kExtents) list.akey = key_of("array");
      t.list(list);
    };
  };
  const auto query = [](Transaction& t) { t.query(kObject, "d", "array"); };
  const auto nothing = [] {};
  const std::vector<Case> cases = {
      {"nothing", read_value, nothing, false},
      {"value", read_value, [&] { put(kObject, "d", "a", other_); }, true},
      {"other akey", read_value, [&] { put(kObject, "d", "b", other_); }, false},
      {"akey punched", read_value, [&] { punch(PunchLevel::kAkey, kObject, "d", "a"); }, true},
      {"dkey punched", read_value, [&] { put(kObject, "d", "a", small_), punch(PunchLevel::kDkey, kObject, "d"); },
       true},
      {"object punched and written again", read_value,
       [&] { punch(PunchLevel::kObject, kObject), put(kObject, "d", "a", small_); }, true},
      {"absent", read_absent, [&] { put(kObject, "d", "absent", small_); }, true},
      {"absent stays", read_absent, [&] { put(kObject, "e", "absent", small_); }, false},
      {"records", read_records, [&] { write("d", "array", 2005, small_); }, true},
      {"records beside", read_records, [&] { write("d", "array", 1010, small_); }, false},
      {"records far away", read_records, [&] { write("d", "array", 1ull << 30, small_); }, false},
      {"records punched", read_records, [&] { punch(PunchLevel::kRange, kObject, "d", "array", {{0, 1001}}); }, true},
      {"cut", read_records, [&] { punch(PunchLevel::kRange, kObject, "d", "array", {{5, 100ull << 20}}); }, true},
      {"dkeys", list_of(ListLevel::kDkeys), [&] { put(kObject, "new", "a", small_); }, true},
      {"dkeys stay", list_of(ListLevel::kDkeys), [&] { put(kObject, "new", "a", other_); }, false},
      {"akeys", list_of(ListLevel::kAkeys), [&] { put(kObject, "d", "new", small_); }, true},
      {"akeys stay", list_of(ListLevel::kAkeys), [&] { put(kObject, "new", "new", other_); }, false},
      {"objects", list_of(ListLevel::kObjects), [&] { put(kThird, "d", "a", small_); }, true},
      {"objects stay", list_of(ListLevel::kObjects), [&] { put(kThird, "e", "a", small_); }, false},
      {"extents", list_of(ListLevel::kExtents), [&] { write("d", "array", 3, small_); }, true},
      {"end", query, [&] { write("d", "array", 2ull << 30, small_); }, true},
      {"end stays", query, [&] { write("d", "array", 7, small_); }, false},
      {"end, punched", query, [&] { punch(PunchLevel::kDkey, kObject, "d"); }, true},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    put(kObject, "d", "a", small_);
    write("d", "array", 0, large_);
    Transaction transaction = begun();
    c.read(transaction);
    c.change();
    transaction.put(kOther, "result", "a", as_bytes(c.name));
    EXPECT_EQ(transaction.code(), c.conflict ? Code::kTxRestart : Code::kOk);
    EXPECT_EQ(value(kOther, "result", "a") == to_bytes(as_bytes(c.name)), !c.conflict);
  }
  EXPECT_EQ(target_.objects->counters().restarts,
            static_cast<std::uint64_t>(std::ranges::count_if(cases, &Case::conflict)));
}

TEST_F(TransactionTest, ConflictsSurviveARestartOfTheTarget) {
  put(kObject, "d", "a", small_);
  Transaction stale = begun(), fresh = begun();
  stale.read(kObject, "d", "a").put(kObject, "d", "b", small_);
  fresh.read(kObject, "e", "a").put(kObject, "d", "c", small_);
  put(kObject, "d", "a", other_);
  target_.reopen();
  EXPECT_EQ(stale.code(), Code::kTxRestart);
  EXPECT_EQ(fresh.code(), Code::kOk);
}

TEST_F(TransactionTest, TooOldToTell) {
  put(kObject, "d", "a", small_);
  Transaction merged = begun();
  merged.read(kObject, "d", "a").put(kObject, "d", "b", small_);
  put(kObject, "e", "a", small_);
  ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now())));
  EXPECT_EQ(merged.code(), Code::kTxRestart);
  Transaction rolled_back = begun();
  const Epoch before = target_.objects->now();
  rolled_back.read(kObject, "d", "a").put(kObject, "d", "b", small_);
  ASSERT_TRUE(target_.block_on(target_.objects->roll_back(target_.container, before, Uuid::from_random(1, 1))));
  EXPECT_EQ(rolled_back.code(), Code::kTxRestart);
  EXPECT_EQ(value(kObject, "d", "b"), std::nullopt);
}

TEST_F(TransactionTest, TakesEffectOnceHoweverOftenItArrives) {
  put(kObject, "d", "a", small_);
  Transaction transaction = begun();
  transaction.read(kObject, "d", "a").put(kObject, "d", "a", other_);
  transaction.request().id = {
      .session = 4, .sequence = 1, .expiry = target_.node.wall_now() + std::chrono::seconds(60)};
  const auto first = transaction.commit();
  ASSERT_TRUE(first);
  // What it read has changed since, by itself and by others.
  put(kObject, "d", "a", small_);
  target_.reopen();
  const auto again = transaction.commit();
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->epoch, first->epoch);
  EXPECT_EQ(value(kObject, "d", "a"), small_);
}

TEST_F(TransactionTest, OfTheLargestSize) {
  Transaction transaction(target_);
  for (std::uint32_t i = 0; i < kMaxTransactionEntries; ++i)
    transaction.put(kObject, "dkey " + std::to_string(i), std::string(kMaxAkeyBytes, 'a'),
                    pattern(i, 2000 + i % 3 * 4000));
  ASSERT_TRUE(transaction.commit());
  for (std::uint32_t i = 0; i < kMaxTransactionEntries; i += 7)
    EXPECT_EQ(value(kObject, "dkey " + std::to_string(i), std::string(kMaxAkeyBytes, 'a')),
              pattern(i, 2000 + i % 3 * 4000));
  transaction.put(kOther, "d", "a", small_);
  EXPECT_EQ(transaction.code(), Code::kOutOfRange);
}

TEST_F(TransactionTest, WhatDoesNotFitChangesNothing) {
  auto account = std::make_shared<SpaceAccount>("container 'c'");
  account->set_limit({20'000, SpaceAccount::kNoLimit});
  target_.objects->charge_to(target_.container, account);
  EXPECT_EQ(Transaction(target_).put(kObject, "d", "a", large_).put(kObject, "e", "a", pattern(1, 12'000)).code(),
            Code::kQuotaExceeded);
  EXPECT_EQ(value(kObject, "d", "a"), std::nullopt);
  EXPECT_EQ(account->used().bytes, 0u);
  ASSERT_TRUE(Transaction(target_).put(kObject, "d", "a", large_).put(kObject, "e", "a", pattern(1, 11'000)).commit());
  EXPECT_EQ(account->used().bytes, 20'000u);
  EXPECT_EQ(Transaction(target_).put(kObject, "f", "a", pattern(1, 1)).code(), Code::kQuotaExceeded);
  account->set_limit({100, SpaceAccount::kNoLimit});
  EXPECT_EQ(Transaction(target_).punch(PunchLevel::kObject, kObject).code(), Code::kOk);
}

constexpr Precondition kAbsent = Precondition::kAbsent, kPresent = Precondition::kPresent;

TEST_F(TransactionTest, AFileInADirectory) {
  const auto create = [this](std::string_view name) {
    return Transaction(target_)
        .put(kObject, name, "entry", large_)
        .if_dkey(kAbsent)
        .put(kObject, "directory", "times", small_)
        .if_akey(kPresent)
        .commit();
  };
  const auto no_directory = create("file");
  ASSERT_EQ(code_of(no_directory), Code::kConditionFailed);
  EXPECT_NE(no_directory.error().message().find("dkey 'directory', akey 'times'"), std::string::npos)
      << no_directory.error().message();
  EXPECT_EQ(value(kObject, "file", "entry"), std::nullopt) << "all of it or nothing";
  put(kObject, "directory", "times", other_);
  ASSERT_TRUE(create("file"));
  EXPECT_EQ(value(kObject, "file", "entry"), large_);
  EXPECT_EQ(value(kObject, "directory", "times"), small_);
  const auto there = create("file");
  ASSERT_EQ(code_of(there), Code::kConditionFailed);
  EXPECT_NE(there.error().message().find("dkey 'file'"), std::string::npos) << there.error().message();
  punch(PunchLevel::kDkey, kObject, "file");
  EXPECT_TRUE(create("file"));
}

TEST_F(TransactionTest, APunchOfWhatIsThereBesideAnUpdate) {
  const auto rename = [this] {
    return Transaction(target_)
        .punch(PunchLevel::kDkey, kObject, "from")
        .if_there()
        .put(kObject, "to", "entry", small_)
        .if_dkey(kAbsent)
        .code();
  };
  EXPECT_EQ(rename(), Code::kConditionFailed);
  put(kObject, "from", "entry", small_);
  EXPECT_EQ(rename(), Code::kOk);
  EXPECT_EQ(value(kObject, "from", "entry"), std::nullopt);
  EXPECT_EQ(value(kObject, "to", "entry"), small_);
  EXPECT_EQ(rename(), Code::kConditionFailed);
}

TEST_F(TransactionTest, ConditionsAreAboutWhatWasThereBeforeAllChanges) {
  put(kObject, "d", "old", small_);
  const auto replace = [this](std::string_view akey, Precondition condition) {
    return Transaction(target_)
        .punch(PunchLevel::kDkey, kObject, "d")
        .if_there()
        .put(kObject, "d", akey, large_)
        .if_akey(condition)
        .code();
  };
  EXPECT_EQ(replace("old", kAbsent), Code::kConditionFailed) << "it is there until the punch";
  EXPECT_EQ(replace("new", kPresent), Code::kConditionFailed) << "it is there by this change only";
  EXPECT_EQ(value(kObject, "d", "old"), small_);
  EXPECT_EQ(replace("old", kPresent), Code::kOk);
  EXPECT_EQ(value(kObject, "d", "old"), large_);
  EXPECT_EQ(replace("new", kAbsent), Code::kOk);
  EXPECT_EQ(value(kObject, "d", "old"), std::nullopt);
  EXPECT_EQ(value(kObject, "d", "new"), large_);
  // Two parts of one dkey, each of which brings it into being.
  const auto both = [this] {
    return Transaction(target_)
        .put(kObject, "e", "a", small_)
        .if_dkey(kAbsent)
        .put(kObject, "e", "b", small_)
        .if_dkey(kAbsent)
        .code();
  };
  EXPECT_EQ(both(), Code::kOk);
  EXPECT_EQ(both(), Code::kConditionFailed);
}

TEST_F(TransactionTest, AConditionalChangeThatIsSentAgain) {
  Transaction first(target_);
  first.put(kObject, "d", "a", large_).if_dkey(kAbsent).put(kOther, "e", "b", small_).if_akey(kAbsent);
  first.request().id = {
      .session = 5, .sequence = 6, .expiry = target_.node.wall_now() + std::chrono::seconds(60), .acknowledged = 0};
  const auto done = first.commit();
  ASSERT_TRUE(done) << done.error().to_string();
  target_.reopen();
  const auto again = first.commit();
  ASSERT_TRUE(again) << "what it has brought into being is not held against it: " << again.error().to_string();
  EXPECT_EQ(again->epoch, done->epoch);
  // A failure is not kept.
  first.request().id.sequence = 7;
  EXPECT_EQ(first.code(), Code::kConditionFailed);
  punch(PunchLevel::kObject, kObject);
  punch(PunchLevel::kObject, kOther);
  EXPECT_EQ(first.code(), Code::kOk);
}

TEST_F(TransactionTest, ReadsAndConditionsTogether) {
  put(kObject, "d", "a", small_);
  Transaction transaction = begun();
  transaction.read(kObject, "d", "a").put(kOther, "d", "a", large_).if_dkey(kAbsent);
  put(kObject, "d", "a", other_);
  EXPECT_EQ(transaction.code(), Code::kTxRestart);
  EXPECT_EQ(begun().read(kObject, "d", "a").put(kOther, "d", "a", large_).if_dkey(kAbsent).code(), Code::kOk);
}

/// Many transactions at once over a few keys, each of which writes what it read, and one more.
class Interleaved {
 public:
  static constexpr std::uint32_t kKeys = 4;

  Interleaved(TestTarget& target, std::uint64_t seed) : target_(target), random_(seed) {}

  /// What a transaction that took effect saw and did.
  struct Done {
    Epoch epoch;
    std::array<std::optional<std::uint64_t>, kKeys> read, written;
  };

  void run(int workers, int each) {
    Scope scope(target_.node);
    for (int i = 0; i < workers; ++i) scope.spawn(work(this, each));
    target_.block_on(scope.drain());
  }

  /// Serialisable in the order of epochs: each saw exactly what those before it had made.
  void check() {
    std::ranges::sort(done_, {}, &Done::epoch);
    std::array<std::uint64_t, kKeys> state{};
    for (const Done& done : done_) {
      for (std::uint32_t key = 0; key < kKeys; ++key) {
        if (done.read[key]) ASSERT_EQ(*done.read[key], state[key]) << "at epoch " << done.epoch.value();
        if (done.written[key]) state[key] = *done.written[key];
      }
    }
    EXPECT_GT(restarts_, 0u);
    for (std::uint32_t key = 0; key < kKeys; ++key)
      EXPECT_EQ(target_.block_on(read(this, key, kEpochLatest)), state[key]);
  }
  std::size_t done() const { return done_.size(); }

 private:
  static KeyBytes dkey_of(std::uint32_t key) { return key_of("key " + std::to_string(key)); }
  static Task<std::uint64_t> read(Interleaved* self, std::uint32_t key, Epoch epoch) {
    TestTarget& target = self->target_;
    const auto fetched =
        co_await TestTarget::fetch_of(*target.objects, target.fetch_single(kObject, dkey_of(key), key_of("a"), epoch));
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    if (!fetched || !fetched->reply.akeys[0].exists) co_return 0;
    co_return load_le<std::uint64_t>(joined(*fetched).data());
  }
  static Bytes encoded(std::uint64_t value, std::size_t bytes) {
    Bytes result(bytes);
    store_le(result.data(), value);
    return result;
  }

  static Task<> work(Interleaved* self, int count) {
    for (int i = 0; i < count; ++i) co_await self->one();
  }

  Task<> one() {
    const auto begun = co_await target_.objects->begin({target_.container}, Until::forever());
    EXPECT_TRUE(begun);
    Transaction transaction(target_);
    transaction.request().snapshot = begun->snapshot;
    Done done;
    for (std::uint32_t key = 0; key < kKeys; ++key) {
      if (random_() % 2 == 0) continue;
      done.read[key] = co_await read(this, key, begun->snapshot);
      transaction.read(kObject, "key " + std::to_string(key), "a");
      if (random_() % 3 == 0) co_await target_.node.sleep_for(std::chrono::microseconds(random_() % 100));
    }
    for (std::uint32_t key = 0; key < kKeys; ++key) {
      if (random_() % 2 == 0) continue;
      done.written[key] = ++next_;
      transaction.put(kObject, "key " + std::to_string(key), "a", encoded(next_, random_() % 2 == 0 ? 8 : 6000));
    }
    if (transaction.request().updates.empty()) co_return;
    const auto committed = co_await transaction.commit_async();
    if (committed) {
      done.epoch = committed->epoch;
      done_.push_back(done);
    } else {
      EXPECT_EQ(committed.error(), Code::kTxRestart) << committed.error().to_string();
      ++restarts_;
    }
  }

  TestTarget& target_;
  std::mt19937_64 random_;
  std::uint64_t next_ = 0, restarts_ = 0;
  std::vector<Done> done_;
};

class SerialisableTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SerialisableTest, InTheOrderOfTheirCommits) {
  TestTarget target(GetParam());
  target.create();
  Interleaved interleaved(target, GetParam());
  interleaved.run(6, 60);
  EXPECT_GT(interleaved.done(), 60u);
  ASSERT_NO_FATAL_FAILURE(interleaved.check());
  target.check();
}

INSTANTIATE_TEST_SUITE_P(Seeds, SerialisableTest, testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace cenote::object
