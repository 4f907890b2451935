#include <algorithm>
#include <utility>

#include "cenote/store/store_check.h"
#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

using Layout = StoreBench::Layout;

/// A store that is filled with extents, grows, and is filled again.
class StoreGrowth : public ::testing::TestWithParam<Layout>, public StoreBench {
 protected:
  StoreGrowth() : StoreBench(51, 64, GetParam()) {}

  void SetUp() override {
    format_store();
    open();
    tree = make_tree("tree");
  }
  void grow_media(std::uint64_t mib, bool only_data = false) {
    for (const std::size_t i : devices_with_space(only_data)) {
      mediums[i]->grow(mediums[i]->block_count() + mib * kGroupBlocks);
    }
  }
  /// Owns extents until there is no space; returns how many blocks.
  std::uint64_t fill() {
    std::uint64_t blocks = 0;
    for (;;) {
      const auto extent = store->reserve(kGroupBlocks, SpaceClass::kForeground);
      if (!extent) return blocks;
      Batch batch;
      batch.claim(*extent);
      batch.put(tree, as_bytes(std::to_string(extent->first.value())), as_bytes("owned"));
      const auto owned_now = commit(std::move(batch));
      EXPECT_TRUE(owned_now) << owned_now.error().to_string();
      owned.push_back(*extent);
      blocks += extent->blocks;
    }
  }
  /// What is left of a medium whose end was cut off.
  static std::unique_ptr<media::SimMedium> without_end(const media::SimMedium& from, std::uint64_t blocks) {
    auto cut = std::make_unique<media::SimMedium>(blocks);
    Bytes block(media::kBlockBytes);
    const media::BlockNo end(blocks);
    for (auto at = from.next_written(media::BlockNo(0), end); at < end;
         at = from.next_written(media::BlockNo(at.value() + 1), end)) {
      from.read_block(at, block);
      cut->write_block(at, block);
    }
    return cut;
  }
  Result<> grow() { return block_on(store->grow()); }
  void expect_whole() {
    const auto checked = block_on(check_store(*store, owned));
    EXPECT_TRUE(checked) << checked.error().to_string();
    for (const Extent& extent : owned) EXPECT_EQ(get(tree, std::to_string(extent.first.value())), "owned");
  }

  TreeId tree{};
  std::vector<Extent> owned;
};

TEST_P(StoreGrowth, MoreSpaceIsUsedAtOnceAndAfterACrash) {
  fill();
  const std::uint64_t before = store->status().data_blocks_total;
  ASSERT_TRUE(grow()) << "nothing new is no error";
  EXPECT_EQ(store->status().data_blocks_total, before);
  grow_media(100);
  const auto grown = grow();
  ASSERT_TRUE(grown) << grown.error().to_string();
  EXPECT_GE(store->status().data_blocks_total, before + 95 * kGroupBlocks);
  EXPECT_GE(fill(), 80 * kGroupBlocks);
  crash();
  open();
  expect_whole();
  EXPECT_GE(store->status().data_blocks_total, before + 95 * kGroupBlocks);
  reopen();
  expect_whole();
}

TEST_P(StoreGrowth, AgainAndAgain) {
  std::uint64_t before = store->status().data_blocks_total;
  for (std::uint64_t mib : {1, 2, 3, 30, 1, 200, 5}) {
    fill();
    grow_media(mib, mib == 30 || mib == 3);
    const auto grown = grow();
    ASSERT_TRUE(grown) << grown.error().to_string();
    // The old place of the maps has become space, the new one has not: a group or two either way.
    EXPECT_GE(store->status().data_blocks_total + 3 * kGroupBlocks, before + mib * kGroupBlocks);
    before = store->status().data_blocks_total;
    if (mib % 2 == 0) crash();
    reopen();
    expect_whole();
  }
}

TEST_P(StoreGrowth, OnlyOneAtATimeAndNotReadOnly) {
  grow_media(10);
  Scope scope(node);
  std::vector<Code> outcomes;
  const auto call = [](Store* store, std::vector<Code>* outcomes) -> Task<> {
    const auto grown = co_await store->grow();
    outcomes->push_back(grown ? Code::kOk : grown.error().code());
  };
  scope.spawn(call(store.get(), &outcomes));
  scope.spawn(call(store.get(), &outcomes));
  block_on(scope.drain());
  EXPECT_EQ(outcomes, (std::vector<Code>{Code::kBusy, Code::kOk}));
  power_off();
  options.read_only = true;
  grow_media(10);
  open();
  EXPECT_EQ(grow().error().code(), Code::kPermissionDenied);
}

TEST_P(StoreGrowth, NothingNewIsHandedOutBeforeTheSuperblockThatNamesItIsDurable) {
  fill();
  const std::uint64_t end = mediums[devices_with_space(true).front()]->block_count();
  grow_media(100);
  bool named = false;
  std::vector<Extent> taken;
  const auto take_all = [&] {
    while (const auto extent = store->reserve(kGroupBlocks, SpaceClass::kForeground)) taken.push_back(*extent);
  };
  // Before a write takes effect everything is asked for that can be had, up to the superblock itself.
  for (auto& drive : drives) {
    if (!drive) continue;
    drive->set_write_hook([&, meta = drive.get() == device](std::uint64_t, const media::IoRequest& request) {
      if (named) return;
      take_all();
      for (const Extent& extent : taken) EXPECT_LT(extent.first.value(), end);
      const bool superblock = std::ranges::find(kSuperblockPlaces, request.first.value()) != kSuperblockPlaces.end();
      named = meta && request.kind == media::IoKind::kWrite && superblock;
    });
  }
  const auto grown = grow();
  for (auto& drive : drives) {
    if (drive) drive->set_write_hook({});
  }
  ASSERT_TRUE(grown) << grown.error().to_string();
  EXPECT_TRUE(named);
  const std::size_t before = taken.size();
  take_all();
  EXPECT_GE(taken.size(), before + 80);
  for (const Extent& extent : taken) store->cancel(extent);
}

TEST_P(StoreGrowth, ADeviceThatWasCutIsRefusedByNameAndIsWholeWhenItIsBack) {
  grow_media(100);
  ASSERT_TRUE(grow());
  fill();
  power_off();
  constexpr std::array<std::string_view, kMaxDevices> kNames = {"'meta'", "'wal'", "'data'"};
  for (std::size_t i = 0; i < kMaxDevices; ++i) {
    if (!mediums[i]) continue;
    const std::uint64_t blocks = mediums[i]->block_count() - kGroupBlocks;
    auto whole = std::exchange(mediums[i], without_end(*mediums[i], blocks));
    const auto opened = try_open();
    ASSERT_FALSE(opened) << kNames[i];
    EXPECT_EQ(opened.error().code(), Code::kCorrupt) << kNames[i];
    EXPECT_NE(opened.error().to_string().find(kNames[i]), std::string::npos) << opened.error().to_string();
    EXPECT_NE(opened.error().to_string().find("it was cut"), std::string::npos) << opened.error().to_string();
    power_off();
    mediums[i] = std::move(whole);
  }
  open();
  expect_whole();
}

TEST_P(StoreGrowth, ALargerDeviceForTheLogAloneChangesNothing) {
  if (GetParam() != Layout::kThreeDevices && GetParam() != Layout::kOwnWal) GTEST_SKIP() << "the log has no own device";
  const std::uint64_t before = store->status().data_blocks_total;
  const std::uint64_t checkpoints = store->status().checkpoints;
  mediums[1]->grow(mediums[1]->block_count() + 100 * kGroupBlocks);
  ASSERT_TRUE(grow());
  EXPECT_EQ(store->status().data_blocks_total, before);
  EXPECT_EQ(store->status().checkpoints, checkpoints) << "nothing was new";
  // It is larger when another device grows, too.
  grow_media(50);
  ASSERT_TRUE(grow());
  EXPECT_GE(store->status().data_blocks_total, before + 45 * kGroupBlocks);
  fill();
  crash();
  open();
  expect_whole();
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreGrowth,
                         ::testing::Values(Layout::kOneDevice, Layout::kThreeDevices, Layout::kOwnWal, Layout::kOwnData,
                                           Layout::kWalWithData));

TEST(GeometryGrowth, RefusesToShrinkAndToOutgrowTheFormat) {
  const Geometry geometry = *Geometry::plan({256 * 64, 0, 0}, 0, 0, 8u << 20);
  EXPECT_EQ(geometry.grown({256 * 63, 0, 0}).error().code(), Code::kOutOfRange);
  EXPECT_EQ(geometry.grown({1ull << 36, 0, 0}).error().code(), Code::kOutOfRange);
  Geometry larger = *geometry.grown({256 * 640, 0, 0});
  larger.place_maps(256 * 64);
  EXPECT_TRUE(larger.validate());
  EXPECT_TRUE(larger.moved());
  larger.place_maps(kGroupBlocks);
  EXPECT_TRUE(larger.validate());
  larger.place_maps(kSuperblockPlaces[1]);
  EXPECT_FALSE(larger.validate()) << "over a superblock";
  larger.place_maps(0);
  EXPECT_FALSE(larger.validate()) << "over the other one";
  larger.place_maps(larger.log.first);
  EXPECT_FALSE(larger.validate()) << "over the log";
  larger.place_maps(256 * 640);
  EXPECT_FALSE(larger.validate()) << "beyond the end";
}

TEST(StoreGrowthOfData, NeedsAPlaceForTheMapsOnTheMetaDevice) {
  StoreBench bench(52, 64, Layout::kOwnData);
  bench.format_store();
  bench.open();
  const TreeId tree = bench.make_tree("tree");
  // The meta device is full of pages, and only the data device grows.
  Code full = Code::kOk;
  for (std::uint32_t key = 0; full == Code::kOk; ++key) {
    Batch batch;
    for (std::uint32_t i = 0; i < 50; ++i) {
      batch.put(tree, as_bytes(std::to_string(key * 50 + i)), Bytes(kMaxValueBytes, std::byte{1}));
    }
    const auto put = bench.commit(std::move(batch));
    full = put ? Code::kOk : put.error().code();
  }
  ASSERT_EQ(full, Code::kNoSpace);
  bench.mediums[2]->grow(256 * 100'000);
  EXPECT_EQ(bench.block_on(bench.store->grow()).error().code(), Code::kNoSpace);
  bench.mediums[0]->grow(256 * 300);
  const auto grown = bench.block_on(bench.store->grow());
  EXPECT_TRUE(grown) << grown.error().to_string();
  bench.reopen();
  EXPECT_GT(bench.store->status().data_blocks_total, 256 * 99'000u);
}

}  // namespace
}  // namespace cenote::store
