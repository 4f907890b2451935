#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cenote/runtime/random.h"
#include "cenote/runtime/sim_reactor.h"
#include "page.h"
#include "page_cache.h"
#include "trees.h"

/// Point operations on trees that are wholly cached: what the hot path of a store costs before any log or media.
///
/// On paper: 1 M entries of 16 + 16 bytes are about 3700 leaves under 10 inner pages. A lookup finds three frames (the
/// root's and the inner page's bytes are in the nearest caches) and misses the cache in the leaf about four times:
/// header, two or three lines of slots, the record. At 80 ns a miss that is 300 to 400 ns for random keys.
namespace cenote::store {
namespace {

constexpr TreeId kTree{1};
constexpr std::uint64_t kCacheBytes = 512ull << 20;

class NoSource final : public PageSource {
 public:
  Task<Result<>> read_page(PageId, MutableBytes) override { co_return fail(Code::kCorrupt); }
  PageId allocate_page() override { return PageId{++next_}; }
  void free_page(PageId) override {}

 private:
  std::uint64_t next_ = 0;
};

struct Key {
  std::array<std::byte, 16> bytes;
  explicit Key(std::uint64_t high, std::uint64_t low) {
    store_be(bytes.data(), high);
    store_be(bytes.data() + 8, low);
  }
};

Key random_key(Random& random) { return Key(random.next(), random.next()); }

struct Bench {
  SimWorld world{1};
  SimReactor& node = world.add_node("bench");
  NoSource source;
  PageCache cache{node, source, kCacheBytes};
  Trees trees{cache, source};
  Lsn lsn{1};

  Bench() { trees.create(kTree, lsn); }

  void put(const Key& key, ByteView value) {
    std::uint64_t frames = 0;
    trees.begin_batch();
    const Result<> prepared = trees.prepare_put(kTree, key.bytes, value.size(), frames);
    ASSERT(prepared && cache.writable_frames() >= frames);
    lsn = Lsn{lsn.value() + 1};
    trees.put(kTree, key.bytes, value, lsn);
    trees.finish_batch();
  }
  void erase(const Key& key) {
    std::uint64_t frames = 0;
    trees.begin_batch();
    const Result<> prepared = trees.prepare_erase(kTree, key.bytes, frames);
    ASSERT(prepared && cache.writable_frames() >= frames);
    lsn = Lsn{lsn.value() + 1};
    trees.erase(kTree, key.bytes, lsn);
    trees.finish_batch();
  }
  /// Puts random keys and returns them in another random order.
  std::vector<Key> fill(std::uint64_t count) {
    Random random(1);
    std::vector<Key> keys;
    keys.reserve(count);
    const std::array<std::byte, 16> value{};
    for (std::uint64_t i = 0; i < count; ++i) {
      keys.push_back(random_key(random));
      put(keys.back(), value);
    }
    for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random.below(i)]);
    return keys;
  }
};

void lookup(benchmark::State& state) {
  Bench bench;
  const std::vector<Key> keys = bench.fill(static_cast<std::uint64_t>(state.range(0)));
  std::size_t at = 0;
  Lsn seen{};
  for (auto _ : state) {
    const auto value = bench.trees.get(kTree, keys[at].bytes, seen);
    ASSERT(value && *value);
    benchmark::DoNotOptimize((**value)[0]);
    at = at + 1 == keys.size() ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["pages"] = static_cast<double>(bench.cache.frames_used());
}
BENCHMARK(lookup)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kNanosecond);

void insert_random(benchmark::State& state) {
  Bench bench;
  bench.fill(static_cast<std::uint64_t>(state.range(0)));
  Random random(2);
  const std::array<std::byte, 16> value{};
  for (auto _ : state) bench.put(random_key(random), value);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(insert_random)->Arg(1'000'000)->Iterations(1'000'000)->Unit(benchmark::kNanosecond);

void insert_ascending(benchmark::State& state) {
  Bench bench;
  std::uint64_t next = 0;
  const std::array<std::byte, 16> value{};
  for (auto _ : state) bench.put(Key(0, ++next), value);
  state.SetItemsProcessed(state.iterations());
  state.counters["pages"] = static_cast<double>(bench.cache.frames_used());
}
BENCHMARK(insert_ascending)->Iterations(1'000'000)->Unit(benchmark::kNanosecond);

void overwrite(benchmark::State& state) {
  Bench bench;
  const std::vector<Key> keys = bench.fill(static_cast<std::uint64_t>(state.range(0)));
  const std::array<std::byte, 16> value{std::byte{1}};
  std::size_t at = 0;
  for (auto _ : state) {
    bench.put(keys[at], value);
    at = at + 1 == keys.size() ? 0 : at + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(overwrite)->Arg(1'000'000)->Unit(benchmark::kNanosecond);

void erase_random(benchmark::State& state) {
  Bench bench;
  const std::vector<Key> keys = bench.fill(static_cast<std::uint64_t>(state.range(0)));
  std::size_t at = 0;
  for (auto _ : state) bench.erase(keys[at++]);
  state.SetItemsProcessed(state.iterations());
  state.counters["pages"] = static_cast<double>(bench.cache.frames_used());
}
BENCHMARK(erase_random)->Arg(1'000'000)->Iterations(1'000'000)->Unit(benchmark::kNanosecond);

void scan(benchmark::State& state) {
  Bench bench;
  bench.fill(static_cast<std::uint64_t>(state.range(0)));
  Lsn seen{};
  Bytes buffer;
  auto position = *bench.trees.seek(kTree, {}, seen);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bench.trees.key_at(*position, buffer).data());
    position = *bench.trees.next(kTree, *position, seen);
    if (!position) position = *bench.trees.seek(kTree, {}, seen);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(scan)->Arg(1'000'000)->Unit(benchmark::kNanosecond);

void verify_page(benchmark::State& state) {
  Bench bench;
  bench.fill(100'000);
  Lsn seen{};
  Frame& frame = *(*bench.trees.seek(kTree, {}, seen))->leaf;
  Page(frame.data).stamp();
  for (auto _ : state) {
    const Result<> valid = verify({frame.data, kPageBytes}, frame.id);
    ASSERT(valid);
  }
  state.SetBytesProcessed(state.iterations() * kPageBytes);
}
BENCHMARK(verify_page)->Unit(benchmark::kNanosecond);

}  // namespace
}  // namespace cenote::store
