#include "cenote/store/store.h"

#include "cenote/runtime/scope.h"
#include "page_id.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

class StoreTest : public ::testing::Test, public StoreBench {
 protected:
  StoreTest() : StoreBench(7) {
    options.fenced = [this](const Error& reason) { fenced_by = reason; };
  }
  void SetUp() override {
    format_store();
    open();
  }

  static Batch put(TreeId tree, std::string_view key, std::string_view value) {
    Batch batch;
    batch.put(tree, as_bytes(key), as_bytes(value));
    return batch;
  }

  std::optional<Error> fenced_by;
};

TEST_F(StoreTest, KeepsWhatWasCommittedOverReopenAndCrash) {
  const TreeId tree = make_tree("tree");
  ASSERT_TRUE(commit(put(tree, "a", "1")));
  reopen();
  EXPECT_EQ(store->find_tree("tree"), tree);
  EXPECT_EQ(get(tree, "a"), "1");
  ASSERT_TRUE(commit(put(tree, "b", "2")));
  crash();
  open();
  EXPECT_EQ(get(tree, "a"), "1");
  EXPECT_EQ(get(tree, "b"), "2");
  EXPECT_EQ(store->status().replayed_records, 1u);
  crash();
  open();
  EXPECT_EQ(get(tree, "b"), "2");
}

TEST_F(StoreTest, OneLogWriteCarriesManyCommits) {
  const TreeId tree = make_tree("tree");
  const StoreStatus before = store->status();
  Scope scope(node);
  int done = 0;
  for (int i = 0; i < 64; ++i) {
    scope.spawn([](Store* to, Batch batch, int* finished) -> Task<> {
      const auto committed = co_await to->commit(std::move(batch));
      EXPECT_TRUE(committed);
      ++*finished;
    }(store.get(), put(tree, "key " + std::to_string(i), std::string(100, 'x')), &done));
  }
  block_on(scope.drain());
  EXPECT_EQ(done, 64);
  EXPECT_LE(store->status().log_blocks - before.log_blocks, 4u);
}

TEST_F(StoreTest, AppliesABatchWhollyOrNotAtAll) {
  const TreeId tree = make_tree("tree");
  Batch batch = put(tree, "a", "1");
  batch.put(TreeId(99), as_bytes("b"), as_bytes("2"));
  EXPECT_EQ(commit(std::move(batch)).error().code(), Code::kNotFound);
  EXPECT_EQ(get(tree, "a"), "");
  Batch twice;
  twice.create_tree(store->next_tree_id(), "other");
  twice.create_tree(store->next_tree_id(), "tree");
  EXPECT_EQ(commit(std::move(twice)).error().code(), Code::kExists);
  EXPECT_FALSE(store->find_tree("other"));
  Batch large;
  large.put(tree, Bytes(kMaxKeyBytes + 1), {});
  EXPECT_EQ(commit(std::move(large)).error().code(), Code::kKeyTooLarge);
}

TEST_F(StoreTest, CreatesFillsAndDropsTreesInOneBatch) {
  const TreeId first = make_tree("first");
  ASSERT_TRUE(commit(put(first, "k", "v")));
  Batch batch;
  const TreeId second = store->next_tree_id();
  batch.drop_tree(first);
  batch.create_tree(second, "first");  // the name is free again
  for (int i = 0; i < 200; ++i) batch.put(second, as_bytes("key " + std::to_string(i)), Bytes(2000));
  ASSERT_TRUE(commit(std::move(batch)));
  crash();
  open();
  EXPECT_EQ(store->find_tree("first"), second);
  EXPECT_EQ(get(second, "key 7").size(), 2000u);
  Batch gone;
  gone.put(first, as_bytes("k"), as_bytes("v"));
  EXPECT_EQ(commit(std::move(gone)).error().code(), Code::kNotFound);
}

TEST_F(StoreTest, GivesBackThePagesOfADroppedTree) {
  const std::uint64_t before = store->status().meta_blocks_used;
  const TreeId tree = make_tree("big");
  for (int i = 0; i < 60; ++i) {
    Batch batch;
    for (int j = 0; j < 64; ++j) batch.put(tree, as_bytes(std::to_string(i * 64 + j)), Bytes(1500));
    ASSERT_TRUE(commit(std::move(batch)));
  }
  const std::uint64_t filled = store->status().meta_blocks_used;
  EXPECT_GT(filled, before + 60 * 64 * 1500 / media::kBlockBytes);
  Batch drop;
  drop.drop_tree(tree);
  ASSERT_TRUE(commit(std::move(drop)));
  crash();  // in the middle of giving back
  open();
  world.run_until([&] { return store->status().meta_blocks_used <= before + kPageBlocks; }, std::chrono::seconds(10));
  EXPECT_LE(store->status().meta_blocks_used, before + kPageBlocks);
}

TEST_F(StoreTest, RefusesOtherMediaAndSecondFormat) {
  power_off();
  options.system = Uuid::from_random(9, 9);
  EXPECT_EQ(try_open().error().code(), Code::kForeign);
  options.system = format.system;
  options.target = format.target;
  EXPECT_TRUE(try_open());
  power_off();
  power_on();
  EXPECT_EQ(block_on(Store::format(node, Devices::one(*device), format)).error().code(), Code::kExists);
  format.overwrite = true;
  EXPECT_TRUE(block_on(Store::format(node, Devices::one(*device), format)));
  power_off();
  medium = std::make_unique<media::SimMedium>(96 * kGroupBlocks);
  EXPECT_EQ(try_open().error().code(), Code::kNotFound);
}

TEST_F(StoreTest, ReadOnlyWritesNothing) {
  const TreeId tree = make_tree("tree");
  ASSERT_TRUE(commit(put(tree, "a", "1")));
  crash();
  options.read_only = true;
  open();
  EXPECT_EQ(get(tree, "a"), "1");
  EXPECT_EQ(commit(put(tree, "a", "2")).error().code(), Code::kPermissionDenied);
  EXPECT_TRUE(block_on(store->close()));
  EXPECT_EQ(device->counters().writes, 0u);
  EXPECT_EQ(device->counters().flushes, 0u);
}

TEST_F(StoreTest, AFailedLogWriteFencesTheStore) {
  const TreeId tree = make_tree("tree");
  device->set_full(true);
  EXPECT_EQ(commit(put(tree, "a", "1")).error().code(), Code::kFenced);
  EXPECT_TRUE(store->status().fenced);
  ASSERT_TRUE(fenced_by);
  EXPECT_NE(fenced_by->message().find("log write failed"), std::string::npos) << fenced_by->message();
  EXPECT_EQ(commit(put(tree, "a", "1")).error().code(), Code::kFenced);
  EXPECT_EQ(block_on(store->checkpoint()).error().code(), Code::kFenced);
  EXPECT_EQ(block_on(store->close()).error().code(), Code::kFenced);
}

TEST_F(StoreTest, AFencedStoreShowsWhatIsDurableAndNothingElse) {
  const TreeId durable = make_tree("durable"), lost = make_tree("lost");
  ASSERT_TRUE(commit(put(durable, "a", "1")));
  ASSERT_TRUE(commit(put(lost, "a", "1")));
  device->set_full(true);
  EXPECT_EQ(commit(put(lost, "a", "2")).error().code(), Code::kFenced);
  const auto seen = [&](TreeId tree) {
    return *block_on(store->run([&](View& view) -> Result<Lsn> {
      CHECK_OK(view.get(tree, as_bytes("a")));
      return view.seen();
    }));
  };
  EXPECT_TRUE(block_on(store->durable(seen(durable))));
  EXPECT_EQ(block_on(store->durable(seen(lost))).error().code(), Code::kFenced);
  device->set_full(false);
  EXPECT_EQ(commit(put(durable, "a", "2")).error().code(), Code::kFenced);
  EXPECT_FALSE(block_on(store->close()));
  crash();
  open();
  EXPECT_EQ(get(durable, "a"), "1");
  EXPECT_EQ(get(lost, "a"), "1");
}

TEST_F(StoreTest, ACheckpointEmptiesTheLog) {
  const TreeId tree = make_tree("tree");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(commit(put(tree, std::to_string(i), "value")));
  ASSERT_TRUE(block_on(store->checkpoint()));
  EXPECT_EQ(store->status().checkpoint, store->status().applied);
  ASSERT_TRUE(commit(put(tree, "after", "1")));
  crash();
  open();
  EXPECT_EQ(store->status().replayed_records, 1u);
  EXPECT_EQ(get(tree, "42"), "value");
  EXPECT_EQ(get(tree, "after"), "1");
}

TEST_F(StoreTest, TheLogNeverFillsForGood) {
  const TreeId tree = make_tree("tree");
  for (int i = 0; i < 300; ++i) {  // several times the ring
    Batch batch;
    for (int j = 0; j < 20; ++j) batch.put(tree, as_bytes(std::to_string(j)), Bytes(2400, std::byte(i)));
    ASSERT_TRUE(commit(std::move(batch)));
  }
  EXPECT_GE(store->status().checkpoints, 3u);
  crash();
  open();
  EXPECT_EQ(get(tree, "7"), std::string(2400, static_cast<char>(299)));
}

TEST_F(StoreTest, ExtentsAreKeptUntilReleasedAndUnread) {
  const auto extent = store->reserve(16, SpaceClass::kForeground);
  ASSERT_TRUE(extent);
  const auto unused = store->reserve(16, SpaceClass::kForeground);
  store->cancel(*unused);
  Batch claim;
  claim.claim(*extent);
  ASSERT_TRUE(commit(std::move(claim)));
  const std::uint64_t free = store->status().data_blocks_free;
  crash();
  open();
  EXPECT_EQ(store->status().data_blocks_free, free);
  {
    const ExtentGuard guard = store->guard_extents();
    Batch release;
    release.release(*extent);
    ASSERT_TRUE(commit(std::move(release)));
    EXPECT_EQ(store->status().data_blocks_free, free);
  }
  EXPECT_GT(store->status().data_blocks_free, free);
}

// What the log claims one after another may be more than there ever was at once: here every block of the device.
TEST_F(StoreTest, RedoesALogThatClaimedEveryBlock) {
  const TreeId tree = store->next_tree_id();
  Batch make;
  make.create_tree(tree, "t");
  ASSERT_TRUE(commit(std::move(make)));
  std::vector<Extent> owned;
  const auto claim_all = [&] {
    for (std::uint64_t number = 0;; ++number) {
      const auto extent = store->reserve(kGroupBlocks, SpaceClass::kForeground);
      if (!extent) return;
      owned.push_back(*extent);
      Batch batch = put(tree, "key " + std::to_string(number % 100), "value");
      batch.claim(*extent);
      ASSERT_TRUE(commit(std::move(batch)));
    }
  };
  claim_all();
  // The groups that were left for pages are others each time.
  for (int round = 0; round < 3; ++round) {
    Batch release;
    for (std::size_t i = 0; i < owned.size() / 2; ++i) release.release(owned[i]);
    ASSERT_TRUE(commit(std::move(release)));
    owned.erase(owned.begin(), owned.begin() + static_cast<std::ptrdiff_t>(owned.size() / 2));
    claim_all();
  }
  ASSERT_EQ(store->status().checkpoints, 0u) << "all of it is redone";
  const std::uint64_t free = store->status().data_blocks_free;
  crash();
  open();
  EXPECT_EQ(store->status().data_blocks_free, free);
  EXPECT_EQ(get(tree, "key 0"), "value");
}

TEST_F(StoreTest, SeenNamesWhatAReplyMustWaitFor) {
  const TreeId tree = make_tree("tree");
  const auto applied = block_on(store->run([&](View& view) { return view.apply(put(tree, "a", "1")); }));
  ASSERT_TRUE(applied);
  EXPECT_FALSE(store->is_durable(*applied));
  const auto seen = block_on(store->run([&](View& view) -> Result<Lsn> {
    TRY(const auto value, view.get(tree, as_bytes("a")));
    EXPECT_EQ(to_text(*value), "1");
    return view.seen();
  }));
  EXPECT_EQ(*seen, *applied);
  EXPECT_TRUE(block_on(store->durable(*seen)));
  EXPECT_TRUE(store->is_durable(*seen));
}

TEST_F(StoreTest, ADeadDeviceEndsEverythingQuickly) {
  const TreeId tree = make_tree("tree");
  device->crash({});
  EXPECT_EQ(commit(put(tree, "a", "1")).error().code(), Code::kFenced);
  const Instant before = node.now();
  EXPECT_FALSE(block_on(store->close()));
  EXPECT_LT(node.now() - before, std::chrono::milliseconds(100));
}

TEST(StoreDevices, RolesOnThreeDevicesAndTheirMixUps) {
  SimWorld world(3);
  SimReactor& node = world.add_node("node");
  media::SimMedium wal_medium(16 * kGroupBlocks), meta_medium(64 * kGroupBlocks), data_medium(64 * kGroupBlocks);
  media::SimDeviceOptions cached;
  cached.prefers_durable_writes = false;
  media::SimDevice wal(node, "wal", wal_medium), meta(node, "meta", meta_medium, cached),
      data(node, "data", data_medium, cached);
  const Devices devices{&wal, &meta, &data};
  FormatOptions format;
  format.log_bytes = 4u << 20;
  ASSERT_TRUE(world.block_on(node, Store::format(node, devices, format)));
  OpenOptions options;
  options.cache_bytes = kMinCacheBytes;
  auto store = *world.block_on(node, Store::open(node, devices, options));
  EXPECT_EQ(&store->data_device(), &data);
  const Extent extent = *store->reserve(4, SpaceClass::kForeground);
  const std::uint64_t flushes = data.counters().flushes;
  Batch claim;
  claim.claim(extent);
  ASSERT_TRUE(world.block_on(node, store->commit(std::move(claim))));
  EXPECT_EQ(data.counters().flushes, flushes + 1);  // data first, then the record that claims it
  ASSERT_TRUE(world.block_on(node, store->close()));
  store.reset();

  const auto open = [&](Devices some) { return world.block_on(node, Store::open(node, some, options)); };
  EXPECT_EQ(open({&data, &meta, &wal}).error().code(), Code::kForeign);
  EXPECT_EQ(open({&meta, &meta, &data}).error().code(), Code::kForeign);
  media::SimMedium other_medium(64 * kGroupBlocks);
  media::SimDevice other(node, "other", other_medium);
  EXPECT_EQ(open({&wal, &meta, &other}).error().code(), Code::kForeign);
  ASSERT_TRUE(world.block_on(node, Store::format(node, Devices::one(other), format)));
  EXPECT_EQ(open({&wal, &meta, &other}).error().code(), Code::kForeign);
  auto again = open(devices);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_TRUE(world.block_on(node, (*again)->close()));
  for (media::SimDevice* device : {&wal, &meta, &data, &other}) world.block_on(node, device->close());
}

}  // namespace
}  // namespace cenote::store
