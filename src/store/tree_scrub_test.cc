#include <map>

#include "aligned_buffer.h"
#include "cenote/base/codec.h"
#include "cenote/store/scrub.h"
#include "cenote/store/store_check.h"
#include "store_checker.h"
#include "store_impl.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

constexpr std::uint32_t kNumbers = 6000;

Bytes key_of(std::uint32_t number) {
  Bytes key(4);
  store_be(key.data(), number);
  return key;
}

/// An open store with a tree of some levels, checkpointed, whose pages nobody has read yet. Plain and sealed.
class ScrubbedStore : public ::testing::TestWithParam<bool>, public StoreBench {
 public:
  ScrubbedStore() : StoreBench(31, 64) {
    if (GetParam()) encrypt();
  }

  void SetUp() override {
    format_store();
    open();
    numbers = make_tree("numbers");
    for (std::uint32_t i = 0; i < kNumbers; i += 100) put(i, i + 100, 7);
    ASSERT_TRUE(block_on(store->checkpoint()));
    reopen();
  }

  void put(std::uint32_t from, std::uint32_t to, std::uint8_t fill) {
    Batch batch;
    for (std::uint32_t i = from; i < to; ++i) batch.put(numbers, key_of(i), Bytes(400, std::byte{fill}));
    ASSERT_TRUE(commit(std::move(batch)));
  }
  void flip(std::uint64_t block, std::size_t byte = 1000) const {
    AlignedBuffer bytes(media::kBlockBytes);
    medium->read_block(media::BlockNo(block), bytes.span());
    bytes.data()[byte] ^= std::byte{0x20};
    medium->write_block(media::BlockNo(block), bytes.span());
  }

  struct Seen {
    std::vector<Finding> findings;
    std::vector<std::uint32_t> keys;
    ScrubTotals totals;
    Result<> outcome;
  };
  static Task<> walk(TreeScrub* scrub, Seen* seen, Reactor* reactor) {
    for (;;) {
      const auto more = co_await scrub->next();
      if (!more) seen->outcome = fail(more.error());
      if (!more || !*more) break;
      for (std::uint32_t i = 0; i < scrub->count(); ++i)
        seen->keys.push_back(load_be<std::uint32_t>(scrub->key(i).data()));
      co_await reactor->yield();
    }
    seen->totals = scrub->totals();
  }
  Seen scrub(TreeId tree, ByteView from = {}) {
    Seen seen;
    TreeScrub scrub(*store, tree, [&seen](Finding found) { seen.findings.push_back(std::move(found)); }, from);
    block_on(walk(&scrub, &seen, &node));
    return seen;
  }
  /// Images of the tree's pages, by page.
  std::map<std::uint64_t, std::uint64_t> images() {
    StoreState& state = StoreChecker::inside(*store).state();
    std::vector<PageId> pages;
    EXPECT_TRUE(block_on(state.trees.check(numbers, &pages)));
    std::map<std::uint64_t, std::uint64_t> images;
    for (const PageId id : pages) images[id.value()] = std::uint64_t{state.map.find(id).slot} * kPageBlocks;
    return images;
  }
  static void expect_all_but(const Seen& seen, const std::optional<KeyRange>& lost) {
    std::vector<std::uint32_t> expected;
    for (std::uint32_t i = 0; i < kNumbers; ++i) {
      const Bytes key = key_of(i);
      const bool gone = lost && compare(key, lost->lower) >= 0 && (!lost->upper || compare(key, *lost->upper) < 0);
      if (!gone) expected.push_back(i);
    }
    EXPECT_EQ(seen.keys, expected);
  }

  TreeId numbers;
};

TEST_P(ScrubbedStore, ReadsEveryImageOnce) {
  const Seen seen = scrub(numbers);
  EXPECT_TRUE(seen.outcome);
  EXPECT_TRUE(seen.findings.empty());
  expect_all_but(seen, std::nullopt);
  EXPECT_EQ(seen.totals.images, images().size());
  EXPECT_EQ(seen.totals.read_bytes, images().size() * kPageBytes);
  EXPECT_GT(seen.totals.leaves, 100u);
}

TEST_P(ScrubbedStore, LeavesTheCacheAsItIs) {
  const std::uint64_t before = store->status().cache_bytes;
  scrub(numbers);
  EXPECT_EQ(store->status().cache_bytes, before);
}

TEST_P(ScrubbedStore, NamesEveryDamagedImageAndGoesOnBehindIt) {
  const PageId root = *StoreChecker::inside(*store).state().trees.root(numbers);
  for (const auto& [page, block] : images()) {
    if (page % 9 != 0 && page != root.value()) continue;
    reopen();
    flip(block + page % kPageBlocks);
    const Seen seen = scrub(numbers);
    flip(block + page % kPageBlocks);
    ASSERT_EQ(seen.findings.size(), 1u) << page;
    const Finding& found = seen.findings[0];
    EXPECT_EQ(found.kind, FindingKind::kPage);
    EXPECT_EQ(found.page, page);
    EXPECT_EQ(found.block, block);
    EXPECT_EQ(found.tree, numbers);
    EXPECT_EQ(found.tree_name, "numbers");
    EXPECT_EQ(found.device, "meta");
    ASSERT_TRUE(found.lost);
    expect_all_but(seen, found.lost);
    if (HasFailure()) return;
  }
}

TEST_P(ScrubbedStore, WritesThePagesAnewThatOnlyMemoryHasWhole) {
  const auto all = images();  // reads every page in
  const PageId root = *StoreChecker::inside(*store).state().trees.root(numbers);
  std::map<std::uint64_t, std::uint64_t> damaged;
  for (const auto& [page, block] : all) {
    if (page % 9 == 0 || page == root.value()) damaged[page] = block;
  }
  for (const auto& [page, block] : damaged) flip(block + page % kPageBlocks);
  const Seen seen = scrub(numbers);
  ASSERT_EQ(seen.findings.size(), damaged.size());
  for (const Finding& found : seen.findings) {
    ASSERT_TRUE(damaged.contains(*found.page));
    EXPECT_EQ(found.block, damaged[*found.page]);
    EXPECT_TRUE(found.repaired);
    EXPECT_EQ(found.severity, Severity::kWarning);
    EXPECT_FALSE(found.lost);
  }
  EXPECT_EQ(seen.totals.repaired, damaged.size());
  expect_all_but(seen, std::nullopt);
  ASSERT_TRUE(block_on(store->checkpoint()));
  const auto now = images();
  for (const auto& [page, block] : damaged) EXPECT_NE(now.at(page), block) << "written where it lay";
  // Nobody needs what is damaged any more, and all blocks are accounted for.
  EXPECT_TRUE(block_on(check_store(*store, std::nullopt)));
  reopen();
  const Seen after = scrub(numbers);
  EXPECT_TRUE(after.findings.empty());
  expect_all_but(after, std::nullopt);
}

TEST_P(ScrubbedStore, NeverWritesAPageThatIsDamagedInMemory) {
  const auto all = images();
  const auto [page, block] = *std::next(all.begin(), 5);
  flip(block);
  Frame* frame = StoreChecker::inside(*store).state().cache.peek(PageId(page));
  ASSERT_NE(frame, nullptr);
  frame->data[kPageBytes - 5] ^= std::byte{1};
  const Seen seen = scrub(numbers);
  ASSERT_EQ(seen.findings.size(), 1u);
  EXPECT_FALSE(seen.findings[0].repaired);
  EXPECT_TRUE(seen.findings[0].lost);
  EXPECT_FALSE(frame->dirty);
  EXPECT_EQ(seen.totals.repaired, 0u);
  expect_all_but(seen, seen.findings[0].lost);
}

/// What proves a page in memory is there whether it was read or written.
TEST_P(ScrubbedStore, ChecksumsOfCleanPagesAreThoseOfThePages) {
  images();
  for (std::uint32_t i = 0; i < kNumbers / 3; i += 100) put(i, i + 100, 9);
  ASSERT_TRUE(block_on(store->checkpoint()));
  StoreState& state = StoreChecker::inside(*store).state();
  std::uint64_t clean = 0;
  for (const auto& [page, block] : images()) {
    const Frame* frame = state.cache.peek(PageId(page));
    if (frame == nullptr) continue;
    EXPECT_FALSE(frame->dirty);
    EXPECT_TRUE(verify({frame->data, kPageBytes}, frame->id)) << page;
    ++clean;
  }
  EXPECT_GT(clean, 100u);
}

TEST_P(ScrubbedStore, SaysNothingOfAnImageThatIsToBeReplaced) {
  const auto all = images();
  put(0, kNumbers / 60, 8);  // dirties the first leaves, and no other page
  StoreState& state = StoreChecker::inside(*store).state();
  std::uint64_t flipped = 0;
  for (const auto& [page, block] : all) {
    const Frame* frame = state.cache.peek(PageId(page));
    if (frame == nullptr || !frame->dirty) continue;
    flip(block);
    ++flipped;
  }
  ASSERT_GT(flipped, 0u);
  EXPECT_TRUE(scrub(numbers).findings.empty());
  ASSERT_TRUE(block_on(store->checkpoint()));
  const Seen after = scrub(numbers);
  EXPECT_TRUE(after.findings.empty());
  expect_all_but(after, std::nullopt);
}

TEST_P(ScrubbedStore, GoesOnWhereItWas) {
  Bytes position;
  std::vector<std::uint32_t> keys;
  for (bool more = true; more;) {
    TreeScrub scrub(*store, numbers, [](Finding) { FAIL(); }, position);
    const auto stepped = block_on(scrub.next());
    ASSERT_TRUE(stepped);
    more = *stepped;
    for (std::uint32_t i = 0; i < scrub.count(); ++i) keys.push_back(load_be<std::uint32_t>(scrub.key(i).data()));
    if (equal(scrub.position(), position)) break;  // that was the last leaf
    position = to_bytes(scrub.position());
  }
  ASSERT_EQ(keys.size(), kNumbers);
  EXPECT_TRUE(std::ranges::is_sorted(keys));
  const Seen rest = scrub(numbers, key_of(kNumbers - 10));
  EXPECT_EQ(rest.keys.size(), 10u);
}

TEST_P(ScrubbedStore, EndsWithItsTree) {
  TreeScrub scrub(*store, numbers, [](Finding) { FAIL(); });
  ASSERT_TRUE(*block_on(scrub.next()));
  Batch batch;
  batch.drop_tree(numbers);
  ASSERT_TRUE(commit(std::move(batch)));
  const auto more = block_on(scrub.next());
  ASSERT_TRUE(more);
  EXPECT_FALSE(*more);
}

TEST_P(ScrubbedStore, IsStoppedByTheEndOfTheStore) {
  TreeScrub scrub(*store, numbers, [](Finding) { FAIL(); });
  ASSERT_TRUE(block_on(store->close()));
  const auto more = block_on(scrub.next());
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), Code::kStopped);
}

/// Changes keys at random, so that pages split, merge, go and come back with their numbers, under checkpoints that
/// give their places away again.
Task<> disturb(Store* store, TreeId tree, std::uint64_t seed, bool* stop) {
  std::mt19937_64 random(seed);
  while (!*stop) {
    Batch batch;
    // Odd keys only: the even ones are what a walk must give whatever happens beside it.
    const auto from = static_cast<std::uint32_t>(random() % kNumbers);
    const bool erase = random() % 2 == 0;
    for (std::uint32_t i = from | 1; i < std::min(from + 200, kNumbers); i += 2) {
      if (erase) {
        batch.erase(tree, key_of(i));
      } else {
        batch.put(tree, key_of(i), Bytes(random() % 1200, std::byte{1}));
      }
    }
    const auto done = co_await store->commit(std::move(batch));
    EXPECT_TRUE(done);
    if (random() % 4 == 0) EXPECT_TRUE(co_await store->checkpoint());
  }
}

TEST_P(ScrubbedStore, RaisesNoFalseAlarmWhileOthersChangeTheTree) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    bool stop = false;
    Seen seen;
    const auto run = [](ScrubbedStore* self, Seen* out, bool* end, std::uint64_t number) -> Task<> {
      Scope scope(self->node);
      scope.spawn(disturb(self->store.get(), self->numbers, number, end));
      scope.spawn(disturb(self->store.get(), self->numbers, number + 1000, end));
      TreeScrub scrub(*self->store, self->numbers, [out](Finding found) { out->findings.push_back(std::move(found)); });
      co_await walk(&scrub, out, &self->node);
      *end = true;
      co_await scope.drain();
    };
    block_on(run(this, &seen, &stop, seed));
    EXPECT_TRUE(seen.outcome);
    EXPECT_TRUE(seen.findings.empty()) << "seed " << seed << ": " << seen.findings[0].message;
    std::vector<std::uint32_t> even;
    std::ranges::copy_if(seen.keys, std::back_inserter(even), [](std::uint32_t key) { return key % 2 == 0; });
    ASSERT_EQ(even.size(), kNumbers / 2) << "seed " << seed;
    EXPECT_TRUE(std::ranges::is_sorted(seen.keys)) << "seed " << seed;
    reopen();
  }
}

INSTANTIATE_TEST_SUITE_P(Plain, ScrubbedStore, ::testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Sealed, ScrubbedStore, ::testing::Values(true));

}  // namespace
}  // namespace cenote::store
