// Entries that an incomplete member of a redundancy group takes in while the history is copied to it.

#include "history_members.h"

namespace cenote::object {
namespace {

/// In one order of copy and punch, or in the other.
class LatePunchTest : public testing::TestWithParam<bool> {
 protected:
  LatePunchTest() : members_(5) {}
  void write(std::string_view dkey, std::string_view akey, std::uint64_t first, std::uint64_t records,
             std::uint64_t seed) {
    const Bytes data = pattern(seed, records * 8);
    ASSERT_TRUE(members_.whole.update(
        members_.whole.array(kObject, key_of(dkey), key_of(akey), 8, {{first, records}}, data), data));
  }
  void copy() { ASSERT_NO_FATAL_FAILURE(copy_history(members_.whole, members_.late)); }
  void compare() {
    std::vector<AkeyPlace> places;
    for (const std::string_view dkey : {"x", "y", "z"})
      for (const std::string_view akey : {"a", "b", "c"}) places.push_back({kObject, key_of(dkey), key_of(akey)});
    for (const Epoch epoch : epochs_)
      ASSERT_NO_FATAL_FAILURE(SameAnswers(members_.whole, members_.late).check(places, epoch));
  }
  void note() { epochs_.push_back(members_.whole.objects->now()); }
  Members members_;
  std::vector<Epoch> epochs_{kEpochLatest};
};

TEST_P(LatePunchTest, HidesWhatIsCopiedLater) {
  constexpr std::uint64_t kWindow = kArrayWindowBytes / 8;
  for (const std::string_view dkey : {"x", "y", "z"}) {
    for (const std::string_view akey : {"a", "b"}) write(dkey, akey, kWindow - 300, 700, 1);
    const Bytes value = pattern(7, 900);
    ASSERT_TRUE(members_.whole.update(members_.whole.single(kObject, key_of(dkey), key_of("c"), value), value));
  }
  write("z", "a", 3 * kWindow - 100, 200, 2);
  note();
  if (GetParam()) copy();
  CommitRequest request = members_.changes();
  request.punches.push_back(punch_of(members_, PunchLevel::kDkey, kObject, key_of("x")));
  request.punches.push_back(punch_of(members_, PunchLevel::kAkey, kObject, key_of("y"), {key_of("a"), key_of("c")}));
  // Across windows, a few records, and all that is behind a place.
  request.punches.push_back(punch_of(
      members_, PunchLevel::kRange, kObject, key_of("z"), {key_of("a")},
      {{kWindow - 100, 120}, {kWindow + 200, 2 * kWindow - 250}, {3 * kWindow + 50, UINT64_MAX - 3 * kWindow - 50}}));
  request.punches.push_back(
      punch_of(members_, PunchLevel::kRange, kObject, key_of("z"), {key_of("b")}, {{kWindow + 10, 5 * kWindow}}));
  members_.run(request);
  note();
  if (!GetParam()) copy();
  compare();
  // A write into what was punched, which is no birth.
  CommitRequest update = members_.changes();
  const Bytes data = pattern(9, 8 * 50);
  update.updates.push_back(members_.whole.array(kObject, key_of("z"), key_of("a"), 8, {{kWindow - 50, 50}}, data));
  members_.run(update, data);
  note();
  compare();
  members_.late.check();
  ASSERT_TRUE(members_.late.block_on(members_.late.objects->end_history(members_.late.container)));
  members_.late.reopen();
  compare();
  epochs_ = {kEpochLatest};
  for (TestTarget* target : {&members_.whole, &members_.late})
    ASSERT_TRUE(target->block_on(target->objects->aggregate(target->objects->now())));
  compare();
  members_.late.check();
}

TEST_P(LatePunchTest, OfAnObject) {
  write("x", "a", 0, 5000, 1);
  note();
  if (GetParam()) copy();
  CommitRequest request = members_.changes();
  request.punches.push_back(punch_of(members_, PunchLevel::kObject, kObject));
  const Bytes data = pattern(9, 8 * 50);
  request.updates.push_back(members_.whole.array(kObject, key_of("x"), key_of("a"), 8, {{20, 50}}, data));
  members_.run(request, data);
  note();
  if (!GetParam()) copy();
  compare();
  members_.late.check();
}

INSTANTIATE_TEST_SUITE_P(CopyFirst, LatePunchTest, testing::Bool());

TEST(HistoryEntriesTest, PunchesStayUntilTheCopyIsThere) {
  Members members(6);
  const Bytes value = pattern(1, 30'000);
  ASSERT_TRUE(members.whole.update(members.whole.single(kObject, key_of("x"), key_of("a"), value), value));
  const auto page = read_page(members.whole, {});
  ASSERT_TRUE(page && page->next.empty());
  CommitRequest request = members.changes();
  request.punches.push_back(punch_of(members, PunchLevel::kDkey, kObject, key_of("x")));
  members.run(request);
  TestTarget& late = members.late;
  late.reopen();
  EXPECT_TRUE(late.block_on(late.objects->is_incomplete(late.container)).value());
  ASSERT_TRUE(late.block_on(late.objects->aggregate(late.objects->now())));
  EXPECT_EQ(late.entries(), 1u) << "it hides nothing yet";
  ASSERT_TRUE(put_page(late, page->entries));
  const auto fetched = late.fetch(late.fetch_single(kObject, key_of("x"), key_of("a")));
  ASSERT_TRUE(fetched);
  EXPECT_FALSE(fetched->reply.akeys[0].exists);
  ASSERT_TRUE(late.block_on(late.objects->end_history(late.container)));
  ASSERT_TRUE(late.block_on(late.objects->aggregate(late.objects->now())));
  EXPECT_EQ(late.entries(), 0u);
  late.check();
}

TEST(HistoryEntriesTest, HiddenDataGoesThoughPunchesStay) {
  Members members(9);
  TestTarget& late = members.late;
  const Bytes value = pattern(1, 30'000), data = pattern(2, 60'000);
  CommitRequest request = members.changes();
  request.updates.push_back(members.whole.single(kObject, key_of("x"), key_of("a"), value));
  members.run(request, value);
  members.run(request, value);
  CommitRequest array = members.changes();
  array.updates.push_back(members.whole.array(kObject, key_of("y"), key_of("b"), 1, {{0, data.size()}}, data));
  members.run(array, data);
  CommitRequest punch = members.changes();
  punch.punches.push_back(punch_of(members, PunchLevel::kDkey, kObject, key_of("x")));
  punch.punches.push_back(punch_of(members, PunchLevel::kRange, kObject, key_of("y"), {key_of("b")}, {{0, 60'000}}));
  members.run(punch);
  ASSERT_TRUE(late.block_on(late.objects->is_incomplete(late.container)).value());
  const std::uint64_t entries = late.entries();
  ASSERT_TRUE(late.block_on(late.objects->aggregate(late.objects->now())));
  EXPECT_EQ(late.entries(), entries - 3) << "both values and the extent, but no punch and no birth";
  late.check();
  ASSERT_NO_FATAL_FAILURE(copy_history(members.whole, late));
  ASSERT_TRUE(late.block_on(late.objects->end_history(late.container)));
  ASSERT_TRUE(late.block_on(late.objects->aggregate(late.objects->now())));
  EXPECT_EQ(late.entries(), 1u) << "the array, which is empty";
  late.check();
}

TEST(HistoryEntriesTest, ConditionsAreTheOthersBusiness) {
  Members members(7);
  const Bytes value = pattern(1, 30);
  ASSERT_TRUE(members.whole.update(members.whole.single(kObject, key_of("x"), key_of("a"), value), value));
  CommitRequest request = members.changes();
  request.updates.push_back(members.whole.single(kObject, key_of("x"), key_of("a"), value));
  request.updates[0].akeys[0].condition = Precondition::kPresent;
  members.run(request, value);
}

TEST(HistoryEntriesTest, PunchedRangesOfWhatWasNoArrayGo) {
  Members members(8);
  CommitRequest request = members.changes();
  request.punches.push_back(punch_of(members, PunchLevel::kRange, kObject, key_of("x"), {key_of("a")}, {{5, 100}}));
  const Bytes value = pattern(1, 30);
  request.updates.push_back(members.whole.single(kObject, key_of("y"), key_of("a"), value));
  members.run(request, value);
  TestTarget& late = members.late;
  ASSERT_NO_FATAL_FAILURE(copy_history(members.whole, late));
  EXPECT_EQ(late.entries(), 2u);
  ASSERT_TRUE(late.block_on(late.objects->end_history(late.container)));
  ASSERT_TRUE(late.block_on(late.objects->aggregate(late.objects->now())));
  EXPECT_EQ(late.entries(), 1u);
  late.check();
}

/// Random entries at both members, some of them undecided for a while, and pages between them.
class RandomEntries : RandomChanges {
 public:
  /// `merging`: versions go as soon as no reader of the latest state sees them, while data is copied, too.
  RandomEntries(std::uint64_t seed, bool merging) : RandomChanges(seed), merging_(merging) {}

  void run() {
    for (int i = 0; i < 60 && !testing::Test::HasFailure(); ++i) before();
    for (int i = 0; i < 150 && !testing::Test::HasFailure(); ++i) step();
    while (!undecided_.empty()) commit_one();
    catch_up();
    while (!copied_ && !testing::Test::HasFailure()) copy_some();
    if (testing::Test::HasFailure()) return;
    compare();
    members_.late.check();
    ASSERT_TRUE(members_.late.block_on(members_.late.objects->end_history(members_.late.container)));
    members_.late.reopen();
    compare();
    epochs_ = {kEpochLatest};
    for (TestTarget* target : {&members_.whole, &members_.late})
      ASSERT_TRUE(target->block_on(target->objects->aggregate(target->objects->now())));
    compare();
    members_.late.check();
  }

 private:
  /// What is there before the other becomes a member.
  void before() {
    Bytes payload;
    if (below(4) == 0) {
      static_cast<void>(members_.whole.punch(punch()));
    } else {
      const UpdateRequest request = update(payload);
      static_cast<void>(members_.whole.update(request, payload));
    }
    if (below(10) == 0) note();
  }
  void note() {
    if (!merging_) epochs_.push_back(members_.whole.objects->now());
  }
  void merge() {
    TestTarget& target = below(2) == 0 ? members_.whole : members_.late;
    ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    // An entry has to be above what was merged anywhere.
    for (TestTarget* each : {&members_.whole, &members_.late}) each->objects->observe(target.objects->now());
  }
  void step() {
    if (merging_ && below(8) == 0) return merge();
    const std::uint64_t what = below(12);
    if (what == 0) return copy_some();
    if (what == 1) return reopen();
    if (what < 5) return commit_one();
    CommitRequest request = members_.changes();
    Bytes payload;
    if (below(2) == 0) request.punches.push_back(punch());
    if (request.punches.empty() || below(3) == 0) request.updates.push_back(update(payload));
    if (below(4) == 0 || members_.late.objects->undecided_before(request)) catch_up();
    const auto name = members_.prepare(request, payload);
    if (name) undecided_.push_back(*name);
  }
  /// The one that copies hears of outcomes later, and in another order.
  void catch_up() {
    std::ranges::shuffle(behind_, random_);
    for (const auto& [name, event] : std::exchange(behind_, {}))
      ASSERT_NO_FATAL_FAILURE(Members::decide(members_.late, name, event));
  }
  /// The clock goes on where nobody can have read, and whoever leads has to get there.
  void reopen() {
    ASSERT_NO_FATAL_FAILURE(members_.late.reopen());
    members_.whole.objects->observe(members_.late.objects->now());
  }
  void commit_one() {
    if (undecided_.empty()) return;
    const std::size_t index = below(undecided_.size());
    const EntryName name = undecided_[index];
    undecided_.erase(undecided_.begin() + static_cast<std::ptrdiff_t>(index));
    const EntryEvent event = below(6) == 0 ? EntryEvent::kAbort : EntryEvent::kCommit;
    ASSERT_NO_FATAL_FAILURE(Members::decide(members_.whole, name, event));
    behind_.emplace_back(name, event);
    if (below(4) == 0) note();
  }
  /// Pages of one object each, so that much comes between them.
  void copy_some() {
    if (copied_) return;
    if (!page_) {
      const ObjectId object = first_ ? kObject : kOther;
      const auto page = read_page(members_.whole, {}, [object](const ObjectId& id, const std::optional<ByteView>&) {
        return id == object ? Part::kAll : Part::kNone;
      });
      ASSERT_TRUE(page && page->next.empty());
      page_ = page->entries;
      return;
    }
    const auto put = put_page(members_.late, *page_);
    ASSERT_TRUE(put) << put.error().to_string();
    page_.reset();
    copied_ = !first_;
    first_ = false;
  }
  void compare() {
    const std::vector<AkeyPlace> places = all_places();
    epochs_.resize(std::min<std::size_t>(epochs_.size(), 6));
    for (const Epoch epoch : epochs_) {
      SameAnswers same(members_.whole, members_.late);
      if (merging_) same.but_for_holes();
      ASSERT_NO_FATAL_FAILURE(same.check(places, epoch));
    }
  }

  const bool merging_;
  std::vector<EntryName> undecided_;
  std::vector<std::pair<EntryName, EntryEvent>> behind_;
  std::vector<Epoch> epochs_{kEpochLatest};
  std::optional<Bytes> page_;  // that is on its way
  bool first_ = true, copied_ = false;
};

class RandomEntriesTest : public testing::TestWithParam<std::uint64_t> {};
TEST_P(RandomEntriesTest, AreSeenAsAtAMemberThatHadEverything) {
  RandomEntries(GetParam(), GetParam() % 2 == 0).run();
  if (HasFailure()) ADD_FAILURE() << "seed " << GetParam();
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomEntriesTest, testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace cenote::object
