// Updates and fetches of one object store on one core: what the software costs per operation on a device without
// latency, or what a device gives.
//
//   object_bench                       on memory
//   object_bench /dev/shm/object.img   on a file (created, 4 GiB, sparse)
//   object_bench --inline [FILE]       values of several sizes in the tree and in extents, checkpoints included

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <string>

#include "cenote/media/uring_device.h"
#include "cenote/object/object_store.h"
#include "cenote/runtime/scope.h"
#include "object/memory_device.h"
#include "object/object_load.h"

namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): operator new has no object to count in
std::uint64_t allocations = 0;

}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace cenote::bench {
namespace {

Task<> worker(ObjectLoad& load, const Workload& workload, std::uint64_t& issued) {
  while (issued < workload.operations) {
    const auto done = co_await load.one(workload, issued++);
    if (!done) {
      fmt::print(stderr, "{}\n", done.error().to_string());
      std::abort();
    }
  }
}

/// On a shared machine only CPU time is comparable from run to run.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

Task<> run(ObjectLoad& bench, Workload workload) {
  std::uint64_t issued = 0;
  const store::StoreStatus before = bench.store.status();
  const std::uint64_t allocations_before = allocations;
  const auto start = std::chrono::steady_clock::now();
  const double cpu_before = cpu_seconds();
  Scope scope(bench.store.reactor());
  for (std::uint32_t i = 0; i < kObjectDepth; ++i) scope.spawn(worker(bench, workload, issued));
  co_await scope.drain();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double cpu = cpu_seconds() - cpu_before;
  const store::StoreStatus after = bench.store.status();
  const auto count = static_cast<double>(workload.operations);
  fmt::print(
      "{:<26} {:>8.0f} op/s {:>8.0f} op/cpu-s {:>7.2f} cpu-us/op {:>5.1f} alloc/op {:>6.3f} log blocks/op {:>3} "
      "checkpoints\n",
      workload.name, count / seconds, count / cpu, cpu / count * 1e6,
      static_cast<double>(allocations - allocations_before) / count,
      static_cast<double>(after.log_blocks - before.log_blocks) / count, after.checkpoints - before.checkpoints);
}

Task<Result<>> bench_all(Reactor& reactor, media::BlockDevice& device) {
  const Uuid id = Uuid::from_random(1, 2);
  const auto devices = store::Devices::one(device);
  CO_CHECK_OK(co_await store::Store::format(reactor, devices,
                                            {.system = id, .target = id, .log_bytes = 64u << 20, .overwrite = true}));
  CO_TRY(auto store,
         co_await store::Store::open(reactor, devices, {.system = id, .target = id, .cache_bytes = 256u << 20}));
  media::BufferPool buffers(reactor, {.budget_bytes = 128u << 20});
  {
    CO_TRY(auto objects, co_await object::ObjectStore::open(*store, buffers, {.aggregation = false}));
    CO_CHECK_OK(co_await objects->create_container(id, {}));
    ObjectLoad bench{.store = *store, .objects = *objects, .buffers = buffers, .container = id};
    for (std::size_t i = 0; i < bench.data.size(); ++i) bench.data[i] = static_cast<std::byte>(i * 2654435761u >> 24);
    co_await run(bench, {"4 KiB sequential update", What::kSequentialUpdate, 4096, kObjectDkeys * 256});
    co_await run(bench, {"4 KiB fetch, as written", What::kFetch, 4096, 300'000});
    co_await run(bench, {"4 KiB random overwrite", What::kUpdate, 4096, 300'000});
    co_await run(bench, {"4 KiB fetch, overwritten", What::kFetch, 4096, 300'000});
    co_await run(bench, {"4 KiB value update", What::kValueUpdate, 4096, 100'000});
    co_await run(bench, {"4 KiB value, as an entry", What::kEntry, 4096, 100'000});
    co_await run(bench, {"64 byte value update", What::kSmallUpdate, 64, 300'000});
    co_await run(bench, {"64 byte value fetch", What::kSmallFetch, 64, 300'000});
    CO_CHECK_OK(co_await objects->aggregate(objects->now()));
    co_await run(bench, {"4 KiB fetch, merged", What::kFetch, 4096, 300'000});
    co_await run(bench, {"1 MiB update", What::kLargeUpdate, 1u << 20, 1000});
    co_await run(bench, {"1 MiB fetch", What::kLargeFetch, 1u << 20, 2000});
    CO_CHECK_OK(co_await objects->close());
  }
  co_return co_await store->close();
}

/// Overwrites of single values of one size, over several checkpoints, kept in the tree or in extents.
Task<Result<>> bench_inline(Reactor& reactor, media::BlockDevice& device, std::uint32_t bytes, bool in_tree) {
  const Uuid id = Uuid::from_random(1, 2);
  const auto devices = store::Devices::one(device);
  CO_CHECK_OK(co_await store::Store::format(reactor, devices,
                                            {.system = id, .target = id, .log_bytes = 64u << 20, .overwrite = true}));
  CO_TRY(auto store,
         co_await store::Store::open(reactor, devices, {.system = id, .target = id, .cache_bytes = 64u << 20}));
  media::BufferPool buffers(reactor, {.budget_bytes = 128u << 20});
  {
    const object::ObjectStoreOptions options{.inline_bytes = in_tree ? bytes : 0, .aggregation = false};
    CO_TRY(auto objects, co_await object::ObjectStore::open(*store, buffers, options));
    CO_CHECK_OK(co_await objects->create_container(id, {}));
    ObjectLoad load{.store = *store, .objects = *objects, .buffers = buffers, .container = id};
    const std::uint64_t before = device.counters().written_bytes;
    constexpr std::uint64_t kOperations = 200'000;
    const std::string name = fmt::format("{} bytes, {}", bytes, in_tree ? "in the tree" : "in extents");
    co_await run(load, {name, What::kSmallUpdate, bytes, kOperations});
    CO_CHECK_OK(co_await store->checkpoint());
    const double written = static_cast<double>(device.counters().written_bytes - before);
    fmt::print("{:<26} {:>8.0f} bytes written/op\n", "", written / static_cast<double>(kOperations));
    co_await run(load, {"  fetched", What::kSmallFetch, bytes, kOperations});
    CO_CHECK_OK(co_await objects->close());
  }
  co_return co_await store->close();
}

Task<Result<>> bench_inline_sizes(Reactor& reactor, media::BlockDevice& device) {
  for (const std::uint32_t bytes : {256u, 512u, 1024u, 1536u, 2048u}) {
    for (const bool in_tree : {true, false}) CO_CHECK_OK(co_await bench_inline(reactor, device, bytes, in_tree));
  }
  co_return Result<>();
}

}  // namespace
}  // namespace cenote::bench

int main(int argc, char** argv) {
  using namespace cenote;
  auto reactor = UringReactor::create();
  if (!reactor) {
    fmt::print(stderr, "{}\n", reactor.error().to_string());
    return 1;
  }
  std::unique_ptr<media::BlockDevice> device;
  const bool inline_sizes = argc > 1 && std::string_view(argv[1]) == "--inline";
  const char* const file = argc > (inline_sizes ? 2 : 1) ? argv[argc - 1] : nullptr;
  if (file != nullptr) {
    auto opened = media::UringDevice::open(**reactor, file, {.create_bytes = 4ull << 30});
    if (!opened) {
      fmt::print(stderr, "{}\n", opened.error().to_string());
      return 1;
    }
    device = *std::move(opened);
  } else {
    device = std::make_unique<bench::MemoryDevice>(**reactor, (4ull << 30) / media::kBlockBytes);
  }
  const auto result = (*reactor)->block_on(inline_sizes ? bench::bench_inline_sizes(**reactor, *device)
                                                        : bench::bench_all(**reactor, *device));
  (*reactor)->block_on(device->close());
  if (!result) fmt::print(stderr, "{}\n", result.error().to_string());
  return result ? 0 : 1;
}
