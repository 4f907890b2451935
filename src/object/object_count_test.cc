#include "object_count.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <utility>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kNoLimit = SpaceAccount::kNoLimit;

ObjectId object_of(std::uint64_t number) {
  const auto object_class = number % 3 == 0 ? ObjectClass::kSX : ObjectClass::kS1;
  return ObjectId::make(object_class, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, number);
}

class ObjectCountTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  explicit ObjectCountTest(std::uint64_t seed = 1) : random_(seed), target_(seed) {
    target_.options.aggregation = false;
    target_.create();
  }

  Code put(std::uint64_t object, std::uint64_t dkey = 0, std::size_t bytes = 10) {
    const Bytes value = pattern(object, bytes);
    return code_of(target_.update(target_.single(object_of(object), key_of(dkey), key_of("a"), value), value));
  }
  PunchRequest punch_of(std::uint64_t object) const {
    return {
        .container = target_.container, .object = object_of(object), .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
  }
  Code punch(std::uint64_t object) { return code_of(target_.punch(punch_of(object))); }
  Code punch_dkey(std::uint64_t object, std::uint64_t dkey) {
    PunchRequest request = punch_of(object);
    request.level = PunchLevel::kDkey;
    request.dkey = key_of(dkey);
    return code_of(target_.punch(request));
  }
  /// Puts into objects, and punches others, all at once.
  Code commit(const std::vector<std::uint64_t>& puts, const std::vector<std::uint64_t>& punches) {
    CommitRequest request{.container = target_.container, .snapshot = {}, .id = {}};
    Bytes payload;
    for (const std::uint64_t object : puts) {
      const Bytes value = pattern(object, 10);
      request.updates.push_back(target_.single(object_of(object), key_of(random_() % 3), key_of("a"), value));
      payload.insert(payload.end(), value.begin(), value.end());
    }
    for (const std::uint64_t object : punches) request.punches.push_back(punch_of(object));
    return code_of(target_.block_on(
        target_.objects->commit(request, target_.buffer_of(payload), payload.size(), Until::forever())));
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }
  std::uint64_t objects() { return target_.block_on(target_.objects->container_usage(target_.container))->objects; }

  std::mt19937_64 random_;
  TestTarget target_;
};

TEST_F(ObjectCountTest, AnObjectCountsUntilItsLastVersionIsGone) {
  ASSERT_EQ(put(2), Code::kOk);
  ASSERT_EQ(put(1), Code::kOk);
  ASSERT_EQ(put(1, 1), Code::kOk);
  EXPECT_EQ(objects(), 2u);
  ASSERT_EQ(punch(3), Code::kOk);
  EXPECT_EQ(objects(), 2u) << "a punch of nothing leaves nothing";
  ASSERT_EQ(punch_dkey(1, 0), Code::kOk);
  ASSERT_EQ(punch_dkey(1, 1), Code::kOk);
  EXPECT_EQ(objects(), 2u) << "its old versions are there";
  aggregate();
  EXPECT_EQ(objects(), 1u);
  ASSERT_EQ(put(1), Code::kOk);
  EXPECT_EQ(objects(), 2u) << "what is known to be there must be forgotten when it goes";
  ASSERT_EQ(punch(2), Code::kOk);
  ASSERT_EQ(put(2), Code::kOk);
  aggregate();
  EXPECT_EQ(objects(), 2u);
  target_.check();
  target_.reopen();
  EXPECT_EQ(objects(), 2u);
}

TEST_F(ObjectCountTest, AQuotaOfObjectsIsExact) {
  const auto pool = std::make_shared<SpaceAccount>("pool 'p'");
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'", pool);
  account->set_limit({kNoLimit, 5});
  target_.objects->charge_to(target_.container, account);
  for (std::uint64_t object = 1; object <= 5; ++object) ASSERT_EQ(put(object), Code::kOk);
  const Bytes value = pattern(6, 10);
  const auto refused = target_.update(target_.single(object_of(6), key_of("d"), key_of("a"), value), value);
  ASSERT_EQ(code_of(refused), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("container 'p/c': 1 more objects do not fit, 5 of 5 are used"),
            std::string::npos)
      << refused.error().message();
  EXPECT_EQ(commit({7, 8}, {1}), Code::kQuotaExceeded) << "the old versions of what it removes count";
  EXPECT_EQ(account->used(), (Usage{50, 5})) << "what was refused is not charged";
  EXPECT_EQ(put(3, 9), Code::kOk) << "objects that are there take more";
  ASSERT_EQ(punch(1), Code::kOk);
  EXPECT_EQ(put(6), Code::kQuotaExceeded);
  aggregate();
  EXPECT_EQ(put(6), Code::kOk);
  EXPECT_EQ(put(7), Code::kQuotaExceeded);
  pool->set_limit({kNoLimit, 5});
  account->set_limit({kNoLimit, 6});
  EXPECT_EQ(put(7), Code::kQuotaExceeded) << "the pool's limit";
  target_.reopen();
  const auto fresh = std::make_shared<SpaceAccount>("container 'p/c'");
  fresh->set_limit({kNoLimit, 6});
  target_.objects->charge_to(target_.container, fresh);
  EXPECT_EQ(fresh->used().objects, 5u);
  EXPECT_EQ(commit({7, 8}, {}), Code::kQuotaExceeded);
  EXPECT_EQ(commit({7, 7, 3}, {}), Code::kInvalidArgument);
  EXPECT_EQ(commit({7, 3}, {2}), Code::kOk);
  EXPECT_EQ(fresh->used().objects, 6u);
  ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
  EXPECT_EQ(fresh->used(), Usage());
  EXPECT_EQ(account->used(), (Usage{60, 5})) << "nobody charges it any more";
}

TEST_F(ObjectCountTest, NearAQuotaOfObjectsOldVersionsGoSoon) {
  target_.options.aggregation = true;
  target_.options.retention = std::chrono::hours(10);
  target_.reopen();
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  account->set_limit({kNoLimit, 3});
  target_.objects->charge_to(target_.container, account);
  for (std::uint64_t object = 1; object <= 3; ++object) ASSERT_EQ(put(object), Code::kOk);
  ASSERT_EQ(punch(2), Code::kOk);
  EXPECT_TRUE(target_.world.run_until([&account] { return account->used().objects == 2; }, std::chrono::seconds(20)));
  EXPECT_EQ(put(4), Code::kOk);
}

/// A punch in a clone of what its source has is an entry of the clone's own. It makes room, so nothing refuses it.
TEST_F(ObjectCountTest, AClonesPunchesCountAndAreNotRefused) {
  ASSERT_EQ(put(1), Code::kOk);
  ASSERT_EQ(put(2), Code::kOk);
  const Epoch epoch(target_.objects->now().value() + 1);
  ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, epoch)));
  const Uuid clone = Uuid::from_random(1, 2);
  ASSERT_TRUE(
      target_.block_on(target_.objects->clone_container(clone, target_.properties, {target_.container, epoch})));
  target_.container = clone;
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  account->set_limit({kNoLimit, 0});
  target_.objects->charge_to(clone, account);
  EXPECT_EQ(put(1), Code::kQuotaExceeded);
  EXPECT_EQ(punch(1), Code::kOk);
  EXPECT_EQ(commit({}, {2}), Code::kOk);
  EXPECT_EQ(account->used().objects, 2u);
  account->set_limit({kNoLimit, 3});
  EXPECT_EQ(put(1), Code::kOk) << "its punch is there already";
  EXPECT_EQ(commit({3, 4}, {}), Code::kQuotaExceeded);
  EXPECT_EQ(commit({3}, {}), Code::kOk);
  target_.check();
}

/// Builds of before left no number; then a target counts when it opens.
TEST_F(ObjectCountTest, CountsWhatAnOlderBuildDidNotCount) {
  for (std::uint64_t object = 1; object <= 200; ++object)
    for (std::uint64_t dkey = 0; dkey < object % 5 + 1; ++dkey) ASSERT_EQ(put(object, dkey), Code::kOk);
  const Usage held = target_.holds(target_.container);
  ASSERT_EQ(held.objects, 200u);
  store::Batch batch;
  batch.put(*target_.store->find_tree(kSystemTreeName), container_key(RecordKind::kUsage, target_.container),
            encode_number(held.bytes));
  ASSERT_TRUE(target_.block_on(target_.store->commit(std::move(batch))));
  target_.reopen();
  EXPECT_EQ(objects(), 200u);
  ASSERT_EQ(put(201), Code::kOk);
  target_.reopen();
  target_.check();
  EXPECT_EQ(objects(), 201u);
}

/// Whatever comes in whatever order, what is counted is what is there (TestTarget::check).
class ObjectCountRandomTest : public ObjectCountTest {
 protected:
  ObjectCountRandomTest() : ObjectCountTest(GetParam()) {}

  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  std::uint64_t any_object() { return 1 + below(25); }

  Code change() {
    switch (below(8)) {
      case 0:
        return punch(any_object());
      case 1:
        return punch_dkey(any_object(), below(3));
      case 2: {
        std::set<std::uint64_t> puts, punches;
        while (puts.size() < 4) puts.insert(any_object());
        while (punches.size() < 2) punches.insert(any_object());
        return commit({puts.begin(), puts.end()}, {punches.begin(), punches.end()});
      }
      default:
        return put(any_object(), below(3), 1 + below(9000));
    }
  }
  void snapshot() {
    const Epoch epoch(target_.objects->now().value() + 1);
    ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, epoch)));
    snapshots_.push_back(epoch);
  }
  void release() {
    if (snapshots_.empty()) return;
    const auto at = snapshots_.begin() + static_cast<std::ptrdiff_t>(below(snapshots_.size()));
    ASSERT_TRUE(target_.block_on(target_.objects->remove_snapshot(target_.container, *at)));
    snapshots_.erase(at);
  }
  void roll_back() {
    if (snapshots_.empty()) return;
    ASSERT_TRUE(target_.block_on(
        target_.objects->roll_back(target_.container, snapshots_.back(), Uuid::from_random(random_(), random_()))));
  }
  void clone() {
    snapshot();
    const Uuid id = Uuid::from_random(random_(), random_());
    const CloneSource source{target_.container, snapshots_.back()};
    const auto cloned = target_.block_on(target_.objects->clone_container(id, target_.properties, source));
    if (!cloned) {
      ASSERT_EQ(cloned.error().code(), Code::kQuotaExceeded) << "too deep a chain is all that is refused";
      return;
    }
    if (below(2) == 0) ASSERT_TRUE(target_.block_on(target_.objects->destroy_container(target_.container)));
    target_.container = id;
    snapshots_.clear();
  }

  std::vector<Epoch> snapshots_;
};

TEST_P(ObjectCountRandomTest, CountsWhatIsThere) {
  for (int round = 0; round < 120; ++round) {
    for (std::uint64_t changes = below(12); changes > 0; --changes) ASSERT_EQ(change(), Code::kOk);
    switch (below(12)) {
      case 0:
        ASSERT_NO_FATAL_FAILURE(snapshot());
        break;
      case 1:
        ASSERT_NO_FATAL_FAILURE(release());
        break;
      case 2:
        ASSERT_NO_FATAL_FAILURE(roll_back());
        break;
      case 3:
        if (below(4) == 0) ASSERT_NO_FATAL_FAILURE(clone());
        break;
      case 4:
        target_.reopen();
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(aggregate());
    }
    ASSERT_NO_FATAL_FAILURE(target_.check());
  }
  for (std::uint64_t object = 1; object <= 25; ++object) ASSERT_EQ(punch(object), Code::kOk);
  while (!snapshots_.empty()) ASSERT_NO_FATAL_FAILURE(release());
  ASSERT_NO_FATAL_FAILURE(aggregate());
  ASSERT_NO_FATAL_FAILURE(target_.check());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ObjectCountRandomTest, testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace cenote::object
