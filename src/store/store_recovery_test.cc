#include "cenote/base/format.h"
#include "cenote/runtime/scope.h"
#include "cenote/store/store_check.h"
#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

/// A store with more dirty pages in its log than a small cache holds, crashed.
class LargeLog : public ::testing::Test, public StoreBench {
 protected:
  static constexpr std::uint32_t kKeys = 12'000;

  LargeLog() : StoreBench(31, 192) {}
  void SetUp() override {
    format.log_bytes = 32u << 20;
    format_store();
    open();
    tree = make_tree("tree");
    for (std::uint32_t key = 0; key < kKeys; key += 200) write(key, 200, 1500, 'a');
    EXPECT_TRUE(block_on(store->close()));
    power_off();
    // A large cache that is never asked to write a checkpoint: changes in every page of 20 MiB.
    options.cache_bytes = 64u << 20;
    options.checkpoint_dirty = 1.0;
    options.checkpoint_log_fill = 1.0;
    open();
    block_on(rewrite());
    EXPECT_EQ(store->status().checkpoints, 0u);
    crash();
    options.cache_bytes = kMinCacheBytes;
  }

  void write(std::uint32_t from, std::uint32_t count, std::size_t bytes, char what, std::uint32_t stride = 1) {
    Batch batch;
    for (std::uint32_t i = 0; i < count && from + i * stride < kKeys; ++i) {
      const std::string key = fmt::format("{:06}", from + i * stride);
      batch.put(tree, as_bytes(key), Bytes(bytes, static_cast<std::byte>(what)));
      expected[key] = what;
    }
    const auto written = commit(std::move(batch));
    ASSERT_TRUE(written) << written.error().to_string();
  }
  /// Changes every page, and claims, releases and claims again extents, which a checkpoint taken while this is redone
  /// must keep off. In one turn, so that each frame of the log holds many batches.
  Task<> rewrite() {
    Lsn last{};
    for (std::uint32_t key = 0; key < kKeys; key += 70) {
      Batch batch;
      for (std::uint32_t i = key; i < std::min(key + 70, kKeys); i += 7) {
        const std::string name = fmt::format("{:06}", i);
        batch.put(tree, as_bytes(name), Bytes(1500, std::byte{'b'}));
        expected[name] = 'b';
      }
      const Extent extent = *store->reserve(100, SpaceClass::kForeground);
      fill(extent);
      batch.claim(extent);
      if (owned.size() == 20) {
        batch.release(owned.front());
        owned.erase(owned.begin());
      }
      owned.push_back(extent);
      const auto applied = co_await store->run([&](View& view) { return view.apply(batch); });
      EXPECT_TRUE(applied) << applied.error().to_string();
      last = applied.value_or(last);
    }
    EXPECT_TRUE(co_await store->durable(last));
  }
  void fill(Extent extent) {
    Bytes block(media::kBlockBytes, std::byte{0x5a});
    for (std::uint32_t i = 0; i < extent.blocks; ++i)
      medium->write_block(media::BlockNo(extent.first.value() + i), block);
  }

  void expect_whole() {
    for (const auto& [key, what] : expected) ASSERT_EQ(get(tree, key), std::string(1500, what)) << key;
    const auto checked = block_on(check_store(*store, owned));
    EXPECT_TRUE(checked) << checked.error().to_string();
    Bytes block(media::kBlockBytes);
    for (const Extent& extent : owned) {
      for (std::uint32_t i = 0; i < extent.blocks; ++i) {
        medium->read_block(media::BlockNo(extent.first.value() + i), block);
        ASSERT_EQ(block, Bytes(media::kBlockBytes, std::byte{0x5a})) << "a page was written over an extent";
      }
    }
  }

  TreeId tree{};
  std::map<std::string, char> expected;
  std::vector<Extent> owned;
};

TEST_F(LargeLog, IsRedoneWithCheckpointsInBetween) {
  open();
  EXPECT_GT(store->status().checkpoint, Lsn{});
  EXPECT_GT(store->status().page_writes, 0u);  // by recovery itself
  expect_whole();
}

TEST_F(LargeLog, MayCrashAnywhereWhileItIsRedone) {
  const BenchMedia crashed = BenchMedia{medium->clone(), nullptr, nullptr};
  for (std::uint64_t cut : {1u, 2u, 300u, 613u, 615u, 617u, 619u, 621u, 900u}) {
    mediums[0] = crashed[0]->clone();
    power_on();
    on_each_write([&](std::uint64_t number) {
      if (number == cut) cut_power();
    });
    static_cast<void>(try_open());
    power_off();
    open();
    const auto checked = block_on(check_store(*store, owned));
    ASSERT_TRUE(checked) << "cut at write " << cut << ": " << checked.error().to_string();
    ASSERT_EQ(get(tree, "000000"), std::string(1500, 'b')) << cut;
    ASSERT_EQ(get(tree, "011900"), std::string(1500, expected["011900"])) << cut;
    power_off();
  }
}

TEST_F(LargeLog, IsTooMuchForASmallReadOnlyCache) {
  options.read_only = true;
  EXPECT_EQ(try_open().error().code(), Code::kResourceExhausted);
  options.cache_bytes = 64u << 20;
  open();
  EXPECT_EQ(get(tree, "000000"), std::string(1500, 'b'));
}

/// Much more data than cache, many clients, batches of many keys.
class TinyCache : public ::testing::Test, public StoreBench {
 protected:
  TinyCache() : StoreBench(33, 160) {}

  static Task<> client(Store* store, TreeId tree, std::uint64_t seed, int rounds) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < rounds; ++round) {
      Batch batch;
      for (int i = 0; i < 100; ++i) batch.put(tree, as_bytes(fmt::format("{:06}", random() % 16'000)), Bytes(1800));
      const auto committed = co_await store->commit(std::move(batch));
      EXPECT_TRUE(committed) << committed.error().to_string();
    }
  }
};

TEST_F(TinyCache, IsSlowAndNeverHangs) {
  format_store();
  open();
  const TreeId tree = make_tree("tree");
  for (std::uint32_t key = 0; key < 16'000; key += 200) {
    Batch batch;
    for (std::uint32_t i = 0; i < 200; ++i) batch.put(tree, as_bytes(fmt::format("{:06}", key + i)), Bytes(1800));
    ASSERT_TRUE(commit(std::move(batch)));
  }
  Scope scope(node);
  for (std::uint64_t i = 0; i < 12; ++i) scope.spawn(client(store.get(), tree, i, 6));
  block_on(scope.drain());
  EXPECT_GT(store->status().page_reads, 1000u);
  const auto checked = block_on(check_store(*store, std::vector<Extent>()));
  EXPECT_TRUE(checked) << checked.error().to_string();
}

TEST_F(TinyCache, AStalledDeviceSlowsWritersAndLosesNothing) {
  format_store();
  open();
  const TreeId tree = make_tree("tree");
  Scope scope(node);
  for (std::uint64_t i = 0; i < 12; ++i) scope.spawn(client(store.get(), tree, i, 8));
  world.after(std::chrono::milliseconds(5), [&] { device->set_slowdown(3000); });
  world.after(std::chrono::seconds(3), [&] { device->set_slowdown(1); });
  block_on(scope.drain());
  EXPECT_FALSE(store->status().fenced);
}

}  // namespace
}  // namespace cenote::store
