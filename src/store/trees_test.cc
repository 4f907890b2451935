#include "trees.h"

#include <gtest/gtest.h>

#include <string>

#include "trees_test_kit.h"

namespace cenote::store {
namespace {

constexpr TreeId kTree{1};

class TreesTest : public testing::Test {
 protected:
  TreesTest() { root = kit.trees->create(kTree, Lsn{1}); }

  void put(std::string_view key, std::string_view value) {
    auto attempt = [&]() -> Result<> {
      std::uint64_t frames = 0;
      kit.trees->begin_batch();
      CHECK_OK(kit.trees->prepare_put(kTree, as_bytes(key), value.size(), frames));
      CHECK_OK(kit.need_room(frames));
      kit.lsn = Lsn{kit.lsn.value() + 1};
      kit.trees->put(kTree, as_bytes(key), as_bytes(value), kit.lsn);
      kit.trees->finish_batch();
      return {};
    };
    EXPECT_TRUE(world.block_on(node, kit.run(attempt)));
  }
  bool erase(std::string_view key) {
    auto attempt = [&]() -> Result<bool> {
      std::uint64_t frames = 0;
      kit.trees->begin_batch();
      CHECK_OK(kit.trees->prepare_erase(kTree, as_bytes(key), frames));
      CHECK_OK(kit.need_room(frames));
      kit.lsn = Lsn{kit.lsn.value() + 1};
      const bool erased = kit.trees->erase(kTree, as_bytes(key), kit.lsn);
      kit.trees->finish_batch();
      return erased;
    };
    return world.block_on(node, kit.run(attempt)).value();
  }
  std::string get(std::string_view key) {
    auto attempt = [&]() -> Result<std::string> {
      seen = Lsn{};
      TRY(const auto value, kit.trees->get(kTree, as_bytes(key), seen));
      return value ? to_text(*value) : "none";
    };
    return world.block_on(node, kit.run(attempt)).value();
  }
  std::vector<PageId> check() {
    std::vector<PageId> reached;
    kit.make_room(1);
    const Result<> sound = world.block_on(node, kit.trees->check(kTree, &reached));
    EXPECT_TRUE(sound) << sound.error().message();
    return reached;
  }
  PageView page(PageId id) { return PageView(kit.cache->peek(id)->data); }
  std::string key(int number) { return fmt::format("key-{:06}", number); }

  SimWorld world{1};
  SimReactor& node = world.add_node("store");
  TreesKit kit{node, 200, 1};
  PageId root{};
  Lsn seen{};
};

TEST_F(TreesTest, UnknownTreeIsAnErrorAndUnknownKeyIsNone) {
  EXPECT_EQ(kit.trees->get(TreeId{9}, {}, seen).error(), Code::kNotFound);
  EXPECT_EQ(get("a"), "none");
  EXPECT_EQ(kit.trees->root(kTree), root);
  EXPECT_EQ(kit.trees->root(TreeId{9}), std::nullopt);
  EXPECT_FALSE(erase("a"));
}

TEST_F(TreesTest, ABatchOfOneChangeDescendsOnce) {
  for (int i = 0; i < 1000; ++i) put(key(i), std::string(100, 'v'));
  const unsigned levels = page(root).level() + 1;
  ASSERT_GE(levels, 2u);
  std::uint64_t before = kit.cache->hits();
  put(key(500), std::string(100, 'w'));
  EXPECT_EQ(kit.cache->hits(), before + levels);
  before = kit.cache->hits();
  EXPECT_TRUE(erase(key(501)));
  EXPECT_EQ(kit.cache->hits(), before + levels);
}

TEST_F(TreesTest, EveryChangeOfASmallBatchDescendsOnce) {
  for (int i = 0; i < 1000; ++i) put(key(i), std::string(100, 'v'));
  const unsigned levels = page(root).level() + 1;
  const std::uint64_t before = kit.cache->hits();
  std::uint64_t frames = 0;
  kit.trees->begin_batch();
  for (int i : {10, 11, 900}) ASSERT_TRUE(kit.trees->prepare_put(kTree, as_bytes(key(i)), 100, frames));
  ASSERT_TRUE(kit.trees->prepare_erase(kTree, as_bytes(key(500)), frames));
  kit.lsn = Lsn{kit.lsn.value() + 1};
  for (int i : {10, 11, 900}) kit.trees->put(kTree, as_bytes(key(i)), as_bytes(std::string(100, 'w')), kit.lsn);
  EXPECT_TRUE(kit.trees->erase(kTree, as_bytes(key(500)), kit.lsn));
  kit.trees->finish_batch();
  EXPECT_EQ(kit.cache->hits(), before + 4 * levels);
  for (int i : {10, 11, 900}) EXPECT_EQ(get(key(i)), std::string(100, 'w'));
  EXPECT_EQ(get(key(500)), "none");
}

TEST_F(TreesTest, ALaterChangeOfABatchGoesToTheCopyOfAFrozenPage) {
  put("a", "old");
  put("b", "old");
  kit.begin_checkpoint();
  std::uint64_t frames = 0;
  kit.trees->begin_batch();
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(kit.trees->prepare_put(kTree, as_bytes(name), 3, frames));
  kit.lsn = Lsn{kit.lsn.value() + 1};
  for (const char* name : {"a", "b", "c"}) kit.trees->put(kTree, as_bytes(name), as_bytes("new"), kit.lsn);
  kit.trees->finish_batch();
  while (kit.checkpoint_running()) kit.advance_checkpoint();
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(get(name), "new");
  const PageView image(kit.source.images.at(root).data());
  EXPECT_EQ(image.count(), 2u);  // the checkpoint has what was there when it began
  EXPECT_EQ(to_text(image.value(1)), "old");
}

TEST_F(TreesTest, ThePathOfAnAbandonedBatchIsForgotten) {
  for (int i = 0; i < 1000; ++i) put(key(i), std::string(100, 'v'));
  std::uint64_t frames = 0;
  kit.trees->begin_batch();
  ASSERT_TRUE(kit.trees->prepare_put(kTree, as_bytes(key(500)), 100, frames));
  // The leaf of that path splits, or goes, before the same change comes again.
  for (int i = 0; i < 100; ++i) put(key(500) + std::to_string(i), std::string(100, 'n'));
  put(key(500), "new");
  for (int i = 400; i < 500; ++i) EXPECT_TRUE(erase(key(i)));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(get(key(500) + std::to_string(i)), std::string(100, 'n'));
  EXPECT_EQ(get(key(500)), "new");
  check();
}

TEST_F(TreesTest, ALaterChangeOfABatchSeesTheSplitsOfTheEarlier) {
  for (int i = 0; i < 1000; ++i) put(key(i), std::string(100, 'v'));
  std::uint64_t frames = 0;
  kit.trees->begin_batch();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(kit.trees->prepare_put(kTree, as_bytes(key(500) + std::to_string(i)), 900, frames));
  }
  kit.lsn = Lsn{kit.lsn.value() + 1};
  for (int i = 0; i < 50; ++i) {
    kit.trees->put(kTree, as_bytes(key(500) + std::to_string(i)), as_bytes(std::string(900, 'n')), kit.lsn);
  }
  kit.trees->finish_batch();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get(key(500) + std::to_string(i)), std::string(900, 'n'));
  check();
}

TEST_F(TreesTest, EmptyKeyAndEmptyValueAreLikeOthers) {
  put("", "");
  put("a", "");
  EXPECT_EQ(get(""), "");
  EXPECT_TRUE(erase(""));
  EXPECT_EQ(get(""), "none");
  EXPECT_EQ(get("a"), "");
}

TEST_F(TreesTest, RootKeepsItsPageThroughGrowthAndShrinking) {
  const std::string value(500, 'v');
  for (int i = 0; i < 3000; ++i) put(key(i), value);
  EXPECT_EQ(kit.trees->root(kTree), root);
  EXPECT_GE(page(root).level(), 1);
  EXPECT_GT(check().size(), 90u);
  for (int i = 0; i < 3000; ++i) EXPECT_TRUE(erase(key(i)));
  EXPECT_EQ(check(), std::vector<PageId>{root});
  EXPECT_EQ(page(root).level(), 0);
  EXPECT_EQ(kit.source.live.size(), 1u);
}

TEST_F(TreesTest, TreesOfTheLongestKeysGetHigh) {
  // Long keys that differ only at the end need whole separators, so inner pages hold few children.
  const std::string prefix(kMaxKeyBytes - 4, 'k');
  for (int i = 0; i < 3000; ++i)
    put(fmt::format("{}{:04}", i % 2 == 0 ? prefix : std::string(kMaxKeyBytes - 4, 'j'), i), "v");
  EXPECT_GE(page(root).level(), 2);
  check();
  for (int i = 0; i < 3000; ++i)
    erase(fmt::format("{}{:04}", i % 2 == 0 ? prefix : std::string(kMaxKeyBytes - 4, 'j'), i));
  EXPECT_EQ(check(), std::vector<PageId>{root});
}

TEST_F(TreesTest, SequentialLoadFillsPages) {
  const std::string value(100, 'v');
  for (int i = 0; i < 10000; ++i) put(key(i), value);
  const double bytes = 10000.0 * (10 + 6 + 100);  // about what entries take without their common prefix
  EXPECT_LT(static_cast<double>(check().size()), bytes / kPageBytes * 1.15);
}

TEST_F(TreesTest, FaultNamesTheMissingPageAndNothingElseHappens) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 100; ++i) put(key(i), value);
  kit.checkpoint();
  kit.restart(200, {{kTree, root}});
  EXPECT_EQ(kit.trees->get(kTree, as_bytes(key(50)), seen).error(), Code::kPageFault);
  EXPECT_EQ(kit.trees->fault(), root);
  EXPECT_EQ(kit.cache->frames_used(), 0u);
  EXPECT_EQ(get(key(50)), value);
  const std::uint64_t used = kit.cache->frames_used();
  EXPECT_EQ(used, 2u);
  std::uint64_t frames = 0;
  kit.trees->begin_batch();
  EXPECT_EQ(kit.trees->prepare_put(kTree, as_bytes(key(99)), 1, frames).error(), Code::kPageFault);
  EXPECT_EQ(frames, 0u);
}

TEST_F(TreesTest, LeafThatBecomesEmptyGoesWithoutItsNeighbours) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 200; ++i) put(key(i), value);
  kit.checkpoint();
  const std::size_t pages = check().size();
  kit.restart(200, {{kTree, root}});
  // Only the leaf of key 100 and its parent are cached, so nothing can be merged.
  const PageView leaf_of_100 = [&] {
    get(key(100));
    auto position = kit.trees->seek(kTree, as_bytes(key(100)), seen);
    return PageView((*position)->leaf->data);
  }();
  KeyBuffer buffer;
  std::vector<std::string> keys;
  for (std::uint32_t slot = 0; slot < leaf_of_100.count(); ++slot)
    keys.push_back(to_text(leaf_of_100.key(slot, buffer)));
  for (const std::string& each : keys) EXPECT_TRUE(erase(each));
  EXPECT_EQ(kit.cache->frames_used(), 1u);
  EXPECT_EQ(get(keys[0]), "none");
  EXPECT_EQ(seen, kit.lsn) << "the parent answers for an empty range";
  put(keys[1], "again");
  EXPECT_EQ(get(keys[1]), "again");
  EXPECT_EQ(get(keys[0]), "none");
  EXPECT_EQ(check().size(), pages);
}

TEST_F(TreesTest, ReplacingAValueInPlaceDirtiesOnlyTheLeaf) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 100; ++i) put(key(i), value);
  kit.checkpoint();
  put(key(50), std::string(1000, 'w'));
  EXPECT_EQ(kit.cache->frames_dirty(), 1u);
  EXPECT_EQ(kit.cache->freeze().front()->id, kit.trees->seek(kTree, as_bytes(key(50)), seen).value()->leaf->id);
}

TEST_F(TreesTest, EraseOfWhatIsNotThereDirtiesNothing) {
  put("a", "1");
  kit.checkpoint();
  EXPECT_FALSE(erase("b"));
  EXPECT_EQ(kit.cache->frames_dirty(), 0u);
}

TEST_F(TreesTest, NewTreeIsFilledWithinItsBound) {
  for (const std::size_t value_bytes : {std::size_t{0}, std::size_t{kMaxValueBytes}}) {
    for (const std::size_t key_bytes : {std::size_t{12}, std::size_t{kMaxKeyBytes}}) {
      constexpr std::uint64_t kPuts = 80;
      TreesKit small(node, Trees::frames_for_new_tree(kPuts), 1);
      small.trees->begin_batch();
      small.trees->create(kTree, Lsn{1});
      Random random(1);
      for (std::uint64_t i = 0; i < kPuts; ++i) {
        std::string long_key =
            std::string(key_bytes - 12, random.chance(1, 2) ? 'a' : 'b') + fmt::format("{:012}", random.below(1000000));
        small.trees->put(kTree, as_bytes(long_key), as_bytes(std::string(value_bytes, 'v')), Lsn{1});
        EXPECT_LE(small.cache->frames_used(), Trees::frames_for_new_tree(i + 1));
      }
      small.trees->finish_batch();
    }
  }
}

/// Keys and sizes that split as many pages as a batch can.
struct SplitPattern {
  std::size_t key_bytes, value_bytes;
  enum { kAscending, kDescending, kTwoEnds, kRandom } order;
};

std::string key_in_pattern(const SplitPattern& pattern, Random& random, std::uint64_t turn) {
  const std::uint64_t number = pattern.order == SplitPattern::kAscending    ? turn
                               : pattern.order == SplitPattern::kDescending ? 900'000 - turn
                               : pattern.order == SplitPattern::kTwoEnds    ? (turn % 2 == 0 ? turn : 900'000 - turn)
                                                                            : random.below(900'000);
  const char fill = random.chance(1, 2) && pattern.order == SplitPattern::kRandom ? 'a' : 'b';
  return std::string(pattern.key_bytes - 6, fill) + fmt::format("{:06}", number);
}

void expect_batches_within_what_they_asked_for(SimReactor& node, const SplitPattern& pattern) {
  constexpr std::uint64_t kBatches = 12;
  TreesKit large(node, 4096, 1);
  large.trees->create(kTree, Lsn{1});
  Random random(7);
  for (std::uint64_t batch = 0; batch < kBatches; ++batch) {
    std::vector<std::string> keys;
    for (std::uint32_t i = 0; i < kMaxBatchEntries; ++i) {
      keys.push_back(key_in_pattern(pattern, random, batch * kMaxBatchEntries + i));
    }
    std::uint64_t frames = 0;
    large.trees->begin_batch();
    for (const std::string& key : keys) {
      ASSERT_TRUE(large.trees->prepare_put(kTree, as_bytes(key), pattern.value_bytes, frames));
    }
    const std::uint64_t dirty = large.cache->frames_dirty();
    for (const std::string& key : keys)
      large.trees->put(kTree, as_bytes(key), Bytes(pattern.value_bytes), Lsn{batch + 1});
    large.trees->finish_batch();
    EXPECT_LE(large.cache->frames_dirty() - dirty, frames);
    EXPECT_LE(frames, 1000u);
  }
}

TEST_F(TreesTest, ABatchTakesNoMoreThanItAskedFor) {
  for (const std::size_t key_bytes : {std::size_t{8}, std::size_t{300}, std::size_t{kMaxKeyBytes}}) {
    for (const std::size_t value_bytes : {std::size_t{0}, std::size_t{kMaxValueBytes}}) {
      for (int order = 0; order < 4; ++order) {
        SCOPED_TRACE(testing::Message() << key_bytes << " " << value_bytes << " " << order);
        const SplitPattern pattern{key_bytes, value_bytes, static_cast<decltype(SplitPattern::order)>(order)};
        expect_batches_within_what_they_asked_for(node, pattern);
      }
    }
  }
}

TEST_F(TreesTest, DetachedTreeIsReclaimedInSlices) {
  const std::string prefix(kMaxKeyBytes - 4, 'k');
  for (int i = 0; i < 4000; ++i) put(fmt::format("{}{:04}", prefix.substr(i % 2), i), "v");
  for (int i = 1000; i < 2000; ++i) erase(fmt::format("{}{:04}", prefix.substr(i % 2), i));
  EXPECT_GE(page(root).level(), 2);
  kit.checkpoint();
  kit.restart(12, {});
  int slices = 0;
  while (true) {
    auto slice = [&] { return kit.trees->reclaim(root, 10, Lsn{2}); };
    const Result<bool> done = world.block_on(node, kit.run(slice));
    ASSERT_TRUE(done);
    ++slices;
    if (*done) break;
    // What is left can be kept by a checkpoint at any time.
    kit.checkpoint();
    if (slices % 5 != 0) continue;
    kit.restart(12, {{kTree, root}});
    EXPECT_EQ(check().size(), kit.source.live.size());
    kit.trees->detach(kTree);
  }
  EXPECT_GT(slices, 10);
  EXPECT_TRUE(kit.source.live.empty());
}

TEST_F(TreesTest, CheckNamesThePageThatDoesNotFit) {
  const std::string value(1000, 'v');
  for (int i = 0; i < 100; ++i) put(key(i), value);
  Page inner(kit.cache->peek(root)->data);
  const PageId second = inner.child(1);
  Page leaf(kit.cache->peek(second)->data);
  leaf.erase(leaf.count() - 1);
  check();
  const std::uint32_t count = leaf.count();
  for (std::uint32_t i = 0; i < count; ++i) leaf.erase(0);
  const Result<> sound = world.block_on(node, kit.trees->check(kTree));
  ASSERT_FALSE(sound);
  EXPECT_EQ(sound.error().message(), fmt::format("page {}: is an empty leaf", second.value()));
  inner.set_child(1, inner.child(2));
  const Result<> crossed = world.block_on(node, kit.trees->check(kTree));
  ASSERT_FALSE(crossed);
  EXPECT_EQ(crossed.error().message(),
            fmt::format("page {}: has other fences than its parent says", inner.child(2).value()));
}

/// Puts a few pages, each in order, where they contradict their neighbours.
void confuse(std::map<PageId, Bytes>& images, const std::map<PageId, Bytes>& sound, const std::vector<PageId>& ids,
             Random& random) {
  for (std::uint64_t changes = random.below(6) + 1; changes > 0; --changes) {
    const PageId id = ids[random.below(ids.size())];
    Bytes& image = images[id];
    const std::uint32_t level = PageView(image.data()).level();
    if (random.chance(1, 2)) {
      image = sound.at(ids[random.below(ids.size())]);
      store_le(image.data() + 16, id.value());
    } else if (level > 0) {
      Page inner(image.data());
      inner.set_child(static_cast<std::uint32_t>(random.below(inner.count())), ids[random.below(ids.size())]);
    } else {
      Page::format(image.data(), {id, kTree, static_cast<std::uint8_t>(random.below(2))},
                   {as_bytes("kkkk"), as_bytes("kkkkk")});
      if (PageView(image.data()).level() == 1) Page(image.data()).insert_child(0, {}, ids[random.below(ids.size())]);
    }
    Page(image.data()).stamp();
  }
}

/// Looks for a key, walks from it in both directions, and changes it.
Result<> use_around(TreesKit& kit, std::string_view key, Random& random) {
  Lsn ignored{};
  std::uint64_t frames = 0;
  CHECK_OK(kit.trees->get(kTree, as_bytes(key), ignored));
  TRY(auto position, kit.trees->seek(kTree, as_bytes(key), ignored));
  for (int steps = 0; steps < 100 && position; ++steps) {
    TRY(position, kit.trees->next(kTree, *position, ignored));
  }
  TRY(position, kit.trees->seek_at_most(kTree, as_bytes(key), ignored));
  for (int steps = 0; steps < 100 && position; ++steps) {
    TRY(position, kit.trees->previous(kTree, *position, ignored));
  }
  kit.trees->begin_batch();
  if (random.chance(2, 3)) {
    CHECK_OK(kit.trees->prepare_erase(kTree, as_bytes(key), frames));
    CHECK_OK(kit.need_room(frames));
    kit.trees->erase(kTree, as_bytes(key), Lsn{3});
  } else {
    CHECK_OK(kit.trees->prepare_put(kTree, as_bytes(key), 500, frames));
    CHECK_OK(kit.need_room(frames));
    kit.trees->put(kTree, as_bytes(key), as_bytes(std::string(500, 'x')), Lsn{3});
  }
  kit.trees->finish_batch();
  return {};
}

/// Pages that are each in order but contradict each other, as only a defect or a forger makes them: every operation
/// ends, with an error or not, without a wrong step in memory.
TEST_F(TreesTest, PagesThatContradictEachOtherAreSurvived) {
  for (int i = 0; i < 2000; ++i) put(fmt::format("{}{:04}", std::string(i % 3 * 100, 'k'), i), std::string(60, 'v'));
  kit.checkpoint();
  const std::map<PageId, Bytes> sound = kit.source.images;
  std::vector<PageId> ids;
  for (const auto& [id, image] : sound) ids.push_back(id);
  kit.source.damaged = true;
  std::uint64_t errors = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Random random(seed);
    kit.source.images = sound;
    confuse(kit.source.images, sound, ids, random);
    kit.restart(200, {{kTree, root}});
    for (int i = 0; i < 60; ++i) {
      const std::string some = fmt::format("{}{:04}", std::string(random.below(3) * 100, 'k'), random.below(2000));
      auto attempt = [&] { return use_around(kit, some, random); };
      errors += world.block_on(node, kit.run(attempt)) ? 0 : 1;
    }
    kit.cache->check_invariants();
  }
  EXPECT_GT(errors, 100u);
}

}  // namespace
}  // namespace cenote::store
