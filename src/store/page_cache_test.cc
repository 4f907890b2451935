#include "page_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/runtime/random.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::store {
namespace {

using namespace std::chrono_literals;

/// Reads that end when the test says so: each page's image is one number.
class GatedSource final : public PageSource {
 public:
  explicit GatedSource(Reactor& reactor) : open_(reactor) { open_.set(); }

  Task<Result<>> read_page(PageId id, MutableBytes into) override {
    ++reads;
    const Result<> waited = co_await open_.wait(Until::forever());
    if (!waited || broken.contains(id)) co_return failf(Code::kCorrupt, "page {}: broken", id.value());
    store_le(into.data(), images[id]);
    co_return Result<>{};
  }
  PageId allocate_page() override { return PageId{++next_}; }
  void free_page(PageId) override {}

  void close_gate() { open_.reset(); }
  void open_gate() { open_.set(); }

  std::map<PageId, std::uint64_t> images;
  std::set<PageId> broken;
  int reads = 0;

 private:
  Event open_;
  std::uint64_t next_ = 1000;
};

std::uint64_t number(const Frame& frame) { return load_le<std::uint64_t>(frame.data); }
void set_number(Frame& frame, std::uint64_t value) { store_le(frame.data, value); }

/// A fetch running beside the test, and what came of it.
struct Fetched {
  std::optional<Result<Frame*>> result;
  bool done() const { return result.has_value(); }
  Frame& frame() const { return **result.value(); }
};
Task<> fetch_into(PageCache& cache, PageId id, Until until, Fetched& outcome) {
  outcome.result.emplace(co_await cache.fetch(id, until));
}
Task<> wait_into(PageCache& cache, Until until, std::optional<Result<>>& outcome) {
  outcome.emplace(co_await cache.wait_for_room(until));
}

class PageCacheTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kFrames = 4;

  PageCacheTest() {
    for (std::uint64_t i = 1; i < 20; ++i) source.images[PageId{i}] = i;
  }
  void TearDown() override { world.block_on(node, scope.drain()); }

  Frame& fetch(std::uint64_t id) {
    Fetched fetched;
    start(id, fetched);
    world.run_until_idle();
    EXPECT_TRUE(fetched.done() && fetched.result->has_value());
    return fetched.frame();
  }
  void cached(std::uint64_t id) { cache.unpin(fetch(id)); }
  void start(std::uint64_t id, Fetched& fetched, Until until = Until::forever()) {
    scope.spawn(fetch_into(cache, PageId{id}, until, fetched));
  }
  bool has(std::uint64_t id) { return cache.peek(PageId{id}) != nullptr; }

  SimWorld world{1};
  SimReactor& node = world.add_node("store");
  Scope scope{node};
  GatedSource source{node};
  PageCache cache{node, source, kFrames* kPageBytes + 100};
};

TEST_F(PageCacheTest, ReportsAMissAndKeepsWhatWasFetched) {
  EXPECT_EQ(cache.frames_total(), kFrames);
  EXPECT_EQ(cache.find(PageId{1}), nullptr);
  Frame& frame = fetch(1);
  EXPECT_EQ(number(frame), 1u);
  EXPECT_EQ(frame.pins, 1u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame.data) % media::kBlockBytes, 0u);
  cache.unpin(frame);
  EXPECT_EQ(cache.find(PageId{1}), &frame);
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(cache.misses(), 1u);
  EXPECT_EQ(cache.frames_used(), 1u);
  cache.check_invariants();
}

TEST_F(PageCacheTest, ConcurrentFetchesShareOneReadAndAreEachPinned) {
  source.close_gate();
  Fetched first, second;
  start(1, first);
  start(1, second);
  world.run_until_idle();
  EXPECT_FALSE(first.done() || second.done());
  EXPECT_EQ(cache.find(PageId{1}), nullptr);
  cache.check_invariants();
  source.open_gate();
  world.run_until_idle();
  EXPECT_EQ(source.reads, 1);
  EXPECT_EQ(&first.frame(), &second.frame());
  EXPECT_EQ(first.frame().pins, 2u);
  cache.unpin(first.frame());
  cache.unpin(second.frame());
}

TEST_F(PageCacheTest, ErrorGoesToAllWhoWaitAndNothingIsCached) {
  source.close_gate();
  source.broken = {PageId{1}};
  Fetched first, second;
  start(1, first);
  start(1, second);
  world.run_until_idle();
  source.open_gate();
  world.run_until_idle();
  EXPECT_EQ(first.result->error(), Code::kCorrupt);
  EXPECT_EQ(second.result->error(), Code::kCorrupt);
  EXPECT_EQ(cache.frames_used(), 0u);
  source.broken.clear();
  cached(1);
  EXPECT_EQ(source.reads, 2);
  cache.check_invariants();
}

TEST_F(PageCacheTest, EvictsWhatWasNotLookedAtSinceTheClockPassed) {
  for (std::uint64_t id = 1; id <= 4; ++id) cached(id);
  cached(5);  // all were referenced: the first goes, and the others have lost their mark
  EXPECT_FALSE(has(1));
  cache.find(PageId{2});
  cached(6);
  EXPECT_TRUE(has(2));
  EXPECT_FALSE(has(3));
}

TEST_F(PageCacheTest, DirtyFrozenAndPinnedPagesStay) {
  Frame& pinned = fetch(1);
  Frame& frozen = fetch(2);
  cache.modify(frozen, Lsn{1});
  cache.unpin(frozen);
  cache.freeze();
  Frame& dirty = fetch(3);
  cache.modify(dirty, Lsn{2});
  cache.unpin(dirty);
  EXPECT_EQ(cache.writable_frames(), 1u);
  for (std::uint64_t id = 4; id < 10; ++id) cached(id);
  EXPECT_TRUE(has(1) && has(2) && has(3) && has(9));
  cache.check_invariants();
  cache.written(frozen);
  cache.unpin(pinned);
  EXPECT_EQ(cache.writable_frames(), 3u);
  for (std::uint64_t id = 10; id < 19; ++id) cached(id);
  EXPECT_FALSE(has(1) || has(2));
  EXPECT_TRUE(has(3));
}

TEST_F(PageCacheTest, FetchWaitsForAFrameAndForNoLongerThanToldTo) {
  std::vector<Frame*> pinned;
  for (std::uint64_t id = 1; id <= 4; ++id) pinned.push_back(&fetch(id));
  Fetched patient, hasty;
  start(5, patient);
  start(6, hasty, Until::at(node.now() + 1s));
  world.run_until_idle();
  EXPECT_FALSE(patient.done());
  ASSERT_TRUE(hasty.done());
  EXPECT_EQ(hasty.result->error(), Code::kDeadlineExceeded);
  cache.unpin(*pinned[0]);
  world.run_until_idle();
  ASSERT_TRUE(patient.done());
  EXPECT_EQ(number(patient.frame()), 5u);
  EXPECT_FALSE(has(1));
  cache.unpin(patient.frame());
  for (std::size_t i = 1; i < pinned.size(); ++i) cache.unpin(*pinned[i]);
}

TEST_F(PageCacheTest, ChangeOfAFrozenPageGoesToACopy) {
  Frame& frame = cache.create(PageId{30}, Lsn{5});
  EXPECT_EQ(number(frame), 0u);
  set_number(frame, 100);
  ASSERT_EQ(cache.freeze(), std::vector<Frame*>{&frame});
  EXPECT_EQ(cache.frames_to_modify(frame), 1u);
  Frame& copy = cache.modify(frame, Lsn{6});
  EXPECT_NE(&copy, &frame);
  EXPECT_EQ(number(copy), 100u);
  set_number(copy, 200);
  EXPECT_EQ(number(frame), 100u);
  EXPECT_EQ(frame.modified, Lsn{5});
  EXPECT_EQ(copy.modified, Lsn{6});
  EXPECT_EQ(cache.find(PageId{30}), &copy);
  EXPECT_EQ(&cache.modify(copy, Lsn{7}), &copy);
  EXPECT_EQ(cache.frames_used(), 2u);
  cache.check_invariants();
  cache.written(frame);
  EXPECT_EQ(cache.frames_used(), 1u);
  EXPECT_EQ(cache.frames_dirty(), 1u);
  cache.check_invariants();
}

TEST_F(PageCacheTest, WrittenPageThatWasNotChangedIsClean) {
  Frame& frame = cache.create(PageId{30}, Lsn{5});
  cache.freeze();
  cache.written(frame);
  EXPECT_EQ(cache.find(PageId{30}), &frame);
  EXPECT_EQ(cache.writable_frames(), kFrames);
  EXPECT_EQ(cache.frames_to_modify(frame), 1u);
  EXPECT_EQ(cache.freeze().size(), 0u);
}

TEST_F(PageCacheTest, PinsOfAFrozenPageStayWithTheOldImage) {
  Frame& frame = fetch(1);
  cache.modify(frame, Lsn{1});
  cache.freeze();
  Frame& copy = cache.modify(frame, Lsn{2});
  set_number(copy, 50);
  cache.written(frame);
  EXPECT_FALSE(frame.current);
  EXPECT_EQ(number(frame), 1u);
  EXPECT_EQ(cache.frames_used(), 2u);
  cache.check_invariants();
  cache.unpin(frame);
  EXPECT_EQ(cache.frames_used(), 1u);
}

TEST_F(PageCacheTest, FreezeReturnsPagesInOrderAndThawMakesThemDirtyAgain) {
  for (std::uint64_t id : {33, 31, 32}) cache.create(PageId{id}, Lsn{1});
  const std::vector<Frame*> frozen = cache.freeze();
  ASSERT_EQ(frozen.size(), 3u);
  EXPECT_EQ(frozen[0]->id, PageId{31});
  EXPECT_EQ(frozen[2]->id, PageId{33});
  cache.modify(*frozen[0], Lsn{2});
  cache.discard(PageId{32});
  for (Frame* frame : frozen) cache.thaw(*frame);
  EXPECT_EQ(cache.frames_frozen(), 0u);
  EXPECT_EQ(cache.frames_dirty(), 2u);
  EXPECT_EQ(cache.frames_used(), 2u);
  cache.check_invariants();
}

TEST_F(PageCacheTest, DiscardedPageLeavesItsFrameToCheckpointAndPins) {
  Frame& frame = fetch(1);
  cache.modify(frame, Lsn{1});
  cache.freeze();
  cache.discard(PageId{1});
  EXPECT_FALSE(has(1));
  EXPECT_EQ(number(frame), 1u);
  cache.check_invariants();
  cache.written(frame);
  EXPECT_EQ(cache.frames_used(), 1u);
  cache.unpin(frame);
  EXPECT_EQ(cache.frames_used(), 0u);
  cache.create(PageId{1}, Lsn{2});
  cache.discard(PageId{1});
  EXPECT_EQ(cache.frames_used(), 0u);
  EXPECT_EQ(cache.frames_dirty(), 0u);
  cache.discard(PageId{1});
  cache.check_invariants();
}

TEST_F(PageCacheTest, PageDiscardedWhileItIsReadIsNotCached) {
  source.close_gate();
  source.broken = {PageId{1}};  // its blocks may be anyone's by now
  Fetched first, joined, later;
  start(1, first);
  start(1, joined);
  world.run_until_idle();
  cache.discard(PageId{1});
  cache.check_invariants();
  Frame& reborn = cache.create(PageId{1}, Lsn{9});
  start(1, later);
  source.open_gate();
  world.run_until_idle();
  ASSERT_TRUE(first.result->has_value() && joined.result->has_value());
  EXPECT_FALSE(first.frame().current);
  EXPECT_EQ(&first.frame(), &joined.frame());
  EXPECT_EQ(&later.frame(), &reborn);
  cache.check_invariants();
  cache.unpin(first.frame());
  cache.unpin(joined.frame());
  cache.unpin(later.frame());
  EXPECT_EQ(cache.frames_used(), 1u);
}

TEST_F(PageCacheTest, PageDiscardedWhileItsFetchWaitsForAFrameIsNotRead) {
  std::vector<Frame*> pinned;
  for (std::uint64_t id = 1; id <= 4; ++id) pinned.push_back(&fetch(id));
  Fetched fetched;
  start(5, fetched);
  world.run_until_idle();
  cache.discard(PageId{5});
  cache.unpin(*pinned[0]);
  world.run_until_idle();
  ASSERT_TRUE(fetched.done());
  EXPECT_FALSE(fetched.frame().current);
  EXPECT_EQ(source.reads, 4);
  EXPECT_FALSE(has(5));
  cache.check_invariants();
  cache.unpin(fetched.frame());
  for (std::size_t i = 1; i < pinned.size(); ++i) cache.unpin(*pinned[i]);
  cache.check_invariants();
}

TEST_F(PageCacheTest, HeldPagesAreNotEvictedByTheirBatch) {
  for (std::uint64_t id = 1; id <= 4; ++id) cached(id);
  cache.begin_batch();
  EXPECT_TRUE(cache.hold(*cache.find(PageId{1})));
  EXPECT_FALSE(cache.hold(*cache.find(PageId{1})));
  EXPECT_TRUE(cache.hold(*cache.find(PageId{2})));
  cache.create(PageId{30}, Lsn{1});
  cache.create(PageId{31}, Lsn{1});
  EXPECT_TRUE(has(1) && has(2));
  EXPECT_FALSE(has(3) || has(4));
  cache.begin_batch();
  EXPECT_TRUE(cache.hold(*cache.find(PageId{1})));
  cache.create(PageId{32}, Lsn{2});
  EXPECT_FALSE(has(2));
}

TEST_F(PageCacheTest, RoomIsAnnounced) {
  Frame& frame = fetch(1);
  std::optional<Result<>> woken, late;
  scope.spawn(wait_into(cache, Until::forever(), woken));
  scope.spawn(wait_into(cache, Until::at(node.now() + 1s), late));
  world.run_until_idle();
  EXPECT_FALSE(woken.has_value());
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->error(), Code::kDeadlineExceeded);
  cache.unpin(frame);
  world.run_until_idle();
  ASSERT_TRUE(woken.has_value());
  EXPECT_TRUE(woken->has_value());
}

/// Random use of everything, against what each page must hold.
class RandomUse {
 public:
  RandomUse(SimWorld& world, SimReactor& node, std::uint64_t seed)
      : world_(world),
        node_(node),
        random_(seed),
        scope_(node),
        source_(node),
        cache_(node, source_, 12 * kPageBytes) {}

  void run() {
    for (int i = 0; i < 4000; ++i) {
      step();
      cache_.check_invariants();
      look();
    }
    source_.open_gate();
    finish_checkpoint();
    while (!pinned_.empty()) unpin();
    world_.run_until_idle();
    take_fetched();
    while (!pinned_.empty()) unpin();
    cache_.check_invariants();
    EXPECT_EQ(scope_.running(), 0u);
    world_.block_on(node_, scope_.drain());
  }

 private:
  PageId random_page() { return PageId{random_.below(20) + 1}; }

  void step() {
    const PageId id = random_page();
    switch (random_.below(9)) {
      case 0:
      case 1:
        start_fetch(id);
        break;
      case 2:
        change(id);
        break;
      case 3:
        unpin();
        break;
      case 4:
        discard(id);
        break;
      case 5:
        advance_checkpoint();
        break;
      case 6:
        random_.chance(1, 2) ? source_.close_gate() : source_.open_gate();
        break;
      case 7:
        world_.run_until_idle();
        break;
      default:
        create(id);
        break;
    }
    take_fetched();
  }

  void start_fetch(PageId id) {
    if (!live_.contains(id) || fetches_.size() > 6) return;
    fetches_.emplace_back(id, std::make_unique<Fetched>());
    scope_.spawn(fetch_into(cache_, id, Until::forever(), *fetches_.back().second));
    world_.run_until_idle();
  }
  void take_fetched() {
    std::erase_if(fetches_, [&](const auto& fetch) {
      if (!fetch.second->done()) return false;
      EXPECT_TRUE(fetch.second->result->has_value());
      pinned_.push_back(&fetch.second->frame());
      return true;
    });
  }
  void unpin() {
    if (pinned_.empty()) return;
    std::swap(pinned_[random_.below(pinned_.size())], pinned_.back());
    cache_.unpin(*pinned_.back());
    pinned_.pop_back();
  }
  void change(PageId id) {
    Frame* frame = cache_.find(id);
    if (frame == nullptr || cache_.frames_to_modify(*frame) > cache_.writable_frames()) return;
    live_[id] = ++stamp_;
    set_number(cache_.modify(*frame, Lsn{stamp_}), stamp_);
  }
  void create(PageId id) {
    if (live_.contains(id) || cache_.writable_frames() == 0) return;
    live_[id] = ++stamp_;
    set_number(cache_.create(id, Lsn{stamp_}), stamp_);
  }
  void discard(PageId id) {
    live_.erase(id);
    cache_.discard(id);
  }
  void advance_checkpoint() {
    if (frozen_.empty()) {
      for (Frame* frame : cache_.freeze()) frozen_.emplace_back(frame, number(*frame));
      return;
    }
    const auto [frame, stamp] = frozen_.back();
    frozen_.pop_back();
    EXPECT_EQ(number(*frame), stamp);
    // An image that is not the page's any more must not be read again under its number.
    if (live_.contains(frame->id)) source_.images[frame->id] = stamp;
    random_.chance(1, 10) && frame->current ? cache_.thaw(*frame) : cache_.written(*frame);
  }
  void finish_checkpoint() {
    while (!frozen_.empty()) advance_checkpoint();
  }
  void look() {
    for (const auto& [id, stamp] : live_) {
      const Frame* frame = cache_.peek(id);
      if (frame != nullptr) EXPECT_EQ(number(*frame), stamp) << "page " << id.value();
    }
  }

  SimWorld& world_;
  SimReactor& node_;
  Random random_;
  Scope scope_;
  GatedSource source_;
  PageCache cache_;
  std::map<PageId, std::uint64_t> live_;
  std::vector<std::pair<PageId, std::unique_ptr<Fetched>>> fetches_;
  std::vector<Frame*> pinned_;
  std::vector<std::pair<Frame*, std::uint64_t>> frozen_;
  std::uint64_t stamp_ = 0;
};

TEST(PageCacheRandomTest, EveryPageHoldsWhatWasWrittenLast) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    SimWorld world(seed);
    SimReactor& node = world.add_node("store");
    RandomUse use(world, node, seed);
    use.run();
  }
}

}  // namespace
}  // namespace cenote::store
