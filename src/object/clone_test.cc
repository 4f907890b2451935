#include <algorithm>

#include "cenote/object/examine.h"
#include "clone_test_kit.h"

namespace cenote::object {
namespace {

class CloneTest : public CloneFixture {
 protected:
  CloneTest() { target_.create(); }
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
