#include <algorithm>

#include "cenote/object/examine.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);

/// A container with values, and clones of it.
class CloneTest : public testing::Test {
 protected:
  explicit CloneTest() : target_(31), parent_(target_.container) { target_.create(); }

  static Bytes value_of(std::uint64_t number) { return pattern(number, 50'000); }
  /// All requests go to it from now on.
  void use(const Uuid& container) { target_.container = container; }
  void put(std::string_view akey, std::uint64_t number) {
    const Bytes value = value_of(number);
    const auto updated = target_.update(target_.single(kObject, key_of("d"), key_of(akey), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  void punch() {
    ASSERT_TRUE(target_.punch(
        {.container = target_.container, .object = kObject, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  }
  bool shows(std::string_view akey, std::uint64_t number, Epoch epoch = kEpochLatest) {
    const auto fetched = target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of(akey), epoch));
    return fetched && fetched->reply.akeys[0].exists && joined(*fetched) == value_of(number);
  }
  bool absent(std::string_view akey) {
    const auto fetched = target_.fetch(target_.fetch_single(kObject, key_of("d"), key_of(akey)));
    return fetched && !fetched->reply.akeys[0].exists;
  }
  Epoch snapshot() {
    const Epoch epoch(target_.objects->now().value() + 1);
    EXPECT_TRUE(target_.block_on(target_.objects->add_snapshot(target_.container, epoch)));
    return epoch;
  }
  Result<> clone_as(const Uuid& id, const Uuid& source, Epoch epoch) {
    return target_.block_on(target_.objects->clone_container(id, target_.properties, {source, epoch}));
  }
  /// Of the container in use as it is now; what keeps that is the clone alone.
  Uuid clone(std::uint64_t number) {
    const Uuid id = Uuid::from_random(9, number);
    const Epoch epoch = snapshot();
    const auto cloned = clone_as(id, target_.container, epoch);
    EXPECT_TRUE(cloned) << cloned.error().to_string();
    EXPECT_TRUE(target_.block_on(target_.objects->remove_snapshot(target_.container, epoch)));
    return id;
  }
  void aggregate() { ASSERT_TRUE(target_.block_on(target_.objects->aggregate(target_.objects->now()))); }
  std::uint64_t used(const Uuid& container) {
    const auto usage = target_.block_on(target_.objects->container_usage(container));
    return usage ? usage->bytes : UINT64_MAX;
  }
  Result<> destroy(const Uuid& container) { return target_.block_on(target_.objects->destroy_container(container)); }
  std::uint64_t owned_blocks() {
    std::uint64_t blocks = 0;
    const auto owned = target_.block_on(target_.objects->owned_extents());
    EXPECT_TRUE(owned);
    for (const store::Extent& extent : *owned) blocks += extent.blocks;
    return blocks;
  }
  Result<> roll_back(Epoch to, std::uint64_t request) {
    return target_.block_on(target_.objects->roll_back(target_.container, to, Uuid::from_random(7, request)));
  }

  TestTarget target_;
  Uuid parent_;
};

TEST_F(CloneTest, BothGoTheirOwnWays) {
  put("a", 1);
  put("b", 2);
  const std::uint64_t blocks = owned_blocks();
  const Uuid child = clone(1);
  EXPECT_EQ(owned_blocks(), blocks) << "a clone copies nothing";
  EXPECT_EQ(used(child), 0u) << "and is charged for nothing";
  put("a", 3);
  put("c", 4);
  use(child);
  put("b", 5);
  for (const bool reopened : {false, true}) {
    if (reopened) target_.reopen();
    aggregate();
    target_.check();
    use(child);
    EXPECT_TRUE(shows("a", 1) && shows("b", 5) && absent("c"));
    EXPECT_EQ(used(child), 50'000u);
    use(parent_);
    EXPECT_TRUE(shows("a", 3) && shows("b", 2) && shows("c", 4));
  }
}

TEST_F(CloneTest, APunchKeepsHidingWhatTheSourceHas) {
  put("a", 1);
  const Uuid child = clone(1);
  use(child);
  punch();
  EXPECT_TRUE(absent("a"));
  aggregate();
  aggregate();
  EXPECT_TRUE(absent("a")) << "aggregation dropped a punch that hides something of the source";
  EXPECT_EQ(target_.entries(), 1u);
  // One of an object that the source does not know hides nothing.
  const ObjectId other = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);
  const Bytes value = value_of(1);
  ASSERT_TRUE(target_.update(target_.single(other, key_of("d"), key_of("a"), value), value));
  ASSERT_TRUE(target_.punch({.container = child, .object = other, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}}));
  aggregate();
  EXPECT_EQ(target_.entries(), 1u);
  put("a", 2);
  target_.reopen();
  EXPECT_TRUE(shows("a", 2));
  use(parent_);
  EXPECT_TRUE(shows("a", 1));
}

TEST_F(CloneTest, ADestroyedSourceStaysAsFarAsItIsNeeded) {
  put("a", 1);
  const std::uint64_t blocks = owned_blocks();
  const Uuid child = clone(1);
  use(child);
  const Uuid grandchild = clone(2);
  use(parent_);
  put("a", 2);
  put("b", 3);
  ASSERT_TRUE(destroy(parent_));
  EXPECT_EQ(used(parent_), UINT64_MAX) << "nobody finds it";
  EXPECT_EQ(code_of(destroy(parent_)), Code::kContainerNotFound);
  EXPECT_EQ(code_of(target_.block_on(target_.objects->create_container(parent_, {}))), Code::kExists);
  target_.reopen();
  aggregate();
  EXPECT_EQ(owned_blocks(), blocks) << "what no clone sees goes";
  ASSERT_TRUE(destroy(child));
  use(grandchild);
  target_.reopen();
  EXPECT_TRUE(shows("a", 1));
  EXPECT_EQ(target_.block_on(target_.objects->list_containers())->size(), 3u);
  ASSERT_TRUE(destroy(grandchild));
  aggregate();
  target_.check();
  EXPECT_EQ(owned_blocks(), 0u);
  EXPECT_TRUE(target_.block_on(target_.objects->list_containers())->empty());
}

TEST_F(CloneTest, RollbacksRespectClones) {
  put("a", 1);
  const Epoch before = snapshot();
  put("a", 2);
  const Uuid child = clone(1);
  const Epoch cloned_at = target_.block_on(target_.objects->clone_source(child)).value()->epoch;
  put("a", 3);
  const auto refused = roll_back(before, 1);
  EXPECT_EQ(code_of(refused), Code::kConditionFailed);
  ASSERT_TRUE(roll_back(cloned_at, 2));
  EXPECT_TRUE(shows("a", 2));
  use(child);
  put("a", 4);
  const Epoch own = snapshot();
  put("a", 5);
  aggregate();
  ASSERT_TRUE(roll_back(own, 3));
  EXPECT_TRUE(shows("a", 4));
  ASSERT_TRUE(target_.block_on(target_.objects->remove_snapshot(child, own)));
  aggregate();
  ASSERT_TRUE(roll_back(cloned_at, 4)) << "a clone can always go back to what it was made of";
  EXPECT_TRUE(shows("a", 2));
  target_.reopen();
  aggregate();
  EXPECT_TRUE(shows("a", 2));
  EXPECT_EQ(used(child), 0u);
}

TEST_F(CloneTest, RefusesWhatCannotBe) {
  put("a", 1);
  const Epoch epoch = snapshot();
  const Uuid id = Uuid::from_random(9, 1);
  EXPECT_EQ(code_of(clone_as(id, Uuid::from_random(1, 77), epoch)), Code::kContainerNotFound);
  EXPECT_EQ(code_of(clone_as(id, parent_, Epoch(epoch.value() + 1))), Code::kConditionFailed);
  ASSERT_TRUE(clone_as(id, parent_, epoch));
  ASSERT_TRUE(clone_as(id, parent_, epoch)) << "a request that is sent again";
  EXPECT_EQ(code_of(target_.block_on(target_.objects->create_container(id, {}))), Code::kExists);
  Uuid last = id;
  for (std::uint64_t depth = 1; depth < kMaxCloneDepth; ++depth) {
    use(last);
    last = clone(100 + depth);
  }
  use(last);
  EXPECT_TRUE(shows("a", 1));
  EXPECT_EQ(code_of(clone_as(Uuid::from_random(9, 200), last, snapshot())), Code::kQuotaExceeded);
  target_.reopen();
  EXPECT_TRUE(shows("a", 1));
}

TEST_F(CloneTest, AMissingSourceIsDamage) {
  put("a", 1);
  const Uuid child = clone(1);
  ASSERT_TRUE(target_.block_on(target_.store->run([this](store::View& view) -> Result<> {
    store::Batch batch;
    batch.erase(*target_.store->find_tree(kSystemTreeName), container_key(RecordKind::kContainer, parent_));
    batch.erase(*target_.store->find_tree(kSystemTreeName), container_key(RecordKind::kUsage, parent_));
    batch.erase(*target_.store->find_tree(kSystemTreeName), container_key(RecordKind::kBound, parent_));
    CHECK_OK(view.apply(batch));
    return {};
  })));
  target_.power_off();
  target_.power_on();
  std::vector<std::string> found;
  TargetCheckOptions options;
  options.cache_bytes = target_.open_options.cache_bytes;
  options.found = [&found](const TargetFinding& finding) { found.push_back(finding.finding.message); };
  ASSERT_TRUE(target_.block_on(check_target(target_.node, store::Devices::one(*target_.device), options)));
  const std::string flaw = "container " + child.to_string() + " is a clone of " + parent_.to_string();
  EXPECT_TRUE(std::ranges::any_of(found, [&](const std::string& message) { return message.starts_with(flaw); }));
  target_.power_off();
  const auto opened = target_.try_open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(code_of(opened), Code::kCorrupt);
  EXPECT_NE(opened.error().to_string().find(child.to_string()), std::string::npos) << opened.error().to_string();
}

}  // namespace
}  // namespace cenote::object
