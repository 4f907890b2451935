// Copies to a target that has something left from earlier times.

#include <algorithm>

#include "cenote/base/format.h"
#include "history_members.h"

namespace cenote::object {
namespace {

/// Two members that were both complete, until one was away for a while: there its past changed. It comes back.
class RandomLeftovers : RandomChanges {
 public:
  explicit RandomLeftovers(std::uint64_t seed) : RandomChanges(seed), in_parts_(seed % 2 == 0) {}

  void run() {
    for (int i = 0; i < 40 && !testing::Test::HasFailure(); ++i) together();
    left_at_ = whole().objects->now();
    if (below(3) != 0) merge(late(), below(2) == 0 ? left_at_ : pick_epoch());
    for (int i = 0; i < 60 && !testing::Test::HasFailure(); ++i) apart();
    come_back();
    for (int i = 0; i < 25 && !testing::Test::HasFailure(); ++i) change();
    if (below(2) == 0) merge(whole(), oldest_undecided());
    for (int i = 0; i < 60 && !testing::Test::HasFailure(); ++i) step();
    while (!undecided_.empty() && !testing::Test::HasFailure()) commit_one();
    while (!places_.empty() && !testing::Test::HasFailure()) copy_some();
    if (testing::Test::HasFailure()) return;
    late().check();
    compare();
    const std::vector<std::string> expected = held(whole()), here = held(late());
    for (const std::string& key : expected) EXPECT_TRUE(std::ranges::binary_search(here, key)) << "not copied: " << key;
    for (const std::string& key : here) EXPECT_TRUE(std::ranges::binary_search(expected, key)) << "left over: " << key;
    if (testing::Test::HasFailure()) return;
    finish();
  }

 private:
  TestTarget& whole() { return members_.whole; }
  TestTarget& late() { return members_.late; }

  void merge(TestTarget& target, Epoch bound) {
    ASSERT_TRUE(target.block_on(target.objects->aggregate(bound)));
    bound_ = std::max(bound_, bound);
  }
  Epoch oldest_undecided() {
    Epoch oldest = whole().objects->now();
    for (const EntryName& name : undecided_) oldest = std::min(oldest, Epoch(name.epoch.value() - 2));
    return oldest;
  }

  CommitRequest request(Bytes& payload) {
    CommitRequest request = members_.changes();
    if (below(3) == 0) request.punches.push_back(punch());
    if (request.punches.empty() || below(4) == 0) request.updates.push_back(update(payload));
    return request;
  }
  void together() {
    Bytes payload;
    const CommitRequest request = this->request(payload);
    const auto name = members_.prepare(request, payload, Member::kComplete);
    if (name) ASSERT_NO_FATAL_FAILURE(members_.commit(*name));
    note();
    if (below(12) == 0) add_snapshot(true);
  }
  /// What only one of them hears of.
  void apart() {
    Bytes payload;
    switch (below(14)) {
      case 0:
        return merge(whole(), below(2) == 0 ? whole().objects->now() : pick_epoch());
      case 1:
        return add_snapshot(false);
      case 2:
        return remove_snapshot();
      case 3:
        return in_parts_ ? void() : roll_back();
      default:
        break;
    }
    if (below(3) == 0) {
      static_cast<void>(whole().punch(punch()));
    } else if (below(8) == 0) {
      const AkeyPlace at = place();
      payload = pattern(random_(), 300'000);
      static_cast<void>(whole().update(whole().single(at.object, at.dkey, at.akey, payload), payload));
    } else {
      const UpdateRequest request = update(payload);
      static_cast<void>(whole().update(request, payload));
    }
    note();
  }
  Epoch pick_epoch() { return epochs_.empty() ? whole().objects->now() : epochs_[below(epochs_.size())]; }
  void note() {
    if (below(6) == 0) epochs_.push_back(whole().objects->now());
  }
  void add_snapshot(bool at_both) {
    const Epoch epoch(whole().objects->now().value() | 1);
    if (!snapshots_.empty() && snapshots_.back() == epoch) return;
    ASSERT_TRUE(whole().block_on(whole().objects->add_snapshot(whole().container, epoch)));
    if (at_both) ASSERT_TRUE(late().block_on(late().objects->add_snapshot(late().container, epoch)));
    snapshots_.push_back(epoch);
  }
  void remove_snapshot() {
    if (snapshots_.empty()) return;
    const auto at = snapshots_.begin() + static_cast<std::ptrdiff_t>(below(snapshots_.size()));
    ASSERT_TRUE(whole().block_on(whole().objects->remove_snapshot(whole().container, *at)));
    snapshots_.erase(at);
  }
  void roll_back() {
    Epoch to = pick_epoch();
    if (!snapshots_.empty()) to = std::max(to, snapshots_.back());
    if (to < bound_) return;
    const auto rolled_back =
        whole().block_on(whole().objects->roll_back(whole().container, to, Uuid::from_random(random_(), random_())));
    ASSERT_TRUE(rolled_back) << rolled_back.error().to_string();
    bound_ = whole().objects->now();
    rolled_back_.push_back({to, bound_});
    if (below(2) == 0) merge(whole(), whole().objects->now());
  }

  /// What all members do when a version of the pool's map takes it in again.
  void come_back() {
    closed_ = Epoch(whole().objects->now().value() | 1);
    whole().objects->observe(closed_);
    late().objects->observe(closed_);
    for (const Epoch epoch : *late().block_on(late().objects->list_snapshots(late().container))) {
      if (std::ranges::find(snapshots_, epoch) != snapshots_.end()) continue;
      ASSERT_TRUE(late().block_on(late().objects->remove_snapshot(late().container, epoch)));
    }
    for (const Epoch epoch : snapshots_) {
      const auto added = late().block_on(late().objects->add_snapshot(late().container, epoch));
      ASSERT_TRUE(added) << added.error().to_string();
    }
    if (!in_parts_) {
      places_ = {{kObject, {}}};
      return;
    }
    for (const AkeyPlace& at : all_places())
      if (at.akey == key_of("a")) places_.emplace_back(at.object, to_bytes(at.dkey));
    std::ranges::shuffle(places_, random_);
  }
  void change() {
    if (below(2) == 0) return commit_one();
    Bytes payload;
    const CommitRequest request = this->request(payload);
    const auto name = members_.prepare(request, payload);
    if (name) undecided_.push_back(*name);
  }
  void commit_one() {
    if (undecided_.empty()) return;
    const std::size_t index = below(undecided_.size());
    const EntryName name = undecided_[index];
    undecided_.erase(undecided_.begin() + static_cast<std::ptrdiff_t>(index));
    if (below(6) == 0) {
      for (TestTarget* target : {&whole(), &late()})
        ASSERT_NO_FATAL_FAILURE(Members::decide(*target, name, EntryEvent::kAbort));
      return;
    }
    ASSERT_NO_FATAL_FAILURE(members_.commit(name));
    note();
  }
  void step() {
    const std::uint64_t what = below(12);
    if (what < 4) return copy_some();
    if (what == 4) {
      ASSERT_NO_FATAL_FAILURE(late().reopen());
      whole().objects->observe(late().objects->now());
      return;
    }
    change();
  }
  /// Of one dkey, or all: now and then again from the beginning, as after a crash.
  void copy_some() {
    if (places_.empty()) return;
    const HistoryFilter wanted = filter();
    if (!page_) {
      const Epoch have[] = {kEpochZero, left_at_, closed_, kEpochLatest};
      const auto page = read_page(whole(), at_, wanted, nullptr, again_ ? kEpochZero : have[below(4)]);
      ASSERT_TRUE(page) << page.error().to_string();
      page_ = *page;
      ASSERT_TRUE(page->stubs == 0 || (whole().properties.checksums && !again_ && !page->next.empty()));
      return;
    }
    ASSERT_NO_FATAL_FAILURE(put(*page_, wanted));
    if (below(4) == 0) ASSERT_NO_FATAL_FAILURE(put(*page_, wanted));
    at_ = again_ ? page_->again : page_->next;
    page_.reset();
    if (again_) return;
    if (at_.empty() && below(4) != 0) places_.pop_back();
  }
  HistoryFilter filter() const {
    if (!in_parts_) return {};
    return [at = places_.back()](const ObjectId& object, const std::optional<ByteView>& dkey) {
      if (object != at.first) return Part::kNone;
      if (!dkey) return Part::kSome;
      return equal(*dkey, at.second) ? Part::kAll : Part::kNone;
    };
  }
  void put(const HistoryPage& page, const HistoryFilter& wanted) {
    const auto put = late().block_on(
        late().objects->put_history(late().container, page.entries, Until::forever(), HistoryCover{wanted, closed_}));
    ASSERT_TRUE(put) << put.error().to_string();
    ASSERT_LE(*put, page.stubs);
    again_ = *put > 0;
  }

  /// What a target holds that is not newer than its return, but for punches of objects, which may stay.
  std::vector<std::string> held(TestTarget& target) {
    std::vector<std::string> keys;
    target.each_entry(target.container, [&](ByteView key, ByteView value) {
      const auto at = parse_key(key);
      const auto entry = decode_entry(value);
      ASSERT_TRUE(at && entry);
      if (at->epoch > closed_ || (at->level == Level::kObject && in_parts_)) return;
      if (std::ranges::any_of(rolled_back_, [&](const RolledBack& range) {
            return range.after < at->epoch && at->epoch <= range.upto;
          }))
        return;
      keys.push_back(fmt::format("{} type {} records {} of {} bytes {}", to_hex(key), static_cast<int>(entry->type),
                                 entry->records, entry->record_bytes, entry->bytes));
    });
    return keys;
  }
  void compare() {
    const std::vector<AkeyPlace> places = all_places();
    late().objects->observe(whole().objects->now());
    std::vector<Epoch> epochs{kEpochLatest};
    for (const Epoch epoch : epochs_)
      if (epoch >= bound_ && epochs.size() < 5) epochs.push_back(epoch);
    for (int i = 0; i < 3 && !snapshots_.empty(); ++i) epochs.push_back(snapshots_[below(snapshots_.size())]);
    for (const Epoch epoch : epochs)
      ASSERT_NO_FATAL_FAILURE(SameAnswers(whole(), late()).but_for_holes().check(places, epoch));
  }
  void finish() {
    ASSERT_TRUE(late().block_on(late().objects->end_history(late().container)));
    late().reopen();
    compare();
    for (TestTarget* target : {&whole(), &late()})
      ASSERT_NO_FATAL_FAILURE(merge(*target, std::max(whole().objects->now(), late().objects->now())));
    epochs_.clear();
    compare();
    late().check();
    const Usage expected = *whole().block_on(whole().objects->container_usage(whole().container));
    const Usage used = *late().block_on(late().objects->container_usage(late().container));
    EXPECT_EQ(used, expected);
  }

  const bool in_parts_;
  Epoch bound_, left_at_, closed_;
  std::vector<Epoch> snapshots_;
  std::vector<Epoch> epochs_;
  std::vector<RolledBack> rolled_back_;
  std::vector<EntryName> undecided_;
  std::vector<std::pair<ObjectId, Bytes>> places_;  // that are still to be copied
  Bytes at_;
  bool again_ = false;               // the last page has to be read again, as a whole
  std::optional<HistoryPage> page_;  // that is on its way
};

class RandomLeftoversTest : public testing::TestWithParam<std::uint64_t> {};
TEST_P(RandomLeftoversTest, NothingIsSeenOfThem) {
  RandomLeftovers(GetParam()).run();
  if (HasFailure()) ADD_FAILURE() << "seed " << GetParam();
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomLeftoversTest, testing::Range<std::uint64_t>(1, 9));

/// A source and a target of which all that follows is made by hand.
class LeftoverTest : public testing::Test {
 protected:
  LeftoverTest() : members_(12) {}
  TestTarget& whole() { return members_.whole; }
  TestTarget& late() { return members_.late; }

  static Bytes write(TestTarget& target, std::string_view dkey, std::string_view akey, std::uint64_t seed,
                     std::uint32_t record_bytes, RecordRange range) {
    const Bytes data = pattern(seed, range.count * record_bytes);
    const auto written =
        target.update(target.array(kObject, key_of(dkey), key_of(akey), record_bytes, {range}, data), data);
    EXPECT_TRUE(written) << written.error().to_string();
    return data;
  }
  void punch_dkey(TestTarget& target, std::string_view dkey) {
    ASSERT_TRUE(target.punch(punch_of(members_, PunchLevel::kDkey, kObject, key_of(dkey))));
  }
  void change(const CommitRequest& request, ByteView payload = {}) { members_.run(request, payload); }
  CommitRequest array_write(std::string_view dkey, std::string_view akey, std::uint32_t record_bytes, RecordRange range,
                            ByteView data) {
    CommitRequest request = members_.changes();
    request.updates.push_back(whole().array(kObject, key_of(dkey), key_of(akey), record_bytes, {range}, data));
    return request;
  }
  void close() {
    whole().objects->observe(late().objects->now());
    closed_ = Epoch(whole().objects->now().value() | 1);
    whole().objects->observe(closed_);
    late().objects->observe(closed_);
  }
  void copy() {
    Bytes at;
    do {
      const auto page = read_page(whole(), at);
      ASSERT_TRUE(page) << page.error().to_string();
      const auto put = late().block_on(
          late().objects->put_history(late().container, page->entries, Until::forever(), HistoryCover{{}, closed_}));
      ASSERT_TRUE(put) << put.error().to_string();
      at = page->next;
    } while (!at.empty());
    late().check();
  }
  void compare(const std::vector<Epoch>& epochs = {kEpochLatest}) {
    std::vector<AkeyPlace> places;
    for (const std::string_view dkey : {"x", "y"})
      for (const std::string_view akey : {"a", "b"}) places.push_back({kObject, key_of(dkey), key_of(akey)});
    for (const Epoch epoch : epochs) ASSERT_NO_FATAL_FAILURE(SameAnswers(whole(), late()).check(places, epoch));
  }
  void end_and_merge() {
    ASSERT_TRUE(late().block_on(late().objects->end_history(late().container)));
    for (TestTarget* target : {&whole(), &late()})
      ASSERT_TRUE(target->block_on(target->objects->aggregate(target->objects->now())));
    late().check();
  }

  Members members_;
  Epoch closed_;
};

TEST_F(LeftoverTest, WhatIsGoneAtTheSourceGoes) {
  for (const std::string_view dkey : {"x", "y"}) write(late(), dkey, "a", 1, 1, {0, 50'000});
  close();
  write(whole(), "x", "b", 2, 1, {0, 5000});
  closed_ = Epoch(whole().objects->now().value() | 1);
  copy();
  EXPECT_EQ(late().entries(), whole().entries());
  EXPECT_EQ(*late().block_on(late().objects->container_usage(late().container)),
            *whole().block_on(whole().objects->container_usage(whole().container)));
  compare();
}

TEST_F(LeftoverTest, AWriteSinceIsNoPartOfAnArrayThatIsGone) {
  write(late(), "x", "a", 1, 8, {0, 700});
  close();
  const Epoch before = closed_;
  const Bytes data = pattern(2, 8 * 40'000);
  change(array_write("x", "a", 8, {100, 40'000}, data), data);
  const Bytes more = pattern(3, 8 * 3);
  change(array_write("x", "a", 8, {5, 3}, more), more);
  CommitRequest punch = members_.changes();
  punch.punches.push_back(punch_of(members_, PunchLevel::kRange, kObject, key_of("x"), {key_of("a")}, {{200, 7}}));
  change(punch);
  copy();
  compare({kEpochLatest, before});
  end_and_merge();
  compare();
}

TEST_F(LeftoverTest, AWriteSinceIsPartOfTheArrayOfTheSource) {
  write(late(), "x", "a", 1, 8, {0, 700});
  write(late(), "x", "a", 1, 8, {0, 70'000});
  write(late(), "y", "a", 1, 1, {0, 700});
  close();
  write(whole(), "x", "a", 4, 8, {0, 10});
  // Of records of another size.
  write(whole(), "y", "a", 4, 8, {0, 100'000});
  write(whole(), "y", "a", 5, 8, {120'000, 100'000});
  closed_ = Epoch(whole().objects->now().value() | 1);
  CommitRequest punch = members_.changes();
  punch.punches.push_back(
      punch_of(members_, PunchLevel::kRange, kObject, key_of("y"), {key_of("a")}, {{100, 250'000}}));
  change(punch);
  const Bytes data = pattern(2, 8 * 40'000);
  change(array_write("x", "a", 8, {100, 40'000}, data), data);
  change(array_write("y", "a", 8, {190'000, 40'000}, data), data);
  copy();
  compare();
  end_and_merge();
  compare();
}

/// An array that a snapshot keeps is older than the one of the source, and newer changes know another life yet.
TEST_F(LeftoverTest, AWriteSinceIsNoPartOfAnEarlierLife) {
  CommitRequest born = members_.changes();
  const Bytes first = pattern(1, 700);
  born.updates.push_back(whole().array(kObject, key_of("x"), key_of("a"), 1, {{0, 700}}, first));
  born.updates.push_back(whole().array(kObject, key_of("y"), key_of("a"), 8, {{0, 80}}, ByteView(first).first(640)));
  Bytes payload = first;
  payload.insert(payload.end(), first.begin(), first.begin() + 640);
  const auto name = members_.prepare(born, payload, Member::kComplete);
  ASSERT_TRUE(name);
  ASSERT_NO_FATAL_FAILURE(members_.commit(*name));
  const Epoch snapshot(whole().objects->now().value() | 1);
  for (TestTarget* target : {&whole(), &late()})
    ASSERT_TRUE(target->block_on(target->objects->add_snapshot(target->container, snapshot)));
  for (const std::string_view dkey : {"x", "y"}) punch_dkey(whole(), dkey);
  write(whole(), "x", "a", 4, 8, {50, 100});
  close();
  CommitRequest punch = members_.changes();
  punch.punches.push_back(
      punch_of(members_, PunchLevel::kRange, kObject, key_of("x"), {key_of("a")}, {{100, 400'000}}));
  change(punch);
  const Bytes data = pattern(2, 8 * 40);
  for (const std::string_view dkey : {"x", "y"}) change(array_write(dkey, "a", 8, {60, 40}, data), data);
  // Another life since, with punched ranges of its own.
  CommitRequest over = members_.changes();
  over.punches.push_back(punch_of(members_, PunchLevel::kDkey, kObject, key_of("y")));
  change(over);
  const Epoch end = whole().objects->now();
  change(array_write("y", "a", 8, {70, 40}, data), data);
  CommitRequest hole = members_.changes();
  hole.punches.push_back(punch_of(members_, PunchLevel::kRange, kObject, key_of("y"), {key_of("a")}, {{75, 10}}));
  change(hole);
  for (int again = 0; again < 2; ++again) {
    copy();
    compare({kEpochLatest, snapshot, end});
  }
  end_and_merge();
  compare({kEpochLatest, snapshot});
}

/// Of what both had, and have as it was, only checksums travel.
TEST_F(LeftoverTest, WhatIsThereIsNotReadAgain) {
  const auto both = [&](std::string_view dkey, std::uint64_t first, std::uint64_t seed) {
    const Bytes data = pattern(seed, 60'000);
    const auto name = members_.prepare(array_write(dkey, "a", 1, {first, 60'000}, data), data, Member::kComplete);
    ASSERT_TRUE(name);
    ASSERT_NO_FATAL_FAILURE(members_.commit(*name));
  };
  both("x", 0, 1);
  both("x", 100'000, 2);
  both("y", 0, 3);
  const Epoch had = whole().objects->now();
  const auto read = [&](const Bytes& at, Epoch have) { return *read_page(whole(), at, {}, nullptr, have); };
  const auto put = [&](const HistoryPage& page) {
    const auto missing = late().block_on(
        late().objects->put_history(late().container, page.entries, Until::forever(), HistoryCover{{}, closed_}));
    EXPECT_TRUE(missing) << missing.error().to_string();
    late().check();
    return missing.value_or(UINT64_MAX);
  };
  close();
  HistoryPage page = read({}, had);
  EXPECT_EQ(page.stubs, 3u);
  EXPECT_EQ(page.bytes, 0u);
  EXPECT_LT(page.entries.size(), 1000u);
  EXPECT_EQ(put(page), 0u);
  ASSERT_FALSE(page.next.empty()) << "it might have to be read again";
  page = read(page.next, had);
  EXPECT_EQ(page.stubs, 0u);
  EXPECT_TRUE(page.next.empty());
  EXPECT_EQ(put(page), 0u);
  compare();
  // One is covered in part and cut at the source, one is new, one is missing at the other.
  write(whole(), "x", "a", 5, 1, {20'000, 20'000});
  ASSERT_TRUE(whole().block_on(whole().objects->aggregate(whole().objects->now())));
  const HistoryFilter kept = [](const ObjectId&, const std::optional<ByteView>& dkey) {
    return !dkey ? Part::kSome : equal(*dkey, as_bytes("x")) ? Part::kAll : Part::kNone;
  };
  ASSERT_TRUE(late().block_on(late().objects->discard_history(late().container, {}, kept, Until::forever())));
  close();
  page = read({}, had);
  EXPECT_EQ(page.bytes, 20'000u);
  EXPECT_EQ(page.stubs, 4u);
  EXPECT_EQ(put(page), 3u) << "two parts, and what is missing";
  page = read(page.again, kEpochZero);
  EXPECT_EQ(page.stubs, 0u);
  EXPECT_EQ(put(page), 0u);
  EXPECT_TRUE(page.next.empty());
  compare();
  EXPECT_EQ(late().entries(), whole().entries());
  EXPECT_EQ(*late().block_on(late().objects->container_usage(late().container)),
            *whole().block_on(whole().objects->container_usage(whole().container)));
}

TEST_F(LeftoverTest, ValuesThatBecameArraysAreNotInTheWay) {
  const Bytes value = pattern(1, 3000);
  for (const std::string_view dkey : {"x", "y"})
    ASSERT_TRUE(late().update(late().single(kObject, key_of(dkey), key_of("a"), value), value));
  close();
  write(whole(), "x", "a", 4, 8, {0, 10});
  closed_ = Epoch(whole().objects->now().value() | 1);
  const Bytes data = pattern(2, 8 * 40);
  for (const std::string_view dkey : {"x", "y"}) change(array_write(dkey, "a", 8, {5, 40}, data), data);
  copy();
  compare();
}

/// The punch between two lives of an array is merged away when a snapshot keeps the first and the second hides as much.
TEST_F(LeftoverTest, LivesOfAnArrayStayApart) {
  for (const bool covered : {false, true}) {
    SCOPED_TRACE(covered);
    write(whole(), "x", covered ? "b" : "a", 4, 8, {0, 100});
    const Epoch snapshot(whole().objects->now().value() | 1);
    for (TestTarget* target : {&whole(), &late()})
      ASSERT_TRUE(target->block_on(target->objects->add_snapshot(target->container, snapshot)));
    ASSERT_TRUE(
        whole().punch(punch_of(members_, PunchLevel::kAkey, kObject, key_of("x"), {key_of(covered ? "b" : "a")})));
    write(whole(), "x", covered ? "b" : "a", 5, 8, {50, 10});
    ASSERT_TRUE(whole().block_on(whole().objects->aggregate(whole().objects->now())));
    close();
    if (covered) {
      copy();
    } else {
      ASSERT_NO_FATAL_FAILURE(copy_history(whole(), late()));
    }
    compare({kEpochLatest, snapshot});
  }
}

/// The copy has an entry that this target has prepared and not committed yet.
TEST_F(LeftoverTest, WhatIsCopiedAndCommittedHasItsBlocksOnce) {
  const Bytes data = pattern(2, 50'000);
  const auto name = members_.prepare(array_write("x", "a", 1, {100, 50'000}, data), data);
  ASSERT_TRUE(name);
  ASSERT_NO_FATAL_FAILURE(Members::decide(whole(), *name, EntryEvent::kCommit));
  ASSERT_NO_FATAL_FAILURE(copy_history(whole(), late()));
  late().check();
  ASSERT_NO_FATAL_FAILURE(Members::decide(late(), *name, EntryEvent::kCommit));
  late().check();
  compare();
}

TEST(DiscardTest, GivesBackWhatIsNotKept) {
  TestTarget target(31);
  target.create();
  const auto object = [](std::uint64_t number) {
    return ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, number);
  };
  const auto put = [&](std::uint64_t number, std::string_view dkey, std::uint64_t seed, std::size_t bytes) {
    const Bytes value = pattern(seed, bytes);
    ASSERT_TRUE(target.update(target.single(object(number), key_of(dkey), key_of("a"), value), value));
  };
  for (std::uint64_t number = 1; number <= 120; ++number)
    for (const std::string_view dkey : {"x", "y", "z"}) put(number, dkey, number, number % 3 == 0 ? 20'000 : 300);
  ASSERT_TRUE(
      target.block_on(target.objects->add_snapshot(target.container, Epoch(target.objects->now().value() | 1))));
  put(3, "x", 3, 5000);
  const HistoryFilter kept = [&](const ObjectId& id, const std::optional<ByteView>& dkey) {
    if (id == object(7)) return Part::kAll;
    if (id != object(3)) return Part::kNone;
    return !dkey ? Part::kSome : equal(*dkey, as_bytes("x")) ? Part::kAll : Part::kNone;
  };
  Bytes from;
  std::size_t calls = 0;
  do {
    const auto next = target.block_on(target.objects->discard_history(target.container, from, kept, Until::forever()));
    ASSERT_TRUE(next) << next.error().to_string();
    from = *next;
    ++calls;
    put(3, "x", 100 + calls, 5000);
    ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    target.check();
  } while (!from.empty());
  const Usage used = *target.block_on(target.objects->container_usage(target.container));
  EXPECT_EQ(used.objects, 2u);
  EXPECT_EQ(used.bytes, 3u * 300 + 20'000 + 5000);
  target.reopen();
  target.check();
  EXPECT_EQ(*target.block_on(target.objects->container_usage(target.container)), used);
  EXPECT_EQ(
      code_of(target.block_on(target.objects->discard_history(target.container, Bytes(5000), kept, Until::forever()))),
      Code::kMalformed);
}

}  // namespace
}  // namespace cenote::object
