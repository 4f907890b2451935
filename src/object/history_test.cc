#include "clone_test_kit.h"
#include "history_test_kit.h"
#include "model_run.h"

namespace cenote::object {
namespace {

/// Random requests; at the end the whole history is copied to another target.
class CopiedRun : public ModelRun {
 public:
  explicit CopiedRun(std::uint64_t seed) : ModelRun(seed), copy_(seed + 100, 128) { copy_.options.inline_bytes = 300; }

 private:
  // One story, told in one piece.
  // NOLINTNEXTLINE(readability-function-size)
  void before_finish() override {
    prepare_copy(target_, copy_);
    // Below the bound nobody could add one.
    for (const std::uint64_t epoch : snapshots_)
      ASSERT_TRUE(copy_.block_on(copy_.objects->add_snapshot(copy_.container, Epoch(epoch))));
    ASSERT_NO_FATAL_FAILURE(copy_history(target_, copy_));
    copy_.check();
    ASSERT_NO_FATAL_FAILURE(compare());
    const std::uint64_t entries = copy_.entries();
    const Usage used = *copy_.block_on(copy_.objects->container_usage(copy_.container));
    ASSERT_NO_FATAL_FAILURE(copy_history(target_, copy_));
    EXPECT_EQ(copy_.entries(), entries) << "the same again changes nothing";
    EXPECT_EQ(*copy_.block_on(copy_.objects->container_usage(copy_.container)), used);
    copy_.reopen();
    EXPECT_TRUE(copy_.block_on(copy_.objects->is_incomplete(copy_.container)).value());
    ASSERT_TRUE(copy_.block_on(copy_.objects->aggregate(Epoch(std::max<std::uint64_t>(bound_, 1)))));
    EXPECT_LE(copy_.entries(), entries) << "of an incomplete container only hidden data goes";
    ASSERT_NO_FATAL_FAILURE(compare());
    ASSERT_TRUE(copy_.block_on(copy_.objects->end_history(copy_.container)));
    for (TestTarget* target : {&target_, &copy_})
      ASSERT_TRUE(target->block_on(target->objects->aggregate(Epoch(std::max<std::uint64_t>(bound_, 1)))));
    copy_.check();
    ASSERT_NO_FATAL_FAILURE(compare());
  }

  void compare() {
    std::vector<AkeyPlace> places;
    for (const auto& [object, dkeys] : model_.objects)
      for (const auto& [dkey, akeys] : dkeys.dkeys)
        for (const auto& [akey, unused] : akeys.akeys) places.push_back({object, KeyBytes(dkey), KeyBytes(akey)});
    std::vector<Epoch> epochs{kEpochLatest};
    for (int i = 0; i < 3 && !epochs_.empty(); ++i) epochs.emplace_back(pick(epochs_));
    for (int i = 0; i < 2 && !snapshots_.empty(); ++i) epochs.emplace_back(any_snapshot());
    for (const Epoch epoch : epochs) ASSERT_NO_FATAL_FAILURE(SameAnswers(target_, copy_).check(places, epoch));
  }

  TestTarget copy_;
};

class HistoryModelTest : public testing::TestWithParam<std::uint64_t> {};
TEST_P(HistoryModelTest, ACopyAnswersAsItsSource) { CopiedRun(GetParam()).run(220); }
INSTANTIATE_TEST_SUITE_P(Seeds, HistoryModelTest, testing::Range<std::uint64_t>(1, 7));

class HistoryTest : public testing::Test {
 protected:
  HistoryTest() : source_(71), copy_(72) {
    source_.create();
    prepare_copy(source_, copy_);
  }
  static ObjectId object(std::uint64_t number) {
    return ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, number);
  }
  void put(std::uint64_t number, std::string_view dkey, std::uint64_t seed, std::size_t bytes = 50'000) {
    const Bytes value = pattern(seed, bytes);
    const auto updated = source_.update(source_.single(object(number), key_of(dkey), key_of("a"), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  static bool shows(TestTarget& target, std::uint64_t number, std::string_view dkey) {
    const auto fetched = target.fetch(target.fetch_single(object(number), key_of(dkey), key_of("a")));
    return fetched && fetched->reply.akeys[0].exists;
  }
  void aggregate() { ASSERT_TRUE(source_.block_on(source_.objects->aggregate(source_.objects->now()))); }
  void pass_time(Duration duration) {
    const auto sleep = [](Reactor& reactor, Duration time) -> Task<Result<>> {
      co_await reactor.sleep_until(reactor.now() + time);
      co_return Result<>();
    };
    ASSERT_TRUE(source_.block_on(sleep(source_.node, duration)));
  }
  /// Flips a bit of the block that begins like `data`.
  void damage(ByteView data) const {
    Bytes block(media::kBlockBytes);
    const media::BlockNo end(source_.medium->block_count());
    for (media::BlockNo at = source_.medium->next_written(media::BlockNo(0), end); at < end;
         at = source_.medium->next_written(media::BlockNo(at.value() + 1), end)) {
      source_.medium->read_block(at, block);
      if (!equal(block, data.first(media::kBlockBytes))) continue;
      block[17] ^= std::byte{4};
      source_.medium->write_block(at, block);
      return;
    }
    FAIL() << "the data lies nowhere";
  }

  TestTarget source_, copy_;
};

TEST_F(HistoryTest, OnlyWhatIsWantedIsCopied) {
  for (std::uint64_t number = 1; number <= 30; ++number)
    for (const std::string_view dkey : {"x", "y"}) put(number, dkey, number);
  const HistoryFilter wanted = [](const ObjectId& id, const std::optional<ByteView>& dkey) {
    if (id == object(3)) return Part::kAll;
    if (id == object(4) || id == object(30))
      return !dkey ? Part::kSome : equal(*dkey, as_bytes("y")) ? Part::kAll : Part::kNone;
    return Part::kNone;
  };
  const auto page = read_page(source_, {}, wanted);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->bytes, 200'000u);
  EXPECT_EQ(page->objects, 3u);
  EXPECT_TRUE(page->next.empty());
  ASSERT_NO_FATAL_FAILURE(copy_history(source_, copy_, wanted));
  for (std::uint64_t number = 1; number <= 30; ++number) {
    EXPECT_EQ(shows(copy_, number, "x"), number == 3) << number;
    EXPECT_EQ(shows(copy_, number, "y"), number == 3 || number == 4 || number == 30) << number;
  }
  // Nearly all in pages of a megabyte.
  std::uint64_t pages = 0, bytes = 0, objects = 0;
  for (Bytes at; pages == 0 || !at.empty(); ++pages) {
    const auto next = read_page(source_, at);
    ASSERT_TRUE(next);
    EXPECT_LE(next->entries.size(), (1u << 20) + 5000);
    bytes += next->bytes;
    objects += next->objects;
    at = next->next;
  }
  EXPECT_EQ(pages, 4u);
  EXPECT_EQ(bytes, 60u * 50'000);
  EXPECT_EQ(objects, 30u);
  copy_.check();
}

TEST_F(HistoryTest, HiddenDataAndNothingElseGoesWhileItIsRead) {
  for (std::uint64_t number = 1; number <= 41; ++number)
    for (std::uint64_t version = 0; version < 2; ++version) put(number, "x", number + version);
  PunchRequest punch{.container = source_.container, .object = object(41), .level = PunchLevel::kDkey};
  punch.dkey = key_of("x");
  ASSERT_TRUE(source_.punch(punch));
  // The newest of each, and the punch, which hides nothing.
  const std::uint64_t entries = 41;
  const auto page = read_page(source_, {});
  ASSERT_TRUE(page && !page->next.empty());
  aggregate();
  EXPECT_EQ(source_.entries(), entries);
  pass_time(std::chrono::seconds(20));
  const auto second = read_page(source_, page->next);
  ASSERT_TRUE(second && !second->next.empty());
  pass_time(std::chrono::seconds(20));
  aggregate();
  EXPECT_EQ(source_.entries(), entries) << "each page is time for the next";
  pass_time(std::chrono::seconds(11));
  EXPECT_EQ(code_of(read_page(source_, second->next)), Code::kLeaseExpired);
  aggregate();
  EXPECT_EQ(source_.entries(), entries - 1);
  const auto again = read_page(source_, {});
  ASSERT_TRUE(again && !again->next.empty());
  source_.reopen();
  EXPECT_EQ(code_of(read_page(source_, again->next)), Code::kLeaseExpired);
  EXPECT_EQ(code_of(read_page(source_, Bytes(5))), Code::kMalformed);
  copy_history(source_, copy_);
  ASSERT_TRUE(source_.punch(punch));
  punch.object = object(40);
  ASSERT_TRUE(source_.punch(punch));
  aggregate();
  EXPECT_EQ(source_.entries(), entries - 2) << "with its last page a walk is over";
  // Who begins anew gives up what it had begun.
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(source_.block_on(
        source_.objects->read_history(source_.container, {}, {}, Until::forever(), nullptr, kEpochZero, 7)));
  pass_time(std::chrono::seconds(31));
  std::size_t walks = 0;
  while (read_page(source_, {})) ++walks;
  EXPECT_EQ(walks, 64u);
  EXPECT_EQ(code_of(read_page(source_, {})), Code::kResourceExhausted);
}

// Another walk begins at an object that no page of the first one was about as a whole, however much was merged between.
TEST_F(HistoryTest, AnotherWalkGoesOnWhereOneEnded) {
  for (std::uint64_t number = 1; number <= 20; ++number)
    for (const std::string_view dkey : {"x", "y", "z"}) put(number, dkey, number);
  Bytes resume;
  for (Bytes at; at.empty() || resume.empty();) {
    const auto page = read_page(source_, at);
    ASSERT_TRUE(page && !page->next.empty());
    ASSERT_TRUE(put_page(copy_, page->entries));
    at = page->next;
    resume = page->resume;
  }
  const Bytes note = to_bytes(as_bytes("so far"));
  ASSERT_TRUE(copy_.block_on(copy_.objects->begin_history(copy_.container, note)));
  EXPECT_EQ(code_of(copy_.block_on(copy_.objects->begin_history(copy_.container, Bytes(kMaxHistoryProgressBytes + 1)))),
            Code::kInvalidArgument);
  source_.reopen();
  copy_.reopen();
  EXPECT_EQ(*copy_.block_on(copy_.objects->history_progress(copy_.container)), note);
  EXPECT_TRUE(*copy_.block_on(copy_.objects->is_incomplete(copy_.container)));
  for (std::uint64_t number = 10; number <= 20; ++number) put(number, "x", number + 100);
  aggregate();
  std::uint64_t bytes = 0;
  do {
    const auto page = read_page(source_, resume);
    ASSERT_TRUE(page) << page.error().to_string();
    ASSERT_TRUE(put_page(copy_, page->entries));
    bytes += page->bytes;
    resume = page->next;
  } while (!resume.empty());
  EXPECT_LT(bytes, 60u * 50'000) << "not all of it again";
  ASSERT_TRUE(copy_.block_on(copy_.objects->end_history(copy_.container)));
  EXPECT_TRUE(copy_.block_on(copy_.objects->history_progress(copy_.container))->empty());
  for (std::uint64_t number = 1; number <= 20; ++number)
    for (const std::string_view dkey : {"x", "y", "z"}) EXPECT_TRUE(shows(copy_, number, dkey)) << number << dkey;
  copy_.check();
}

TEST_F(HistoryTest, DamageIsNamedAndTheRestGoesOn) {
  for (std::uint64_t number = 1; number <= 5; ++number) put(number, "x", number);
  damage(pattern(3, 50'000));
  const auto first = read_page(source_, {});
  ASSERT_TRUE(first) << "what comes before it is a page";
  EXPECT_EQ(first->bytes, 100'000u);
  ASSERT_TRUE(put_page(copy_, first->entries));
  HistoryDamage damage;
  const auto bad = read_page(source_, first->next, {}, &damage);
  ASSERT_EQ(code_of(bad), Code::kCorrupt);
  EXPECT_NE(bad.error().to_string().find(object(3).to_string()), std::string::npos) << bad.error().to_string();
  EXPECT_NE(bad.error().to_string().find("akey 'a'"), std::string::npos) << bad.error().to_string();
  EXPECT_EQ(code_of(read_page(source_, first->next)), Code::kCorrupt);
  const auto rest = read_page(source_, damage.behind);
  ASSERT_TRUE(rest);
  EXPECT_TRUE(rest->next.empty());
  ASSERT_TRUE(put_page(copy_, rest->entries));
  for (std::uint64_t number = 1; number <= 5; ++number) EXPECT_EQ(shows(copy_, number, "x"), number != 3);
  copy_.check();
}

TEST_F(HistoryTest, DamagedPagesAreRefused) {
  put(1, "x", 1, 5000);
  const auto page = read_page(source_, {});
  ASSERT_TRUE(page);
  for (std::size_t at = 0; at < page->entries.size(); at += 7) {
    Bytes bytes = page->entries;
    bytes[at] ^= std::byte{1};
    const Code code = code_of(put_page(copy_, bytes));
    ASSERT_TRUE(code == Code::kMalformed || code == Code::kUnsupported) << at;
  }
  EXPECT_EQ(copy_.entries(), 0u);
}

TEST_F(HistoryTest, SpaceIsChargedWhateverTheLimit) {
  put(1, "x", 1);
  put(2, "x", 2);
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  copy_.objects->charge_to(copy_.container, account);
  account->set_limit({60'000, SpaceAccount::kNoLimit});
  const auto page = read_page(source_, {});
  ASSERT_TRUE(page);
  ASSERT_TRUE(put_page(copy_, page->entries)) << "it was let in where it was written";
  EXPECT_EQ(account->used(), (Usage{100'000, 2}));
  EXPECT_EQ(account->check_room({.bytes = 1, .objects = 0}).error(), Code::kQuotaExceeded);
  copy_.check();
}

TEST_F(HistoryTest, ResultsOfRequestsAreFoundAtTheCopy) {
  const Bytes value = pattern(1, 10);
  const auto request = [&](std::uint64_t session, std::uint64_t sequence) {
    UpdateRequest update = source_.single(object(1), key_of("x"), key_of("a"), value);
    update.id = {.session = session,
                 .sequence = sequence,
                 .expiry = source_.node.wall_now() + std::chrono::seconds(100),
                 .acknowledged = sequence > 3 ? sequence - 3 : 0};
    return update;
  };
  std::map<std::pair<std::uint64_t, std::uint64_t>, Epoch> known;
  for (std::uint64_t session = 1; session <= 3; ++session)
    for (std::uint64_t sequence = 1; sequence <= 6; ++sequence)
      known[{session, sequence}] = source_.update(request(session, sequence), value).value().epoch;
  // It has some of its own.
  const Epoch own = copy_.update(request(2, 20), value).value().epoch;
  for (const bool again : {false, true}) {
    const auto page = source_.block_on(source_.objects->read_results({}, Until::forever()));
    ASSERT_TRUE(page && page->next.empty());
    ASSERT_TRUE(copy_.block_on(copy_.objects->put_results(page->results, Until::forever())));
    for (const bool reopened : {false, true}) {
      if (reopened) copy_.reopen();
      copy_.check();
      for (const auto& [id, epoch] : known) {
        if (id.second <= 3 || id.first == 2) continue;  // acknowledged
        const auto kept = copy_.block_on(copy_.objects->kept_result(request(id.first, id.second).id));
        ASSERT_TRUE(kept && *kept) << id.second;
        EXPECT_EQ((*kept)->epoch, epoch);
      }
      EXPECT_EQ(code_of(copy_.block_on(copy_.objects->kept_result(request(1, 2).id))), Code::kRequestExpired);
      EXPECT_EQ(copy_.block_on(copy_.objects->kept_result(request(2, 20).id)).value()->epoch, own);
    }
    Bytes bad = page->results;
    bad[30] ^= std::byte{1};
    EXPECT_EQ(code_of(copy_.block_on(copy_.objects->put_results(bad, Until::forever()))), Code::kMalformed);
    static_cast<void>(again);
  }
}

class HistoryOfClones : public CloneFixture {};

TEST_F(HistoryOfClones, AreCopiedAfterTheirSources) {
  target_.create();
  put("a", 1);
  put("b", 2);
  const Bytes data = pattern(3, 9000);
  ASSERT_TRUE(target_.update(target_.array(kCloneObject, key_of("d"), key_of("r"), 1, {{10, 9000}}, data), data));
  const Uuid child = clone(1);
  const Epoch cloned_at = target_.block_on(target_.objects->clone_source(child)).value()->epoch;
  put("a", 4);
  use(child);
  put("b", 5);
  const ByteView part = ByteView(data).first(100);
  ASSERT_TRUE(target_.update(target_.array(kCloneObject, key_of("d"), key_of("r"), 1, {{500, 100}}, part), part));
  TestTarget copy(90);
  copy.container = parent_;
  copy.create();
  ASSERT_TRUE(copy.block_on(copy.objects->add_snapshot(parent_, cloned_at)));
  ASSERT_TRUE(copy.block_on(copy.objects->clone_container(child, copy.properties, {parent_, cloned_at})));
  for (const Uuid& container : {parent_, child}) {
    use(container);
    copy.container = container;
    ASSERT_NO_FATAL_FAILURE(copy_history(target_, copy));
    EXPECT_EQ(code_of(copy.block_on(copy.objects->flatten(child))), Code::kBusy)
        << "what is not whole is not flattened";
  }
  for (const Uuid& container : {parent_, child}) {
    use(container);
    copy.container = container;
    std::vector<AkeyPlace> places;
    for (const std::string_view akey : {"a", "b", "r"}) places.push_back({kCloneObject, key_of("d"), key_of(akey)});
    ASSERT_NO_FATAL_FAILURE(SameAnswers(target_, copy).check(places, kEpochLatest));
    ASSERT_TRUE(copy.block_on(copy.objects->end_history(container)));
  }
  ASSERT_TRUE(copy.block_on(copy.objects->flatten(child)));
  copy.check();
}

}  // namespace
}  // namespace cenote::object
