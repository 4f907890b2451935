#include "store/cenote_store.h"

#include <liburing.h>
#include <sched.h>

#include <utility>

#include "cenote/runtime/scope.h"
#include "harness/machine.h"
#include "store/workload.h"

namespace cenote::bench {
namespace {

constexpr std::string_view kTreeName = "puts";

/// One of the concurrent writers.
struct Writer {
  CenoteStore& owner;
  PutStream stream;
  store::Batch batch;

  Writer(CenoteStore& the_owner, std::uint64_t seed) : owner(the_owner), stream(seed) {}

  // A reused batch and a plain attempt: what a server does that counts its allocations.
  Task<Result<>> put() {
    stream.next();
    batch.clear();
    batch.put(owner.tree(), as_bytes(stream.key()), as_bytes(stream.value()));
    const auto attempt = [this](store::View& view) { return view.apply(batch); };
    CO_TRY(const store::Lsn lsn, co_await owner.store().run(attempt));
    co_return co_await owner.store().durable(lsn);
  }
};

// The kernel does some file I/O on helper threads of the ring, which do not inherit a confinement to one core: without
// this, a comparison on one core would give Cenote a second one.
Result<> confine_helpers(io_uring& ring) {
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return fail(Code::kUnsupported, "sched_getaffinity failed");
  if (::io_uring_register_iowq_aff(&ring, sizeof cpus, &cpus) < 0) {
    return fail(Code::kUnsupported, "the kernel cannot confine the helper threads of an io_uring");
  }
  return {};
}

struct TimedRun {
  CenoteStore& owner;
  Instant end;
  LatencyHistogram latencies;
  Result<> outcome;
};

Task<> put_until_end(TimedRun& run, std::uint64_t seed) {
  Writer writer(run.owner, seed);
  Instant before = now();
  while (before < run.end && run.outcome) {
    if (auto put = co_await writer.put(); !put) run.outcome = put;
    const Instant after = now();
    run.latencies.record(after - before);
    before = after;
  }
}

Task<> put_concurrently(TimedRun& run, unsigned concurrent) {
  Scope scope(run.owner.reactor());
  for (unsigned i = 0; i < concurrent; ++i) scope.spawn(put_until_end(run, i + 1));
  co_await scope.drain();
}

Task<> checkpoint_until_end(TimedRun& run) {
  while (now() < run.end && run.outcome) {
    if (auto done = co_await run.owner.store().checkpoint(); !done) run.outcome = std::move(done);
    co_await run.owner.reactor().yield();
  }
}

Task<> put_in_checkpoints(TimedRun& run, unsigned concurrent) {
  Scope scope(run.owner.reactor());
  scope.spawn(checkpoint_until_end(run));
  for (unsigned i = 0; i < concurrent; ++i) scope.spawn(put_until_end(run, i + 1));
  co_await scope.drain();
}

Task<Result<>> put_without_waiting(CenoteStore& owner, std::uint64_t puts) {
  Writer writer(owner, 1);
  store::Lsn last{};
  for (std::uint64_t i = 0; i < puts; ++i) {
    writer.stream.next();
    writer.batch.clear();
    writer.batch.put(owner.tree(), as_bytes(writer.stream.key()), as_bytes(writer.stream.value()));
    const auto attempt = [&writer](store::View& view) { return view.apply(writer.batch); };
    CO_TRY(last, co_await owner.store().run(attempt));
    // Lets log writes start; frames stay as full as concurrent requests would make them.
    if (i % 256 == 255) CO_CHECK_OK(co_await owner.store().durable(last));
  }
  co_return co_await owner.store().durable(last);
}

Task<Result<>> make_tree(store::Store& store, store::TreeId id) {
  store::Batch batch;
  batch.create_tree(id, kTreeName);
  CO_TRY(const auto lsn, co_await store.commit(std::move(batch)));
  (void)lsn;
  co_return Result<>{};
}

}  // namespace

Result<std::unique_ptr<CenoteStore>> CenoteStore::create(std::string path, CenoteStoreOptions options) {
  std::unique_ptr<CenoteStore> made(new CenoteStore);
  made->path_ = std::move(path);
  made->options_ = options;
  TRY(made->reactor_, UringReactor::create());
  return made;
}

Result<> CenoteStore::open_device() {
  TRY(device_, media::UringDevice::open(*reactor_, path_, {.create_bytes = options_.device_bytes}));
  return {};
}

Result<> CenoteStore::format() {
  CHECK_OK(open_device());
  const auto devices = store::Devices::one(*device_);
  store::FormatOptions format;
  format.log_bytes = options_.log_bytes;
  format.key = options_.open.key;
  CHECK_OK(reactor_->block_on(store::Store::format(*reactor_, devices, format)));
  CHECK_OK(confine_helpers(reactor_->ring()));
  TRY(store_, reactor_->block_on(store::Store::open(*reactor_, devices, options_.open)));
  tree_ = store_->next_tree_id();
  return reactor_->block_on(make_tree(*store_, tree_));
}

Result<> CenoteStore::open() {
  CHECK_OK(open_device());
  TRY(store_, reactor_->block_on(store::Store::open(*reactor_, store::Devices::one(*device_), options_.open)));
  const auto tree = store_->find_tree(kTreeName);
  if (!tree) return fail(Code::kNotFound, "the store that was opened holds no tree");
  tree_ = *tree;
  return {};
}

Result<> CenoteStore::close() {
  const auto closed = reactor_->block_on(store_->close());
  store_.reset();
  reactor_->block_on(device_->close());
  device_.reset();
  return closed;
}

namespace {
Result<PutsDone> timed(CenoteStore& store, unsigned concurrent, Duration window, Task<> (*puts)(TimedRun&, unsigned)) {
  const Instant begin = now();
  TimedRun run{.owner = store, .end = begin + window, .latencies = {}, .outcome = {}};
  store.reactor().block_on(puts(run, concurrent));
  const Duration taken = now() - begin;
  CHECK_OK(std::move(run.outcome));
  return PutsDone{.latencies = run.latencies, .taken = taken};
}
}  // namespace

Result<PutsDone> run_puts(CenoteStore& store, unsigned concurrent, Duration window) {
  return timed(store, concurrent, window, put_concurrently);
}
Result<PutsDone> run_puts_in_checkpoints(CenoteStore& store, unsigned concurrent, Duration window) {
  return timed(store, concurrent, window, put_in_checkpoints);
}

Result<> fill(CenoteStore& store, std::uint64_t puts) {
  return store.reactor().block_on(put_without_waiting(store, puts));
}

}  // namespace cenote::bench
